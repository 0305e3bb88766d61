"""Scores sentences with a step as sherpa-onnx does: python score_as_sherpa_onnx.py STEP.onnx VOCAB FILE

Reads what `elman export --onnx --form step` writes, with the model's vocab.txt (a word model), and prints for every line of FILE the log10
probabilities of its tokens and its end, separated by spaces. Like online-rnn-lm.cc of sherpa-onnx, which computes all of these but the end, it binds
inputs and outputs by position, always passes two states of the size that the metadata state, starts from zeros, and reads the boundary
once for all sentences. Needs numpy and onnxruntime.
"""

import sys

import numpy as np
import onnxruntime

model, vocabulary, text = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
layers, size, sos = (int(metadata[key]) for key in ["num_layers", "hidden_size", "sos_id"])
inputs = [one.name for one in session.get_inputs()]
outputs = [one.name for one in session.get_outputs()]
assert len(inputs) == len(outputs) == 3, f"{inputs} and {outputs}"
numbers = {line: number for number, line in enumerate(open(vocabulary, encoding="utf-8").read().split("\n")[:-1])}


def read(token, states):
    x = np.full((1, 1), token, dtype=np.int64)
    scores, *states = session.run(outputs, dict(zip(inputs, [x, *states])))
    return scores.reshape(-1), states


zeros = np.zeros((layers, 1, size), dtype=np.float32)
start = read(sos, [zeros, zeros])
for line in open(text, encoding="utf-8"):
    scores, states = start
    found = []
    for token in [numbers[word] for word in line.split()]:
        found.append(scores[token])
        scores, states = read(token, states)
    found.append(scores[int(metadata["eos_id"])])
    print(*(f"{score / np.log(10):.7f}" for score in found))
