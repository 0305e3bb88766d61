"""Mixtures of softmaxes in PyTorch: scores lines, and repeats one step of training.

    python mixture.py BEFORE AFTER TEXT RATE

step.py describes the arguments and the output. The modules have the names of the files' tensors.
"""

import torch
from torch import nn

from step import config, load_into, report, words

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


model = Mixture()
load_into(model)
report(dict(model.named_parameters()), model)
