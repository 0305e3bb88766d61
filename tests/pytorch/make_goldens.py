"""Writes goldens.json: what PyTorch computes for small recurrent networks.

Run by hand where PyTorch is installed (any version from 2.0 on; no GPU is needed), from any directory:

    python make_goldens.py

The tests read the file, not this program. Everything is computed in float64, so a program in float64 can be held to about
1e-10 of it; what is started from (parameters, initial states) are multiples of 1/1024, which float32 holds exactly, so a
program in float32 starts from the same numbers.

Each case is a network of nn.Embedding (unless the input is one-hot), nn.RNN, nn.GRU or nn.LSTM, and nn.Linear, a window of T
steps of B streams and a state before it. Tied tables: the last nn.Linear's weight is nn.Embedding's; a projection is an
nn.Linear without bias before it. nn.RNN knows tanh and relu; for sigmoid, Mikolov's choice, nn.RNN's parameters go through the loop
`elman` below, differentiated by PyTorch, and for the other two that loop is held against nn.RNN. In the file:

    inputs, targets            [T, B] flat, time first; null: no word (zero vector), nothing to predict
    parameters, gradients      by PyTorch's names, row-major and flat
    initial_states, final_states, initial_state_gradients    lists of B * H numbers, layer by layer; of an LSTM's h, then c
    log_probabilities          [T, B] flat, nats; 0 where nothing is predicted
    scale, loss                the loss is the mean over predicted tokens: scale is 1 / their number
    training                   three updates on this same window with clip_grad_norm_, for some or all optimizers: the losses
                               and the gradients' norms before each update, the parameters after the last
"""

import json
import pathlib
from dataclasses import dataclass

import torch
from torch import nn

UPDATES, MAX_NORM = 3, 0.25
# ReLU's derivative jumps at 0: a float32 program must be on the same side as float64 for every unit.
SMALLEST_MARGIN = 1e-3
OPTIMIZERS = {
    "sgd": (0.1, torch.optim.SGD),
    "adagrad": (0.1, torch.optim.Adagrad),
    "adam": (0.003, torch.optim.Adam),
}
FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


@dataclass
class Case:
    """The sizes and options of a network and a window. An embedding size of 0 stands for one-hot input."""

    name: str
    layers: int
    embedding_size: int
    cell: str = "elman"
    activation: str = "tanh"
    bias: bool = True
    tied: bool = False
    projection: bool = False
    vocab_size: int = 11
    hidden_size: int = 7
    time_steps: int = 5
    batch: int = 3
    optimizers: tuple = tuple(OPTIMIZERS)


SMALL = {"vocab_size": 5, "embedding_size": 3, "time_steps": 3, "batch": 2}
CASES = [
    Case("tanh_layers_1_embedding_5", 1, 5),
    Case("tanh_layers_2_embedding_5", 2, 5),
    Case("relu_layers_1_embedding_5", 1, 5, activation="relu"),
    Case("relu_layers_2_embedding_5", 2, 5, activation="relu"),
    Case("tanh_layers_1_one_hot", 1, 0, bias=False),
    Case("sigmoid_layers_1_one_hot", 1, 0, activation="sigmoid", bias=False),
    Case("gru_layers_1", 1, cell="gru", hidden_size=3, optimizers=("sgd", "adam"), **SMALL),
    Case("gru_layers_2", 2, cell="gru", hidden_size=2, optimizers=("sgd",), **SMALL),
    Case("lstm_layers_1", 1, cell="lstm", hidden_size=3, optimizers=("sgd", "adam"), **SMALL),
    Case("lstm_layers_2", 2, cell="lstm", hidden_size=2, optimizers=("sgd",), **SMALL),
    Case("lstm_tied_projection", 1, cell="lstm", tied=True, projection=True, hidden_size=2, optimizers=("sgd",), **SMALL),
]


class Model(nn.Module):
    """Embedding or one-hot input, recurrent layers, projection, decoder; the parameters have the names of the checkpoint."""

    def __init__(self, case):
        super().__init__()
        if case.embedding_size > 0:
            self.embedding = nn.Embedding(case.vocab_size, case.embedding_size)
        sizes = (case.embedding_size or case.vocab_size, case.hidden_size, case.layers)
        if case.cell == "elman":
            nonlinearity = "relu" if case.activation == "relu" else "tanh"
            self.rnn = nn.RNN(*sizes, nonlinearity=nonlinearity, bias=case.bias)
        else:
            self.rnn = {"gru": nn.GRU, "lstm": nn.LSTM}[case.cell](*sizes, bias=case.bias)
        if case.projection:
            self.projection = nn.Linear(case.hidden_size, case.embedding_size, bias=False)
        decoder_input_size = case.embedding_size if case.projection else case.hidden_size
        self.decoder = nn.Linear(decoder_input_size, case.vocab_size, bias=case.bias)
        if case.tied:
            self.decoder.weight = self.embedding.weight
        self.case = case
        self.double()

    def set_parameters(self, values):
        """Overwrites all parameters; a tied table is one of them."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(values[name])

    def vectors(self, inputs):
        """[T, B] tokens, -1 for none -> [T, B, input size]."""
        if hasattr(self, "embedding"):
            return self.embedding(inputs)
        one_hot = nn.functional.one_hot(inputs.clamp(min=0), self.case.vocab_size)
        return (one_hot * (inputs >= 0).unsqueeze(-1)).double()

    def recurrent(self, vectors, states):
        """Outputs [T, B, H], the states after the window, and how near to zero a unit's argument came."""
        if self.case.cell == "gru":
            outputs, final = self.rnn(vectors, states[0])
            return outputs, [final], float("inf")
        if self.case.cell == "lstm":
            outputs, final = self.rnn(vectors, tuple(states))
            return outputs, list(final), float("inf")
        outputs, final, margin = elman(self.rnn, vectors, states[0], FUNCTIONS[self.case.activation])
        if self.case.activation != "sigmoid":
            expected = self.rnn(vectors, states[0])
            assert torch.allclose(outputs, expected[0], rtol=1e-12, atol=1e-14)
            assert torch.allclose(final, expected[1], rtol=1e-12, atol=1e-14)
            outputs, final = expected
        return outputs, [final], margin

    def forward(self, inputs, states):
        """Logits [T, B, V], the states after the window, [L, B, H] each, and how near to zero a unit's argument came."""
        outputs, final, margin = self.recurrent(self.vectors(inputs), states)
        if hasattr(self, "projection"):
            outputs = self.projection(outputs)
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


