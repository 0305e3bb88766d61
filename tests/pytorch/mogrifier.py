"""Mogrifier LSTMs in PyTorch, as step.py says. The cell is PyTorch's own LSTMCell, unless its input gates are capped.

    python mogrifier.py BEFORE AFTER TEXT RATE
"""

import torch

from step import config, decoded, embedded, report, weights_before

size = config["hidden_size"]
weights = {name: value.requires_grad_() for name, value in weights_before().items()}


def gate(k, i, read):
    """2σ(M_i read + b_i)."""
    part = lambda name: weights.get(f"rnn.mogrifier_{name}{i}_l{k}")
    matrix = part("weight") if part("weight") is not None else part("left") @ part("right")
    return 2 * torch.sigmoid(torch.nn.functional.linear(read, matrix, part("bias")))


def step(x, states, cell):
    """h and c after a step."""
    if not config.get("cap_input_gate"):
        return torch._VF.lstm_cell(x, states, *cell)
    z = x @ cell[0].T + states[0] @ cell[1].T + sum(cell[2:])
    i, f, g, o = z.split(size, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * states[1] + torch.minimum(1 - f, i) * g
    return o * c.tanh(), c


def layer(k, inputs):
    """inputs [T, in]; h [T, H]."""
    cell = [weights.get(f"rnn.{part}_l{k}") for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]]
    cell = [value for value in cell if value is not None]
    h, c = torch.zeros(2, 1, size)
    outputs = []
    for x in inputs[:, None]:
        gated = h
        for i in range(1, config["mogrifier_rounds"] + 1):
            if i % 2 == 1:
                x = gate(k, i, gated) * x
            else:
                gated = gate(k, i, x) * gated
        h, c = step(x, (gated, c), cell)
        outputs.append(h[0])
    return torch.stack(outputs)


def log_probabilities(ids):
    x = embedded(weights, ids)
    for k in range(config["num_layers"]):
        x = layer(k, x)
    return decoded(weights, x)


report(weights, log_probabilities)
