"""Cost against size: python benches/cost.py [--elman PROGRAM] [--device cpu] [--seconds 2] [--plot benches/cost.svg]

Measures training tokens per second with `elman bench` for growing V and growing H, prints both tables, and plots the time per token against
the operations per token on logarithmic axes: a constant rate gives a straight line of slope 1. Needs only Python.
"""

import argparse
import json
import math
import subprocess

SERIES = {
    "V, at H 200": [(200, size) for size in (1_000, 3_000, 10_000, 30_000, 100_000, 200_000)],
    "H, at V 10 000": [(size, 10_000) for size in (50, 100, 200, 500, 1_000, 2_000)],
}
COLOURS = ("#1f6fb4", "#c1521d")
WIDTH, HEIGHT, MARGIN = 640, 420, 60


def rate(flags, hidden, vocabulary):
    command = [flags.elman, "bench", "--device", flags.device, "--hidden", str(hidden), "--vocab-size", str(vocabulary)]
    command += ["--training-only", "--json", "--seconds", str(flags.seconds)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])["rates"][0]


def plot(series):
    """An SVG of seconds per token against operations per token."""
    points = [point for line in series.values() for point in line]
    low = [math.floor(math.log10(min(point[axis] for point in points))) for axis in (0, 1)]
    high = [math.ceil(math.log10(max(point[axis] for point in points))) for axis in (0, 1)]

    def place(point):
        share = [(math.log10(point[axis]) - low[axis]) / (high[axis] - low[axis]) for axis in (0, 1)]
        return MARGIN + share[0] * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - share[1] * (HEIGHT - 2 * MARGIN)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for axis in (0, 1):
        for power in range(low[axis], high[axis] + 1):
            corner = [10.0 ** low[0], 10.0 ** low[1]]
            corner[axis] = 10.0**power
            end = [10.0 ** high[0], 10.0 ** high[1]]
            end[axis] = 10.0**power
            (x1, y1), (x2, y2) = place(corner), place(end)
            parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>')
            where = f'x="{x1:.1f}" y="{y1 + 18:.1f}" text-anchor="middle"' if axis == 0 else f'x="{x1 - 8:.1f}" y="{y1 + 4:.1f}" text-anchor="end"'
            parts.append(f"<text {where}>1e{power}</text>")
    for (name, line), colour in zip(series.items(), COLOURS):
        places = [place(point) for point in line]
        parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
        y = MARGIN - 30 + 18 * list(series).index(name)
        parts.append(f'<text x="{MARGIN + 12}" y="{y}" fill="{colour}">growing {name}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">floating-point operations a token</text>')
    parts.append(f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">seconds a token</text></svg>')
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elman", default="target/release/elman")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--plot", default="benches/cost.svg")
    flags = parser.parse_args()
    series = {}
    for name, sizes in SERIES.items():
        print(f"\n| H | V | tokens/s | GFLOP/s | of the product's rate |\n| --- | --- | --- | --- | --- |")
        series[name] = []
        for hidden, vocabulary in sizes:
            found = rate(flags, hidden, vocabulary)
            operations = found["training_gflops"] * 1e9 / found["training"]
            series[name].append((operations, 1 / found["training"]))
            print(f"| {hidden} | {vocabulary} | {found['training']:.0f} | {found['training_gflops']:.1f} | {100 * found['share']:.0f} % |", flush=True)
    with open(flags.plot, "w") as file:
        file.write(plot(series))


if __name__ == "__main__":
    main()
