"""What a recurrent net has to be better than, besides the scoreboard's baselines: filters with a state of their own,
and feed-forward nets that are shown a window at each step."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from elman.data.inputs import as_numbers
from elman.estimators import SequenceRegressor, SequenceTagger
from elman.evidence.baselines import Forecast
from elman.evidence.compare.entrants import count as weights_of
from elman.evidence.judging import timed

Array = np.ndarray


class KalmanReadout(BaseEstimator):
    """A Kalman filter follows level and slope of each feature; a linear model reads the answer from them::

        guess = level + slope,  level' = guess + α (x - guess),  slope' = slope + β (x - guess)

    α and β are the gains at which the filter of a local linear trend settles; they hang together by one number λ, the
    noise of the movement over that of the measurement, which is chosen by the squared errors of the guesses. Of a
    whole sequence the means of level and |slope| are read, too. The state is some numbers, and a step costs the same
    however long the sequence. Source: Kalata 1984, doi:10.1109/TAES.1984.310438.

    per_step  whether each step is labelled
    numbers   whether labels are numbers
    """

    TRIED = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

    def __init__(self, *, per_step: bool = False, numbers: bool = False) -> None:
        self.per_step, self.numbers = per_step, numbers

    def fit(self, X: Sequence[Any], y: Any) -> KalmanReadout:
        """Chooses λ, then fits what reads."""
        arrays = as_numbers(X, None, "KalmanReadout")
        every = np.concatenate(arrays)
        self.mean_, self.scale_ = every.mean(0), every.std(0) + 1e-9
        self.lambda_ = min(self.TRIED, key=lambda tried: self._misses(arrays, tried))
        self.gains_ = gains(self.lambda_)
        features = np.concatenate([self._features(a) for a in arrays])
        self.spread_ = features.mean(0), features.std(0) + 1e-9
        reads: Any = Ridge() if self.numbers else LogisticRegression(max_iter=500)
        self.reads_ = reads.fit(self._scaled(features), np.concatenate(y) if self.per_step else np.asarray(y))
        return self

    def predict(self, X: Sequence[Any]) -> Any:
        """One label of each sequence, (N,), or N arrays of one for each step."""
        arrays = as_numbers(X, None, "KalmanReadout")
        if self.per_step:
            return [self.reads_.predict(self._scaled(self._features(a))) for a in arrays]
        return self.reads_.predict(self._scaled(np.concatenate([self._features(a) for a in arrays])))

    def stream(self) -> KalmanStream:
        """Answers while a sequence comes."""
        return KalmanStream(self)

    def _misses(self, arrays: Sequence[Array], tried: float) -> float:
        self.gains_ = gains(tried)
        return sum(float(((self._standard(a)[1:] - self._path(a)[:-1].sum(1)) ** 2).sum()) for a in arrays)

    def _standard(self, a: Array) -> Array:
        return (a - self.mean_) / self.scale_

    def _path(self, a: Array) -> Array:
        """Level and slope after each step, (T, 2, F)."""
        z = self._standard(a)
        path, state = np.empty((len(z), 2, z.shape[1])), np.array([z[0], np.zeros_like(z[0])])
        for t, x in enumerate(z):
            path[t] = state = followed(state, x, self.gains_)
        return path

    def _features(self, a: Array) -> Array:
        path = self._path(a)
        if self.per_step:
            return path.reshape(len(path), -1)
        return np.concatenate([path[-1].ravel(), path[:, 0].mean(0), np.abs(path[:, 1]).mean(0)])[None]

    def _scaled(self, features: Array) -> Array:
        return (features - self.spread_[0]) / self.spread_[1]


class KalmanStream:
    """A `KalmanReadout` on one sequence that is still coming."""

    def __init__(self, model: KalmanReadout) -> None:
        self.model, self.steps = model, 0
        self.state = np.zeros((2, len(model.mean_)))
        self.sums = np.zeros_like(self.state)

    def push(self, x: Any) -> Array:
        """The numbers of each class, or the number, after one more step."""
        model = self.model
        z = model._standard(np.asarray(x, float))
        self.state = followed(self.state if self.steps else np.array([z, 0 * z]), z, model.gains_)
        self.steps += 1
        features = self.state.ravel()
        if not model.per_step:
            self.sums += (self.state[0], np.abs(self.state[1]))
            features = np.concatenate([features, (self.sums / self.steps).ravel()])
        return model.reads_.coef_ @ model._scaled(features) + model.reads_.intercept_


def gains(tracking: float) -> tuple[float, float]:
    """α and β of the tracking index λ.

    >>> [round(gain, 3) for gain in gains(1.0)]
    [0.75, 0.5]
    """
    root = (4 + tracking - np.sqrt(8 * tracking + tracking**2)) / 4
    alpha = 1 - root**2
    return float(alpha), float(2 * (2 - alpha) - 4 * np.sqrt(1 - alpha))


def followed(state: Array, x: Array, by: tuple[float, float]) -> Array:
    """Level and slope (2, F) after a step."""
    level, slope = state
    error = x - level - slope
    return np.array([level + slope + by[0] * error, slope + by[1] * error])


class MarkovFilter(BaseEstimator):
    """What the Kalman filter is for names: a hidden Markov model whose state is the label, filtered by Bayes' rule::

        p(label_t | words ≤ t) ∝ p(word_t | label_t) Σ p(label_t | label_{t-1}) p(label_{t-1} | words < t)

    Counts plus ½; an unknown word is told by its last three letters. Source: Rabiner 1989, doi:10.1109/5.18626.
    """

    def fit(self, X: Sequence[Any], y: Any) -> MarkovFilter:
        """Counts."""
        self.classes_ = np.unique(np.concatenate([np.asarray(labels) for labels in y]))
        place, size = {label: k for k, label in enumerate(self.classes_)}, len(self.classes_)
        self.first_, self.next_ = np.full(size, 0.5), np.full((size, size), 0.5)
        words: dict[str, Counter[int]] = {}
        for names, labels in zip(X, y, strict=True):
            codes = [place[label] for label in labels]
            self.first_[codes[0]] += 1
            np.add.at(self.next_, (codes[:-1], codes[1:]), 1)
            for name, code in zip(names, codes, strict=True):
                words.setdefault(name.lower(), Counter())[code] += 1
        every = sum(words.values(), Counter())
        self.every_ = np.array([every[k] for k in range(size)], float)
        self.words_ = {word: self._counted([count]) for word, count in words.items()}
        endings: dict[str, list[Counter[int]]] = {}
        for word, count in words.items():
            if count.total() < 3:  # rare words are what unknown ones are like
                endings.setdefault(word[-3:], []).append(count)
        self.endings_ = {ending: self._counted(counts) for ending, counts in endings.items()}
        self.first_ /= self.first_.sum()
        self.next_ /= self.next_.sum(1, keepdims=True)
        return self

    def _counted(self, counts: Sequence[Counter[int]]) -> Array:
        """p(word | label), up to a factor."""
        every = sum(counts, Counter())
        return np.array([every[k] + 0.01 for k in range(len(self.every_))]) / (self.every_ + 1)

    def predict(self, X: Sequence[Any]) -> list[Array]:
        """The most probable label at each step, given what came so far."""
        return [self.classes_[[int(p.argmax()) for p in map(self.stream().push, names)]] for names in X]

    def stream(self) -> MarkovStream:
        """Answers while a sentence comes."""
        return MarkovStream(self)


class MarkovStream:
    """A `MarkovFilter` on one sentence that is still coming."""

    def __init__(self, model: MarkovFilter) -> None:
        self.model, self.state = model, model.first_

    def push(self, name: str) -> Array:
        """The probabilities of the labels after one more word."""
        model, word = self.model, name.lower()
        likely = model.words_.get(word)
        if likely is None:
            likely = model.endings_.get(word[-3:], np.ones(len(model.classes_)))
        found = self.state * likely
        found /= found.sum()
        self.state = found @ model.next_
        return found


class WindowNet(BaseEstimator):
    """A feed-forward net that sees the last steps as one input at each step: numbers side by side, or words hashed.

    steps    that it sees
    options  of the `SequenceTagger` that is trained on numbers
    """

    def __init__(self, steps: int = 16, options: Any = None) -> None:
        self.steps, self.options = steps, options

    def fit(self, X: Sequence[Any], y: Any) -> WindowNet:
        """Trains."""
        self.words_ = isinstance(X[0][0], str)
        if not self.words_:
            options: dict[str, Any] = {**(self.options or {}), "body": "feed-forward"}
            self.model_: Any = SequenceTagger(**options)
            self.model_.fit(self._windows(X), y)
            return self
        settings: dict[str, Any] = {"max_iter": 6, "batch_size": 128, "random_state": 0}
        net = MLPClassifier((64,), **settings)
        self.model_ = make_pipeline(FeatureHasher(2**14, input_type="string", alternate_sign=False), net)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")  # six passes are enough
            self.model_.fit(self._words(X), np.concatenate([np.asarray(labels) for labels in y]))
        return self

    def predict(self, X: Sequence[Any]) -> list[Array]:
        """N arrays (T_i,)."""
        if not self.words_:
            return self.model_.predict(self._windows(X))
        found = self.model_.predict(self._words(X))
        return np.split(found, np.cumsum([len(x) for x in X])[:-1])

    def parameters(self) -> int:
        """How many numbers were learned."""
        if not self.words_:
            return weights_of(self.model_) or 0
        net = self.model_[-1]
        return sum(weight.size for weight in (*net.coefs_, *net.intercepts_))

    def _windows(self, X: Sequence[Any]) -> list[Array]:
        """Of each step the last steps side by side; before the first is the first."""
        padded = [np.vstack([np.repeat(x[:1], self.steps - 1, 0), x]) for x in map(np.asarray, X)]
        views = [np.lib.stride_tricks.sliding_window_view(a, self.steps, 0) for a in padded]
        return [view.reshape(len(view), -1) for view in views]

    def _words(self, X: Sequence[Any]) -> list[list[str]]:
        """Of each step the last words by place, and of the last one how it is spelt."""
        return [
            [f"{back}:{names[t - back].lower()}" for back in range(min(self.steps, t + 1))]
            + [f"-{n}:{names[t][-n:].lower()}" for n in (1, 2, 3)]
            + [f"A:{names[t][0].isupper()}", f"0:{any(map(str.isdigit, names[t]))}"]
            for names in X
            for t in range(len(names))
        ]


def convolved(
    histories: Sequence[Array], series: Sequence[object], horizon: int, levels: Sequence[float], **options: Any
) -> tuple[Any, Forecast]:
    """A temporal convolution's forecast of the same windows as the other methods': the model, and what it said.

    It reads four horizons, in units of their mean, and says the next one; it learns from each series' shortest history
    as the pooled baselines do. Quantiles are the median plus those of the errors in training.
    """
    context = 4 * horizon
    shortest: dict[object, Array] = {}
    for name, y in zip(series, histories, strict=True):
        shortest[name] = y if name not in shortest or len(y) < len(shortest[name]) else shortest[name]
    rows = [y[t : t + context + horizon] for y in shortest.values() for t in range(len(y) - context - horizon + 1)]
    learn, latest = np.array(rows), np.array([y[-context:] for y in histories])
    unit, now = (np.maximum(a[:, :context].mean(1, keepdims=True), 1e-9) for a in (learn, latest))
    X, y = learn[:, :context] / unit, learn[:, context:] / unit
    model = SequenceRegressor(body="convolution", bidirectional=False, **options)
    said, fit, predict = timed(model, X[..., None], y, (latest / now)[..., None])
    errors = np.quantile(y - model.predict(X[..., None]), levels, axis=0).T  # (H, Q)
    errors -= errors[:, [list(levels).index(0.5)]]
    return model, Forecast(np.maximum(said[..., None] + errors, 0) * now[..., None], fit, predict)
