"""The test of many differences: against other formulas, at its nominal level, and with power."""

from __future__ import annotations

import numpy as np
import pytest

from elman.errors import ShapeError
from elman.evidence.compare.crossed import Pairs, crossed_test, holm
from elman.evidence.significance import paired_test

ALPHA = 0.05


def test_of_models_that_draw_nothing_it_is_the_paired_t_test():
    a, b = np.random.default_rng(0).random((2, 40))
    crossed, paired = crossed_test(a[None], b[None]), paired_test(a, b)
    assert crossed.p_value == pytest.approx(paired.p_value, rel=1e-12)
    assert crossed.difference == pytest.approx(paired.difference)


def test_of_very_many_examples_it_is_welchs_test_over_seeds():
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(0)
    starts = rng.normal(size=(2, 4, 1))
    a, b = np.broadcast_to(starts, (2, 4, 100_000)) + np.array([0.0, 1.0])[:, None, None]
    p: float = ttest_ind(a[:, 0], b[:, 0], equal_var=False).pvalue  # pyright: ignore
    assert crossed_test(a, b).p_value == pytest.approx(p, rel=1e-6)


def test_holm_is_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).random(20) ** 3
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert holm([]) == []


@pytest.mark.parametrize("starts", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_where_no_model_is_better_one_is_found_no_more_often_than_the_level_says(starts, seeds):
    """Six models, equally good on the whole; starts: the spread of a start beside that of an example's own loss."""
    if seeds == 1 and starts:
        pytest.skip("of one start nothing tells the spread: a comparison of one seed says so")
    rng, runs, false = np.random.default_rng(1), 400, 0
    for _ in range(runs):
        examples = rng.normal(size=30)
        losses = {
            str(k): examples + rng.normal(size=(seeds, 30)) + starts / np.sqrt(30) * rng.normal(size=(seeds, 1))
            for k in range(6)
        }
        pairs = Pairs.test(losses)
        false += any(pairs.beats(a, b, ALPHA) for a in losses for b in losses)
    assert false / runs <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs)


def test_what_is_better_is_found():
    rng, found = np.random.default_rng(2), 0
    for _ in range(50):
        examples = rng.normal(size=100)
        losses = {str(k): examples + rng.normal(size=(3, 100)) + (0.7 if k else 0.0) for k in range(5)}
        pairs = Pairs.test(losses)
        found += all(pairs.beats("0", str(k), ALPHA) for k in range(1, 5))
        assert not any(pairs.beats(str(k), "0", ALPHA) for k in range(1, 5))
    assert found >= 45


def test_other_examples_are_refused():
    with pytest.raises(ShapeError, match=r"losses must be \(S, N\)"):
        crossed_test(np.zeros((2, 3)), np.zeros((2, 4)))
