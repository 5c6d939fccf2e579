"""The value one season ago: the forecast to beat wherever there is a week or a year."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from elman.evidence.baselines.base import CannotFitError, Floats, LocalBaseline, Predictor, normal_quantiles


class SeasonalNaive(LocalBaseline):
    """Next Monday is as last Monday.

    ŷ_{T+h} = y_{T+h−m(k+1)},  k = ⌊(h−1)/m⌋,  σ_h = σ·√(k+1),  σ² = mean (y_t − y_{t−m})²

    Missing values: the nearest season in which the step was observed is taken, and each season further back adds σ²;
    a step of the season never observed takes the mean of the others, with their spread added.
    Needs m + 1 steps and one pair of observations m apart, else the last value replaces it.
    Source: Hyndman & Athanasopoulos 2021, Forecasting: principles and practice, §5.2 and §5.5.

    >>> SeasonalNaive().fit_predict([[1.0, 5.0, 2.0, 6.0]], 3, 2, (0.5, 0.975)).round(2).tolist()
    [[[2.0, 3.96], [6.0, 7.96], [2.0, 4.77]]]
    """

    label: ClassVar[str] = "seasonal naive"
    summary: ClassVar[str] = "repeats the last season; intervals from season-to-season changes"

    def fit_window(self, history: Floats, season: int) -> Predictor:
        """σ from the changes between seasons; see the class."""
        if len(history) <= season:
            raise CannotFitError(f"shorter than a season and a step ({len(history)} of {season + 1} steps)")
        change = history[season:] - history[:-season]
        change = change[~np.isnan(change)]
        if not change.size:
            raise CannotFitError("no two values observed a season apart")
        sigma = float(np.sqrt(np.mean(change**2)))
        value, age = _latest(history, season)
        never = np.isnan(value)
        mean, spread = float(np.nanmean(value)), float(np.nanstd(value))

        def predict(horizon: int, levels: Floats) -> Floats:
            step = np.arange(horizon)
            phase = step % season
            seasons = step // season + 1 + age[phase]
            centre = np.where(never, mean, value)[phase]
            extra = np.where(never, spread, 0.0)[phase]
            return normal_quantiles(centre, np.sqrt(sigma**2 * seasons + extra**2), levels)

        return predict


def _latest(history: Floats, season: int) -> tuple[Floats, Floats]:
    """For each of the m next steps: the last observed value of its phase (NaN: none) and how many seasons too old."""
    rows = -(-len(history) // season)
    table = np.full(rows * season, np.nan)
    table[rows * season - len(history) :] = history  # aligned at the end, so that row −1 is the last season
    newest_first = table.reshape(rows, season)[::-1]
    seen = ~np.isnan(newest_first)
    age = np.where(seen.any(axis=0), seen.argmax(axis=0), 0)
    return newest_first[age, np.arange(season)], age.astype(float)
