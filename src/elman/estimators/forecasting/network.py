"""The net of a forecaster: one recurrent stack over context and horizon, and a head that corrects a simple guess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from elman.data.batch import Batch
from elman.estimators.forecasting.outputs import Output
from elman.estimators.losses import whole_digits
from elman.recurrent import Recurrent, State


class Columns(NamedTuple):
    """How many columns of the input are what, in their order; `Windows.read` writes them."""

    numbers: int
    candidates: int
    codes: int


class Said(NamedTuple):
    """What the net says at each step: p (B, T, P) for its output, and the (B, T) that give p its meaning."""

    p: Tensor
    location: Tensor
    center: Tensor
    spread: Tensor


class ForecastNetwork(nn.Module):
    """Features through a recurrent stack to the parameters of an output.

    h_t = recurrent(x_t, h_{t-1})
    location_t = Σ_k softmax(A h_t + a)_k candidate_k        last value, one season ago, mean of four seasons
    p_t = P h_t + q                                          added to the location by the output

    The head starts at zero, so that an untrained net is the mean of the candidates, a seasonal naive forecast.
    x (B, T, ·) as `Windows.read` lays it out.
    """

    def __init__(self, columns: Columns, cardinalities: Sequence[int], output: Output, **stack: Any) -> None:
        super().__init__()
        self.columns, self.output = columns, output
        widths = [min(16, 1 + size // 2) for size in cardinalities]
        self.embeddings = nn.ModuleList(nn.Embedding(size, w) for size, w in zip(cardinalities, widths, strict=True))
        self.recurrent = Recurrent(input_size=columns.numbers + sum(widths), **stack)
        self.dropout = nn.Dropout(stack.get("dropout", 0.0))
        self.head = nn.Linear(self.recurrent.output_size, output.size + columns.candidates)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Said, State]:
        """What is said at every step, and the state after the last."""
        sizes = [self.columns.numbers, self.columns.candidates, 3, self.columns.codes]
        numbers, candidates, units, codes = x.split(sizes, -1)
        embedded = [e(codes[..., k].long()) for k, e in enumerate(self.embeddings)]
        h, last = self.recurrent(torch.cat([numbers, *embedded], -1), state)
        z = whole_digits(self.head(self.dropout(h)), self.head)
        p, mixture = z.split([self.output.size, self.columns.candidates], -1)
        location = (mixture.softmax(-1) * candidates).sum(-1)
        return Said(p, location, units[..., 0], units[..., 1]), last

    def extra_repr(self) -> str:
        """The output, so that a checkpoint tells nets apart that differ in nothing else."""
        kind = self.output
        return repr(kind) if "levels" in vars(kind) else type(kind).__name__

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """The mean loss over the steps that count; a quantile's is relative to the level: all series weigh alike."""
        said, _ = self(batch.x)
        weight = torch.ones_like(batch.y) if batch.weight is None else batch.weight
        each = self.output.loss(said.p, said.location, batch.y, said.center, said.spread)
        if self.output.relative:
            relative = self.columns.numbers + self.columns.candidates + 2
            each = each * batch.x[..., relative]
        return (each * weight).sum() / weight.sum().clamp(min=1.0), None
