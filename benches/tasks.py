"""What a network remembers: python benches/tasks.py [--elman PROGRAM] [--device cpu] [--cells elman,gru,lstm,mogrifier,sru,qrnn,feedforward] [--tasks copy:20,adding:50,…]

Trains each cell on each task of `elman corpus --task` with one recipe, evaluates a new text, and prints a Markdown table:

- excess: nats per example above the entropy of the generating process, by `elman eval`; 0 is perfect, and every word counts;
- at recalled words: the part of the excess at the words that follow from earlier ones, by `elman score`;
- without memory: the excess there of a model that knows only the current word and its position in the example;
- remembered: 1 - at recalled words / without memory. It is negative for a model that does not even know the position.

A feed-forward network reads the whole example, as its context: it shows what a network without a state can do with such a task. A task whose examples
are longer than the longest context is reported and skipped for it, and so are cells that the program does not have. Needs only Python.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

TASKS = {  # a task's size: the flag that gives it
    "copy": ("--delay", (20, 50, 100)),
    "adding": ("--delay", (20, 50, 100)),
    "binary-addition": ("--bits", (8,)),
}
# Streams divide the training examples, and a window is one example: every window starts with an example, and no gradient is truncated.
STREAMS = 32
EXAMPLES = {"train": STREAMS * 400, "valid": 100, "test": 1000}
EPOCHS = 40
# Forget gates that start nearly open keep a memory long enough to learn its use (Gers 2000, Tallec 2018).
FORGET_BIAS = {"gru": 5, "lstm": 5, "mogrifier": 5}
# Cells that read embedded words. The tasks have at most 15 types, so that an embedding of this size loses nothing.
EMBEDDING = {"qrnn": 16, "feedforward": 16, "mogrifier": 64}
LONGEST_CONTEXT = 255
RECIPE = {
    "--hidden": 64,
    "--embedding": 0,
    "--bias": "true",
    "--optimizer": "adam",
    "--lr": 0.02,
    "--clip": 1,
    "--schedule": "one-cycle",
    "--batch": STREAMS,
    "--seed": 1,
}


class UnknownCell(Exception):
    pass


def elman(flags, *arguments, cell=None):
    """The JSON object at the end of the program's output."""
    command = [flags.elman, *map(str, arguments), "--json"]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode == 2 and cell and f"--cell {cell}" in finished.stderr:
        raise UnknownCell(cell)
    if finished.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])


def draw(flags, folder, task, size):
    """Writes three texts of a task; returns the process's report on the last, the test text."""
    for seed, (name, examples) in enumerate(EXAMPLES.items(), start=1):
        said = elman(flags, "corpus", "--task", task, TASKS[task][0], size, "--examples", examples, "--seed", seed)
        (folder / f"{name}.txt").write_text(said["text"])
    return said


def train(flags, folder, cell, window):
    command = ["train", "--train", folder / "train.txt", "--valid", folder / "valid.txt", "--out", folder / cell, "--device", flags.device]
    command += ["--cell", cell, "--epochs", flags.epochs, "--bptt", window, "--independent"]
    recipe = {**RECIPE, "--embedding": EMBEDDING.get(cell, RECIPE["--embedding"])}
    command += [word for pair in recipe.items() for word in pair]
    if cell in FORGET_BIAS:
        command += ["--forget-bias", FORGET_BIAS[cell]]
    if cell == "feedforward":
        command += ["--context", window]
    begin = time.monotonic()
    elman(flags, *command, cell=cell)
    return time.monotonic() - begin


def measure(flags, folder, cell, ideal):
    """The excess in nats per example, in total and at the recalled words."""
    where = ["--model", folder / cell, "--device", flags.device]
    said = elman(flags, "eval", "--text", folder / "test.txt", "--independent", *where)
    if (said["tokens"], said["oov"]) != (ideal["tokens"], 0):
        sys.exit(f"{said['tokens']} tokens and {said['oov']} unknown words in a text of {ideal['tokens']} tokens")
    excess = math.log(10) * (ideal["log10_prob"] - said["log10_prob"]) / EXAMPLES["test"]
    examples = elman(flags, "score", folder / "test.txt", "--per-token", *where)["token_log10_probs"]
    recalled = -math.log(10) * sum(example[place] for example in examples for place in ideal["recalled"]) / len(examples)
    return excess, recalled


def chosen(text):
    """`copy:20,binary-addition:8` as pairs."""
    if not text:
        return [(task, size) for task, (_, sizes) in TASKS.items() for size in sizes]
    pairs = [part.split(":") for part in text.split(",")]
    return [(task, int(size)) for task, size in pairs]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elman", default="target/release/elman")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cells", default="elman,gru,lstm,mogrifier,sru,qrnn,feedforward")
    parser.add_argument("--tasks", default="")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    flags = parser.parse_args()
    cells = flags.cells.split(",")
    print("| task | cell | excess, nats | at recalled words | without memory | remembered | training, s |\n| --- | --- | --- | --- | --- | --- | --- |")
    for task, size in chosen(flags.tasks):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            ideal = draw(flags, folder, task, size)
            window = ideal["tokens"] // EXAMPLES["test"]
            for cell in list(cells):
                if cell == "feedforward" and window > LONGEST_CONTEXT:
                    print(f"{task} {size}: no context of {window} words: {cell} skipped", file=sys.stderr)
                    continue
                try:
                    seconds = train(flags, folder, cell, window)
                except UnknownCell:
                    print(f"this program has no --cell {cell}: skipped", file=sys.stderr)
                    cells.remove(cell)
                    continue
                excess, recalled = measure(flags, folder, cell, ideal)
                without = ideal["nats_without_memory"]
                row = f"{task} {size} | {cell} | {excess:.3f} | {recalled:.3f} | {without:.3f} | {round(100 * (1 - recalled / without))} %"
                print(f"| {row} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
