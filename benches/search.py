"""Random search for a recipe: python benches/search.py SPACE.toml --train FILE --valid FILE --log FILE [--trials 20] [--minutes 10]

SPACE.toml names flags of `elman train`:

    [fixed]                     # the same in every trial
    cell = "lstm"
    [uniform]                   # drawn from a range
    dropout = [0.3, 0.6]
    [log-uniform]               # its logarithm drawn from a range
    lr = [0.001, 0.01]
    [choice]                    # drawn from a list
    hidden = [256, 512]

Each trial is one `elman compare` with a budget of time, so a slower recipe gets fewer epochs. Only the validation text is read: the test text is
for the recipe that is chosen in the end. Each trial is a line of JSON in the log, with its flags, epochs, seconds and validation perplexity; an
interrupted search continues after the last line. The same seed draws the same trials. The best model is kept beside the log. Needs only Python.
"""

import argparse
import json
import math
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib

KINDS = {"fixed", "uniform", "log-uniform", "choice"}


def read_space(path):
    space = tomllib.loads(pathlib.Path(path).read_text())
    if unknown := space.keys() - KINDS:
        sys.exit(f"{path}: unknown table [{unknown.pop()}]; tables are {', '.join(sorted(KINDS))}")
    for kind in ("uniform", "log-uniform"):
        for flag, bounds in space.get(kind, {}).items():
            low, high = bounds
            if not low < high or (kind == "log-uniform" and low <= 0):
                sys.exit(f"{path}: the range of {flag}, {bounds}, needs a lower bound that is less than the upper one, and positive for logarithms")
    return space


def draw(space, seed, trial):
    """The flags of a trial. They depend on the seed and the trial alone, so that a search can continue."""
    random_numbers = random.Random(f"{seed} {trial}")
    flags = dict(space.get("fixed", {}))
    for flag, (low, high) in space.get("uniform", {}).items():
        flags[flag] = round(random_numbers.uniform(low, high), 3)
    for flag, (low, high) in space.get("log-uniform", {}).items():
        flags[flag] = float(f"{math.exp(random_numbers.uniform(math.log(low), math.log(high))):.3g}")
    for flag, values in space.get("choice", {}).items():
        flags[flag] = random_numbers.choice(values)
    return flags


def run(arguments, flags, folder):
    """Trains a model in `folder`; returns its row of the comparison."""
    recipe = folder / "recipe.toml"
    # JSON's numbers, strings, true, false and lists are also TOML's.
    recipe.write_text("[trial]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in flags.items()))
    command = [arguments.elman, "compare", arguments.train, "--valid", arguments.valid, "--recipe", recipe, "--minutes", arguments.minutes]
    command += ["--dynamic", 0, "--device", arguments.device, "--out", folder / "models", "--json"]
    if arguments.threads:
        command += ["--threads", arguments.threads]
    finished = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if finished.returncode != 0:
        return {"error": finished.stderr.strip()}
    return json.loads(finished.stdout.splitlines()[-1])["rows"][0]


def main():
    parser = argparse.ArgumentParser(description="random search for a recipe")
    parser.add_argument("space")
    parser.add_argument("--train", required=True)
    parser.add_argument("--valid", required=True)
    parser.add_argument("--log", required=True, type=pathlib.Path)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--elman", default="target/release/elman")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    space = read_space(arguments.space)
    done = [json.loads(line) for line in arguments.log.read_text().splitlines()] if arguments.log.exists() else []
    if any(trial["seed"] != arguments.seed for trial in done):
        sys.exit(f"{arguments.log} is the log of another seed; continue with that seed, or choose another --log")
    best = min((trial["perplexity"] for trial in done if trial["perplexity"]), default=math.inf)
    for number in range(len(done) + 1, arguments.trials + 1):
        flags = draw(space, arguments.seed, number)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            row = run(arguments, flags, folder)
            perplexity = row["valid"]["perplexity"] if row.get("valid") else None
            trial = {"trial": number, "seed": arguments.seed, "minutes": arguments.minutes, "perplexity": perplexity}
            trial |= {key: row.get(key) for key in ("parameters", "epochs", "seconds", "error")} | {"flags": flags}
            with open(arguments.log, "a", encoding="utf-8") as log:
                log.write(json.dumps(trial) + "\n")
            if perplexity and perplexity < best:
                best = perplexity
                kept = arguments.log.with_suffix(".best")
                shutil.rmtree(kept, ignore_errors=True)
                shutil.move(folder / "models" / "trial", kept)
        print(f"{number}: {perplexity or row['error']}, {flags}", flush=True)
    print(f"best: {best}")


if __name__ == "__main__":
    main()
