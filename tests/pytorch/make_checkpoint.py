"""Saves language models as PyTorch users do: python make_checkpoint.py DIRECTORY

Writes into DIRECTORY, which must exist, CASE.safetensors for every case below, one vocab.txt for all of them (`<eos>` in its midst, as in
word_language_model), and lines.txt; and prints one JSON object: for every case, for every line, the log10 probability of each word and of
the line's end, in float64. Needs PyTorch and safetensors.
"""

import json
import math
import pathlib
import sys

import torch
from safetensors.torch import save_file, save_model
from torch import nn

WORDS = "the boy girl dog <eos> runs sleeps and".split()
LINES = ["the boy runs", "", "the girl and the dog", "sleeps " * 70]
# Case: function, layers, embedding size, hidden units, tied, type in the file, prefix.
CASES = {
    "plain": ("tanh", 1, 5, 7, False, torch.float32, ""),
    "deep": ("relu", 3, 3, 4, False, torch.float64, "module."),
    "tied": ("tanh", 2, 6, 6, True, torch.float32, ""),
    "brief": ("tanh", 1, 2, 3, False, torch.bfloat16, "model."),
}


class Network(nn.Module):
    """word_language_model's network with a simple cell."""

    def __init__(self, function, layers, embedding_size, hidden_size, tied):
        super().__init__()
        self.encoder = nn.Embedding(len(WORDS), embedding_size)
        self.rnn = nn.RNN(embedding_size, hidden_size, layers, nonlinearity=function)
        self.decoder = nn.Linear(hidden_size, len(WORDS))
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, ids):
        return self.decoder(self.rnn(self.encoder(ids))[0]).log_softmax(1)


def scores(network, line):
    """The log10 probability of each word of a line and of the line ending, starting from the previous line ending."""
    end = WORDS.index("<eos>")
    ids = torch.tensor([end] + [WORDS.index(word) for word in line.split()] + [end])
    return (network(ids[:-1]).gather(1, ids[1:, None]).flatten() / math.log(10)).tolist()


# So that the values of a float64 file are not exact in float32.
torch.set_default_dtype(torch.float64)
directory = pathlib.Path(sys.argv[1])
(directory / "vocab.txt").write_text("".join(word + "\n" for word in WORDS))
(directory / "lines.txt").write_text("".join(line + "\n" for line in LINES))
result = {}
for number, (case, (function, layers, embedding_size, hidden_size, tied, dtype, prefix)) in enumerate(CASES.items()):
    torch.manual_seed(number)
    network = Network(function, layers, embedding_size, hidden_size, tied).to(dtype)
    if tied:
        # One of the two names of the shared table is omitted, which the file's metadata records.
        save_model(network, directory / f"{case}.safetensors")
    else:
        save_file({prefix + name: tensor for name, tensor in network.state_dict().items()}, directory / f"{case}.safetensors")
    with torch.no_grad():
        result[case] = [scores(network.double(), line) for line in LINES]
print(json.dumps(result))
