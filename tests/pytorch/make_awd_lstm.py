"""Writes awd_lstm.json: two epochs of training of a small AWD-LSTM (Merity 2017) in PyTorch.

Run by hand where PyTorch is installed (any version from 2.0 on; no GPU is needed), from any directory:

    python make_awd_lstm.py

The tests read the file, not this program. Everything is computed in float64; the parameters that training starts from are
multiples of 1/1024, which float32 holds exactly. The model and the training step are those of salesforce/awd-lstm-lm: one
nn.LSTM for each layer with a mask on weight_hh, the rows of the embedding dropped by type, locked dropout, a tied table,

    loss = cross-entropy + ALPHA mean(d²) + BETA mean((h[1:] - h[:-1])²)

with the last layer's output h and, after dropout, d; clip_grad_norm_, and SGD with weight decay. What is dropped comes from
the generator that Elman uses, Threefry-2x32, so the masks are the same. The averages are the means of the parameters after
every update; torch.optim.ASGD(t0=0, lambd=0) leaves out those after the first update, which is checked here.

In the file:

    text                       the tokens that training reads, as 3 streams; the token before the first is 0
    seed, rates                of the masks
    parameters                 by PyTorch's names, row-major and flat: what training starts from
    first_gradients            the gradients of the first window's loss, before they are clipped
    losses, norms              for every window the mean cross-entropy and the gradient's norm before it is clipped
    trained, averaged          for every epoch: the parameters after it, and the means over all updates so far
"""

import json
import pathlib

import torch
from torch import nn

VOCAB_SIZE, EMBEDDING_SIZE, HIDDEN_SIZES = 7, 3, [4, 5, 3]
BATCH, BPTT, STEPS, EPOCHS = 3, 5, 12, 2
ALPHA, BETA = 2.0, 1.0
LEARNING_RATE, CLIP, WEIGHT_DECAY = 3.0, 0.1875, 0.0078125
SEED = 17
RATES = {"words": 0.3, "input": 0.4, "hidden": 0.25, "output": 0.4, "weights": 0.5}
ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24]


def threefry(key, counter):
    """The first word of Threefry-2x32 with 20 rounds (Salmon 2011)."""
    keys = [key[0], key[1], 0x1BD11BDA ^ key[0] ^ key[1]]
    x, y = (counter[0] + keys[0]) % 2**32, (counter[1] + keys[1]) % 2**32
    for step in range(20):
        x = (x + y) % 2**32
        bits = ROTATIONS[step % 8]
        y = ((y << bits | y >> (32 - bits)) % 2**32) ^ x
        if step % 4 == 3:
            group = step // 4 + 1
            x = (x + keys[group % 3]) % 2**32
            y = (y + keys[(group + 1) % 3] + group) % 2**32
    return x


def mask(site, draw, rate, *shape):
    """Multipliers: 0 with probability `rate`, else 1 / (1 - rate)."""
    rate = torch.tensor(rate, dtype=torch.float32).double().item()
    threshold = int(rate * 2**32)
    count = torch.Size(shape).numel()
    kept = [threefry((SEED, site), (index, draw)) >= threshold for index in range(count)]
    return torch.tensor(kept).double().reshape(shape) / (1 - rate)


class Model(nn.Module):
    """Embedding, LSTM layers, and an output layer whose weight is the embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, EMBEDDING_SIZE)
        sizes = [EMBEDDING_SIZE] + HIDDEN_SIZES
        self.layers = nn.ModuleList(nn.LSTM(*pair) for pair in zip(sizes, sizes[1:]))
        self.bias = nn.Parameter(torch.zeros(VOCAB_SIZE))
        self.double()

    def names(self):
        """The parameters by the names of the checkpoint."""
        named = {"embedding.weight": self.embedding.weight, "decoder.bias": self.bias}
        for k, layer in enumerate(self.layers):
            for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]:
                named[f"rnn.{part}_l{k}"] = getattr(layer, f"{part}_l0")
        return named

    def forward(self, inputs, states, draw):
        """Logits, the states after the window, and the last layer's output before and after dropout."""
        words = self.embedding.weight * mask(0, draw, RATES["words"], VOCAB_SIZE, 1)
        output = nn.functional.embedding(inputs, words)
        output = output * mask(1, draw, RATES["input"], BATCH, EMBEDDING_SIZE)
        after = []
        for k, layer in enumerate(self.layers):
            weights = dict(layer.named_parameters())
            weight = weights["weight_hh_l0"]
            weights["weight_hh_l0"] = weight * mask(3 + 2 * k, draw, RATES["weights"], *weight.shape)
            raw, final = torch.func.functional_call(layer, weights, (output, states[k]))
            after.append(tuple(state.detach() for state in final))
            rate = RATES["output" if k + 1 == len(self.layers) else "hidden"]
            output = raw * mask(2 + 2 * k, draw, rate, BATCH, raw.shape[-1])
        logits = nn.functional.linear(output, self.embedding.weight, self.bias)
        return logits, after, raw, output


