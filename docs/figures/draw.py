"""Collects what docs/figures.sh measured, and draws it: see `bash docs/figures.sh --help`.

    draw.py split CORPUS.json TRAIN VALID   the built-in corpus as `elman train` divides it
    draw.py collect DATA.json               the results in the current directory, as one file
    draw.py unit REPORT.json UNIT.json      the unit of a report that follows names of speakers most
    draw.py draw DIR                        the figures from the files in DIR, in light and dark

Drawing needs matplotlib.
"""

import json
import sys
from pathlib import Path

MODELS = {"elman": "Elman network", "lstm": "LSTM"}
CELLS = {"elman": "Elman network", "gru": "GRU", "lstm": "LSTM"}
BITS = 1 / 0.30102999566398120  # bits in a factor of ten
PROPERTY = "inside a line that ends with a colon"
THEMES = {
    "light": {"scale": ["#8ec5ff", "#ffffff", "#ffb77c"], "text": "#1f2328", "grid": "#d1d9e0", "series": ["#0969da", "#bc4c00", "#1a7f37"], "reference": "#59636e"},
    "dark": {"scale": ["#12518f", "#0d1117", "#8f4210"], "text": "#f0f6fc", "grid": "#3d444d", "series": ["#58a6ff", "#f0883e", "#3fb950"], "reference": "#9198a1"},
}


def split(corpus, train, valid):
    lines = json.loads(Path(corpus).read_text())["text"].splitlines(keepends=True)
    held_out = len(lines) // 10
    Path(train).write_text("".join(lines[:-held_out]))
    Path(valid).write_text("".join(lines[-held_out:]))


def last_json(path):
    """The JSON object in the last line of a file."""
    return json.loads(Path(path).read_text().splitlines()[-1])


def collect(target):
    data = {"models": {}, "kneser_ney": last_json("ngram.json")["perplexity"]}
    read = json.loads(Path("report.json").read_text())["text"]["models"]
    data["gradients"] = {
        model["name"]: dict(zip(map(str, model["memory"]["lags"]), model["memory"]["layers"][0])) for model in read
    }
    sentences = Path("pair.txt").read_text().splitlines()
    for name in MODELS:
        history = json.loads(Path(f"{name}.inspect.json").read_text())["training"]["progress"]["history"]
        scores = json.loads(Path(f"{name}.score.json").read_text())["token_log10_probs"]
        data["models"][name] = {
            "valid_perplexity": [epoch["valid_perplexity"] for epoch in history],
            "sentences": {text: line for text, line in zip(sentences, scores)},
        }
        data["grammar"] = last_json(f"{name}.train.json")["grammar_perplexity"]
    Path(target).write_text(json.dumps(data, indent=1) + "\n")


def unit(report, target):
    """The unit that is correlated most with lines that end with a colon, on the excerpt of a report."""
    text = json.loads(Path(report).read_text())["text"]
    model = text["models"][0]
    ranking = [it for it in model["units"]["ranking"] if it["property"] == PROPERTY]
    best = max(ranking, key=lambda it: abs(it["correlation"]))
    place = {key: best[key] for key in ("layer", "unit")}
    activity = next(it for it in model["units"]["units"] if {key: it[key] for key in place} == place)
    found = {
        **best,
        "tokens": text["excerpt"],
        "activity": [round(value, 3) for value in activity["excerpt"]],
    }
    Path(target).write_text(json.dumps(found) + "\n")


def new_axes(size, theme):
    from matplotlib import pyplot

    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "elman", "font.family": "sans-serif", "font.size": 11})
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    axes.tick_params(colors=theme["text"], length=0)
    axes.xaxis.label.set_color(theme["text"])
    axes.yaxis.label.set_color(theme["text"])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def save(figure, path):
    figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})


