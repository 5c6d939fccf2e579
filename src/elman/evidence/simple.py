"""What a recurrent net over labelled sequences must be better than: the most frequent answer, a linear model on a
summary, a net without time, and a convolution over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, StandardScaler

from elman.data.inputs import Names, as_numbers, is_text
from elman.estimators.base import changed
from elman.estimators.sequences.base import SequenceEstimator
from elman.estimators.sequences.classifier import as_labels, check_classes

Array = np.ndarray


def baselines(estimator: SequenceEstimator, X: Sequence[Any], y: Any) -> dict[str, Any]:
    """Models to fit on the same data, by name, the simplest first."""
    if estimator.per_step:
        found: dict[str, Any] = {"most frequent label": FrequentLabel()}
    else:
        numbers = np.asarray(y).dtype.kind == "f" and not hasattr(estimator, "predict_proba")
        if not numbers:
            where = f"{type(estimator).__name__}.fit"
            check_classes(np.unique(as_labels(y, len(X), where)), where)
        guess = DummyRegressor() if numbers else DummyClassifier()
        linear = Ridge() if numbers else LogisticRegression(max_iter=1000)
        found = {"mean" if numbers else "majority": make_pipeline(_flat(), guess), "linear": _linear(X, linear)}
    for name, body in (("feed-forward", "feed-forward"), ("convolution (TCN)", "convolution")):
        found[name] = changed(estimator, body=body)
    return found


def _flat() -> FunctionTransformer:
    return FunctionTransformer(_nothing)


def _nothing(X: Sequence[Any]) -> Array:
    """Sequences as a column that says nothing of them."""
    return np.zeros((len(X), 1))


def _linear(X: Sequence[Any], model: Any) -> Any:
    if is_text(X):
        least = 2 if len(X) > 100 else 1
        words = CountVectorizer(analyzer=_grams, binary=True, min_df=least)  # pyright: ignore[reportArgumentType]
        return make_pipeline(words, MaxAbsScaler(), model)
    return make_pipeline(FunctionTransformer(summaries), StandardScaler(), model)


def _grams(sequence: Any) -> list[str]:
    """Words, and pairs of neighbours."""
    names = [name.lower() for name in _CUT.cut(sequence)]
    return names + [f"{a} {b}" for a, b in pairwise(names)]


def summaries(X: Sequence[Any]) -> Array:
    """What a sequence of numbers is like without its order, and a little of it: (N, 9 F).

    Of each feature mean, standard deviation, least, greatest, first, last, slope, mean absolute change, and length.
    """
    rows = []
    for a in as_numbers(X, None, "linear baseline"):
        a = np.nan_to_num(a - np.nanmean(a, 0, keepdims=True)) + np.nan_to_num(np.nanmean(a, 0, keepdims=True))
        t = np.linspace(-1, 1, len(a))[:, None]
        change = np.abs(np.diff(a, axis=0)).mean(0) if len(a) > 1 else np.zeros(a.shape[1])
        slope = (t * a).sum(0) / max((t**2).sum(), 1.0)
        length = np.full(a.shape[1], float(len(a)))
        rows.append(np.hstack([a.mean(0), a.std(0), a.min(0), a.max(0), a[0], a[-1], slope, change, length]))
    return np.array(rows)


class FrequentLabel(BaseEstimator):
    """For each name its most frequent label in training, for others the most frequent of all; of numbers the mean."""

    def fit(self, X: Sequence[Any], y: Any) -> FrequentLabel:
        """Counts."""
        every = np.concatenate([np.asarray(labels) for labels in y])
        self.numbers_ = every.dtype.kind == "f"
        self.rest_: Any = every.mean() if self.numbers_ else Counter(every.tolist()).most_common(1)[0][0]
        self.best_: Mapping[str, Any] = {}
        if is_text(X) and not self.numbers_:
            counts: dict[str, Counter[Any]] = {}
            for names, labels in zip(X, y, strict=True):
                for name, label in zip(names, np.asarray(labels).tolist(), strict=True):
                    counts.setdefault(str(name), Counter())[label] += 1
            self.best_ = {name: count.most_common(1)[0][0] for name, count in counts.items()}
        return self

    def predict(self, X: Sequence[Any]) -> list[Array]:
        """N arrays (T_i,)."""
        if not self.best_:
            return [np.full(len(x), self.rest_) for x in X]
        return [np.array([self.best_.get(str(name), self.rest_) for name in x]) for x in X]


_CUT = Names.fit([])
