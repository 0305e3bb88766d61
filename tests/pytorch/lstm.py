"""Variants of the LSTM in PyTorch: scores lines, and repeats one step of training.

    python lstm.py BEFORE AFTER TEXT RATE

BEFORE and AFTER are models before and after one update by SGD on a window that is the whole TEXT, with the mean of its
losses. Prints the largest difference between PyTorch's parameters and those of AFTER, then, line by line, the log10
probability of TEXT's lines in BEFORE, each from the boundary on.

The variants are residual connections, capped input gates (Melis 2020), and layer normalization as in the supplement of
Ba (2016): the memory is carried as it is, and normalized where h is computed from it.
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
size = config["hidden_size"]
weights = {name: value.requires_grad_() for name, value in load_file(f"{before}/model.safetensors").items()}


def product(k, part, x):
    """W x + b, or the normalized W x with a gain, + b."""
    z = x @ weights[f"rnn.weight_{part}_l{k}"].T
    bias = weights.get(f"rnn.bias_{part}_l{k}")
    if config.get("layer_norm"):
        return torch.nn.functional.layer_norm(z, z.shape[-1:], weights[f"rnn.gain_{part}_l{k}"], bias, 1e-5)
    return z if bias is None else z + bias


def layer(k, x):
    """x [T, in]; h [T, H], plus x where the sizes are equal in networks with residual connections."""
    h = c = torch.zeros(size)
    outputs = []
    for z in product(k, "ih", x):
        i, f, g, o = (z + product(k, "hh", h)).split(size)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        if config.get("cap_input_gate"):
            i = torch.minimum(1 - f, i)
        c = f * c + i * g
        m = c
        if config.get("layer_norm"):
            gain, bias = weights[f"rnn.gain_c_l{k}"], weights.get(f"rnn.bias_c_l{k}")
            m = torch.nn.functional.layer_norm(c, c.shape, gain, bias, 1e-5)
        h = o * m.tanh()
        outputs.append(h)
    is_one_hot = k == 0 and config["embedding_size"] == 0
    is_added = config.get("residual") and not is_one_hot and x.shape[-1] == size
    return torch.stack(outputs) + x if is_added else torch.stack(outputs)


def log_probabilities(targets):
    ids = torch.tensor([0] + targets[:-1])
    if "embedding.weight" in weights:
        x = weights["embedding.weight"][ids]
    else:
        x = torch.nn.functional.one_hot(ids, len(words)).float()
    for k in range(config["num_layers"]):
        x = layer(k, x)
    if "projection.weight" in weights:
        x = x @ weights["projection.weight"].T
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
