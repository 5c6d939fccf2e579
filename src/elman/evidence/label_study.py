"""A labelling job from examples to a judged run folder: split, training, baselines, scoreboard, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.inputs import Names
from elman.data.on_disk import take
from elman.errors import DataError
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.card import of_pairs
from elman.evidence.diagnose import diagnose
from elman.evidence.diagnose.picture import to_html
from elman.evidence.judging import cell_of, judged_run, timed
from elman.evidence.label_plots import attention_html, plot_confusion, plot_numbers, tagged_html
from elman.evidence.labels import LabelBoard, Labelled, joined
from elman.evidence.plots import to_svg
from elman.evidence.report import Report
from elman.evidence.simple import baselines

SHOWN = 6
"""examples in the report"""


@dataclass(frozen=True)
class Examples:
    """Sequences to learn from and sequences to judge by; how: the latter were chosen, in words."""

    X: Sequence[Any]
    y: Any
    X_test: Sequence[Any]
    y_test: Any
    how: str = "given apart"

    @classmethod
    def split(cls, X: Sequence[Any], y: Any, share: float, seed: int) -> Examples:
        """A random share of the sequences to judge by, of each class the same share where there are enough of it."""
        from sklearn.model_selection import train_test_split

        count = len(X)
        if count < 10:
            raise DataError(f"a study needs 10 sequences or more to learn and judge by, got {count}. Give --test FILE.")
        many = isinstance(y, list) and isinstance(y[0], (list, np.ndarray))  # labels of steps
        labels = None if many or np.asarray(y).dtype.kind == "f" else np.asarray(y)
        if labels is not None and np.unique(labels, return_counts=True)[1].min() < 2:
            labels = None
        try:
            learn, test = train_test_split(np.arange(count), test_size=share, random_state=seed, stratify=labels)
        except ValueError:  # fewer test sequences than classes
            learn, test = train_test_split(np.arange(count), test_size=share, random_state=seed)
        learn, test = np.sort(learn), np.sort(test)
        how = f"a random share of {share:g}, by seed {seed}" + ("" if labels is None else ", of each class the same")
        return cls(take(X, learn), take(y, learn), take(X, test), take(y, test), how)


@dataclass(frozen=True)
class JudgedLabels:
    """A fitted estimator beside its baselines, and what it said of the test sequences."""

    scoreboard: LabelBoard
    found: np.ndarray
    truth: np.ndarray


def judge_labels(
    estimator: SequenceEstimator,
    examples: Examples,
    *,
    rivals: Mapping[str, Any] | None = None,
    name: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    **training: Any,
) -> JudgedLabels:
    """Fits the estimator and every baseline on the same sequences and scores what they say of the test sequences.

    rivals  other models to be scored beside the baselines, by name
    name    what the scoreboard calls the estimator; None: by its cell
    """
    name = name or name_of(estimator)
    data = examples.X, examples.y, examples.X_test
    found: dict[str, Labelled] = {}
    others = {**baselines(estimator, examples.X, examples.y), **(rivals or {})}
    for other, model in others.items():
        say(f"{'Rival' if other in (rivals or {}) else 'Baseline'}: {other}.")
        found[other] = Labelled.of(*timed(model, *data))
    say(f"{name}: {len(examples.X)} sequences to learn from, {len(examples.X_test)} to judge by.")
    found[name] = Labelled.of(*timed(estimator, *data, **training))
    truth, group = joined(examples.y_test, steps=estimator.per_step)
    sequence, notes = group if estimator.per_step else None, _notes(estimator, truth)
    board = LabelBoard.build(found, truth, network=name, sequence=sequence, notes=notes)
    return JudgedLabels(board, found[name].labels, truth)


def label_study(
    estimator: SequenceEstimator,
    examples: Examples,
    folder: Path | str,
    *,
    title: str,
    **job: Any,
) -> JudgedLabels:
    """Judges an estimator and leaves a run folder with its model, scoreboard and report.

    The model that is kept is the one that was judged: it saw nothing of the test sequences.
    Raises what `fit` raises.

    job  `resume`, `progress` and `say` of `judged_run`
    """
    judge, report = partial(judge_labels, estimator, examples), partial(label_report, title, estimator, examples)
    return judged_run(estimator, folder, judge, report, **job)


def labels_frame(estimator: Any, X: Sequence[Any]) -> Any:
    """What an estimator says of sequences as a pandas table: one row for each, or for each step, with probabilities."""
    import pandas as pd

    if not estimator.per_step:
        shares = estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else None
        found = estimator.predict(X) if shares is None else estimator.classes_[shares.argmax(1)]
        table = pd.DataFrame({"sequence": range(len(found)), "label": list(found)})
        return table if shares is None else table.assign(probability=shares.max(1).round(4))
    found = estimator.predict(X)
    places = [(i, t) for i, labels in enumerate(found) for t in range(len(labels))]
    columns: dict[str, Any] = {"sequence": [i for i, _ in places], "step": [t for _, t in places]}
    if isinstance(estimator.inputs_, Names):
        columns["name"] = [estimator.inputs_.cut(X[i])[t] for i, t in places]
    return pd.DataFrame({**columns, "label": np.concatenate(found)})


def label_report(title: str, estimator: SequenceEstimator, examples: Examples, judged: JudgedLabels) -> Report:
    """Scoreboard, confusion or scatter, some examples, training curve, configuration."""
    if judged.truth.dtype.kind == "f":
        flat = judged.truth.reshape(len(judged.truth), -1)[:, 0], judged.found.reshape(len(judged.found), -1)[:, 0]
        picture = to_svg(plot_numbers(*flat), "Said against true")
    else:
        picture = to_svg(plot_confusion(judged.truth, judged.found), "Which classes are taken for which")
    sections = {"Where it errs": f'<div class="plots"><figure>{picture}</figure></div>'}
    if isinstance(estimator.inputs_, Names):
        sections["Examples of the test data"] = _examples(estimator, examples)
    verdicts = []
    if estimator.body == "recurrent":
        found = diagnose(estimator, (examples.X_test, examples.y_test))
        judged_by = f"the {len(examples.X_test)} sequences that it was judged by"
        sections["Gradients through time"] = to_html(found, judged_by)
        verdicts += [*str(found).splitlines(), f"The gradient was measured on {judged_by}."]
    return Report(
        title,
        scoreboard=judged.scoreboard,
        sections=sections,
        training=estimator.history_.records,
        configuration=estimator._params(),
        about=of_pairs(estimator, examples, verdicts=verdicts),
    )


def _examples(estimator: Any, examples: Examples) -> str:
    X, y = list(examples.X_test[:SHOWN]), list(examples.y_test[:SHOWN])
    said = estimator.predict(X)
    words = [estimator.inputs_.cut(x) for x in X]
    if estimator.per_step:
        return tagged_html([(w, t, s) for w, t, s in zip(words, y, said, strict=True)])
    attends = hasattr(estimator, "attention") and estimator.pooling == "attention"
    weights = estimator.attention(X) if attends else [[0.0] * len(w) for w in words]
    notes = [f"{s}" if str(s) == str(t) else f"{s}, in truth {t}" for s, t in zip(said, y, strict=True)]
    return attention_html([(w, a, n) for w, a, n in zip(words, weights, notes, strict=True)])


def _notes(estimator: SequenceEstimator, truth: np.ndarray) -> list[str]:
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return []
    unseen = np.setdiff1d(truth.astype(str), np.asarray(classes).astype(str))
    if not len(unseen):
        return []
    names = ", ".join(map(str, unseen[:3]))
    return [
        f"{len(unseen)} classes of the test data are not in the training data ({names}): no model can be right there."
    ]


def name_of(estimator: SequenceEstimator) -> str:
    """What the scoreboard calls an estimator."""
    return f"bidirectional {cell_of(estimator)}" if estimator.bidirectional else cell_of(estimator)
