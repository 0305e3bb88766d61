"""The speed of training on several ranks, predicted from sizes: python benches/scaling.py

For some models of `elman bench` on an H200, with the measured time of a window on one GPU: the
values that ranks sum in an update, and the speed of 2 to 64 GPUs relative to one, by the cost model
of docs/scaling.md, with an update after each window or after eight (`--accumulate 8`). `--local`
predicts the share of communication on two and four ranks of a CPU, from rates of sums that were
measured there.
"""

import argparse

# Name, cell, layers, H, V, B, T, and microseconds of a window on one H200 (benches/RESULTS.md).
MODELS = [
    ("f", "elman", 1, 1024, 10_000, 128, 35, 10_284),
    ("lstm-b", "lstm", 2, 650, 10_000, 32, 35, 5_813),
    ("LSTM 2 x 1500", "lstm", 2, 1500, 10_000, 20, 35, 13_423),
]
GATES = {"elman": 1, "lstm": 4}
# Bytes/s that a rank sends and receives, and seconds for a message: assumed.
NETWORKS = {
    "one host": (10e9, 1e-6),
    "100 Gbit/s": (11e9, 2e-6),
    "10 Gbit/s": (1.1e9, 20e-6),
}
# Bytes/s between a GPU and the memory of its host, with the copies on both sides: assumed.
HOST_COPY = 8e9
# Values of a message: MESSAGE_VALUES in src/parallel/ranks.rs.
MESSAGE_VALUES = 1 << 14
# Bytes/s of `Ranks::sum` on one thread per rank of two cores, and tokens/s of `elman bench` there
# (docs/scaling.md): for 2 ranks, and for 4, two on each core.
LOCAL_RATES = {2: (3.28e9, 3.28e9, 2.4e9), 4: (1.27e9, 1.0e9, 0.92e9)}
LOCAL = [
    ("a", "elman", 1, 200, 10_000, 32, 35, {2: 21_578, 4: 20_935}),
    ("c", "elman", 1, 500, 10_000, 64, 35, {2: 9_860, 4: 9_625}),
    ("lstm-b", "lstm", 2, 650, 10_000, 32, 35, {2: 3_034, 4: 2_865}),
]


def distinct_words(tokens, vocabulary):
    """The expected number of different words in a random text of `elman bench`."""
    harmonic = sum(1 / rank for rank in range(1, vocabulary + 1))
    return sum(1 - (1 - 1 / (rank * harmonic)) ** tokens for rank in range(1, vocabulary + 1))


def values(cell, layers, hidden, vocabulary, tokens):
    """Values that ranks sum: dense gradients, and rows of the one-hot input's weight."""
    gates = GATES[cell]
    recurrent = gates * hidden * hidden * (2 * layers - 1) + 2 * layers * gates * hidden
    dense = vocabulary * (hidden + 1) + recurrent
    return dense + distinct_words(tokens, vocabulary) * gates * hidden


def seconds(count, ranks, bandwidth, latency):
    """Two collective operations, in each of which a rank sends (N - 1) / N of the values."""
    transferred = 2 * 4 * count * (ranks - 1) / ranks
    rounds = -(-count // (MESSAGE_VALUES * ranks))
    return transferred / bandwidth + 2 * rounds * (ranks - 1) * latency


def predict_gpus():
    print("| model | MB | windows | network | " + " | ".join(str(n) for n in GPUS) + " |")
    print("| --- | --- | --- | --- | " + " | ".join("---" for _ in GPUS) + " |")
    for name, cell, layers, hidden, vocabulary, batch, steps, window in MODELS:
        size = 4 * values(cell, layers, hidden, vocabulary, 2 * batch * steps) / 1e6
        for windows in (1, 8):
            for network, (bandwidth, latency) in NETWORKS.items():
                speeds = []
                for ranks in GPUS:
                    if network == "one host" and ranks > 8:
                        speeds.append("")
                        continue
                    tokens = batch * steps * ranks * windows
                    count = values(cell, layers, hidden, vocabulary, tokens)
                    copies = 2 * 4 * count / HOST_COPY
                    work = windows * window / 1e6
                    time = work + copies + seconds(count, ranks, bandwidth, latency)
                    speeds.append(f"{ranks * work / time:.1f}")
                row = [name, f"{size:.0f}", str(windows), network, *speeds]
                print("| " + " | ".join(row) + " |")


def predict_local():
    print("| | ranks | MB | predicted share of communication |")
    print("| --- | --- | --- | --- |")
    for index, (name, cell, layers, hidden, vocabulary, batch, steps, rates) in enumerate(LOCAL):
        for ranks, rate in rates.items():
            tokens = batch * steps * ranks
            size = 4 * values(cell, layers, hidden, vocabulary, tokens)
            share = size / LOCAL_RATES[ranks][index] / (tokens / rate)
            print(f"| {name} | {ranks} | {size / 1e6:.1f} | {100 * share:.1f} % |")


GPUS = [2, 4, 8, 16, 32, 64]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--local", action="store_true", help="ranks of a CPU")
    if parser.parse_args().local:
        predict_local()
    else:
        predict_gpus()
