"""A net over sequences: what goes through time, how steps become one vector, and what is read off it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.batch import Batch
from elman.estimators.front import Front
from elman.estimators.losses import whole_digits
from elman.estimators.sequences.bodies import Body, within

POOLINGS = ("last", "mean", "max", "attention")


class Pooling(nn.Module):
    """Steps h_t to one vector: the body's own of the whole, or over the valid steps, with a_t = vᵀ tanh(A h_t)::

        mean: Σ h_t / T        max: max_t h_t        attention: Σ softmax(a)_t h_t

    Source: Yang et al. 2016, doi:10.18653/v1/N16-1174 (attention).
    """

    def __init__(self, kind: str, body: Body) -> None:
        super().__init__()
        self.kind, self.size = kind, body.whole if kind == "last" else body.size
        if kind == "attention":
            self.look = nn.Linear(body.size, body.size)
            self.score = nn.Linear(body.size, 1, bias=False)

    def weights(self, steps: Tensor, valid: Tensor) -> Tensor:
        """How much attention each step gets, (B, T); rows sum to 1."""
        scores = self.score(torch.tanh(self.look(steps))).squeeze(-1)
        return torch.softmax(scores.masked_fill(~valid, -torch.inf), 1)

    def forward(self, steps: Tensor, whole: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, size)."""
        if self.kind == "last":
            return whole
        valid = within(steps, lengths)
        if self.kind == "mean":
            return steps.sum(1) / valid.sum(1, keepdim=True)
        if self.kind == "max":
            return steps.masked_fill(~valid.unsqueeze(-1), -torch.inf).amax(1)
        return (self.weights(steps, valid).unsqueeze(-1) * steps).sum(1)


class Network(nn.Module):
    """Front, body and a linear head that starts at 0: every class is as likely as any other, every number the mean.

    pooling    one vector of `outputs` numbers for each sequence; None: one for each step
    criterion  (prediction, target, weight) to the mean loss
    """

    def __init__(
        self, front: Front, body: Body, pooling: str | None, outputs: int, dropout: float, criterion: Any
    ) -> None:
        super().__init__()
        self.front, self.body, self.dropout, self.criterion = front, body, dropout, criterion
        self.pooling = None if pooling is None else Pooling(pooling, body)
        self.head = nn.Linear(body.size if self.pooling is None else self.pooling.size, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, width) to (B, outputs), or (B, T, outputs) without pooling."""
        read, lengths = self.front(x, lengths)
        steps, whole = self.body(read, lengths)
        read = steps if self.pooling is None else self.pooling(steps, whole, lengths)
        return whole_digits(self.head(F.dropout(read, self.dropout, self.training)), self.head)

    def attention(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The weights of a net that pools by attention, (B, T); joined steps share theirs."""
        pooling: Any = self.pooling
        read, joined = self.front(x, lengths)
        steps, _ = self.body(read, joined)
        weights = pooling.weights(steps, within(steps, joined))
        weights = weights.repeat_interleave(self.front.stride, 1)[:, : x.shape[1]] * within(x, lengths)
        return weights / weights.sum(1, keepdim=True)

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """The criterion's mean over the batch's targets."""
        return self.criterion(self(batch.x, batch.lengths), batch.y, batch.weight), None
