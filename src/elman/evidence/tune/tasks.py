"""What a trial does: trains one candidate on a part of the training data, and watches its loss on the rest."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.data import Panel
from elman.data.on_disk import CHARACTERS, Text, take
from elman.errors import DataError, OptionError
from elman.estimators import Forecaster, LanguageModel
from elman.estimators.base import Estimator
from elman.estimators.forecasting.plan import Plan
from elman.estimators.pairs import PairEstimator
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.label_study import Examples
from elman.training.history import History
from elman.training.progress import Silent

HELD = 0.25
"""share of the sequences that trials are validated on: more than training holds back, for many look at it"""
REVIEWS = 10
"""validations of a forecaster's trial, whose epochs are a mere convention"""
NEVER = 10**9
"""validations without progress: as many as there will never be"""

Report = Callable[[int, float, float], bool]
"""told a validation's number, from 1, its loss, and the share of the training that is done; True: give the trial up"""


class Pruned(Exception):  # noqa: N818 - no error: the search decided it
    """A trial was given up."""


class Watch(Silent):
    """Tells the search of each validation, and ends the training when the search says so.

    beat  called after each step; it may raise, too
    """

    def __init__(self, report: Report, beat: Callable[[], None] = lambda: None) -> None:
        self.report, self.beat, self.number, self.total = report, beat, 0, 1

    def begin(self, step: int, total: int) -> None:
        """Notes how long the training is."""
        self.total = total

    def step(self, step: int, epoch: int, loss: float, norm: float, items: int) -> None:
        """A sign of life."""
        self.beat()

    def record(self, record: dict[str, Any]) -> None:
        """Reports a validation; raises `Pruned`."""
        if record["val_loss"] is not None:
            self.number += 1
            if self.report(self.number, record["val_loss"], record["step"] / self.total):
                raise Pruned


class Task(ABC):
    """Data for trials of an estimator. A trial never sees anything but them.

    estimator   what is tuned; its own arguments are the first trial
    keeps_best  whether the estimator, trained for good, keeps its best weights by data that it holds back; if not, a
                trial's loss is that of its last weights, lest one be chosen for a moment that would pass
    """

    estimator: Any
    keeps_best: bool

    @abstractmethod
    def fit(self, model: Any, watch: Watch) -> None:
        """Trains a candidate."""

    @abstractmethod
    def parts(self) -> Iterable[Any]:
        """The data, for a fingerprint."""

    def loss(self, history: History) -> float:
        """What a trial is judged by."""
        losses = history.column("val_loss")
        return min(losses) if self.keeps_best else losses[-1]

    def fingerprint(self) -> str:
        """SHA-256 of the data; of a text on disk, of its length and its beginning."""
        digest = hashlib.sha256()
        for part in self.parts():
            digest.update(_bytes(part))
        return digest.hexdigest()


@dataclass
class LabelTask(Task):
    """Sequences with labels, cut into those to learn from and those to validate by."""

    estimator: PairEstimator
    X: Sequence[Any]
    y: Any
    X_held: Sequence[Any]
    y_held: Any
    keeps_best: bool

    @classmethod
    def split(cls, estimator: PairEstimator, X: Sequence[Any], y: Any, share: float = HELD) -> LabelTask:
        """A share of the sequences to validate by, of each class the same, and no class that is not learned.

        Raises `DataError` for fewer than 10 sequences.
        """
        if y is None:
            raise DataError("tune: y must be a target for each sequence, got None. Give the labels.")
        parts = Examples.split(X, y, share, 0)
        if isinstance(estimator, SequenceEstimator):
            parts = _without_unseen(parts)
        best = estimator.held_back(len(X)) > 0
        return cls(estimator, parts.X, parts.y, parts.X_test, parts.y_test, best)

    def fit(self, model: Any, watch: Watch) -> None:
        """Learns from the one part, validates by the other."""
        model.fit(self.X, self.y, X_validation=self.X_held, y_validation=self.y_held, progress=watch)

    def parts(self) -> Iterable[Any]:
        """Sequences and labels of both parts."""
        for values in (self.X, self.y, self.X_held, self.y_held):
            yield from (values[i] for i in range(len(values)))


@dataclass
class ForecastTask(Task):
    """Series whose last horizon validates."""

    estimator: Forecaster
    panel: Panel

    @property
    def keeps_best(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Only where early stopping was asked for, some of each series is held back."""
        return self.estimator.patience is not None

    def fit(self, model: Any, watch: Watch) -> None:
        """Learns from all but the last horizon of each series."""
        if model.patience is None:
            model.set_params(patience=NEVER)
        if model.validate_every is None:
            model.set_params(validate_every=max(1, Plan.make(model, self.panel).steps // REVIEWS))
        model.fit(self.panel, progress=watch)

    def parts(self) -> Iterable[Any]:
        """Names, times, values and covariates."""
        panel = self.panel
        yield from (panel.ids, *panel.times, *panel.y)
        for columns in (panel.past, panel.future):
            yield from (value for name in columns for value in (name, *columns[name]))
        yield from (value for name in panel.static for value in (name, panel.static[name]))


@dataclass
class TextTask(Task):
    """Texts of which the model holds some back, or which come with others to validate by."""

    estimator: LanguageModel
    texts: Sequence[Any]
    held: Sequence[Any] | None = None
    keeps_best = True

    def fit(self, model: Any, watch: Watch) -> None:
        """Learns the texts."""
        model.fit(list(self.texts), X_validation=self.held, progress=watch)

    def parts(self) -> Iterable[Any]:
        """All texts."""
        yield from (*self.texts, *(self.held or ()))


def make_task(estimator: Estimator, X: Any, y: Any = None) -> Task:
    """The task of an estimator and its training data; raises `OptionError` for an estimator that no search knows."""
    if isinstance(estimator, Forecaster):
        return ForecastTask(estimator, estimator.read(X))
    if isinstance(estimator, LanguageModel):
        if not estimator.validation:
            raise OptionError("tune(LanguageModel): validation must be above 0, for trials are compared by it.")
        return TextTask(estimator, [X] if isinstance(X, (str, Text)) else list(X))
    if isinstance(estimator, PairEstimator):
        return LabelTask.split(estimator, X, y)
    kind = type(estimator).__name__
    raise OptionError(f"tune: expected an estimator of labels, a Forecaster or a LanguageModel, got {kind}.")


def _without_unseen(parts: Examples) -> Examples:
    """Sequences with a label that stands in none of those to learn from are moved there: it could not be said."""
    labels = [np.unique(np.asarray(y)) for y in parts.y_test]
    if any(one.dtype.kind == "f" for one in labels):
        return parts
    known = np.unique(np.concatenate([np.asarray(y).reshape(-1) for y in parts.y]))
    odd = [not np.isin(one, known).all() for one in labels]
    if not any(odd):
        return parts
    moved, kept = (np.flatnonzero(np.array(odd) == of) for of in (True, False))
    X = [*take(parts.X, np.arange(len(parts.X))), *take(parts.X_test, moved)]
    y = [*parts.y, *take(parts.y_test, moved)]
    if isinstance(parts.y, np.ndarray):
        y = np.array(y, dtype=parts.y.dtype)
    return Examples(X, y, take(parts.X_test, kept), take(parts.y_test, kept))


def _bytes(part: Any) -> bytes:
    if isinstance(part, Text):
        return f"{len(part)} {part[:CHARACTERS]}".encode()
    if isinstance(part, str):
        return part.encode()
    array = np.asarray(part)
    return repr(array.tolist()).encode() if array.dtype.kind in "OU" else array.tobytes()
