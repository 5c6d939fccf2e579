"""A conditional random field over the labels of a sequence: some labels do not follow others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elman.decode import best_path
from elman.estimators.sequences.bodies import within


class ChainField(nn.Module):
    """A linear chain: scores z_t(k) of labels, A of one after another, b of the first and e of the last::

        score(y) = b(y_1) + Σ_t z_t(y_t) + Σ_t A(y_{t-1}, y_t) + e(y_T)
        p(y) = exp(score(y)) / Σ_y' exp(score(y'))

    Source: Lafferty, McCallum & Pereira 2001; over a recurrent net: Huang, Xu & Yu 2015, arXiv:1508.01991.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.after = nn.Parameter(torch.zeros(labels, labels))
        self.first = nn.Parameter(torch.zeros(labels))
        self.last = nn.Parameter(torch.zeros(labels))

    def score(self, z: Tensor, y: Tensor, lengths: Tensor) -> Tensor:
        """score(y) of each row, (B,); z (B, T, K), y (B, T)."""
        valid = within(z, lengths)
        own = z.gather(2, y.unsqueeze(2)).squeeze(2).masked_fill(~valid, 0.0).sum(1)
        moves = self.after[y[:, :-1], y[:, 1:]].masked_fill(~valid[:, 1:], 0.0).sum(1)
        ends = y.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1)
        return self.first[y[:, 0]] + own + moves + self.last[ends]

    def log_partition(self, z: Tensor, lengths: Tensor) -> Tensor:
        """log Σ_y exp(score(y)) of each row, (B,), by the forward recursion."""
        a = self.first + z[:, 0]
        for t in range(1, z.shape[1]):
            further = torch.logsumexp(a.unsqueeze(2) + self.after, 1) + z[:, t]
            a = torch.where((t < lengths).unsqueeze(1), further, a)
        return torch.logsumexp(a + self.last, 1)

    def loss(self, z: Tensor, y: Tensor, lengths: Tensor) -> Tensor:
        """-log p(y) per label, the mean over all labels of the batch."""
        return (self.log_partition(z, lengths) - self.score(z, y, lengths)).sum() / lengths.sum()

    def best(self, z: Tensor, lengths: Tensor) -> Tensor:
        """argmax_y p(y) of each row, (B, T), 0 past the lengths."""
        return best_path(z, self.after, self.first, self.last, lengths)
