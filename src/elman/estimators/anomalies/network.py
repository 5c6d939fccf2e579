"""Nets that say what a normal step is like: from the steps before it, or from one vector for a whole window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from elman.data.batch import Batch
from elman.estimators.forecasting.outputs import OUTPUTS, Output
from elman.estimators.losses import whole_digits
from elman.recurrent import Recurrent, State

CHUNK = 1024
"""steps that are read at once where the state is carried on: memory does not grow with the signal"""


class Said(NamedTuple):
    """A distribution of each feature at each step: p (B, T, F, P) for its output, location (B, T, F) added to it."""

    p: Tensor
    location: Tensor

    @property
    def center(self) -> Tensor:
        """What was expected, (B, T, F)."""
        return self.location + self.p[..., 0]


class SurpriseNetwork(nn.Module, ABC):
    """A net that gives a distribution of each step; a step's surprise is the mean of -log p over its features."""

    def __init__(self, features: int, output: str) -> None:
        super().__init__()
        self.features = features
        self.output: Output = OUTPUTS[output]()

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor) -> Said:
        """x (B, T, width), features first, as `Numbers` encodes it."""

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """The mean surprise over all features that count; y (B, T, 2F): values, and 1 for each that does."""
        y, present = batch.y.split(self.features, -1)
        counts = present if batch.weight is None else present * batch.weight[..., : self.features]
        return (self._each(self(batch.x, batch.valid()), y) * counts).sum() / counts.sum().clamp(min=1.0), None

    def surprise(self, x: Tensor, y: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """-log p of each step, (B, T), NaN where no feature counts, and what was expected of it, (B, T, F)."""
        return self.judge(self(x, lengths), y)

    def judge(self, said: Said, y: Tensor) -> tuple[Tensor, Tensor]:
        """The same, of steps of which this has been said."""
        values, present = y.split(self.features, -1)
        return (self._each(said, values) * present).sum(-1) / present.sum(-1), said.center

    def _each(self, said: Said, y: Tensor) -> Tensor:
        zero = torch.zeros_like(y)
        return self.output.loss(said.p, said.location, y, zero, zero)


class NextStepNetwork(SurpriseNetwork):
    """Each step from those before it: a recurrent net, and a linear autoregression over the last values beside it.

    h_t = recurrent(x_{t-1}, h_{t-1})
    p_t = P h_t + q,   location_t = Σ_k A_k x_{t-k}       k = 1 … lags

    Before the first step all is as at the first, of which nothing can be said.

    Source: Malhotra et al. 2015 (ESANN, surprise at a forecast); Lai et al. 2018, arXiv:1703.07015 (the autoregression
    beside the net).
    """

    def __init__(self, width: int, features: int, output: str, lags: int, dropout: float, **stack: Any) -> None:
        super().__init__(features, output)
        self.width, self.lags = width, lags
        self.recurrent = Recurrent(input_size=width, dropout=dropout, **stack)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.recurrent.output_size, features * self.output.size)
        self.linear = nn.Conv1d(width, features, lags, bias=False)
        for weight in (self.head.weight, self.head.bias, self.linear.weight):
            nn.init.zeros_(weight)

    def forward(self, x: Tensor, lengths: Tensor) -> Said:
        """Lengths are not needed: nothing after a step changes what is said of it."""
        return self.read(x)[0]

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """In training half of the rows begin with what is foreign: the net learns to find back after an anomaly."""
        return super().loss(self._interrupted(batch) if self.training else batch)

    def _interrupted(self, batch: Batch) -> Batch:
        """The beginning of another row, louder or softer by a factor e^N(0, 1), in place of a row's own; neither it nor
        the next steps, as many as lags, count."""
        rows, steps = batch.x.shape[:2]
        at = torch.arange(steps, device=batch.x.device)
        ends = torch.randint(0, max(1, steps // 2), (rows, 1), device=batch.x.device)
        ends = ends * (torch.rand(rows, 1, device=batch.x.device) < 0.5)
        foreign = batch.x[torch.randperm(rows, device=batch.x.device)].clone()
        foreign[..., : self.features] *= torch.randn(rows, 1, 1, device=batch.x.device).exp()
        x = torch.where((at < ends).unsqueeze(-1), foreign, batch.x)
        counts = ((at >= ends + self.lags) | (ends == 0)).unsqueeze(-1)
        weight = torch.ones_like(batch.y) if batch.weight is None else batch.weight
        return replace(batch, x=x, weight=weight * counts)

    def read(self, x: Tensor, before: tuple[Tensor, State | None] | None = None) -> tuple[Said, tuple[Tensor, State]]:
        """What is said of steps x, and what to give as `before` with the steps that follow."""
        past, state = (x[:, :1].expand(-1, self.lags, -1), None) if before is None else before
        seen = torch.cat([past, x], 1)
        h, state = self.recurrent(seen[:, self.lags - 1 : -1], state)
        p = whole_digits(self.head(self.dropout(h)), self.head).unflatten(-1, (self.features, self.output.size))
        location = whole_digits(self.linear(seen[:, :-1].transpose(1, 2)), self.linear).transpose(1, 2)
        return Said(p, location), (seen[:, -self.lags :], state)

    def surprise(self, x: Tensor, y: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Chunk by chunk, the state carried on."""
        before, found = None, []
        for start in range(0, x.shape[1], CHUNK):
            said, before = self.read(x[:, start : start + CHUNK], before)
            found.append(self.judge(said, y[:, start : start + CHUNK]))
        surprise, expected = zip(*found, strict=True)
        return torch.cat(surprise, 1), torch.cat(expected, 1)


class AutoencoderNetwork(SurpriseNetwork):
    """A window from the one vector that it was read into.

    c = the last h of an encoder over x_1 … x_T,   h_t = decoder(c, h_{t+1}),   p_t = P h_t + q

    The decoder goes from the end back, as in Malhotra et al. 2016, arXiv:1607.00148; its input is the vector at every
    step rather than its own last output, so that errors do not add up. Its scale σ is one for all steps of a feature:
    what was not understood must not be excused by a scale of its own.
    """

    def __init__(self, width: int, features: int, output: str, dropout: float, **stack: Any) -> None:
        super().__init__(features, output)
        self.encoder = Recurrent(input_size=width, dropout=dropout, **stack)
        size = self.encoder.output_size
        self.decoder = Recurrent(input_size=size, dropout=dropout, **stack)
        self.head = nn.Linear(size, features)
        self.rest = nn.Parameter(torch.zeros(features, self.output.size - 1))

    def forward(self, x: Tensor, lengths: Tensor) -> Said:
        """Each row reads and says its own window."""
        _, state = self.encoder(x, lengths=lengths)
        vector = state[0][-1]
        h, _ = self.decoder(vector.unsqueeze(1).expand(-1, x.shape[1], -1), lengths=lengths)
        back = (lengths[:, None] - 1 - torch.arange(x.shape[1], device=x.device)).clamp(min=0)
        mean = whole_digits(self.head(h.gather(1, back.unsqueeze(-1).expand_as(h))), self.head)
        rest = self.rest.expand(*mean.shape, -1)
        return Said(torch.cat([mean.unsqueeze(-1), rest], -1), torch.zeros_like(mean))
