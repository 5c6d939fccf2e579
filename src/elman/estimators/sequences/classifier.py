"""`SequenceClassifier`: one class for each sequence."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from torch import Tensor, nn

from elman.errors import DataError, OptionError
from elman.estimators.losses import ClassLoss
from elman.estimators.sequences.base import SequenceEstimator
from elman.steps.parts import Probabilities


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceClassifier(ClassifierMixin, SequenceEstimator):
    """One class for each sequence: cross-entropy of a recurrent net's pooled outputs.

    class_weight  None; "balanced": each class counts the same however rare; or a dict of class → weight

    label_smoothing   share of a target that is spread over all classes, so that the net is never quite sure

    classes_      the classes, sorted

    X and the other arguments are those of `SequenceEstimator`. Raises `DataError`, `OptionError`, `DivergenceError`.

    >>> texts = ["good fun", "what a bore", "fun and good", "a bore"] * 5
    >>> model = SequenceClassifier(hidden_size=8, max_steps=60).fit(texts, [1, 0, 1, 0] * 5)
    >>> model.predict(["good", "bore"]).tolist()
    [1, 0]
    """

    class_weight: Any = None
    label_smoothing: float = 0.1
    noise: float | None = None

    classes_: np.ndarray = field(init=False)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each sequence, (N,)."""
        scores = torch.stack(self._raw(X, "predict"))
        return self.classes_[scores.argmax(1).numpy()]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (N, K), in the order of `classes_`."""
        return torch.softmax(torch.stack(self._raw(X, "predict_proba")).double(), 1).numpy()

    def partial_fit(self, X: Any, y: Any, classes: Sequence[Any] | None = None) -> SequenceClassifier:
        """Goes on with more data, once through (or `max_steps`); the first call is told all classes there will be."""
        if classes is not None and not hasattr(self, "network_"):
            self.known_ = list(classes)
        return super().partial_fit(X, y)

    def attention(self, X: Any) -> list[np.ndarray]:
        """How much each step counted for the answer, N arrays (T_i,) that sum to 1; with pooling="attention"."""
        self._check_fitted()
        if self.pooling != "attention" or self.body != "recurrent":
            raise OptionError('SequenceClassifier.attention: only pooling="attention" has it. Train with that.')
        return [weights.numpy() for weights in self._raw(X, "attention", self.network_.attention)]

    def check(self) -> None:
        super().check()
        weight = self.class_weight
        if weight is not None and weight != "balanced" and not isinstance(weight, Mapping):
            raise OptionError(
                'SequenceClassifier: class_weight must be None, "balanced" or a dict of class → weight, '
                f"got {weight!r}."
            )

    def _read_targets(self, y: Any, encoded: Sequence[Tensor]) -> np.ndarray:
        return as_labels(y, len(encoded), self._at("fit"))

    def _learn_targets(self, values: np.ndarray) -> None:
        known = getattr(self, "known_", None)
        self.classes_ = np.unique(values if known is None else np.concatenate([values, np.asarray(known)]))
        check_classes(self.classes_, self._at("fit"))
        self.weights_ = self._weights(self._codes(values))

    def _weights(self, codes: np.ndarray) -> list[float] | None:
        if isinstance(self.class_weight, Mapping):
            return [float(self.class_weight.get(c, 1.0)) for c in self.classes_.tolist()]
        if self.class_weight is None:
            return None
        counts = np.bincount(codes, minlength=len(self.classes_))
        return (len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))).tolist()

    def _codes(self, values: np.ndarray) -> np.ndarray:
        odd = np.setdiff1d(values, self.classes_)
        if len(odd):
            raise DataError(
                f"{self._at('partial_fit')}: y has {odd.tolist()[0]!r}, not one of the classes of the first call. "
                "Name all classes there: classes=[…]."
            )
        return np.searchsorted(self.classes_, values)

    def _encode_targets(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(self._codes(values)).long()

    def _says(self) -> Probabilities:
        return Probabilities(self.classes_.tolist())

    def _outputs(self) -> int:
        return len(self.classes_)

    def _criterion(self) -> nn.Module:
        return ClassLoss(None if self.weights_ is None else torch.tensor(self.weights_), self.label_smoothing)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"classes": self.classes_.tolist(), "weights": self.weights_}

    def _restore_targets(self, state: Mapping[str, Any]) -> None:
        self.classes_, self.weights_ = np.array(state["classes"]), state["weights"]


def check_classes(classes: np.ndarray, where: str) -> None:
    """Raises `DataError` where there is nothing to be told apart."""
    if len(classes) < 2:
        raise DataError(
            f"{where}: y must have two classes or more, got only {classes.tolist()[0]!r}. "
            "Nothing can be learned from one class."
        )


def as_labels(y: Any, count: int, where: str) -> np.ndarray:
    """One label for each sequence, (N,); raises `DataError` for missing labels, too few or many, or fractions."""
    gaps = isinstance(y, (list, tuple)) and any(isinstance(v, float) and v != v for v in y)
    labels = np.asarray(y, dtype=object if gaps else None)  # beside texts, NaN would become one
    if labels.ndim == 2 and labels.shape[1] == 1:
        text = f"A column-vector y was passed when a 1d array was expected, {labels.shape}; write y.ravel()."
        warnings.warn(text, DataConversionWarning, stacklevel=4)
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise DataError(f"{where}: y must be one label for each of {count} sequences, got {labels.shape}.")
    if labels.dtype == object:
        missing = [i for i, v in enumerate(labels) if v is None or v != v]
        if missing:
            raise DataError(f"{where}: y must have no missing label, row {missing[0]} has none. Leave the row out.")
        labels = labels.astype(str) if not all(isinstance(v, (bool, np.bool_)) for v in labels) else labels.astype(bool)
    if labels.dtype.kind == "f":
        odd = np.flatnonzero(~np.isfinite(labels) | (labels != np.floor(labels)))
        if len(odd):
            raise DataError(
                f"{where}: y must be classes, got {labels[odd[0]]} in row {odd[0]}. "
                "Unknown label type: continuous. For numbers use SequenceRegressor."
            )
    return labels
