"""Past decode regularization (Brahma 2018) of an LSTM in PyTorch, as step.py says.

    python past_decode.py BEFORE AFTER TEXT RATE

The modules have the names of the files' tensors.
"""

import json

import torch
from torch import nn

from step import before, config, load_into, report, words

size, embedding = config["hidden_size"], config["embedding_size"]
factor = json.load(open(f"{before}/training.json"))["recipe"]["past_decode"]


class Past(nn.Linear):
    def __init__(self):
        super().__init__(embedding, embedding, bias=config["decoder_bias"])
        self.decoder_bias = nn.Parameter(torch.zeros(len(words))) if config["decoder_bias"] else None


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(words), embedding)
        self.rnn = nn.LSTM(embedding, size, num_layers=config["num_layers"], bias=config["bias"])
        self.projection = nn.Linear(size, embedding, bias=False) if config["projection"] else nn.Identity()
        self.decoder = nn.Linear(embedding, len(words), bias=config["decoder_bias"])
        self.decoder.weight = self.embedding.weight
        self.past = Past()

    def forward(self, ids):
        """ids [T]: the boundary and the words after it. ln P of every next word, [T, V]."""
        hidden, _ = self.rnn(self.embedding(ids))
        return self.decoder(self.projection(hidden)).log_softmax(-1)

    def penalty(self, ids, log_probabilities):
        """The cross-entropy of the words that were read, given the distributions that followed."""
        means = log_probabilities.exp() @ self.embedding.weight
        logits = nn.functional.linear(self.past(means).tanh(), self.embedding.weight, self.past.decoder_bias)
        return factor * nn.functional.cross_entropy(logits, ids)


model = Network()
load_into(model)
report(dict(model.named_parameters()), model, model.penalty)
