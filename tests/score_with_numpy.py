"""Scores sentences with an Elman model, from the equations alone: python score_with_numpy.py MODEL FILE

Reads what `elman train` wrote (a word model of simple cells) and prints for every line of FILE what `elman score` prints: the log10
probability of its words and its end, unknown words left out. Needs numpy and safetensors.
"""

import json
import sys

import numpy as np
from safetensors.numpy import load_file

model, text = sys.argv[1:]
config = json.load(open(f"{model}/config.json"))
p = {name: array.astype(np.float64) for name, array in load_file(f"{model}/model.safetensors").items()}
lines = open(f"{model}/vocab.txt").read().split("\n")[:-1]
words = {json.loads('"' + line.replace('"', '\\"') + '"'): i for i, line in enumerate(lines)}
f = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}[config["activation"]]

for line in open(text):
    initial = np.full(config["hidden_size"], config["initial_state"])
    states = [p.get(f"initial_state.{k}", initial) for k in range(config["num_layers"])]
    word, total = 0, 0.0
    for target in [words.get(w, words.get("<unk>")) for w in line.split()] + [0]:
        table = p["embedding.weight"] if config["embedding_size"] else np.eye(config["vocab_size"])
        x = np.zeros(table.shape[1]) if word is None else table[word]
        for k in range(config["num_layers"]):
            z = p[f"rnn.weight_ih_l{k}"] @ x + p[f"rnn.weight_hh_l{k}"] @ states[k]
            x = states[k] = f(z + (p[f"rnn.bias_ih_l{k}"] + p[f"rnn.bias_hh_l{k}"] if config["bias"] else 0))
        y = p["decoder.weight"] @ x + (p["decoder.bias"] if config["decoder_bias"] else 0)
        if target is not None:
            total += (y[target] - y.max() - np.log(np.exp(y - y.max()).sum())) / np.log(10)
        word = target
    print(f"{total:.6f}")
