"""The outputs of every layer of an LSTM, by PyTorch: what a report's units are.

    python activations.py MODEL TEXT

Prints a JSON array: for each layer, for each token of TEXT, the values of its units after the token.
"""

import json
import sys

import torch
from safetensors.torch import load_file

model, text = sys.argv[1:]
config = json.load(open(f"{model}/config.json"))
words = open(f"{model}/vocab.txt").read().splitlines()
weights = load_file(f"{model}/model.safetensors")
ids = [words.index(word) for line in open(text) for word in line.split() + ["</s>"]]

values = weights["embedding.weight"][torch.tensor([0] + ids)]
layers = []
with torch.no_grad():
    for layer in range(config["num_layers"]):
        lstm = torch.nn.LSTM(values.shape[1], config["hidden_size"])
        parts = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        lstm.load_state_dict({f"{part}_l0": weights[f"rnn.{part}_l{layer}"] for part in parts})
        values, _ = lstm(values)
        layers.append(values[1:].tolist())
print(json.dumps(layers))
