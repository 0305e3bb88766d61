"""Elman and PyTorch train the same networks in turn: python benches/peers/pytorch.py [--elman PROGRAM] [--configurations a,b,…] [--device cpu|cuda]

Same sizes (an embedding of H; tanh layers without biases, or LSTM and GRU layers with biases; the full softmax), same optimizer (SGD
with gradient-norm clipping), same number of threads, random words with the same skewed frequencies. Each round measures PyTorch and then
Elman. The script prints medians and the ratio of each round, so a change of the machine's speed affects both. It needs PyTorch, in a
separate environment; nothing else in the project does.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time

import torch

import cells

CONFIGURATIONS = {  # cell, L, H, V, B, T: those of `elman bench`, and cells that PyTorch does not have, in cells.py
    "a": ("elman", 1, 200, 10_000, 32, 35),
    "b": ("elman", 1, 200, 10_000, 128, 35),
    "c": ("elman", 1, 500, 10_000, 64, 35),
    "d": ("elman", 1, 128, 96, 50, 50),
    "e": ("elman", 1, 100, 17_906, 32, 35),
    "f": ("elman", 1, 1024, 10_000, 128, 35),
    "lstm-a": ("lstm", 1, 200, 10_000, 32, 35),
    "lstm-b": ("lstm", 2, 650, 10_000, 32, 35),
    "lstm-c": ("lstm", 2, 128, 96, 50, 50),
    "lstm-norm-a": ("lstm-norm", 1, 200, 10_000, 32, 35),
    "gru-a": ("gru", 1, 200, 10_000, 32, 35),
    "gru-b": ("gru", 2, 650, 10_000, 32, 35),
    "gru-c": ("gru", 2, 128, 96, 50, 50),
    "feedforward-a": ("feedforward", 1, 200, 10_000, 32, 35),
    "mogrifier-a": ("mogrifier", 1, 200, 10_000, 32, 35),
    "qrnn-a": ("qrnn", 1, 200, 10_000, 32, 35),
    "qrnn-b": ("qrnn", 2, 650, 10_000, 32, 35),
    "qrnn-c": ("qrnn", 2, 128, 96, 50, 50),
    "sru-a": ("sru", 1, 200, 10_000, 32, 35),
    "sru-b": ("sru", 2, 650, 10_000, 32, 35),
    "sru-c": ("sru", 2, 128, 96, 50, 50),
}


ELMAN_FLAGS = {"lstm-norm": ["--cell", "lstm", "--layer-norm"]}  # of cells whose name is not the value of --cell


class Recurrent(torch.nn.Module):
    """PyTorch's own layers, with the interface of cells.Stack."""

    def __init__(self, cell, hidden, layers):
        super().__init__()
        module = {"elman": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
        # rnnlm's network has no biases, and so has Elman's.
        self.rnn = module(hidden, hidden, num_layers=layers, bias=cell != "elman")
        self.shape = (layers, hidden)

    def start(self, batch, device):
        layers, hidden = self.shape
        count = 2 if isinstance(self.rnn, torch.nn.LSTM) else 1
        return [tuple(torch.zeros(layers, batch, hidden, device=device) for _ in range(count))]

    def forward(self, x, states):
        state = states[0] if isinstance(self.rnn, torch.nn.LSTM) else states[0][0]
        output, state = self.rnn(x, state)
        return output, [state if isinstance(state, tuple) else (state,)]


class Network(torch.nn.Module):
    def __init__(self, cell, layers, hidden, vocabulary):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, hidden)
        self.rnn = (cells.Stack if cell in cells.CELLS else Recurrent)(cell, hidden, layers)
        self.decoder = torch.nn.Linear(hidden, vocabulary, bias=cell != "elman")

    def forward(self, tokens, state):
        output, state = self.rnn(self.embedding(tokens), state)
        return self.decoder(output), state


