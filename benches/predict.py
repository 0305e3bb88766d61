"""The time of a training window on a GPU, predicted from its sizes: python benches/predict.py

For every configuration of `elman bench` without layer normalization: the operations of its matrix products, the bytes that its
other kernels move, its dispatches, the steps of its recurrence, and the time that follows on three
GPUs. The rates are the manufacturers' (f32 without tensor cores, memory bandwidth), times the share
of them that Elman's kernels reached on an H200. `--measured FILE` takes the JSON of `elman bench`
on that GPU and prints the measured time and its ratio to the predicted one.
"""

import argparse
import json

# Name, cell, layers, H, V, B, T: as in src/bench/configuration.rs.
CONFIGURATIONS = [
    ("a", "elman", 1, 200, 10_000, 32, 35),
    ("b", "elman", 1, 200, 10_000, 128, 35),
    ("c", "elman", 1, 500, 10_000, 64, 35),
    ("d", "elman", 1, 128, 96, 50, 50),
    ("e", "elman", 1, 100, 17_906, 32, 35),
    ("f", "elman", 1, 1024, 10_000, 128, 35),
    ("lstm-a", "lstm", 1, 200, 10_000, 32, 35),
    ("lstm-b", "lstm", 2, 650, 10_000, 32, 35),
    ("lstm-c", "lstm", 2, 128, 96, 50, 50),
    ("gru-a", "gru", 1, 200, 10_000, 32, 35),
    ("gru-b", "gru", 2, 650, 10_000, 32, 35),
    ("gru-c", "gru", 2, 128, 96, 50, 50),
]
GATES = {"elman": 1, "gru": 3, "lstm": 4}
# TFLOP/s in f32, TB/s, multiprocessors. NVIDIA H200 and H100 SXM (the same chip), AMD Radeon RX
# 7900 XTX (half of its dual-issue rate), Apple M3 Max (40 cores).
GPUS = {
    "H100": (67.0, 3.35, 132),
    "H200": (67.0, 4.8, 132),
    "7900 XTX": (30.7, 0.96, 96),
    "M3 Max": (14.2, 0.4, 40),
}
# The share of the f32 rate that large products reached on an H200: 30 of 67 TFLOP/s.
PRODUCT_SHARE = 0.45
# The share of the memory bandwidth that elementwise kernels are assumed to reach.
BANDWIDTH_SHARE = 0.7
# Seconds from one dispatch to the next that depends on it.
DISPATCH = 2.5e-6
# Layers with at most this number of recurrent weights are processed in one dispatch for a window.
MAX_FUSED_WEIGHTS = 352 * 352
# Fused: bytes of weights that one workgroup reads in a second, and a step's fixed time.
FUSED_BYTES, FUSED_STEP = 90e9, 0.4e-6
# Step by step: seconds for 128 terms of the sums of 16 columns of 16 streams.
STEP_TILE = 0.4e-6
# Dispatches of a window besides those of the recurrence: of an Elman layer and the output layer, of
# the biases of other cells, of a further layer, and of a further block of logits of 256 MiB.
DISPATCHES, DISPATCHES_OF_BIASES, DISPATCHES_OF_LAYER, DISPATCHES_OF_BLOCK = 14, 7, 9, 6
BLOCK_BYTES = 256 * 2**20


def prediction(configuration, gpu):
    """Operations, bytes, dispatches and seconds of a window."""
    _, cell, layers, h, v, batch, steps = configuration
    flops, bandwidth, multiprocessors = GPUS[gpu]
    gates = GATES[cell]
    tokens = batch * steps
    inputs = h * h * gates * (layers - 1)
    recurrent = h * h * gates * layers
    # Outside the recurrence: three products of the output layer and of the inputs of upper layers,
    # and the gradient of the recurrent weight.
    operations = 2 * tokens * (3 * h * v + 3 * inputs + recurrent)
    # Logits are written, read twice and replaced by their gradient; states and gates likewise.
    # Parameters and gradients are read and written by the update and the norm.
    moved = 4 * (5 * tokens * v + 12 * tokens * h * gates * layers)
    moved += 4 * 5 * (h * v + inputs + recurrent)
    is_fused = gates * h * h <= MAX_FUSED_WEIGHTS
    blocks = -(-4 * tokens * v // BLOCK_BYTES)
    dispatches = DISPATCHES + (DISPATCHES_OF_BIASES if gates > 1 else 0)
    dispatches += DISPATCHES_OF_LAYER * (layers - 1) + DISPATCHES_OF_BLOCK * (blocks - 1)
    if is_fused:
        step = 2 * (FUSED_STEP + 4 * gates * h * h / FUSED_BYTES)
        # More streams than multiprocessors wait for each other.
        rounds = -(-batch // multiprocessors)
        recurrence = layers * steps * step * rounds
        dispatches += 3 * layers
    else:
        groups = -(-batch // 16)
        forward = -(-h // (16 if gates == 1 else 4)) * groups
        backward = -(-h // 16) * groups
        tiles = -(-h // 128) * -(-forward // multiprocessors)
        tiles += -(-gates * h // 128) * -(-backward // multiprocessors)
        recurrence = layers * steps * (tiles * STEP_TILE + 2 * DISPATCH)
        dispatches += layers * (2 * steps + 1)
    seconds = operations / (PRODUCT_SHARE * flops * 1e12)
    seconds += moved / (BANDWIDTH_SHARE * bandwidth * 1e12)
    seconds += recurrence
    seconds += DISPATCH * (dispatches - (0 if is_fused else layers * 2 * steps))
    return operations, moved, dispatches, seconds


def measured_seconds(path):
    """The measured seconds of a window of each configuration."""
    with open(path, encoding="utf8") as file:
        rates = json.loads(file.read().splitlines()[-1])["rates"]
    return {
        rate["configuration"]["name"]: rate["configuration"]["batch"]
        * rate["configuration"]["time_steps"]
        / rate["training"]
        for rate in rates
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measured", help="JSON of elman bench --json on the GPU of --gpu")
    parser.add_argument("--gpu", choices=GPUS, default="H200")
    flags = parser.parse_args()
    if flags.measured:
        measured = measured_seconds(flags.measured)
        print(f"| | predicted on {flags.gpu}, ms | measured, ms | measured / predicted |")
        print("| --- | --- | --- | --- |")
        for configuration in CONFIGURATIONS:
            name = configuration[0]
            if name in measured:
                seconds = prediction(configuration, flags.gpu)[3]
                ratio = measured[name] / seconds
                print(f"| {name} | {seconds * 1e3:.2f} | {measured[name] * 1e3:.2f} | {ratio:.2f} |")
        return
    names = [name for name in GPUS if name != "H200"]
    print("| | GFLOP | MB | dispatches |", " | ".join(f"{name}, ms" for name in names), "|")
    print("| --- | --- | --- | --- |", " | ".join("---" for _ in names), "|")
    for configuration in CONFIGURATIONS:
        operations, moved, dispatches, _ = prediction(configuration, names[0])
        times = " | ".join(f"{prediction(configuration, name)[3] * 1e3:.2f}" for name in names)
        print(f"| {configuration[0]} | {operations / 1e9:.1f} | {moved / 1e6:.0f} | {dispatches} | {times} |")


if __name__ == "__main__":
    main()
