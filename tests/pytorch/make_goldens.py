"""Writes goldens.json: what PyTorch computes for small Elman networks.

Run by hand where PyTorch is installed (any version from 2.0 on; no GPU is needed), from any directory:

    python make_goldens.py

The tests read the file, not this program. Everything is computed in float64, so a program in float64 can be held to about
1e-10 of it; what is started from (parameters, initial states) are multiples of 1/1024, which float32 holds exactly, so a
program in float32 starts from the same numbers.

Each case is a network of nn.Embedding (unless the input is one-hot), nn.RNN and nn.Linear, a window of T steps of B streams
and a state before it. nn.RNN knows tanh and relu; for sigmoid, Mikolov's choice, nn.RNN's parameters go through the loop
`elman` below, differentiated by PyTorch, and for the other two that loop is held against nn.RNN. In the file:

    inputs, targets            [T, B] flat, time first; null: no word (zero vector), nothing to predict
    parameters, gradients      by PyTorch's names, row-major and flat
    initial_states, final_states, initial_state_gradients    [L][B * H]
    log_probabilities          [T, B] flat, nats; 0 where nothing is predicted
    scale, loss                the loss is the mean over predicted tokens: scale is 1 / their number
    training                   three updates on this same window with clip_grad_norm_: the losses and the gradients' norms
                               before each update, the parameters after the last
"""

import json
import pathlib

import torch
from torch import nn

V, H, T, B = 11, 7, 5, 3
UPDATES, MAX_NORM = 3, 0.25
# ReLU's derivative jumps at 0: a float32 program must be on the same side as float64 for every unit.
SMALLEST_MARGIN = 1e-3
OPTIMIZERS = {
    "sgd": (0.1, torch.optim.SGD),
    "adagrad": (0.1, torch.optim.Adagrad),
    "adam": (0.003, torch.optim.Adam),
}
# name, activation, layers, embedding size (0: one-hot input), biases
CASES = [
    ("tanh_layers_1_embedding_5", "tanh", 1, 5, True),
    ("tanh_layers_2_embedding_5", "tanh", 2, 5, True),
    ("relu_layers_1_embedding_5", "relu", 1, 5, True),
    ("relu_layers_2_embedding_5", "relu", 2, 5, True),
    ("tanh_layers_1_one_hot", "tanh", 1, 0, False),
    ("sigmoid_layers_1_one_hot", "sigmoid", 1, 0, False),
]
FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


class Model(nn.Module):
    """Embedding or one-hot input, nn.RNN, decoder; the names of the state dictionary are those of the checkpoint."""

    def __init__(self, activation, layers, embedding_size, bias):
        super().__init__()
        if embedding_size > 0:
            self.embedding = nn.Embedding(V, embedding_size)
        nonlinearity = "relu" if activation == "relu" else "tanh"
        self.rnn = nn.RNN(embedding_size or V, H, num_layers=layers, nonlinearity=nonlinearity, bias=bias)
        self.decoder = nn.Linear(H, V, bias=bias)
        self.activation = activation
        self.double()

    def vectors(self, inputs):
        """[T, B] tokens, -1 for none -> [T, B, input size]."""
        if hasattr(self, "embedding"):
            return self.embedding(inputs)
        one_hot = nn.functional.one_hot(inputs.clamp(min=0), V)
        return (one_hot * (inputs >= 0).unsqueeze(-1)).double()

    def forward(self, inputs, state):
        """Logits [T, B, V], the state after the window [L, B, H], and how near to zero a unit's argument came."""
        vectors = self.vectors(inputs)
        outputs, final, margin = elman(self.rnn, vectors, state, FUNCTIONS[self.activation])
        if self.activation != "sigmoid":
            expected = self.rnn(vectors, state)
            assert torch.allclose(outputs, expected[0], rtol=1e-12, atol=1e-14)
            assert torch.allclose(final, expected[1], rtol=1e-12, atol=1e-14)
            outputs, final = expected
        return self.decoder(outputs), final, margin


def elman(rnn, vectors, state, function):
    """nn.RNN's documented equation as a loop, for any function. Also returns the smallest |argument of the function|."""
    final, margin = [], float("inf")
    for k in range(rnn.num_layers):
        names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        weight_ih, weight_hh, bias_ih, bias_hh = (getattr(rnn, f"{name}_l{k}", None) for name in names)
        hidden, outputs = state[k], []
        for vector in vectors:
            z = nn.functional.linear(vector, weight_ih, bias_ih) + nn.functional.linear(hidden, weight_hh, bias_hh)
            margin = min(margin, z.abs().min().item())
            hidden = function(z)
            outputs.append(hidden)
        vectors = torch.stack(outputs)
        final.append(hidden)
    return vectors, torch.stack(final), margin