def window(case):
    """Inputs and targets [T, B], -1 for none. A network without an embedding also meets positions without a word."""
    inputs, targets = (torch.randint(0, case.vocab_size, (case.time_steps, case.batch)) for _ in range(2))
    if case.embedding_size == 0:
        inputs[2, 1], targets[0, 2], targets[4, 0] = -1, -1, -1
    return inputs, targets


def cross_entropy(logits, targets):
    """The mean over predicted tokens."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


def train(model, start, optimizer, inputs, targets, states):
    """UPDATES updates from the parameters `start`. The record, and the smallest margin on the way."""
    learning_rate, rule = OPTIMIZERS[optimizer]
    model.set_parameters(start)
    rule = rule(model.parameters(), lr=learning_rate)
    losses, norms, margins = [], [], []
    for _ in range(UPDATES):
        rule.zero_grad()
        logits, _, margin = model(inputs, states)
        loss = cross_entropy(logits, targets)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM).item()
        rule.step()
        losses.append(loss.item())
        norms.append(norm)
        margins.append(margin)
    record = {"optimizer": optimizer, "learning_rate": learning_rate, "max_norm": MAX_NORM, "losses": losses, "norms": norms}
    return record | {"parameters": flat(dict(model.named_parameters()))}, min(margins)


def flat(tensors):
    """Named tensors as lists."""
    return {name: tensor.detach().flatten().tolist() for name, tensor in tensors.items()}


def layers_of(states):
    """Tensors [L, B, H], one for each state that a unit carries, as lists, layer by layer."""
    return [state[k].detach().flatten().tolist() for k in range(len(states[0])) for state in states]


def tokens_of(tokens):
    """[T, B] as one list with null for none."""
    return [None if token < 0 else token for token in tokens.flatten().tolist()]


def make_case(seed, case):
    """One case from one seed, or None where a ReLU comes too near to its kink or the first update clips nothing."""
    torch.manual_seed(seed)
    model = Model(case)
    start = {name: short(*parameter.shape) for name, parameter in model.named_parameters()}
    model.set_parameters(start)
    inputs, targets = window(case)
    carried = 2 if case.cell == "lstm" else 1
    states = [short(case.layers, case.batch, case.hidden_size).requires_grad_() for _ in range(carried)]

    logits, final, margin = model(inputs, states)
    loss = cross_entropy(logits, targets)
    loss.backward()
    log_probabilities = logits.log_softmax(-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (targets >= 0)
    record = {
        "name": case.name,
        "seed": seed,
        "cell": case.cell,
        "activation": case.activation,
        "vocab_size": case.vocab_size,
        "embedding_size": case.embedding_size,
        "hidden_sizes": [case.hidden_size] * case.layers,
        "bias": case.bias,
        "decoder_bias": case.bias,
        "tied": case.tied,
        "projection": case.projection,
        "time_steps": case.time_steps,
        "batch": case.batch,
        "inputs": tokens_of(inputs),
        "targets": tokens_of(targets),
        "initial_states": layers_of(states),
        "parameters": flat(start),
        "scale": 1.0 / (targets >= 0).sum().item(),
        "log_probabilities": log_probabilities.flatten().tolist(),
        "loss": loss.item(),
        "final_states": layers_of(final),
        "gradients": flat({name: parameter.grad for name, parameter in model.named_parameters()}),
        "initial_state_gradients": layers_of([state.grad for state in states]),
    }
    states = [state.detach() for state in states]
    trained = [train(model, start, optimizer, inputs, targets, states) for optimizer in case.optimizers]
    record["training"] = [trained_record for trained_record, _ in trained]
    clipped = all(trained_record["norms"][0] > MAX_NORM for trained_record in record["training"])
    margin = min([margin] + [margin for _, margin in trained])
    return record if clipped and (case.activation != "relu" or margin > SMALLEST_MARGIN) else None


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
        seeds = (made for seed in range(1000) if (made := make_case(seed, case)) is not None)
        cases.append(next(seeds))
        print(f"{case.name}: seed {cases[-1]['seed']}, loss {cases[-1]['loss']:.6f}")
    path = pathlib.Path(__file__).with_name("goldens.json")
    path.write_text(write({"pytorch": torch.__version__.split("+")[0], "cases": cases}) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
