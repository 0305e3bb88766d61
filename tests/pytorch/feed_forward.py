"""The feed-forward network in PyTorch: scores lines, and repeats one step of training.

    python feed_forward.py BEFORE AFTER TEXT RATE

BEFORE and AFTER are models before and after one update by SGD on a window that is the whole TEXT, with the mean of its
losses. Prints the largest difference between PyTorch's parameters and those of AFTER, then, line by line, the log10
probability of TEXT's lines in BEFORE, each from the boundary on.
"""

import json
import math
import sys

import torch
from safetensors.torch import load_file
from torch import nn

before, after, text, rate = sys.argv[1:]
config = json.load(open(f"{before}/config.json"))
context, size = config["context"], config["embedding_size"]
words = open(f"{before}/vocab.txt").read().splitlines()
lines = [[words.index(word) for word in line.split()] for line in open(text)]


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        width, hidden = context * size, config["hidden_size"]
        read = hidden + width if config.get("skip_connection") else hidden
        self.embedding = nn.Embedding(len(words), size)
        self.hidden = nn.Linear(width, hidden, bias=config["bias"])
        if config["projection"]:
            self.projection = nn.Linear(read, size, bias=False)
            read = size
        self.decoder = nn.Linear(read, len(words), bias=config["decoder_bias"])

    def forward(self, ids):
        """ids [T]: the boundary and the words after it. ln P of every next word, [T, V]."""
        embedded = self.embedding(ids)
        # Words before the text are boundaries, whose embedding gets no gradient here.
        first = self.embedding(torch.zeros(context - 1, dtype=torch.long)).detach()
        embedded = torch.cat([first, embedded])
        x = torch.cat([embedded[context - 1 - back : len(embedded) - back] for back in range(context)], -1)
        read = torch.tanh(self.hidden(x))
        if config.get("skip_connection"):
            read = torch.cat([read, x], -1)
        if config["projection"]:
            read = self.projection(read)
        return self.decoder(read).log_softmax(-1)


def load(directory):
    weights = load_file(f"{directory}/model.safetensors")
    weights.setdefault("decoder.weight", weights["embedding.weight"])
    return weights


model = FeedForward()
if config["tied"]:
    model.decoder.weight = model.embedding.weight
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
