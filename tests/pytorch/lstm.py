"""Variants of the LSTM in PyTorch, as step.py says: residual connections, capped input gates (Melis 2020), and layer
normalization (Ba 2016).

    python lstm.py BEFORE AFTER TEXT RATE
"""

import torch

from step import config, decoded, embedded, report, weights_before

size = config["hidden_size"]
weights = {name: value.requires_grad_() for name, value in weights_before().items()}


def normalized(k, part, z):
    """z with layer normalization, gain and bias, where the network has one."""
    if config.get("layer_norm"):
        z = torch.nn.functional.layer_norm(z, z.shape[-1:], weights[f"rnn.gain_{part}_l{k}"])
    return z + weights.get(f"rnn.bias_{part}_l{k}", 0.0)


def product(k, part, x):
    """W x + b, of which W x may be normalized."""
    return normalized(k, part, x @ weights[f"rnn.weight_{part}_l{k}"].T)


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
        h = o * normalized(k, "c", c).tanh()
        outputs.append(h)
    is_one_hot = k == 0 and config["embedding_size"] == 0
    is_added = config.get("residual") and not is_one_hot and x.shape[-1] == size
    return torch.stack(outputs) + x if is_added else torch.stack(outputs)


def log_probabilities(ids):
    x = embedded(weights, ids)
    for k in range(config["num_layers"]):
        x = layer(k, x)
    if "projection.weight" in weights:
        x = x @ weights["projection.weight"].T
    return decoded(weights, x)


report(weights, log_probabilities)
