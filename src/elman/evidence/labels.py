"""The scoreboard of labels: classes or numbers, one for each sequence or for each of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.errors import DataError
from elman.evidence.measured import MeasuredBoard, ScoreRow, score_rows
from elman.evidence.significance import paired_test
from elman.evidence.spans import mark_spans, span_losses, span_scores

Array = np.ndarray


@dataclass(frozen=True)
class Measure:
    """A quantity over all targets, from truth, labels and of each the number of its sequence; `hint` for the reader."""

    of: Callable[[Array, Array, Array], float]
    hint: str
    higher: bool = True


def _f1(truth: Array, found: Array, _: Array) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, found, average="macro", zero_division=0.0))  # pyright: ignore[reportArgumentType]


def _r2(truth: Array, found: Array, _: Array) -> float:
    return float(1 - np.sum((truth - found) ** 2) / np.sum((truth - truth.mean(0)) ** 2))


CLASSES = {
    "accuracy": Measure(lambda t, f, _: float(np.mean(t == f)), "share of labels that are right"),
    "macro F1": Measure(_f1, "harmonic mean of precision and recall, the mean over classes, however rare"),
}
SPANS = {
    "span F1": Measure(lambda *labels: span_scores(*labels)[2], "harmonic mean of precision and recall of whole spans"),
    "precision": Measure(
        lambda *labels: span_scores(*labels)[0], "share of the spans said that are right, kind and ends"
    ),
    "recall": Measure(lambda *labels: span_scores(*labels)[1], "share of the true spans that are found"),
    **CLASSES,
}
NUMBERS = {
    "RMSE": Measure(
        lambda t, f, _: float(np.sqrt(np.mean((t - f) ** 2))), "root of the mean squared error", higher=False
    ),
    "MAE": Measure(lambda t, f, _: float(np.mean(np.abs(t - f))), "mean absolute error", higher=False),
    "R²": Measure(_r2, "share of the variance that is explained"),
}


@dataclass(frozen=True)
class Labelled:
    """What a model said of the test sequences, and how long it took.

    labels         of all sequences, (N,) or (N, K), or of all steps of all sequences one after another
    fit_seconds, predict_seconds   wall-clock
    """

    labels: Array
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0

    @classmethod
    def of(cls, found: Any, fit_seconds: float, predict_seconds: float) -> Labelled:
        """What a model predicted; labels of steps, a list of arrays, are joined."""
        labels = np.concatenate(found) if isinstance(found, list) else np.asarray(found)
        return cls(labels, fit_seconds, predict_seconds)


def joined(y: Any, *, steps: bool) -> tuple[Array, Array]:
    """Labels one after another, and of each the number of its sequence; steps: whether each step of y has one."""
    if not steps:
        return np.asarray(y), np.arange(len(y))
    return np.concatenate([np.asarray(v) for v in y]), np.repeat(np.arange(len(y)), [len(v) for v in y])


@dataclass(frozen=True)
class LabelBoard(MeasuredBoard):
    """All models' labels of the same test sequences, best first. Build it with `LabelBoard.build`.

    >>> truth = np.array([0, 1, 1, 0])
    >>> found = {"majority": Labelled(np.zeros(4, int)), "LSTM": Labelled(truth)}
    >>> board = LabelBoard.build(found, truth, network="LSTM")
    >>> [(row.model, row.scores["accuracy"]) for row in board.rows]
    [('LSTM', 1.0), ('majority', 0.5)]
    """

    rows: tuple[ScoreRow, ...]
    network: str
    error: str
    higher: bool
    sequences: int
    labels: int
    notes: tuple[str, ...] = field(default=())

    noun = " baseline"
    unit = "sequences"
    hints = {name: measure.hint for name, measure in {**SPANS, **NUMBERS}.items()}

    @classmethod
    def build(
        cls,
        found: Mapping[str, Labelled],
        truth: Array,
        *,
        network: str,
        sequence: Array | None = None,
        error: str | None = None,
        notes: Sequence[str] = (),
    ) -> LabelBoard:
        """Scores each model's labels against the truth; sequence: of each label the number of its sequence, (N,).

        The paired test stands on sequences: labels of one sequence are alike and do not count as independent. Of
        classes the loss is the share of wrong labels, of marks of spans (B-, I-, O) 1 - F1, of numbers the squared
        error. Raises `DataError` for labels of another shape.
        """
        measures, loss = judged_by(truth, steps=sequence is not None)
        error = error or next(iter(measures))
        for name, labelled in found.items():
            if labelled.labels.shape != truth.shape:
                raise DataError(f"LabelBoard({name}): labels must be {truth.shape}, got {labelled.labels.shape}.")
        group = np.arange(len(truth)) if sequence is None else sequence
        losses = {name: loss(truth, labelled.labels, group) for name, labelled in found.items()}
        higher = measures[error].higher
        rows = score_rows(
            found,
            network,
            lambda name: {measure: m.of(truth, found[name].labels, group) for measure, m in measures.items()},
            lambda name: paired_test(losses[network], losses[name]),
            error,
            higher=higher,
        )
        return cls(rows, network, error, higher, len(np.unique(group)), len(truth), tuple(notes))

    def scope(self) -> str:
        """How many were judged."""
        steps = f", {self.labels} labels" if self.labels != self.sequences else ""
        return f"{self.sequences} test sequences{steps}. Paired t-test over sequences."


def judged_by(truth: Array, *, steps: bool) -> tuple[Mapping[str, Measure], Callable[[Array, Array, Array], Array]]:
    """Measures, the one that decides first, and the loss of each sequence."""
    if truth.dtype.kind == "f":
        return NUMBERS, _losses
    return (SPANS, span_losses) if steps and mark_spans(truth) else (CLASSES, _losses)


def _losses(truth: Array, found: Array, group: Array) -> Array:
    """The mean loss of each sequence."""
    each = (truth - found) ** 2 if truth.dtype.kind == "f" else (truth != found).astype(float)
    each = each.reshape(len(each), -1).mean(1)
    _, place = np.unique(group, return_inverse=True)
    return np.bincount(place, each) / np.bincount(place)
