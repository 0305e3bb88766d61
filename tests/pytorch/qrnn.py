"""Quasi-recurrent units in PyTorch: scores lines, and repeats one step of training.

    python qrnn.py BEFORE AFTER TEXT RATE

step.py describes the arguments and the output.
"""

import torch
from torch.nn import functional

from step import config, decoded, embedded, report, weights_before

size = config["hidden_size"]
weights = {name: value.requires_grad_() for name, value in weights_before().items()}


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


def log_probabilities(ids):
    x = embedded(weights, ids)
    # The first word has none before it.
    x = torch.cat([x, functional.pad(x, (0, 0, 1, 0))[:-1]], -1)
    for k in range(config["num_layers"]):
        x = layer(k, x)
    return decoded(weights, x)


report(weights, log_probabilities)
