"""A table of what a driver's compiler makes of every shader.

    cargo bench --bench shader_stats --no-run                # prints the program's path
    python benches/shader_stats.py PROGRAM...

PROGRAM is the program with whatever runs it. Mesa's drivers print statistics of each pipeline:
RADV (AMD) with RADV_DEBUG=shaderstats,nocache, NVK (NVIDIA) with NAK_DEBUG=print. Prints a table in
Markdown. Exits with 1 if a shader spills registers or uses scratch memory.
"""

import argparse
import os
import re
import subprocess
import sys

NAME = re.compile(r"elman pipeline: (\S+) (\S+) (.*)")
# What is printed after a pipeline's name: the column, and the line's pattern.
FIELDS = {
    "registers": re.compile(r"^(?:VGPRs|Num GPRs): (\d+)"),
    "spilled": re.compile(r"^(?:Spilled [SV]GPRs|Spills to mem): (\d+)"),
    "scratch": re.compile(r"^(?:Scratch size|SLM size): (\d+)"),
    "LDS": re.compile(r"^(?:LDS size|shared_size): (\d+)"),
    "waves": re.compile(r"^(?:Subgroups per SIMD|Max warps/SM): (\d+)"),
    "instructions": re.compile(r"^(?:Instructions|Instruction count): (\d+)"),
}
SUMMED = {"spilled"}


def constants(text):
    """The override constants that are not 0, in short."""
    pairs = re.findall(r'\("(\w+)", ([-\d.e]+)\)', text)
    return " ".join(
        name if value == "1.0" else f"{name}={float(value):g}"
        for name, value in pairs
        if float(value) != 0
    )


def statistics(lines):
    """Yields the name and the statistics of each pipeline in a driver's output."""
    name, found = None, {}
    for line in lines:
        if match := NAME.search(line):
            if name:
                yield name, found
            stem, entry, rest = match.groups()
            name, found = (stem, entry, constants(rest)), {}
            continue
        for field, pattern in FIELDS.items():
            if match := pattern.match(line):
                value = int(match.group(1))
                found[field] = found.get(field, 0) + value if field in SUMMED else value
    if name:
        yield name, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="+")
    arguments = parser.parse_args()
    environment = {"RADV_DEBUG": "shaderstats,nocache", "NAK_DEBUG": "print", **os.environ}
    process = subprocess.Popen(
        arguments.program,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    rows = sorted(statistics(process.stderr))
    if process.wait():
        sys.exit(f"{arguments.program[0]} failed with status {process.returncode}")
    fields = [field for field in FIELDS if any(field in found for _, found in rows)]
    if not fields:
        sys.exit("the driver printed no statistics")
    print("| shader | entry point | constants |", " | ".join(fields), "|")
    print("| --- | --- | --- |", " | ".join("---" for _ in fields), "|")
    for (stem, entry, rest), found in rows:
        values = " | ".join(str(found.get(field, "")) for field in fields)
        print(f"| `{stem}` | `{entry}` | {rest} | {values} |")
    bad = [row for row in rows if row[1].get("spilled") or row[1].get("scratch")]
    for (stem, entry, rest), _ in bad:
        print(f"spills or scratch memory: {stem} {entry} {rest}", file=sys.stderr)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
