"""The feed-forward network in PyTorch: scores lines, and repeats one step of training.

    python feed_forward.py BEFORE AFTER TEXT RATE

step.py describes the arguments and the output.
"""

import torch
from torch import nn

from step import config, load_into, report, words

context, size = config["context"], config["embedding_size"]


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


model = FeedForward()
if config["tied"]:
    model.decoder.weight = model.embedding.weight
load_into(model)
report(dict(model.named_parameters()), model)