def short(*shape):
    """Numbers of [-1/2, 1/2] that are multiples of 1/1024."""
    return torch.randint(-512, 513, shape).double() / 1024


def window(embedding_size):
    """Inputs and targets [T, B], -1 for none. A network without an embedding also meets positions without a word."""
    inputs, targets = torch.randint(0, V, (T, B)), torch.randint(0, V, (T, B))
    if embedding_size == 0:
        inputs[2, 1], targets[0, 2], targets[4, 0] = -1, -1, -1
    return inputs, targets


def cross_entropy(logits, targets):
    """The mean over predicted tokens."""
    return nn.functional.cross_entropy(logits.reshape(T * B, V), targets.reshape(T * B), ignore_index=-1)


def train(model, start, optimizer, inputs, targets, state):
    """UPDATES updates from the parameters `start`. The record, and the smallest margin on the way."""
    learning_rate, rule = OPTIMIZERS[optimizer]
    model.load_state_dict(start)
    rule = rule(model.parameters(), lr=learning_rate)
    losses, norms, margins = [], [], []
    for _ in range(UPDATES):
        rule.zero_grad()
        logits, _, margin = model(inputs, state)
        loss = cross_entropy(logits, targets)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM).item()
        rule.step()
        losses.append(loss.item())
        norms.append(norm)
        margins.append(margin)
    assert max(norms) > MAX_NORM, "clipping is not exercised"
    record = {"optimizer": optimizer, "learning_rate": learning_rate, "max_norm": MAX_NORM, "losses": losses, "norms": norms}
    return record | {"parameters": flat(model.state_dict())}, min(margins)


def flat(tensors):
    """Named tensors as lists."""
    return {name: tensor.detach().flatten().tolist() for name, tensor in tensors.items()}


def layers_of(states):
    """[L, B, H] as L lists."""
    return [state.detach().flatten().tolist() for state in states]


def tokens_of(tokens):
    """[T, B] as one list with null for none."""
    return [None if token < 0 else token for token in tokens.flatten().tolist()]


def make_case(seed, name, activation, layers, embedding_size, bias):
    """One case from one seed, or None where a ReLU comes too near to its kink."""
    torch.manual_seed(seed)
    model = Model(activation, layers, embedding_size, bias)
    start = {name: short(*tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict(start)
    inputs, targets = window(embedding_size)
    state = short(layers, B, H).requires_grad_()

    logits, final, margin = model(inputs, state)
    loss = cross_entropy(logits, targets)
    loss.backward()
    log_probabilities = logits.log_softmax(-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (targets >= 0)
    case = {
        "name": name,
        "seed": seed,
        "activation": activation,
        "vocab_size": V,
        "embedding_size": embedding_size,
        "hidden_size": H,
        "num_layers": layers,
        "bias": bias,
        "decoder_bias": bias,
        "time_steps": T,
        "batch": B,
        "inputs": tokens_of(inputs),
        "targets": tokens_of(targets),
        "initial_states": layers_of(state),
        "parameters": flat(start),
        "scale": 1.0 / (targets >= 0).sum().item(),
        "log_probabilities": log_probabilities.flatten().tolist(),
        "loss": loss.item(),
        "final_states": layers_of(final),
        "gradients": flat({name: parameter.grad for name, parameter in model.named_parameters()}),
        "initial_state_gradients": layers_of(state.grad),
    }
    trained = [train(model, start, optimizer, inputs, targets, state.detach()) for optimizer in OPTIMIZERS]
    case["training"] = [record for record, _ in trained]
    margin = min([margin] + [margin for _, margin in trained])
    return case if activation != "relu" or margin > SMALLEST_MARGIN else None


def write(value, indent=""):
    """JSON with one line a list of numbers. Python writes the shortest decimal that reads back as the same float64."""
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {write(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + indent + "}"
    if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        return "[\n" + ",\n".join(inner + write(item, inner) for item in value) + "\n" + indent + "]"
    return json.dumps(value, separators=(",", ":"))


def main():
    cases = []
    for case in CASES:
        seeds = (made for seed in range(1000) if (made := make_case(seed, *case)) is not None)
        cases.append(next(seeds))
        print(f"{case[0]}: seed {cases[-1]['seed']}, loss {cases[-1]['loss']:.6f}")
    path = pathlib.Path(__file__).with_name("goldens.json")
    path.write_text(write({"pytorch": torch.__version__.split("+")[0], "cases": cases}) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
