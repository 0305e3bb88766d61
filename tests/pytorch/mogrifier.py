"""Mogrifier LSTMs in PyTorch: scores lines, and repeats one step of training.

    python mogrifier.py BEFORE AFTER TEXT RATE

BEFORE and AFTER are models before and after one update by SGD on a window that is the whole TEXT, with the mean of its
losses. Prints the largest difference between PyTorch's parameters and those of AFTER, then, line by line, the log10
probability of TEXT's lines in BEFORE, each from the boundary on. The cell is PyTorch's own LSTMCell.
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


def gate(k, i, read):
    """2σ(M_i read + b_i)."""
    part = lambda name: weights.get(f"rnn.mogrifier_{name}{i}_l{k}")
    matrix = part("weight") if part("weight") is not None else part("left") @ part("right")
    return 2 * torch.sigmoid(torch.nn.functional.linear(read, matrix, part("bias")))


def layer(k, inputs):
    """inputs [T, in]; h [T, H]."""
    cell = [weights.get(f"rnn.{part}_l{k}") for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]]
    h, c = torch.zeros(2, 1, size)
    outputs = []
    for x in inputs[:, None]:
        gated = h
        for i in range(1, config["mogrifier_rounds"] + 1):
            if i % 2 == 1:
                x = gate(k, i, gated) * x
            else:
                gated = gate(k, i, x) * gated
        h, c = torch._VF.lstm_cell(x, (gated, c), *[value for value in cell if value is not None])
        outputs.append(h[0])
    return torch.stack(outputs)


def log_probabilities(targets):
    x = weights["embedding.weight"][torch.tensor([0] + targets[:-1])]
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
