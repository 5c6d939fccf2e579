"""What a detector of anomalies must be better than: simple expectations of the next value, and a forest of windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray


class Expectation(ABC):
    """A simple expectation of each value; the surprise is the squared error in units of its mean on training data.

    z (T, F) is standardised by the training data, NaN where missing.
    """

    def fit(self, X: Sequence[Array]) -> Expectation:
        """Learns from arrays (T_i, F) of normal data."""
        every = np.concatenate(X)
        self.mean_, spread = np.nanmean(every, 0), np.nanstd(every, 0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        z = self._standardise(X)
        self._learn(z)
        errors = np.concatenate([(one - self._expect(one)) ** 2 for one in z])
        self.usual_ = np.maximum(np.nanmean(errors, 0), 1e-12)
        return self

    def surprise(self, X: Sequence[Array]) -> list[Array]:
        """Of each step, N arrays (T_i,); NaN where nothing was measured."""
        found = []
        for z in self._standardise(X):
            error = (z - self._expect(z)) ** 2 / self.usual_
            there = np.isfinite(error)
            count = there.sum(1)
            found.append(np.where(count, np.where(there, error, 0.0).sum(1) / np.maximum(count, 1), np.nan))
        return found

    def _standardise(self, X: Sequence[Array]) -> list[Array]:
        return [(a - self.mean_) / self.scale_ for a in X]

    def _learn(self, z: Sequence[Array]) -> None:
        """Learns what `_expect` needs."""
        return

    @abstractmethod
    def _expect(self, z: Array) -> Array:
        """What is expected at each step, (T, F), from the steps before it."""


class Mean(Expectation):
    """The training mean: the surprise is the squared z-score."""

    def _expect(self, z: Array) -> Array:
        return np.zeros_like(z)


class LastValue(Expectation):
    """The value before; the mean before the first and after a missing one."""

    def _expect(self, z: Array) -> Array:
        return np.vstack([np.zeros((1, z.shape[1])), np.nan_to_num(z[:-1])])


class MovingAverage(Expectation):
    """The exponentially weighted average of the values before, with the weight that errs least in training.

    m_t = (1 - a) m_{t-1} + a z_t
    """

    WEIGHTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)

    def _learn(self, z: Sequence[Array]) -> None:
        def error(weight: float) -> float:
            self.weight_ = weight
            return sum(float(np.nansum((one - self._expect(one)) ** 2)) for one in z)

        self.weight_ = min(self.WEIGHTS, key=error)

    def _expect(self, z: Array) -> Array:
        from scipy.signal import lfilter

        average = np.asarray(lfilter([self.weight_], [1, self.weight_ - 1], np.nan_to_num(z), axis=0))
        return np.vstack([np.zeros((1, z.shape[1])), average[:-1]])


class Autoregression(Expectation):
    """A linear function of all features at the steps before, by ridge regression: as many steps as the net's own."""

    def __init__(self, lags: int) -> None:
        self.lags = lags

    def _learn(self, z: Sequence[Array]) -> None:
        size = z[0].shape[1] * self.lags
        gram, moment = np.eye(size), np.zeros((size, z[0].shape[1]))
        for one in z:
            past, y = self._past(one), np.nan_to_num(one)
            gram += past.T @ past
            moment += past.T @ y
        self.weights_ = np.linalg.solve(gram, moment)

    def _expect(self, z: Array) -> Array:
        return self._past(z) @ self.weights_

    def _past(self, z: Array) -> Array:
        padded = np.vstack([np.zeros((self.lags, z.shape[1])), np.nan_to_num(z)])[:-1]
        return sliding_window_view(padded, self.lags, 0).reshape(len(z), -1)


class Forest:
    """An isolation forest of what the last steps are like: mean, spread, least, greatest, last value, mean change.

    Source: Liu, Ting & Zhou 2008, doi:10.1109/ICDM.2008.17.
    """

    STEPS = 32
    MOST = 10_000  # windows to learn from: trees look at 256 of them each

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Sequence[Array]) -> Forest:
        """Learns from arrays (T_i, F) of normal data."""
        from sklearn.ensemble import IsolationForest

        self.mean_ = np.nanmean(np.concatenate(X), 0)
        features = np.concatenate([self._features(a) for a in X])
        chosen = np.random.default_rng(self.seed).permutation(len(features))[: self.MOST]
        self.forest_: Any = IsolationForest(random_state=self.seed).fit(features[np.sort(chosen)])
        return self

    def surprise(self, X: Sequence[Array]) -> list[Array]:
        """How few cuts set each step's window apart, N arrays (T_i,)."""
        features = [self._features(a) for a in X]
        scores = -self.forest_.score_samples(np.concatenate(features))
        return np.split(scores, np.cumsum([len(f) for f in features])[:-1])

    def _features(self, a: Array) -> Array:
        filled = np.where(np.isfinite(a), a, self.mean_)
        padded = np.vstack([np.repeat(filled[:1], self.STEPS - 1, 0), filled])
        w = sliding_window_view(padded, self.STEPS, 0)
        change = np.abs(np.diff(w, axis=-1)).mean(-1)
        return np.hstack([w.mean(-1), w.std(-1), w.min(-1), w.max(-1), w[..., -1], change])


def anomaly_baselines(lags: int, seed: int) -> dict[str, Any]:
    """Models to fit on the same normal data, by name, the simplest first."""
    return {
        "z-score": Mean(),
        "last value": LastValue(),
        "moving average (EWMA)": MovingAverage(),
        "linear autoregression": Autoregression(lags),
        "isolation forest": Forest(seed),
    }
