"""The smallest learner that has everything: a recurrent net with dropout, masks, a carried state and per-row reset."""

from __future__ import annotations

import torch
from torch import nn

from elman.data.batching import PaddedBatches, TruncatedBatches


class TinyLearner(nn.Module):
    """Predicts y (B, T, 1) from x (B, T, F) step by step with a GRU; weighted squared error."""

    def __init__(self, features: int = 2, hidden: int = 8, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.rnn = nn.GRU(features, hidden, batch_first=True)
            self.head = nn.Linear(hidden, 1)
        self.drop = nn.Dropout(dropout)
        self.seen: list[tuple[bool, bool]] = []
        """of every call: whether a state came in, and whether it had a past"""

    def loss(self, batch, state=None):
        if state is not None:
            (h,) = state
            self.seen.append((True, h.requires_grad))
            if batch.reset is not None:
                h = h * (~batch.reset).to(h.dtype)[None, :, None]
        else:
            h = None
            self.seen.append((False, False))
        y, h = self.rnn(batch.x, h)
        error = (self.head(self.drop(y)) - batch.y).square()
        weight = torch.ones_like(error) if batch.weight is None else batch.weight
        return (error * weight).sum() / weight.sum().clamp(min=1), (h,)


def sequences(number: int = 12, features: int = 2, seed: int = 1) -> tuple[list, list]:
    """Random walks of 5 to 14 steps, to be summed over their features at each step."""
    dice = torch.Generator().manual_seed(seed)
    lengths = torch.randint(5, 15, (number,), generator=dice).tolist()
    xs = [torch.randn(n, features, generator=dice) for n in lengths]
    return xs, [x.sum(1, keepdim=True).cumsum(0) / 3 for x in xs]


def padded(batch_size: int = 4, **options) -> PaddedBatches:
    return PaddedBatches(*sequences(**options), batch_size=batch_size, seed=0)


def truncated(batch_size: int = 3, steps: int = 4, **options) -> TruncatedBatches:
    return TruncatedBatches(*sequences(**options), batch_size=batch_size, steps=steps, seed=0)
