"""What a net reads: numbers as they are; names by a table of vectors and by how they are spelt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.inputs import Names, Numbers
from elman.recurrent import Recurrent


class Front(nn.Module):
    """x as the body reads it: numbers as they are; names by a table of vectors, and by how they are spelt.

    In training a name is taken for an unknown one with probability `unknown`, so that the vector of those is learned,
    and a part of the vectors is dropped with probability `dropout`, the same at every step of a row.

    Source of the latter: Gal & Ghahramani 2016, arXiv:1512.05287.
    """

    def __init__(self, inputs: Numbers | Names, size: int, dropout: float, unknown: float) -> None:
        super().__init__()
        self.dropout, self.unknown = dropout, unknown
        self.table = self.spelling = None
        self.size = inputs.width
        if isinstance(inputs, Names):
            self.table = nn.Embedding(len(inputs), size)
            nn.init.normal_(self.table.weight, std=0.1)
            self.spelling = Spelling(len(inputs.letters) + 1) if inputs.spelling else None
            self.size = size + (self.spelling.size if self.spelling else 0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, size)."""
        if self.table is None:
            return x
        codes, letters = x[..., 0], x[..., 1:]
        if self.training and self.unknown:
            codes = codes.masked_fill(torch.rand(codes.shape, device=codes.device) < self.unknown, 0)
        x = self.table(codes)
        x = x if self.spelling is None else torch.cat([x, self.spelling(letters)], -1)
        return x * F.dropout(x.new_ones(len(x), 1, x.shape[2]), self.dropout, self.training)


class Spelling(nn.Module):
    """A word as a recurrent net reads its letters from both ends.

    Source: Lample et al. 2016, doi:10.18653/v1/N16-1030.
    """

    def __init__(self, letters: int, size: int = 25, hidden_size: int = 25) -> None:
        super().__init__()
        self.table = nn.Embedding(letters, size)
        self.net = Recurrent("gru", size, hidden_size, bidirectional=True)
        self.size = self.net.output_size

    def forward(self, letters: Tensor) -> Tensor:
        """(B, T, L) codes, 0 after a word's end, to (B, T, size); each word that occurs is read once."""
        words, place = letters.flatten(0, 1).unique(dim=0, return_inverse=True)
        _, state = self.net(self.table(words), lengths=(words > 0).sum(1))
        return state[0].transpose(0, 1).flatten(1)[place].unflatten(0, letters.shape[:2])
