"""Simple recurrent units in PyTorch: scores lines, and repeats one step of training.

    python sru.py BEFORE AFTER TEXT RATE

step.py describes the arguments and the output.
"""

import torch

from step import config, decoded, embedded, report, weights_before

size = config["hidden_size"]
weights = {name: value.requires_grad_() for name, value in weights_before().items()}


def layer(k, x):
    """x [T, in]; h [T, H]."""
    z = (x @ weights[f"rnn.weight_ih_l{k}"].T).split(size, -1)
    v_f, v_r = weights[f"rnn.weight_c_l{k}"].split(size)
    b_f, b_r = weights[f"rnn.bias_l{k}"].split(size) if config["bias"] else (0.0, 0.0)
    highway = z[3] if len(z) == 4 else x
    c = torch.zeros(size)
    outputs = []
    for u, p, q, skipped in zip(*z[:3], highway):
        f = torch.sigmoid(p + v_f * c + b_f)
        r = torch.sigmoid(q + v_r * c + b_r)
        c = f * c + (1 - f) * u
        outputs.append(r * c + (1 - r) * skipped)
    return torch.stack(outputs)


def log_probabilities(ids):
    x = embedded(weights, ids)
    for k in range(config["num_layers"]):
        x = layer(k, x)
    return decoded(weights, x)


report(weights, log_probabilities)
