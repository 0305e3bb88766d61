"""N-best lists for measuring rescoring: sentences of a text with some words replaced, similar to a recognizer's lists.

    python benches/nbest.py TEXT --lists 1000 --hypotheses 100 > lists.txt

Each list has the sentence itself at a random position. Every other hypothesis differs in one to three words, mostly late ones, replaced by
words of the text drawn by frequency. The first column names the list. The same seed makes the same lists.
"""

import argparse
import random


def main():
    parser = argparse.ArgumentParser(description="n-best lists from a text")
    parser.add_argument("text")
    parser.add_argument("--lists", type=int, default=1000)
    parser.add_argument("--hypotheses", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    draw = random.Random(flags.seed)
    with open(flags.text, encoding="utf-8") as text:
        sentences = [line.split() for line in text]
    words = [word for sentence in sentences for word in sentence]
    sentences = [sentence for sentence in sentences if 5 <= len(sentence) <= 40]
    for number, sentence in enumerate(draw.sample(sentences, flags.lists)):
        hypotheses = []
        for _ in range(flags.hypotheses):
            hypothesis = list(sentence)
            for _ in range(draw.randint(1, 3)):
                # The square root moves positions towards the end, so that prefixes are shared.
                place = int(len(sentence) * draw.random() ** 0.5)
                hypothesis[place] = draw.choice(words)
            hypotheses.append(hypothesis)
        hypotheses[draw.randrange(flags.hypotheses)] = sentence
        for hypothesis in hypotheses:
            print(f"list{number}", *hypothesis)


if __name__ == "__main__":
    main()
