"""Quasi-recurrent units in PyTorch: scores lines, and repeats one step of training.

    python qrnn.py BEFORE AFTER TEXT RATE

BEFORE and AFTER are models before and after one update by SGD on a window that is the whole TEXT, with the mean of its
losses. Prints the largest difference between PyTorch's parameters and those of AFTER, then, line by line, the log10
probability of TEXT's lines in BEFORE, each from the boundary on.
"""

import json
import math
import sys

import torch
from safetensors.torch import load_file
from torch.nn import functional

before, after, text, rate = sys.argv[1:]
config = json.load(open(f"{before}/config.json"))
words = open(f"{before}/vocab.txt").read().splitlines()
lines = [[words.index(word) for word in line.split()] for line in open(text)]
size = config["hidden_size"]
weights = {name: value.requires_grad_() for name, value in load_file(f"{before}/model.safetensors").items()}


def layer(k, x):
    """x [T, in]; h [T, H]."""
    bias = weights[f"rnn.bias_l{k}"] if config["bias"] else None
    gates = functional.linear(x, weights[f"rnn.weight_ih_l{k}"], bias)
    candidates, updates, output_gates = gates.split(size, -1)
    c = torch.zeros(size)
    memories = []
    for z, f in zip(candidates.tanh(), updates.sigmoid()):
        c = f * z + (1 - f) * c
        memories.append(c)
    return output_gates.sigmoid() * torch.stack(memories)


def log_probabilities(targets):
    x = weights["embedding.weight"][torch.tensor([0] + targets[:-1])]
    # The first word has none before it.
    x = torch.cat([x, functional.pad(x, (0, 0, 1, 0))[:-1]], -1)
    for k in range(config["num_layers"]):
        x = layer(k, x)
    decoder = weights["embedding.weight"] if config["tied"] else weights["decoder.weight"]
    y = (x @ decoder.T + weights.get("decoder.bias", 0.0)).log_softmax(-1)
    return y.gather(1, torch.tensor(targets)[:, None])


with torch.no_grad():
    scores = [log_probabilities(line + [0]).sum().item() / math.log(10) for line in lines]
optimizer = torch.optim.SGD(weights.values(), lr=float(rate))
whole = [word for line in lines for word in line + [0]]
(-log_probabilities(whole).mean()).backward()
optimizer.step()
expected = load_file(f"{after}/model.safetensors")
print(max((value - expected[name]).abs().max().item() for name, value in weights.items()))
print(*scores, sep="\n")
