"""Scores sentences with an exported model: python score_with_onnxruntime.py MODEL.onnx VOCAB FILE

Reads either form that `elman export --onnx` writes, with the model's vocab.txt, and prints for every line of FILE what `elman score` prints:
the log10 probability of its tokens and its end. Every token must be in the vocabulary, or the vocabulary must have <unk>. Needs numpy, onnx
and onnxruntime.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime

model, vocabulary, text = sys.argv[1:]
onnx.checker.check_model(onnx.load(model), full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
inputs = {one.name: one for one in session.get_inputs()}
lines = open(vocabulary, encoding="utf-8", newline="\n").read().split("\n")[:-1]
numbers = {json.loads('"' + line.replace('"', '\\"') + '"'): i for i, line in enumerate(lines)}
assert len(numbers) == int(metadata["vocab_size"]), "the vocabulary is another model's"
split = {"word": str.split, "char": list, "byte": lambda line: list(line.encode().decode("latin-1"))}[metadata["unit"]]
boundary = int(metadata["sos_id"])


def number(token):
    if token not in numbers and "<unk>" not in numbers:
        sys.exit(f"{token!r} is not in the vocabulary, which has no <unk>")
    return numbers.get(token, numbers.get("<unk>"))


sentences = [[number(token) for token in split(line.rstrip("\r\n"))] for line in open(text, encoding="utf-8", newline="\n")]
lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
longest = lengths.max()

if "x_lens" in inputs:
    # The padding is not a token and must be ignored.
    x = np.full((len(sentences), longest), 10**9, dtype=np.int64)
    for row, sentence in zip(x, sentences):
        row[: len(sentence)] = sentence
    (nll,) = session.run(["nll"], {"x": x, "x_lens": lengths})
    totals = -nll.astype(np.float64)
else:
    rows = range(len(sentences))
    states = {name: np.zeros((one.shape[0], len(sentences), one.shape[2]), np.float32) for name, one in inputs.items() if name != "x"}
    tokens, totals = np.full(len(sentences), boundary), np.zeros(len(sentences))
    for step in range(longest + 1):
        found = session.run(["log_softmax"] + [f"next_{name}" for name in states], {"x": tokens[:, None], **states})
        states = dict(zip(states, found[1:]))
        tokens = np.array([sentence[step] if step < len(sentence) else boundary for sentence in sentences])
        totals += np.where(step <= lengths, found[0].astype(np.float64)[rows, tokens], 0)

for total in totals:
    print(f"{total / np.log(10):.6f}")
