"""The filters and window nets that recurrent nets are held against: each by brute force, streamed as read at once."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from rivals import KalmanReadout, MarkovFilter, WindowNet, convolved, followed, gains


def settled_gains(tracking):
    """Level and slope by the Kalman filter of a white acceleration of variance λ² and measurements of variance 1."""
    F, G = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[0.5], [1.0]])
    P = np.eye(2) * 100.0
    gain = np.zeros(2)
    for _ in range(5000):
        P = F @ P @ F.T + tracking**2 * G @ G.T
        gain = P[:, 0] / (P[0, 0] + 1.0)
        P = P - np.outer(gain, P[0])
    return gain


@pytest.mark.parametrize("tracking", (0.01, 0.1, 1.0, 3.0))
def test_gains_are_those_at_which_the_filter_settles(tracking):
    assert np.allclose(gains(tracking), settled_gains(tracking), rtol=1e-6)


def test_a_straight_line_is_followed():
    state = np.zeros((2, 1))
    for t in range(300):
        state = followed(state, np.array([3.0 + 0.5 * t]), gains(0.3))
    assert np.allclose(state[:, 0], (3.0 + 0.5 * 299, 0.5))


@pytest.mark.parametrize("per_step", (False, True))
def test_the_kalman_stream_is_predict(per_step):
    dice = np.random.default_rng(0)
    X = [dice.normal(size=(12, 3)).cumsum(0) for _ in range(30)]
    y = [(x[:, 0] > 0).astype(int) if per_step else int(x[-1, 0] > 0) for x in X]
    model = KalmanReadout(per_step=per_step).fit(X, y)
    for x in X[:5]:
        stream = model.stream()
        said = [int(stream.push(one)[0] > 0) for one in x]
        assert (said if per_step else said[-1:]) == np.atleast_1d(model.predict([x])[0]).tolist()
    right = np.mean(np.concatenate([np.atleast_1d(p == t) for p, t in zip(model.predict(X), y, strict=True)]))
    assert right > 0.9


def test_the_markov_filter_is_the_sum_over_all_paths():
    X = [["a", "b", "a"], ["b", "b", "c"], ["c", "a", "b"]] * 3
    y = [["N", "V", "N"], ["V", "V", "D"], ["D", "N", "V"]] * 3
    model = MarkovFilter().fit(X, y)
    sentence = ["a", "c", "b", "b"]
    stream, size = model.stream(), len(model.classes_)
    for t in range(1, len(sentence) + 1):
        p = np.zeros(size)
        for path in product(range(size), repeat=t):
            weight = model.first_[path[0]]
            for step, k in enumerate(path):
                weight *= model.words_[sentence[step]][k] * (model.next_[path[step - 1], k] if step else 1.0)
            p[path[-1]] += weight
        assert np.allclose(stream.push(sentence[t - 1]), p / p.sum())
    assert list(model.predict([["a", "b"]])[0]) == ["N", "V"]


def test_windows_hold_the_last_steps():
    x = np.arange(10.0).reshape(5, 2)
    (windows,) = WindowNet(3)._windows([x])
    for t in range(5):
        seen = np.array([x[max(0, t - 2 + k)] for k in range(3)])  # (3, 2), before the first is the first
        assert np.array_equal(windows[t].reshape(2, 3), seen.T)


def test_words_are_told_by_those_before():
    X = [["to", "run"], ["the", "run"]] * 300
    model = WindowNet(2).fit(X, [["P", "V"], ["D", "N"]] * 300)
    assert [labels.tolist() for labels in model.predict([["to", "run"], ["the", "run"]])] == [["P", "V"], ["D", "N"]]


def test_a_convolution_forecasts_what_comes_round():
    y = np.tile([4.0, 5, 6, 9, 6, 5, 3], 12)
    levels = (0.1, 0.5, 0.9)
    _, said = convolved([y[:70], y[:77]], ["a", "a"], 7, levels, max_steps=150, hidden_size=16, dropout=0.0)
    assert said.quantiles.shape == (2, 7, 3) and (np.diff(said.quantiles, axis=2) >= 0).all()
    assert np.abs(said.quantiles[..., 1] - y[:7]).mean() < 1.0  # the mean's error is 1.4
