"""The last value, held: the forecast that nothing beats on a random walk."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from elman.evidence.baselines.base import CannotFitError, Floats, LocalBaseline, Predictor, normal_quantiles


class LastValue(LocalBaseline):
    """Tomorrow is as today.

    ŷ_{T+h} = y_T,  σ_h = σ·√h,  σ² = mean (y_t − y_{t−1})²

    The variance is a random walk's. Missing values: two neighbours k steps apart differ with variance k·σ², and a
    history whose last j values are missing is forecast from h + j steps away.
    Source: Hyndman & Athanasopoulos 2021, Forecasting: principles and practice, §5.2 and §5.5.

    >>> LastValue().fit_predict([[0.0, 1.0, 0.0, 1.0]], 4, 1, (0.5, 0.975)).round(2).tolist()
    [[[1.0, 2.96], [1.0, 3.77], [1.0, 4.39], [1.0, 4.92]]]
    """

    label: ClassVar[str] = "last value"
    summary: ClassVar[str] = "holds the last value; intervals of a random walk"

    def fit_window(self, history: Floats, season: int) -> Predictor:
        """σ from the one-step changes; see the class."""
        at = np.flatnonzero(~np.isnan(history))
        if not at.size:
            raise CannotFitError("no value observed")
        # One value has no change to learn from: a zero width would be a lie, but there is no honest number either.
        sigma = float(np.sqrt(np.mean(np.diff(history[at]) ** 2 / np.diff(at)))) if at.size > 1 else 0.0
        last, away = float(history[at[-1]]), len(history) - 1 - int(at[-1])

        def predict(horizon: int, levels: Floats) -> Floats:
            steps = np.arange(1, horizon + 1)
            return normal_quantiles(np.full(horizon, last), sigma * np.sqrt(steps + away), levels)

        return predict
