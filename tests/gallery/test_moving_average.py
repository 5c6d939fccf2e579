"""Small nets against scipy's filters, pandas' average and statsmodels' decay."""

from __future__ import annotations

import moving_average
import numpy as np
import pytest
import torch
from scipy import signal


@pytest.fixture(scope="module")
def numbers(made):
    return made(moving_average)[0].numbers


def test_a_leaky_unit_is_the_filter_and_the_average(numbers):
    for row in numbers["equality"]:
        assert row["largest difference to lfilter"] < 1e-14 and row["to pandas' ewm"] < 1e-14
        assert 0 <= row["horizon measured"] - row["horizon ln 0.01 / ln(1 - α)"] <= 1


def test_tanh_leaves_the_average_with_the_square_of_the_scale(numbers):
    off = list(numbers["bending"]["off"].values())
    assert numbers["bending"]["power"] == pytest.approx(2, abs=0.1)
    assert off == sorted(off) and off[0] < 1e-5 and off[-1] > 0.5


def test_gradients_find_the_decay_of_statsmodels(numbers):
    for row in numbers["learned"]:
        assert row["α, learned"] == pytest.approx(row["α, statsmodels"], abs=1e-4)
        assert row["EWMA"] < row["last value"]


def test_elmans_unit_is_what_its_equation_says():
    h, x = 0.0, np.random.default_rng(0).normal(size=20)
    said = moving_average.through(moving_average.two_weights(0.7, -0.4), x)
    for step, value in enumerate(x):
        h = np.tanh(0.7 * value - 0.4 * h)
        assert said[step] == pytest.approx(h, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 5, 7])
def test_any_filter_of_scipy(order):
    x = np.random.default_rng(order).normal(size=2000)
    b, a = signal.ellip(order, 1, 40, 0.35)
    net, direct = moving_average.as_filter(b, a)
    assert net.hidden_size == (order + 1) // 2
    np.testing.assert_allclose(moving_average.through(net, x) + direct * x, signal.lfilter(b, a, x), atol=1e-9)
    wrong, _ = moving_average.as_filter(b, a)
    with torch.no_grad():
        wrong.layers[0].p["nu"].add_(0.01)
    assert np.abs(moving_average.through(wrong, x) + direct * x - signal.lfilter(b, a, x)).max() > 1e-4


def test_a_filter_is_learned(numbers):
    assert numbers["learned filter"]["explained"] > 0.5
    assert max(row["largest difference to lfilter"] for row in numbers["filters"]) < 1e-11
