"""The paired test: a hand-computed example, known special cases, and its size and power by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from elman.errors import OptionError, ShapeError
from elman.evidence.significance import dm_test, paired_test


def test_by_hand_two_steps_ahead():
    # d = 1, 2, 0, 1, 1: mean 1; centred 0, 1, −1, 0, 0; γ0 = 2/5, γ1 = −1/5; V = (2/5 − 2/5)/5 = 0 with h = 2,
    # so Bartlett's weight 1/2: (2/5 − 1/5)/5 = 1/25; correction √((5 + 1 − 4 + 2/5)/5) = √0.48.
    result = dm_test([1.0, 2.0, 0.0, 1.0, 1.0], [0.0] * 5, horizon=2)
    assert result.statistic == pytest.approx(5 * math.sqrt(0.48))
    assert result.p_value == pytest.approx(2 * stats.t.sf(5 * math.sqrt(0.48), 4))
    # d = 1, 2, 3, 4, 2.5: centred −1.5, −.5, .5, 1.5, 0; γ0 = 1, γ1 = (.75 − .25 + .75 + 0)/5 = .25; V = 1.5/5.
    result = dm_test([1.0, 2.0, 3.0, 4.0, 2.5], [0.0] * 5, horizon=2)
    assert result.statistic == pytest.approx(2.5 / math.sqrt(0.3) * math.sqrt(0.48))


def test_one_step_is_the_paired_t_test():
    a, b = np.random.default_rng(1).exponential(size=(2, 12))
    oracle = stats.ttest_rel(a, b)
    result = dm_test(a, b)
    assert (result.statistic, result.p_value) == (pytest.approx(oracle.statistic), pytest.approx(oracle.pvalue))


def test_antisymmetric_and_missing_pairs_left_out():
    a, b = np.random.default_rng(2).exponential(size=(2, 30))
    forth, back = dm_test(a, b, 3), dm_test(b, a, 3)
    assert forth.statistic == pytest.approx(-back.statistic) and forth.p_value == pytest.approx(back.p_value)
    gappy = dm_test([*a, float("nan")], [*b, 1.0], 3)
    assert gappy == forth


def test_degenerate_cases():
    same = dm_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (same.statistic, same.p_value) == (0.0, 1.0)
    always = dm_test([2.1, 3.1, 4.1], [2.0, 3.0, 4.0])
    assert always.statistic == math.inf and always.p_value == 0.0
    assert math.isnan(dm_test([1.0], [2.0]).p_value) and math.isnan(dm_test([], []).difference)
    with pytest.raises(ShapeError):
        dm_test([1.0], [1.0, 2.0])
    with pytest.raises(OptionError):
        dm_test([1.0, 2.0], [1.0, 2.0], horizon=0)
    with pytest.raises(ShapeError):
        paired_test([1.0, 2.0], [1.0, 2.0], series=["a"])


@pytest.mark.parametrize("horizon", [1, 4])
def test_size_on_one_sequence(horizon):
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((1500, 120 + horizon))
    # Errors h steps ahead are moving averages of h shocks: correlated to lag h − 1, as the test assumes.
    d = sum(noise[:, k : k + 120] for k in range(horizon))
    rejected = np.mean([dm_test(row, np.zeros(120), horizon).p_value < 0.05 for row in d])
    assert 0.03 < rejected < 0.08


def test_size_of_the_panel_with_alike_windows():
    rng = np.random.default_rng(4)
    series = np.repeat(np.arange(10), 3)
    d = (rng.standard_normal((1500, 10)) * 2)[:, series] + rng.standard_normal((1500, 30))
    clustered = np.mean([paired_test(row, np.zeros(30), list(series)).p_value < 0.05 for row in d])
    naive = np.mean([dm_test(row, np.zeros(30)).p_value < 0.05 for row in d])
    assert 0.035 < clustered < 0.065
    assert naive > 0.15  # what the clustering is for


def test_few_series_are_tested_over_cutoffs():
    rng = np.random.default_rng(5)
    shocks = rng.standard_normal((1000, 20))
    d = np.concatenate([shocks + 0.3 * rng.standard_normal(shocks.shape) for _ in range(2)], axis=1)
    series = ["a"] * 20 + ["b"] * 20
    found = [paired_test(row, np.zeros(40), series) for row in d]
    assert {(result.over, result.count) for result in found} == {("cutoffs", 20)}
    assert 0.035 < np.mean([result.p_value < 0.05 for result in found]) < 0.065


def test_power():
    rng = np.random.default_rng(6)
    series = list(np.repeat(np.arange(12), 2))
    better = [paired_test(rng.normal(1, 1, 24), rng.normal(2.5, 1, 24), series).p_value < 0.05 for _ in range(200)]
    assert np.mean(better) > 0.95
