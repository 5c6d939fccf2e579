"""What the two pooled baselines share: one model for all windows, its clock, and the windows that it can't serve."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable

import numpy as np

from elman.evidence.baselines.base import FAILURES, Baseline, Floats, Forecast, Task, fall_back, reason_of
from elman.evidence.baselines.lags import Lags, build_lags, choose_lags, latest_lags, training_histories

PooledPredictor = Callable[[Floats], Floats]
"""Normalised lags (N, L) → normalised quantiles (N, H, Q)."""


class PooledBaseline(Baseline):
    """A baseline learnt once from all series, at their first cutoffs: a subclass gives `fit_rows`."""

    @abstractmethod
    def fit_rows(self, rows: Lags, levels: Floats) -> PooledPredictor:
        """Learns the rows. Raises one of FAILURES when it can't."""

    def _forecast(self, task: Task) -> Forecast:
        begin = time.perf_counter()
        answer = Forecast(np.full((len(task.histories), task.horizon, len(task.levels)), np.nan))
        reasons: dict[int, str] = {}
        fitted = begin
        try:
            lags = choose_lags(training_histories(task), task.horizon, task.season)
            predictor = self.fit_rows(build_lags(task, lags), task.levels)
            fitted = time.perf_counter()
            x, centre, scale, short = latest_lags(task, lags)
            answer.quantiles = centre[:, :, None] + scale[:, :, None] * predictor(x)
            reasons = {number: f"shorter than {lags} lags ({len(task.histories[number])} steps)" for number in short}
            broken = np.flatnonzero(~np.isfinite(answer.quantiles).all(axis=(1, 2)))
            reasons |= {int(number): "the forecast isn't finite" for number in broken}
        except FAILURES as problem:
            reasons = dict.fromkeys(range(len(task.histories)), reason_of(problem))
        for number in reasons:
            answer.quantiles[number] = fall_back(task, number)
        answer.fallbacks = reasons
        answer.fit_seconds = fitted - begin
        answer.predict_seconds = time.perf_counter() - fitted
        return answer
