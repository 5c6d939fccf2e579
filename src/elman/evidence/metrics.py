"""Errors of point and quantile forecasts: for the table (one number) and for the paired test (one number a window).

Shapes everywhere: truth `y` (N, H), with NaN where nothing was observed; point forecast `f` (N, H); quantile forecast
`q` (N, H, Q) at `levels` (Q,). N windows (one series at one cutoff), H steps ahead. A missing truth scores nothing;
a window without any truth is NaN in the per-window forms and is left out of the means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import OptionError, ShapeError

Floats = NDArray[np.float64]


def _pair(where: str, y: ArrayLike, f: ArrayLike) -> tuple[Floats, Floats]:
    truth, point = np.atleast_2d(np.asarray(y, dtype=float)), np.atleast_2d(np.asarray(f, dtype=float))
    if truth.ndim != 2 or truth.shape != point.shape:
        raise ShapeError(
            f"{where}: y and f must both be (N, H), got {truth.shape} and {point.shape}. "
            "Take one quantile of q first: median(q, levels)."
        )
    return truth, point


def _quantiles(where: str, y: ArrayLike, q: ArrayLike, levels: Sequence[float]) -> tuple[Floats, Floats, Floats]:
    truth, forecast, tau = np.atleast_2d(np.asarray(y, float)), np.asarray(q, float), np.asarray(levels, float)
    if forecast.ndim == 2 and truth.shape[0] == 1:
        forecast = forecast[None]
    if forecast.shape != (*truth.shape, len(tau)):
        raise ShapeError(
            f"{where}: q must be (N, H, Q) = {(*truth.shape, len(tau))}, got {forecast.shape}. "
            "Put windows first, steps second, levels last."
        )
    return truth, forecast, tau


def _mean(values: Floats, axis: int | None = None) -> Floats:
    """Mean of what is not NaN; NaN, without NumPy's warning, where there is nothing."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=axis)
    total = np.where(seen, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def level_index(levels: Sequence[float], level: float) -> int | None:
    """Where `level` stands among `levels`, or None.

    >>> level_index((0.1, 0.5, 0.9), 0.5), level_index((0.1, 0.5, 0.9), 0.975)
    (1, None)
    """
    near = np.flatnonzero(np.isclose(np.asarray(levels, dtype=float), level, atol=1e-9))
    return int(near[0]) if near.size else None


def median(q: ArrayLike, levels: Sequence[float]) -> Floats:
    """The point forecast, f = q at level 0.5: the point that the absolute error rewards.  (N, H, Q) → (N, H)

    Raises OptionError when 0.5 is not among the levels.

    >>> median([[[1.0, 2.0, 3.0]]], (0.1, 0.5, 0.9)).tolist()
    [[2.0]]
    """
    at = level_index(levels, 0.5)
    if at is None:
        raise OptionError(f"median: levels must contain 0.5, got {tuple(levels)}. Forecast the level 0.5 as well.")
    return np.asarray(q, dtype=float)[..., at]


def mae(y: ArrayLike, f: ArrayLike) -> float:
    """Mean absolute error, mean |y − f| over every observed step.  Unit: the series' own.

    >>> mae([[1.0, 2.0, float("nan")]], [[2.0, 4.0, 9.0]])
    1.5
    """
    truth, point = _pair("mae", y, f)
    return float(_mean(np.abs(truth - point)))


def rmse(y: ArrayLike, f: ArrayLike) -> float:
    """Root mean squared error, √mean (y − f)² over every observed step.  Unit: the series' own.

    >>> round(rmse([[0.0, 0.0]], [[3.0, 4.0]]), 4)
    3.5355
    """
    truth, point = _pair("rmse", y, f)
    return float(np.sqrt(_mean((truth - point) ** 2)))


def smape_windows(y: ArrayLike, f: ArrayLike) -> Floats:
    """The sMAPE of each window.  (N, H), (N, H) → (N,), in percent, 0 … 200; see `smape`.

    >>> smape_windows([[100.0], [0.0]], [[50.0], [0.0]]).round(3).tolist()
    [66.667, 0.0]
    """
    truth, point = _pair("smape", y, f)
    size = np.abs(truth) + np.abs(point)
    # 0/0 is a perfect forecast of nothing: it counts as no error. NaN > 0 is False, so NaN passes through by `size`.
    terms = np.divide(200.0 * np.abs(truth - point), size, out=np.where(size == 0, 0.0, np.nan), where=size > 0)
    return _mean(terms, axis=1)


def smape(y: ArrayLike, f: ArrayLike) -> float:
    """Symmetric mean absolute percentage error, mean over windows of mean_h 200·|y − f| / (|y| + |f|).

    In percent, 0 … 200; 0/0 counts 0. Source: the M4 competition's definition (Makridakis, Spiliotis &
    Assimakopoulos 2020, doi:10.1016/j.ijforecast.2019.04.014).

    >>> round(smape([[100.0, 100.0]], [[110.0, 90.0]]), 4)
    10.0251
    """
    return float(_mean(smape_windows(y, f)))


def mape_windows(y: ArrayLike, f: ArrayLike) -> tuple[Floats, int]:
    """The MAPE of each window (N,), in percent, and how many terms with y = 0 were left out; see `mape`.

    >>> mape_windows([[0.0, 4.0]], [[1.0, 5.0]])
    (array([25.]), 1)
    """
    truth, point = _pair("mape", y, f)
    zero = truth == 0
    terms = np.divide(100.0 * np.abs(truth - point), np.abs(truth), out=np.full(truth.shape, np.nan), where=~zero)
    return _mean(terms, axis=1), int(zero.sum())


def mape(y: ArrayLike, f: ArrayLike) -> tuple[float, int]:
    """Mean absolute percentage error, mean over windows of mean_h 100·|y − f| / |y|, and how many terms it left out.

    In percent. A term with y = 0 is infinite whatever the forecast, so it is left out and counted: read the count
    before the percentage. Source: Hyndman & Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001.

    >>> mape([[2.0, 0.0]], [[1.0, 7.0]])
    (50.0, 1)
    """
    windows, left_out = mape_windows(y, f)
    return float(_mean(windows)), left_out


def naive_scale(history: ArrayLike, season: int) -> tuple[float, int]:
    """In-sample error of the seasonal naive forecast, mean |x_t − x_{t−m}| over observed pairs, and the m it used.

    A history too short for m, or one that repeats itself exactly, has no such error: m = 1 is tried next, then the
    scale is NaN and m is 0. Unit: the series' own.

    >>> naive_scale([1.0, 2.0, 3.0, 5.0], 2)
    (2.5, 2)
    >>> naive_scale([1.0, 2.0], 12), naive_scale([3.0, 3.0], 1)
    ((1.0, 1), (nan, 0))
    """
    x = np.asarray(history, dtype=float)
    for lag in dict.fromkeys((season, 1)):
        if len(x) > lag:
            scale = float(_mean(np.abs(x[lag:] - x[:-lag])))
            if scale > 0:
                return scale, lag
    return float("nan"), 0


def mase_windows(y: ArrayLike, f: ArrayLike, histories: Sequence[ArrayLike], season: int) -> Floats:
    """The MASE of each window (N,), NaN where its history gives no scale; see `mase`.

    >>> mase_windows([[5.0], [5.0]], [[3.0], [3.0]], [[1.0, 2.0], [1.0, 1.0]], 1).tolist()
    [2.0, nan]
    """
    truth, point = _pair("mase", y, f)
    if len(histories) != len(truth):
        raise ShapeError(
            f"mase: histories must be one a window, {len(truth)}, got {len(histories)}. Repeat a series per cutoff."
        )
    scale = np.array([naive_scale(history, season)[0] for history in histories])
    return _mean(np.abs(truth - point), axis=1) / scale


def mase(y: ArrayLike, f: ArrayLike, histories: Sequence[ArrayLike], season: int) -> tuple[float, int, int]:
    """Mean absolute scaled error, mean over windows of mean_h |y − f| / mean_t |x_t − x_{t−m}|.

    Returns (MASE, windows scaled with m = 1 instead of m, windows left out for want of any scale). No unit; below 1 =
    better than the seasonal naive forecast was within the history x. See `naive_scale` for the fallback.
    Source: Hyndman & Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001, seasonal as in M4.

    >>> mase([[5.0], [5.0]], [[3.0], [3.0]], [[1.0, 2.0], [1.0, 1.0]], 7)
    (2.0, 1, 1)
    """
    windows = mase_windows(y, f, histories, season)
    used = [naive_scale(history, season)[1] for history in histories]
    return float(_mean(windows)), sum(lag == 1 != season for lag in used), used.count(0)


def pinball(y: ArrayLike, q: ArrayLike, levels: Sequence[float]) -> Floats:
    """Quantile loss of every step and level, ρ_τ(y, q) = max(τ·(y − q), (τ − 1)·(y − q)).  → (N, H, Q), series' unit.

    Source: Koenker & Bassett 1978, doi:10.2307/1913643.

    >>> pinball([[10.0]], [[[8.0, 12.0]]], (0.1, 0.9)).round(2).tolist()
    [[[0.2, 0.2]]]
    """
    truth, forecast, tau = _quantiles("pinball", y, q, levels)
    gap = truth[..., None] - forecast
    return np.maximum(tau * gap, (tau - 1.0) * gap)


def wql_windows(y: ArrayLike, q: ArrayLike, levels: Sequence[float]) -> Floats:
    """Quantile loss of each window, mean over its steps and levels of 2·ρ_τ: (N,), in the series' unit, undivided.

    >>> wql_windows([[10.0]], [[[8.0, 12.0]]], (0.1, 0.9)).round(2).tolist()
    [0.4]
    """
    return 2.0 * _mean(pinball(y, q, levels).mean(axis=2), axis=1)


def wql(y: ArrayLike, q: ArrayLike, levels: Sequence[float]) -> float:
    """Weighted quantile loss, mean over levels τ of 2·Σ ρ_τ(y, q) / Σ |y|, the sums over windows and steps.

    No unit; 0 is perfect; NaN when every truth is 0. Source: GluonTS (Alexandrov et al. 2020, arXiv:1906.05264),
    `mean_weighted_quantile_loss`.

    >>> round(wql([[10.0, 30.0]], [[[8.0, 12.0], [30.0, 30.0]]], (0.1, 0.9)), 3)
    0.01
    """
    truth = np.atleast_2d(np.asarray(y, dtype=float))
    weight = np.nansum(np.abs(truth))
    loss = np.nansum(pinball(y, q, levels), axis=(0, 1)).mean()
    # A forecast that is NaN where there is a truth must not pass for a good one.
    broken = np.isnan(np.asarray(q, dtype=float)).any() and np.isnan(pinball(y, q, levels)[~np.isnan(truth)]).any()
    return float(2.0 * loss / weight) if weight > 0 and not broken else float("nan")


def coverage(y: ArrayLike, q: ArrayLike, levels: Sequence[float], interval: float) -> float:
    """Share of observed truths inside the central interval: mean 1[q_lo ≤ y ≤ q_hi], lo, hi = (1 ∓ interval) / 2.

    A fraction; an honest 80 % interval has 0.8. NaN when the two levels are not among `levels`.
    Source: Gneiting, Balabdaoui & Raftery 2007, doi:10.1111/j.1467-9868.2007.00587.x.

    >>> coverage([[1.0, 5.0, float("nan")]], [[[0.0, 2.0]] * 3], (0.1, 0.9), 0.8)
    0.5
    """
    truth, forecast, _ = _quantiles("coverage", y, q, levels)
    low, high = level_index(levels, (1 - interval) / 2), level_index(levels, (1 + interval) / 2)
    if low is None or high is None:
        return float("nan")
    inside = (forecast[..., low] <= truth) & (truth <= forecast[..., high])
    return float(_mean(np.where(np.isnan(truth), np.nan, inside)))
