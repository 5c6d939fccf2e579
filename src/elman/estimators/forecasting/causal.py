"""One step of a forecaster: the next value in, the forecast of the steps after it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from elman.data import Panel
from elman.errors import OptionError
from elman.estimators.forecasting.backtest import intervals
from elman.steps.causal import Causal, as_step
from elman.steps.parts import Part

if TYPE_CHECKING:
    from elman.estimators.forecasting.forecaster import Forecaster

LEVELS = (80, 95)
"""prediction intervals in percent"""


class ForecastStep(Causal):
    """Forecasts of one series that goes on where its history in the model ends.

    A forecaster standardises the window that it reads, so its state is that window, the last values, and not an h that
    could be carried: at each step the net reads it anew.

    y  H forecasts after H: the median of each step ahead, then the bounds of each interval
    """

    where = "Forecaster.stream"

    def __init__(self, model: Forecaster, series: str | None) -> None:
        super().__init__()
        self.model, self.panel = model, _history(model, series)
        self.columns = intervals(LEVELS)
        self.inputs, self.outputs = 1, len(self.columns) * model.horizon
        self.parts = (Part("recent", (model.plan_.shape.memory,)), Part("steps", (1,)))

    def initial(self, rows: int) -> tuple[Tensor, ...]:
        """The end of the history that the model keeps, NaN before its beginning."""
        memory = self.parts[0].shape[0]
        y = self.panel.y[0][-memory:]
        recent = torch.full((rows, memory), torch.nan)
        recent[:, memory - len(y) :] = torch.from_numpy(y)
        return recent, torch.zeros(rows, 1)

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step of each series."""
        recent, steps = state
        recent, steps = torch.cat([recent[:, 1:], x.float()], 1), steps + 1
        panels = [self._grown(*pair) for pair in zip(recent.numpy(), steps[:, 0].tolist(), strict=True)]
        levels = list(self.columns.values())
        said = [self.model.quantiles(panel, self.model.horizon, levels)[0].T.reshape(-1) for panel in panels]
        return torch.from_numpy(np.stack(said)).float(), (recent, steps)

    def _grown(self, recent: np.ndarray, steps: float) -> Panel:
        """The series as far as it is remembered, so many steps after its history."""
        seen = np.flatnonzero(~np.isnan(recent))
        y = recent[seen[0] if len(seen) else -1 :].astype(np.float64)
        times = self.panel.step.walk(self.panel.times[0][-1], int(steps) - len(y) + 1, len(y))
        return replace(self.panel, times=(times,), y=(y,))

    def encode(self, step: Any) -> np.ndarray:
        """One value, NaN where it is missing."""
        return as_step(step, 1, self.where)

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        """Forecasts by name, a list of H numbers each."""
        each = y.reshape(len(self.columns), -1)
        return {name: values.tolist() for name, values in zip(self.columns, each, strict=True)}


def _history(model: Forecaster, series: str | None) -> Panel:
    where, panel = ForecastStep.where, model.panel_
    if panel.past or panel.future:
        raise OptionError(f"{where}: a step is one value, and this model was trained with covariates. Use predict.")
    return panel.one(series, where)