def flat(tensors):
    """Named tensors as lists."""
    return {name: tensor.detach().flatten().tolist() for name, tensor in tensors.items()}


def train(model, optimizer, text):
    """The records of all windows and epochs."""
    record = {"losses": [], "norms": [], "trained": [], "averaged": []}
    sums, updates = {name: torch.zeros_like(value) for name, value in model.names().items()}, 0
    tokens = torch.cat([torch.zeros(1, dtype=torch.long), text])
    for epoch in range(EPOCHS):
        states = [tuple(torch.zeros(1, BATCH, size).double() for _ in range(2)) for size in HIDDEN_SIZES]
        for window, start in enumerate(range(0, STEPS, BPTT)):
            steps = torch.arange(start, min(start + BPTT, STEPS))
            places = steps.unsqueeze(1) + STEPS * torch.arange(BATCH)
            draw = epoch * -(-STEPS // BPTT) + window
            optimizer.zero_grad()
            logits, states, raw, dropped = model(tokens[places], states, draw)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[places + 1].flatten())
            record["losses"].append(loss.item())
            loss = loss + ALPHA * dropped.pow(2).mean()
            loss = loss + BETA * (raw[1:] - raw[:-1]).pow(2).mean()
            loss.backward()
            if updates == 0:
                record["first_gradients"] = flat({name: value.grad for name, value in model.names().items()})
            record["norms"].append(nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
            optimizer.step()
            updates += 1
            record.setdefault("first", flat(model.names()))
            for name, value in model.names().items():
                sums[name] += value.detach()
        record["trained"].append(flat(model.names()))
        record["averaged"].append(flat({name: value / updates for name, value in sums.items()}))
    return record


def main():
    torch.manual_seed(1)
    text = torch.randint(0, VOCAB_SIZE, (BATCH * STEPS,))
    start = {name: torch.randint(-512, 513, value.shape).double() / 1024 for name, value in Model().names().items()}
    records, averages = [], []
    for optimizer, options in [(torch.optim.SGD, {}), (torch.optim.ASGD, {"t0": 0, "lambd": 0})]:
        model = Model()
        with torch.no_grad():
            for name, value in model.names().items():
                value.copy_(start[name])
        rule = optimizer(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, **options)
        records.append(train(model, rule, text))
        averages.append({name: rule.state[value].get("ax") for name, value in model.names().items()})
    count = len(records[0]["losses"])
    for name, mean in records[0]["averaged"][-1].items():
        first = torch.tensor(records[1]["first"][name], dtype=torch.float64)
        expected = (first + (count - 1) * averages[1][name].flatten()) / count
        # The optimizer keeps its weights of the mean in float32.
        assert torch.allclose(expected, torch.tensor(mean, dtype=torch.float64), rtol=1e-6, atol=1e-7), name
    assert min(records[0]["norms"]) < CLIP < max(records[0]["norms"]), "some gradients are clipped"
    whole = {
        "pytorch": torch.__version__.split("+")[0],
        "vocab_size": VOCAB_SIZE,
        "embedding_size": EMBEDDING_SIZE,
        "hidden_sizes": HIDDEN_SIZES,
        "batch": BATCH,
        "bptt": BPTT,
        "activation_l2": ALPHA,
        "temporal_l2": BETA,
        "lr": LEARNING_RATE,
        "clip": CLIP,
        "l2": WEIGHT_DECAY,
        "seed": SEED,
        "rates": RATES,
        "text": text.tolist(),
        "parameters": flat(start),
        **{key: value for key, value in records[0].items() if key != "first"},
    }
    path = pathlib.Path(__file__).with_name("awd_lstm.json")
    lines = [f" {json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in whole.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{path.name}: {path.stat().st_size} bytes, losses {records[0]['losses']}")


if __name__ == "__main__":
    main()
