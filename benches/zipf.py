#!/usr/bin/env python3
"""Writes a text with a Zipf-Mandelbrot distribution of words: the word of rank r has a probability proportional to 1 / (r + shift)^exponent.

The text is for measuring how training speed depends on the vocabulary size; only word frequencies can be learned from it. A seed determines the text.

    benches/zipf.py --tokens 8000000 --types 3000000 > zipf.txt
    elman train --train zipf.txt --valid short.txt --vocab-size 800000 --output adaptive …
"""

import argparse
import itertools
import random
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=8_000_000, help="number of words, without sentence ends")
    parser.add_argument("--types", type=int, default=3_000_000, help="number of types; rare ones may not occur")
    parser.add_argument("--exponent", type=float, default=1.0)
    parser.add_argument("--shift", type=float, default=2.7)
    parser.add_argument("--length", type=int, default=20, help="words of a sentence")
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    weights = ((rank + flags.shift) ** -flags.exponent for rank in range(1, flags.types + 1))
    cumulated = list(itertools.accumulate(weights))
    generator = random.Random(flags.seed)
    names = range(1, flags.types + 1)
    for _ in range(0, flags.tokens, flags.length):
        ranks = generator.choices(names, cum_weights=cumulated, k=flags.length)
        sys.stdout.write(" ".join(f"w{rank}" for rank in ranks) + "\n")


if __name__ == "__main__":
    main()
