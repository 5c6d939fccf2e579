"""Whether one forecast is better than another, or was only luckier: the paired Diebold–Mariano test."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import OptionError, ShapeError


@dataclass(frozen=True)
class PairedTest:
    """What a paired test found.

    difference: mean loss of a minus mean loss of b, in the loss's unit; negative = a is better.
    statistic:  Student's t under the hypothesis of equal forecasts; NaN when the test is impossible.
    p_value:    two-sided; NaN when the test is impossible (fewer than two observations).
    count:      how many observations the test stood on: series, cutoffs or steps, as `over` says.
    over:       "series", "cutoffs" or "steps".
    """

    difference: float
    statistic: float
    p_value: float
    count: int
    over: str = "steps"


def dm_test(loss_a: ArrayLike, loss_b: ArrayLike, horizon: int = 1) -> PairedTest:
    """Diebold–Mariano test with the correction of Harvey, Leybourne and Newbold, for one sequence in time order.

    d_t = a_t − b_t,  γ_k = Σ_{t>k} (d_t − d̄)(d_{t−k} − d̄) / n,  V = (γ_0 + 2·Σ_{k<h} γ_k) / n,
    statistic = d̄ / √V · √((n + 1 − 2h + h(h−1)/n) / n),  compared with Student's t of n − 1 degrees of freedom.

    loss_a, loss_b: (n,), any loss per forecast; a pair with a NaN is left out. horizon h (steps): forecasts h steps
    ahead that overlap are correlated to lag h − 1. The rectangular window can make V negative; Bartlett's weights
    1 − k/h (Newey & West 1987, doi:10.2307/1913610) then take its place, as they never do.
    Raises ShapeError for unequal lengths, OptionError for h < 1.
    Source: Diebold & Mariano 1995, doi:10.1080/07350015.1995.10524599; Harvey, Leybourne & Newbold 1997,
    doi:10.1016/S0169-2070(96)00719-4.

    >>> result = dm_test([2.0, 4.0, 3.0, 5.0], [1.0, 1.0, 1.0, 1.0])
    >>> round(result.difference, 2), round(result.statistic, 4), round(result.p_value, 4)
    (2.5, 3.873, 0.0305)
    """
    a, b = np.asarray(loss_a, dtype=float), np.asarray(loss_b, dtype=float)
    if a.ndim != 1 or a.shape != b.shape:
        raise ShapeError(
            f"dm_test: losses must be two vectors of one length, got {a.shape} and {b.shape}. Average over steps first."
        )
    if horizon < 1:
        raise OptionError(f"dm_test: horizon must be 1 or more, got {horizon}. Give the steps ahead of the forecasts.")
    d = (a - b)[~np.isnan(a - b)]
    n = len(d)
    if n < 2:
        return PairedTest(float(d.mean()) if n else float("nan"), float("nan"), float("nan"), n)
    mean = float(d.mean())
    variance = _long_run_variance(d - mean, min(horizon, n)) / n
    factor = max(0.0, (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    if not factor:  # the correction leaves nothing to test
        return PairedTest(mean, 0.0, 1.0, n)
    return t_test(mean, variance / factor, float(np.mean(d * d)), n - 1, n, "steps")


def t_test(mean: float, variance: float, square: float, freedom: float, count: int, over: str) -> PairedTest:
    """Student's t of a mean difference; square: the mean squared difference, beside which a variance may be none."""
    # Rounding leaves a variance of about 1e-32 · d² where d is constant: that is none.
    if variance <= 1e-24 * square:
        statistic = 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    else:
        statistic = mean / float(np.sqrt(variance))
    return PairedTest(mean, statistic, _two_sided(statistic, freedom), count, over)


def _long_run_variance(centred: NDArray[np.float64], horizon: int) -> float:
    n = len(centred)
    gamma = np.array([float(centred[k:] @ centred[: n - k]) / n for k in range(horizon)])
    rectangular = gamma[0] + 2.0 * gamma[1:].sum()
    if rectangular > 0 or horizon == 1:
        return float(rectangular)
    weights = 1.0 - np.arange(1, horizon) / horizon
    return float(gamma[0] + 2.0 * (weights @ gamma[1:]))


def _two_sided(statistic: float, freedom: float) -> float:
    from scipy.special import stdtr  # scipy.stats would cost 0.5 s to import

    return float(2.0 * stdtr(freedom, -abs(statistic)))


def paired_test(
    loss_a: ArrayLike, loss_b: ArrayLike, series: Sequence[Hashable] | None = None, overlap: int = 1
) -> PairedTest:
    """Diebold–Mariano test for a panel of windows: one mean loss per window, windows of one series in time order.

    Windows of one series are alike, so they don't count as independent. With S series and at most W windows each:

    - S ≥ W: the losses are averaged within each series and tested over the S averages, with h = 1, for which the
      corrected statistic *is* the paired t-test. This clusters by series: any correlation within one is allowed.
    - S < W: they are averaged over the series at each cutoff (the k-th window of each) and the W averages are tested
      in time order with h = `overlap`. This allows any correlation between series at one cutoff.

    loss_a, loss_b: (N,), scaled so that series can be averaged (MASE's terms are). series: (N,) names; None = every
    window a series of its own. overlap: how many consecutive windows share steps, ⌈H / step⌉; 1 = none do.
    In the first case series must not move together; where all do (one holiday hits all), p is too small.
    Source: `dm_test`'s, averaged over the panel as in Pesaran, Schuermann & Smith 2009, Int. J. Forecasting 25.

    >>> result = paired_test([1.0, 2.0, 3.0, 2.0, 2.0, 3.0], [2.0] * 6, series=list("aabbcc"))
    >>> result.over, result.count, round(result.p_value, 4)
    ('series', 3, 0.6667)
    """
    a, b = np.asarray(loss_a, dtype=float), np.asarray(loss_b, dtype=float)
    names = list(range(len(a))) if series is None else list(series)
    if a.ndim != 1 or a.shape != b.shape or len(names) != len(a):
        raise ShapeError(
            f"paired_test: losses and series must be three (N,), got {a.shape}, {b.shape} and ({len(names)},). "
            "Give one mean loss and one series name a window."
        )
    keep = ~np.isnan(a - b)
    group, over = units(names)
    means = [unit_means(x[keep], group[keep]) for x in (a, b)]
    found = dm_test(means[0], means[1], horizon=1 if over == "series" else overlap)
    return PairedTest(found.difference, found.statistic, found.p_value, found.count, over)


def units(series: Sequence[Hashable]) -> tuple[NDArray[np.int64], str]:
    """What counts as one observation among windows of several series: its number for each window, and what it is,
    "series" or "cutoffs", whichever there are more of."""
    place: dict[Hashable, int] = {}
    by_cutoff: list[int] = []
    for name in series:
        by_cutoff.append(place.get(name, 0))
        place[name] = by_cutoff[-1] + 1
    order = {name: number for number, name in enumerate(place)}
    over_series = len(order) >= max(place.values(), default=0)
    numbers = [order[name] for name in series] if over_series else by_cutoff
    return np.asarray(numbers, dtype=np.int64), "series" if over_series else "cutoffs"


def unit_means(losses: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean loss of each unit that has one; group: of each window, (N,)."""
    return np.array([losses[group == g].mean() for g in np.unique(group)])
