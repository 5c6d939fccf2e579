"""Every metric against a loop written from its definition, and its edge: zeros, gaps, constant histories."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elman.errors import OptionError, ShapeError
from elman.evidence import metrics

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
NAN = float("nan")


@pytest.fixture
def case():
    rng = np.random.default_rng(7)
    y = rng.normal(5, 3, (4, 6))
    y[0, 2] = y[3, 5] = NAN
    y[1, 1] = 0.0
    q = np.sort(rng.normal(5, 3, (4, 6, 5)), axis=2)
    histories = [rng.normal(5, 3, n) for n in (20, 9, 5, 40)]
    histories[0][4] = NAN
    return y, q, histories


def each(y):
    return [(n, h) for n in range(y.shape[0]) for h in range(y.shape[1]) if not math.isnan(y[n, h])]


def window_mean(y, term):
    means = []
    for n in range(y.shape[0]):
        terms = [t for h in range(y.shape[1]) if not math.isnan(y[n, h]) and (t := term(n, h)) is not None]
        means.append(sum(terms) / len(terms))
    return sum(means) / len(means)


def test_percentages_against_loops(case):
    y, q, _ = case
    f = q[..., 2]
    smape = window_mean(y, lambda n, h: 200 * abs(y[n, h] - f[n, h]) / (abs(y[n, h]) + abs(f[n, h])))
    mape = window_mean(y, lambda n, h: 100 * abs(y[n, h] - f[n, h]) / abs(y[n, h]) if y[n, h] else None)
    assert metrics.smape(y, f) == pytest.approx(smape)
    assert metrics.mape(y, f) == (pytest.approx(mape), 1)


def test_mase_against_loop(case):
    y, q, histories = case
    f, m = q[..., 2], 7

    def scale(x, lag):
        gaps = [abs(x[t] - x[t - lag]) for t in range(lag, len(x)) if not math.isnan(x[t] - x[t - lag])]
        return sum(gaps) / len(gaps)

    scales = [scale(x, m if len(x) > m else 1) for x in histories]
    expected = window_mean(y, lambda n, h: abs(y[n, h] - f[n, h]) / scales[n])
    assert metrics.mase(y, f, histories, m) == (pytest.approx(expected), 1, 0)


def test_quantile_loss_coverage_mae_rmse_against_loops(case):
    y, q, _ = case
    total = sum(abs(y[n, h]) for n, h in each(y))
    per_level = []
    for k, tau in enumerate(LEVELS):
        loss = sum((tau - (y[n, h] < q[n, h, k])) * (y[n, h] - q[n, h, k]) for n, h in each(y))
        per_level.append(2 * loss / total)
    assert metrics.wql(y, q, LEVELS) == pytest.approx(sum(per_level) / 5)
    inside = [q[n, h, 0] <= y[n, h] <= q[n, h, 4] for n, h in each(y)]
    assert metrics.coverage(y, q, LEVELS, 0.95) == pytest.approx(sum(inside) / len(inside))
    errors = [y[n, h] - q[n, h, 2] for n, h in each(y)]
    assert metrics.mae(y, q[..., 2]) == pytest.approx(sum(map(abs, errors)) / len(errors))
    assert metrics.rmse(y, q[..., 2]) == pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)))


def test_absolute_error_is_twice_the_median_pinball(case):
    y, q, _ = case
    windows = metrics.wql_windows(y, q[..., 2:3], (0.5,))
    assert windows == pytest.approx(np.nanmean(np.abs(y - q[..., 2]), axis=1))


def test_edges():
    assert metrics.smape([[0.0]], [[0.0]]) == 0.0
    assert metrics.smape([[0.0]], [[1.0]]) == 200.0
    assert math.isnan(metrics.smape([[NAN]], [[1.0]]))
    assert math.isnan(metrics.wql([[0.0]], [[[1.0]]], (0.5,)))
    assert math.isnan(metrics.wql([[1.0, 1.0]], [[[NAN], [1.0]]], (0.5,)))
    assert math.isnan(metrics.coverage([[1.0]], [[[1.0]]], (0.5,), 0.8))
    # A history that repeats its season exactly is scaled by its own one-step changes.
    assert metrics.naive_scale([1.0, 2.0, 1.0, 2.0], 2) == (1.0, 1)
    value, short, left_out = metrics.mase([[1.0]], [[1.0]], [[5.0, 5.0]], 1)
    assert math.isnan(value) and (short, left_out) == (0, 1)


def test_wrong_input_is_refused():
    with pytest.raises(ShapeError, match="must both be"):
        metrics.smape([[1.0, 2.0]], [[1.0]])
    with pytest.raises(ShapeError, match="Put windows first"):
        metrics.wql([[1.0]], [[[1.0, 2.0]]], (0.5,))
    with pytest.raises(OptionError, match=r"0\.5"):
        metrics.median([[[1.0]]], (0.1,))
    with pytest.raises(ShapeError, match="one a window"):
        metrics.mase([[1.0]], [[1.0]], [], 1)
