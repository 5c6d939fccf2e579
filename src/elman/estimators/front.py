"""What a net reads: numbers, long signals in joined steps; names by a table of vectors and by how they are spelt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.inputs import Names, Numbers
from elman.recurrent import Recurrent


def dropout_of_rows(x: Tensor, share: float, training: bool) -> Tensor:
    """x (B, T, F) with a share of each row's features dropped, the same at every step.

    Source: Gal & Ghahramani 2016, arXiv:1512.05287.
    """
    return x * F.dropout(x.new_ones(len(x), 1, x.shape[2]), share, training) if training and share else x


class Front(nn.Module):
    """x as what goes through time reads it: numbers, of long signals some steps joined into one; names by a table of
    vectors, and by how they are spelt.

    In training a name is taken for an unknown one with probability `unknown`, so that the vector of those is learned,
    and a part of the vectors is dropped with probability `dropout`, the same at every step of a row; to a number normal
    noise of standard deviation `noise` is added.
    """

    def __init__(
        self,
        inputs: Numbers | Names,
        size: int,
        dropout: float,
        unknown: float,
        stride: int = 1,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout, self.unknown, self.stride, self.noise = dropout, unknown, 1, noise
        self.table = self.spelling = self.strided = None
        self.size = inputs.width
        if isinstance(inputs, Names):
            self.table = nn.Embedding(len(inputs), size)
            nn.init.normal_(self.table.weight, std=0.1)
            self.spelling = Spelling(len(inputs.letters) + 1) if inputs.spelling else None
            self.size = size + (self.spelling.size if self.spelling else 0)
        elif stride > 1:
            self.strided, self.stride = Strided(inputs.width, stride), stride
            self.size = self.strided.size

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, T, width) to (B, T, size), or fewer steps of joined ones, and the lengths of these."""
        if self.table is None:
            if self.training and self.noise:  # padding, which is 0, stays so
                x = x + self.noise * torch.randn_like(x) * (x != 0).any(-1, keepdim=True)
            return (x, lengths) if self.strided is None else self.strided(x, lengths)
        codes, letters = x[..., 0], x[..., 1:]
        if self.training and self.unknown:
            codes = codes.masked_fill(torch.rand(codes.shape, device=codes.device) < self.unknown, 0)
        x = self.table(codes)
        x = x if self.spelling is None else torch.cat([x, self.spelling(letters)], -1)
        return dropout_of_rows(x, self.dropout, self.training), lengths


class Strided(nn.Module):
    """A long signal in fewer steps: a convolution that looks at 4 strides and moves by one, and rectified units.

    Past its length a row counts as 0, the mean, so that padding changes nothing.
    """

    def __init__(self, inputs: int, stride: int, size: int = 64) -> None:
        super().__init__()
        self.stride, self.size, self.before = stride, size, 3 * stride // 2
        self.convolution = nn.Conv1d(inputs, size, 4 * stride, stride)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, T, inputs) to (B, ⌈T / stride⌉, size), and the lengths likewise."""
        steps = -(-x.shape[1] // self.stride)
        after = (steps + 3) * self.stride - x.shape[1] - self.before
        y = torch.relu(self.convolution(F.pad(x.transpose(1, 2), (self.before, after)))).transpose(1, 2)
        return y, None if lengths is None else -(-lengths // self.stride)


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