def learning_curve(data, theme, path):
    """Validation perplexity after each epoch, with the grammar's perplexity as the lower bound."""
    figure, axes = new_axes((7.2, 3.6), theme)
    axes.grid(axis="y", color=theme["grid"], linewidth=0.8)
    epochs = len(data["models"]["elman"]["valid_perplexity"])

    def name_line(label, perplexity, shift, colour):
        text = f"{label}, {perplexity:.2f}"
        axes.annotate(text, (epochs, perplexity), xytext=(8, shift), textcoords="offset points", color=colour, va="center")

    for (name, label), colour, shift in zip(MODELS.items(), theme["series"], (13, 0)):
        curve = data["models"][name]["valid_perplexity"]
        axes.plot(range(1, epochs + 1), curve, color=colour, linewidth=2, marker="o", markersize=4)
        name_line(label, curve[-1], shift, colour)
    references = [("Kneser-Ney, order 5", data["kneser_ney"], "--", 0), ("the grammar", data["grammar"], "-", -8)]
    for label, perplexity, style, shift in references:
        axes.axhline(perplexity, color=theme["reference"], linewidth=1.5, linestyle=style)
        name_line(label, perplexity, shift, theme["reference"])
    axes.set_xlabel("epochs of 0.9 million words")
    axes.set_ylabel("validation perplexity")
    axes.set_xlim(0.8, epochs)
    save(figure, path)


def surprisal(data, theme, path):
    """Surprisal of each word of one sentence, and of the sentence with the wrong verb form."""
    figure, axes = new_axes((7.2, 3.2), theme)
    axes.grid(axis="y", color=theme["grid"], linewidth=0.8)
    right, wrong = list(data["models"]["lstm"]["sentences"])
    words = right.split()
    labels = words[:-1] + [f"{words[-1]} / {wrong.split()[-1]}\n(wrong number)"]
    width = 0.36
    for series, (name, label) in enumerate(MODELS.items()):
        sentences = data["models"][name]["sentences"]
        colour = theme["series"][series]
        bits = [-value * BITS for value in sentences[right][: len(words)]]
        error = -sentences[wrong][len(words) - 1] * BITS
        last = len(words) - 1
        shift = (series - 0.5) * width
        axes.bar([place + shift for place in range(last)], bits[:last], width, color=colour, label=label)
        axes.bar(last - 0.25 + shift / 2, bits[last], width / 2, color=colour)
        axes.bar(last + 0.25 + shift / 2, error, width / 2, color="none", edgecolor=colour, linewidth=1.5, hatch="////")
    axes.set_xticks(range(len(words)), labels)
    axes.set_ylabel("surprisal, bits")
    axes.legend(frameon=False, loc="upper left", labelcolor=theme["text"])
    save(figure, path)


