"""What the scripts that repeat one step of training have in common: their arguments, and what they print.

    python SCRIPT BEFORE AFTER TEXT RATE

BEFORE and AFTER are models before and after one update by SGD on a window that is the whole TEXT, with the mean of its
losses. A script prints the largest difference between PyTorch's parameters and those of AFTER, then, line by line, the
log10 probability of TEXT's lines in BEFORE, each from the boundary on.
"""

import json
import math
import sys

import torch
from safetensors.torch import load_file

before, after, text, rate = sys.argv[1:]
config = json.load(open(f"{before}/config.json"))
words = open(f"{before}/vocab.txt").read().splitlines()
lines = [[words.index(word) for word in line.split()] for line in open(text)]


def weights_before():
    return load_file(f"{before}/model.safetensors")


def load_into(model):
    """Loads BEFORE into a module whose parts have the names of the files' tensors. The decoder may be the embedding."""
    weights = weights_before()
    weights.setdefault("decoder.weight", weights.get("embedding.weight"))
    model.load_state_dict(weights, strict=True)


def embedded(weights, ids):
    """The input of the first layer, [T, D] or one-hot."""
    if "embedding.weight" in weights:
        return weights["embedding.weight"][ids]
    return torch.nn.functional.one_hot(ids, len(words)).float()


def decoded(weights, states):
    """ln P of every next word after states [T, H]."""
    decoder = weights["embedding.weight"] if config["tied"] else weights["decoder.weight"]
    return (states @ decoder.T + weights.get("decoder.bias", 0.0)).log_softmax(-1)


def report(parameters, log_probabilities, penalty=None):
    """Makes the update and prints the results.

    parameters: what the update changes, by the names in the files; log_probabilities: a function of ids [T], a boundary
    and the words after it, that returns ln P of every next word, [T, V]; penalty: a function of ids and ln P, that is
    added to the loss of training.
    """

    def of_targets(targets):
        """The targets' scores, and the penalty."""
        ids = torch.tensor([0] + targets[:-1])
        found = log_probabilities(ids)
        return found.gather(1, torch.tensor(targets)[:, None]), penalty(ids, found) if penalty else 0.0

    with torch.no_grad():
        scores = [of_targets(line + [0])[0].sum().item() / math.log(10) for line in lines]
    optimizer = torch.optim.SGD(parameters.values(), lr=float(rate))
    whole = [word for line in lines for word in line + [0]]
    targets, added = of_targets(whole)
    (added - targets.mean()).backward()
    optimizer.step()
    expected = load_file(f"{after}/model.safetensors")
    print(max((value - expected[name]).abs().max().item() for name, value in parameters.items()))
    print(*scores, sep="\n")
