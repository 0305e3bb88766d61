"""Mixtures of softmaxes in PyTorch: scores lines, and repeats one step of training.

    python mixture.py BEFORE AFTER TEXT RATE

BEFORE and AFTER are models before and after one update by SGD on a window that is the whole TEXT, with the mean of its
losses. Prints the largest difference between PyTorch's parameters and those of AFTER, then, line by line, the log10
probability of TEXT's lines in BEFORE, each from the boundary on. The modules have the names of the files' tensors.
"""

import json
import math
import sys

import torch
from safetensors.torch import load_file
from torch import nn

before, after, text, rate = sys.argv[1:]
config = json.load(open(f"{before}/config.json"))
words = open(f"{before}/vocab.txt").read().splitlines()
lines = [[words.index(word) for word in line.split()] for line in open(text)]
layers, size, count = config["num_layers"], config["hidden_size"], config["mixture"]


class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        embedding = config["embedding_size"]
        if embedding:
            self.embedding = nn.Embedding(len(words), embedding)
        options = {"num_layers": layers, "bias": config["bias"]}
        if config["cell"] == "elman":
            self.rnn = nn.RNN(embedding or len(words), size, nonlinearity=config["activation"], **options)
        else:
            self.rnn = {"gru": nn.GRU, "lstm": nn.LSTM}[config["cell"]](embedding or len(words), size, **options)
        width = embedding if config["tied"] else size
        self.prior = nn.Linear(size, count, bias=False)
        self.latent = nn.Sequential(nn.Linear(size, count * width, bias=config["decoder_bias"]), nn.Tanh())
        self.decoder = nn.Linear(width, len(words), bias=config["decoder_bias"])
        if config["tied"]:
            self.decoder.weight = self.embedding.weight

    def forward(self, ids):
        """ids [T]: the boundary and the words after it. ln P of every next word, [T, V]."""
        if config["embedding_size"]:
            x = self.embedding(ids)
        else:
            x = nn.functional.one_hot(ids, len(words)).float()
        start = torch.full((layers, size), config["initial_state"])
        hidden, _ = self.rnn(x, (start, start) if config["cell"] == "lstm" else start)
        weights = self.prior(hidden).softmax(-1)
        latents = self.latent(hidden).unflatten(-1, (count, -1))
        return (weights.unsqueeze(-1) * self.decoder(latents).softmax(-1)).sum(-2).log()


def load(directory):
    weights = load_file(f"{directory}/model.safetensors")
    weights.setdefault("decoder.weight", weights.get("embedding.weight"))
    return weights


model = Mixture()
model.load_state_dict(load(before), strict=True)


def log_probabilities(targets):
    ids = torch.tensor([0] + targets[:-1])
    return model(ids).gather(1, torch.tensor(targets)[:, None])


with torch.no_grad():
    scores = [log_probabilities(line + [0]).sum().item() / math.log(10) for line in lines]
optimizer = torch.optim.SGD(model.parameters(), lr=float(rate))
whole = [word for line in lines for word in line + [0]]
(-log_probabilities(whole).mean()).backward()
optimizer.step()
expected = load(after)
print(max((value - expected[name]).abs().max().item() for name, value in model.state_dict().items()))
print(*scores, sep="\n")