def gradients(data, theme, path):
    """How far back a loss reaches: the norm of its gradient by the state k words before, relative to k = 1."""
    figure, axes = new_axes((7.2, 3.6), theme)
    axes.grid(axis="y", color=theme["grid"], linewidth=0.8)
    for (name, label), colour in zip(CELLS.items(), theme["series"]):
        norms = {int(lag): norm for lag, norm in data["gradients"][name].items()}
        curve = [norm / norms[1] for norm in norms.values()]
        axes.plot(norms.keys(), curve, color=colour, linewidth=2, marker="o", markersize=4, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    lags = [1, 2, 4, 8, 15, 28, 56]
    axes.set_xticks(lags, map(str, lags))
    axes.minorticks_off()
    axes.set_xlabel("words between the state and the loss")
    axes.set_ylabel("norm of the gradient")
    axes.legend(frameon=False, labelcolor=theme["text"])
    save(figure, path)


def speaker_unit(found, theme, path):
    """Lines of a text; behind each character, the activity of one unit after the network has read it."""
    from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

    rows, activities = [""], [[]]
    for token, value in zip(found["tokens"], found["activity"]):
        if token in ("\n", "</s>"):
            rows.append("")
            activities.append([])
        else:
            rows[-1] += token
            activities[-1].append(value)
    pairs = [pair for pair in zip(rows, activities) if pair[0]][:10]
    columns = max(len(row) for row, _ in pairs)
    figure, axes = new_axes((7.2, 0.3 * len(pairs)), theme)
    # Pale colours, on which the letters have contrast.
    colours = LinearSegmentedColormap.from_list("activity", theme["scale"])
    norm = TwoSlopeNorm(0, -1, 1)
    for line, (row, values) in enumerate(pairs):
        for column, (character, value) in enumerate(zip(row, values)):
            cell = colours(norm(value))
            axes.add_patch(axes_rectangle(column, -line, cell))
            axes.text(column + 0.5, -line, character, color=theme["text"], ha="center", va="center", family="monospace", fontsize=10)
    axes.set_xlim(0, columns)
    axes.set_ylim(-len(pairs) + 0.5, 0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    save(figure, path)


def axes_rectangle(column, middle, colour):
    from matplotlib.patches import Rectangle

    return Rectangle((column, middle - 0.46), 1.0, 0.92, facecolor=colour, linewidth=0)


def speeds():
    """Rows of the newest table of PyTorch on CPUs in benches/RESULTS.md: name, layers, units, types, both rates."""
    text = (Path(__file__).parents[2] / "benches/RESULTS.md").read_text()
    table = text.split("\n### PyTorch\n")[1].split("\n### ")[0]
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if line.startswith("| ")]
    heads = ["name"] + [cell for cell in lines[0] if cell]
    return [dict(zip(heads, cells)) for cells in lines[2:]]


def beside_pytorch(theme, path):
    """Training speed relative to PyTorch's, with the tokens per second of both."""
    rows = [row for row in speeds() if row["name"] not in ("b", "e")]
    figure, axes = new_axes((7.2, 0.42 * len(rows) + 0.5), theme)
    axes.grid(axis="x", color=theme["grid"], linewidth=0.8)
    labels = []
    for place, row in enumerate(reversed(rows)):
        elman, pytorch = float(row["Elman tokens/s"]), float(row["PyTorch tokens/s"])
        cell = {"lstm": "LSTM", "gru": "GRU"}.get(row["name"].split("-")[0], "Elman")
        kind = "characters" if int(row["V"]) < 1000 else "words"
        labels.append(f"{cell} {row['L']} × {row['H']}, {kind}")
        axes.barh(place + 0.19, elman / pytorch, 0.36, color=theme["series"][0], label="Elman" if place == 0 else None)
        axes.barh(place - 0.19, 1, 0.36, color=theme["reference"], label="PyTorch" if place == 0 else None)
        for shift, rate, end in ((0.19, elman, elman / pytorch), (-0.19, pytorch, 1)):
            axes.text(end + 0.03, place + shift, f"{rate:,.0f}".replace(",", " "), color=theme["text"], va="center", fontsize=8.5)
    axes.set_yticks(range(len(rows)), labels)
    axes.set_xlim(0, 4.1)  # room for the rates
    axes.set_xlabel("speed of training relative to PyTorch, and tokens/s")
    axes.legend(frameon=False, loc="center right", labelcolor=theme["text"])
    save(figure, path)


def draw(directory):
    data = json.loads((Path(directory) / "data.json").read_text())
    found = json.loads((Path(directory) / "unit.json").read_text())
    for name, theme in THEMES.items():
        learning_curve(data, theme, Path(directory) / f"learning-curve-{name}.svg")
        surprisal(data, theme, Path(directory) / f"surprisal-{name}.svg")
        gradients(data, theme, Path(directory) / f"gradients-{name}.svg")
        speaker_unit(found, theme, Path(directory) / f"unit-{name}.svg")
        beside_pytorch(theme, Path(directory) / f"pytorch-{name}.svg")


if __name__ == "__main__":
    commands = {"split": split, "collect": collect, "unit": unit, "draw": draw}
    commands[sys.argv[1]](*sys.argv[2:])