def pytorch_rate(name, seconds, device, autocast):
    """Median tokens per second over single windows, without the first ones."""
    cell, layers, hidden, vocabulary, batch, steps = CONFIGURATIONS[name]
    torch.manual_seed(1)
    network = Network(cell, layers, hidden, vocabulary).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    draws = torch.exp(torch.rand(64, steps + 1, batch) * math.log(vocabulary)).long().clamp(1, vocabulary) - 1
    text = draws.to(device)
    state = network.rnn.start(batch, device)
    synchronize_device = torch.cuda.synchronize if device == "cuda" else lambda: None

    def window(number):
        nonlocal state
        tokens = text[number % 64]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            before = [tuple(part.detach() for part in parts) for parts in state]
            logits, state = network(tokens[:-1], before)
            loss = torch.nn.functional.cross_entropy(logits.view(-1, vocabulary), tokens[1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.25)
        optimizer.step()

    # Windows between two readings of the clock, about a tenth of a second.
    for number in range(3):
        window(number)
    synchronize_device()
    start = time.perf_counter()
    window(0)
    synchronize_device()
    run = max(1, int(0.1 / (time.perf_counter() - start)))
    rates, begin = [], time.perf_counter()
    while len(rates) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for number in range(run):
            window(number)
        synchronize_device()
        rates.append(run * batch * steps / (time.perf_counter() - start))
    return statistics.median(rates)


def use_tf32(on):
    """Whether matrix products and cuDNN round their factors to TF32, which has 10 bits of fraction."""
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def elman_rate(program, name, seconds, device, threads, mixed):
    cell, layers, hidden, vocabulary, batch, steps = CONFIGURATIONS[name]
    command = [program, "bench", *ELMAN_FLAGS.get(cell, ["--cell", cell]), "--layers", layers, "--hidden", hidden, "--vocab-size", vocabulary]
    command += ["--batch", batch, "--bptt", steps, "--embedding", "--seconds", seconds, "--json", "--training-only", "--threads", threads]
    command += ["--device", "gpu" if device == "cuda" else "cpu"]
    command += ["--precision", "mixed" if mixed else "full"]
    command = [*map(str, command)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        print(f"{' '.join(command)}: {run.stderr.strip()}", file=sys.stderr)
        return math.nan
    return json.loads(run.stdout.splitlines()[-1])["rates"][0]["training"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elman", default="target/release/elman")
    parser.add_argument("--configurations", default=",".join(CONFIGURATIONS))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--autocast", action="store_true", help="bf16 autocast; with CUDA, mixed precision on Elman's side")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    # Only NVIDIA GPUs have TF32; there PyTorch is measured without it and with it.
    has_tf32 = flags.device == "cuda" and not flags.autocast
    mixed = flags.device == "cuda" and flags.autocast
    use_tf32(False)
    size = 2048
    a = torch.rand(size, size, device=flags.device)
    for _ in range(3):
        a @ a
    start = time.perf_counter()
    for _ in range(5):
        b = a @ a
    float(b[0, 0])
    product = 5 * 2 * size**3 / (time.perf_counter() - start) / 1e9
    print(f"PyTorch {torch.__version__}, {flags.device}, {flags.threads} threads, its product {product:.0f} GFLOP/s")
    cudnn = torch.backends.cudnn
    cudnn = f"cuDNN {cudnn.version()}" if flags.device == "cuda" and cudnn.is_available() and cudnn.enabled else "no cuDNN"
    autocast = "bf16" if flags.autocast else "off"
    precision = "mixed" if mixed else "full"
    print(f"{cudnn}; autocast {autocast}; TF32 off, except in columns that name it; Elman: {precision} precision")
    extra = ["PyTorch with TF32", "ratio to that"] if has_tf32 else []
    columns = ["", "L", "H", "V", "B", "T", "PyTorch tokens/s", "Elman tokens/s", "ratio by round", *extra]
    print("|", " | ".join(columns), "|")
    print("|", " | ".join("---" for _ in columns), "|")
    failed = False
    for name in flags.configurations.split(","):
        rounds = []
        for _ in range(flags.rounds):
            theirs = pytorch_rate(name, flags.seconds, flags.device, flags.autocast)
            use_tf32(has_tf32)
            rounded = pytorch_rate(name, flags.seconds, flags.device, flags.autocast) if has_tf32 else theirs
            use_tf32(False)
            rounds.append((theirs, rounded, elman_rate(flags.elman, name, flags.seconds, flags.device, flags.threads, mixed)))
        theirs, rounded, ours = (statistics.median(column) for column in zip(*rounds))
        ratios = ", ".join(f"{ours / theirs:.2f}" for theirs, _, ours in rounds)
        _, layers, hidden, vocabulary, batch, steps = CONFIGURATIONS[name]
        row = [name, layers, hidden, vocabulary, batch, steps, f"{theirs:.0f}", f"{ours:.0f}", ratios]
        row += [f"{rounded:.0f}", f"{ours / rounded:.2f}"] if has_tf32 else []
        print("|", " | ".join(map(str, row)), "|", flush=True)
        failed |= math.isnan(ours)
    # Configurations after one that failed are measured all the same.
    sys.exit(failed)


if __name__ == "__main__":
    main()
