"""Cells that PyTorch does not have, written with its operations, for pytorch.py; the steps of QRNN, SRU and the LSTM with layer normalization are
compiled by torch.jit. The equations are those of docs/model.md.

Each module takes inputs [T, B, H] and a state of the last window, and returns outputs [T, B, H] and the next state.
"""

import torch
from torch import Tensor, nn

CONTEXT = 4  # words that the feed-forward network of `elman bench` reads
ROUNDS = 5  # of the mogrifier of `elman bench`, whose matrices are full


@torch.jit.script
def qrnn_steps(candidates: Tensor, updates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    memories = []
    for z, f in zip(candidates.unbind(0), updates.unbind(0)):
        c = f * z + (1 - f) * c
        memories.append(c)
    return torch.stack(memories), c


@torch.jit.script
def sru_steps(z: Tensor, x: Tensor, v: Tensor, bias: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    v_f, v_r = v.chunk(2)
    b_f, b_r = bias.chunk(2)
    outputs = []
    for row, skipped in zip(z.unbind(0), x.unbind(0)):
        u, p, q = row.chunk(3, -1)
        f = torch.sigmoid(p + v_f * c + b_f)
        r = torch.sigmoid(q + v_r * c + b_r)
        c = f * c + (1 - f) * u
        outputs.append(r * c + (1 - r) * skipped)
    return torch.stack(outputs), c


@torch.jit.script
def normalized_lstm_steps(
    z: Tensor, weight: Tensor, gain: Tensor, bias: Tensor, memory_gain: Tensor, memory_bias: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    outputs = []
    for row in z.unbind(0):
        product = nn.functional.layer_norm(nn.functional.linear(h, weight), gain.shape, gain, bias)
        i, f, g, o = (row + product).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * nn.functional.layer_norm(c, memory_gain.shape, memory_gain, memory_bias).tanh()
        outputs.append(h)
    return torch.stack(outputs), h, c


class Qrnn(nn.Module):
    """A layer of quasi-recurrent units; `window` inputs are read at a time, 2 in the first layer."""

    def __init__(self, hidden, window):
        super().__init__()
        self.window = window
        self.gates = nn.Linear(window * hidden, 3 * hidden)

    def start(self, batch, hidden, device):
        return torch.zeros(batch, hidden, device=device), torch.zeros(1, batch, hidden, device=device)

    def forward(self, x, state):
        c, last = state
        inputs = torch.cat([x, torch.cat([last, x[:-1]])], -1) if self.window == 2 else x
        candidates, updates, outputs = self.gates(inputs).chunk(3, -1)
        memories, c = qrnn_steps(candidates.tanh(), updates.sigmoid(), c)
        return outputs.sigmoid() * memories, (c, x[-1:])


class Sru(nn.Module):
    """A layer of simple recurrent units, inputs and outputs of one size."""

    def __init__(self, hidden, _window):
        super().__init__()
        self.weight = nn.Linear(hidden, 3 * hidden, bias=False)
        self.v = nn.Parameter(torch.rand(2 * hidden) - 0.5)
        self.bias = nn.Parameter(torch.zeros(2 * hidden))

    def start(self, batch, hidden, device):
        return (torch.zeros(batch, hidden, device=device),)

    def forward(self, x, state):
        output, c = sru_steps(self.weight(x), x, self.v, self.bias, *state)
        return output, (c,)


class FeedForward(nn.Module):
    """The embeddings of the last CONTEXT words side by side, and a layer of tanh units."""

    def __init__(self, hidden, _window):
        super().__init__()
        self.layer = nn.Linear(CONTEXT * hidden, hidden)

    def start(self, batch, hidden, device):
        return (torch.zeros(CONTEXT - 1, batch, hidden, device=device),)

    def forward(self, x, state):
        both = torch.cat([*state, x])
        steps = x.shape[0]
        side_by_side = torch.cat([both[CONTEXT - 1 - back :][:steps] for back in range(CONTEXT)], -1)
        return self.layer(side_by_side).tanh(), (x[1 - CONTEXT :],)


class Mogrifier(nn.Module):
    """A layer of mogrifier LSTM cells: rounds of products before each step of PyTorch's own LSTMCell."""

    def __init__(self, hidden, _window):
        super().__init__()
        self.rounds = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(ROUNDS))
        self.cell = nn.LSTMCell(hidden, hidden)

    def start(self, batch, hidden, device):
        return torch.zeros(batch, hidden, device=device), torch.zeros(batch, hidden, device=device)

    def forward(self, x, state):
        h, c = state
        outputs = []
        for row in x.unbind(0):
            for index, linear in enumerate(self.rounds):
                if index % 2 == 0:
                    row = 2 * linear(h).sigmoid() * row
                else:
                    h = 2 * linear(row).sigmoid() * h
            h, c = self.cell(row, (h, c))
            outputs.append(h)
        return torch.stack(outputs), (h, c)


class NormalizedLstm(nn.Module):
    """A layer of LSTM cells with layer normalization of the products and of the memory."""

    def __init__(self, hidden, _window):
        super().__init__()
        self.input, self.state = nn.Linear(hidden, 4 * hidden, bias=False), nn.Linear(hidden, 4 * hidden, bias=False)
        # PyTorch's bias of a normalization is one of the two biases of an LSTM.
        self.input_norm, self.state_norm = nn.LayerNorm(4 * hidden), nn.LayerNorm(4 * hidden)
        self.memory_norm = nn.LayerNorm(hidden)

    def start(self, batch, hidden, device):
        return torch.zeros(batch, hidden, device=device), torch.zeros(batch, hidden, device=device)

    def forward(self, x, state):
        z = self.input_norm(self.input(x))
        norms = self.state_norm.weight, self.state_norm.bias, self.memory_norm.weight, self.memory_norm.bias
        output, h, c = normalized_lstm_steps(z, self.state.weight, *norms, *state)
        return output, (h, c)


class Stack(nn.Module):
    """Layers of one of the cells above, with the interface of torch.nn.RNN."""

    def __init__(self, cell, hidden, layers):
        super().__init__()
        self.hidden = hidden
        self.layers = nn.ModuleList(CELLS[cell](hidden, 2 if index == 0 else 1) for index in range(layers))

    def start(self, batch, device):
        return [layer.start(batch, self.hidden, device) for layer in self.layers]

    def forward(self, x, states):
        after = []
        for layer, state in zip(self.layers, states):
            x, state = layer(x, state)
            after.append(state)
        return x, after


CELLS = {"lstm-norm": NormalizedLstm, "qrnn": Qrnn, "sru": Sru, "feedforward": FeedForward, "mogrifier": Mogrifier}
