"""A watching job from sequences to a judged run folder: split, training, baselines, scoreboard, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.inputs import as_numbers
from elman.errors import DataError
from elman.estimators import AnomalyDetector
from elman.estimators.anomalies.alarm import Alarm
from elman.estimators.base import seed_of
from elman.evidence.anomalies import Alarmed, AnomalyBoard
from elman.evidence.anomaly_baselines import anomaly_baselines
from elman.evidence.anomaly_plots import WatchPlot, plot_watch
from elman.evidence.card import SAME_SOURCE, About
from elman.evidence.judging import cell_of, judged_run
from elman.evidence.plots import to_svg
from elman.evidence.report import Report

Array = np.ndarray

SHOWN = 6
"""sequences in the report"""
NO_LABELS = (
    "No labels: nothing could be judged. Scores and alarms are shown as they are; name a column with --label, 1 for "
    "an anomaly, to see what they are worth."
)
NO_ANOMALY = "No anomaly among the test labels: nothing could be judged but the share of false alarms, {share:.2%}."


@dataclass(frozen=True)
class WatchExamples:
    """Sequences to learn what is normal from, and sequences to judge by.

    X       arrays (T_i, F), what is not held to be normal is NaN
    X_test  arrays (T_i, F)
    truth   of each test sequence (T_i,) of bool, true where anomalous, or (1,) for the whole; None without labels
    names   of the features, as far as they are known
    begin   number of the first test step, where it is a signal's end
    """

    X: Sequence[Array]
    X_test: Sequence[Array]
    truth: Sequence[Array] | None
    names: Sequence[str] = ()
    begin: int = 0

    @property
    def each_step(self) -> bool:
        """Whether steps are judged, rather than whole sequences."""
        return self.truth is None or any(len(t) > 1 for t in self.truth)

    @classmethod
    def split(cls, X: Sequence[Any], y: Any, share: float, seed: int) -> WatchExamples:
        """The last share of one signal to judge by; of several sequences a random share, and all that are anomalous.

        y: labels, 1 for an anomaly, of sequences (N,) or of steps, N arrays (T_i,); or None.
        """
        arrays = as_numbers(X, None, "watch")
        truth = _truth(y, arrays)
        if len(arrays) == 1:
            cut = len(arrays[0]) - int(share * len(arrays[0]))
            if not 1 <= cut < len(arrays[0]):
                raise DataError(f"watch: one signal must have some steps for each part, got {len(arrays[0])} in all.")
            learn, test = [a[:cut] for a in arrays], [a[cut:] for a in arrays]
            parts = (None, None) if truth is None else ([t[:cut] for t in truth], [t[cut:] for t in truth])
            return replace(cls._of(learn, test, *parts), begin=cut)
        whole = np.zeros(len(arrays), bool) if truth is None else np.array([t.all() for t in truth])
        normal = np.random.default_rng(seed).permutation(np.flatnonzero(~whole))
        held = max(1, int(share * len(normal)))
        if len(normal) <= held:
            raise DataError(f"watch: needs 2 normal sequences or more, got {len(normal)}. Give --test FILE.")
        chosen = np.sort(normal[held:]), np.sort(np.concatenate([normal[:held], np.flatnonzero(whole)]))
        learn, test = ([arrays[i] for i in part] for part in chosen)
        parts = (None, None) if truth is None else ([truth[i] for i in part] for part in chosen)
        return cls._of(learn, test, *parts)

    @classmethod
    def of_files(cls, X: Sequence[Any], y: Any, X_test: Sequence[Any], y_test: Any) -> WatchExamples:
        """Sequences of one file to learn from, those of another to judge by; y and y_test as for `split`."""
        arrays, tests = (as_numbers(values, None, "watch") for values in (X, X_test))
        return cls._of(arrays, tests, _truth(y, arrays), _truth(y_test, tests))

    @classmethod
    def _of(cls, X: Any, X_test: Any, truth: Any, truth_test: Any) -> WatchExamples:
        if truth is not None:
            X = [np.where(t[:, None], np.nan, a) for a, t in zip(X, truth, strict=True)]
            X = [a for a in X if np.isfinite(a).any()]
        if not X:
            raise DataError("watch: needs normal data to learn from, got anomalies only. Check the labels: 1 is one.")
        return cls(X, X_test, truth_test)


def _truth(y: Any, arrays: Sequence[Array]) -> list[Array] | None:
    """Labels as arrays of bool; raises `DataError` unless they are 0 and 1, or false and true."""
    if y is None:
        return None
    found = []
    for row, (label, a) in enumerate(zip(y, arrays, strict=True)):
        one = np.atleast_1d(np.asarray(label))
        try:
            numbers = one.astype(float)
        except ValueError:
            numbers = np.full(one.shape, np.nan)
        if not np.isin(numbers, (0, 1)).all() or one.shape not in ((1,), (len(a),)):
            shown = one[~np.isin(numbers, (0, 1))][:1].tolist()
            raise DataError(
                f"watch: labels must be 1 for an anomaly and 0 for what is normal, got {shown or one.shape} "
                f"in sequence {row}. Map them."
            )
        found.append(numbers == 1)
    return found


class SimpleDetector:
    """A baseline with thresholds set as a detector sets its own, by the same held-back part of the same normal data."""

    def __init__(self, name: str, detector: AnomalyDetector, seed: int) -> None:
        self.name, self.detector, self.seed = name, detector, seed
        self.model: Any = anomaly_baselines(detector.lags, seed)[name]
        self.draws = hasattr(self.model, "seed")
        self.surprise: Callable[[Any], list[Array]] = self.model.surprise

    def drawn_by(self, seed: int) -> SimpleDetector:
        """A fresh one that draws by another seed."""
        return type(self)(self.name, self.detector, seed)

    def fit(self, X: Sequence[Any]) -> SimpleDetector:
        """Learns from what a detector learns from of X."""
        parts = self.detector.parts(X)
        self.model.fit(parts.learn)
        self.alarm_ = self.detector.alarm_of(self.surprise, parts)
        return self


def simple_detectors(detector: AnomalyDetector) -> dict[str, SimpleDetector]:
    """What a detector is held against, by name, the simplest first."""
    seed = seed_of(detector.random_state)
    return {name: SimpleDetector(name, detector, seed) for name in anomaly_baselines(detector.lags, seed)}


@dataclass(frozen=True)
class JudgedAnomalies:
    """A fitted detector beside its baselines: scoreboard, or None where nothing could be judged; and why, in notes."""

    scoreboard: AnomalyBoard | None
    said: Alarmed
    notes: tuple[str, ...]


def judge_anomalies(
    detector: AnomalyDetector,
    examples: WatchExamples,
    *,
    say: Callable[[str], None] = lambda line: None,
    **training: Any,
) -> JudgedAnomalies:
    """Fits the detector and every baseline on the same normal data, sets all thresholds by the same held-back part of
    it, and judges their alarms on the test sequences."""
    truth, X_test, each_step = examples.truth, examples.X_test, examples.each_step
    name = cell_of(detector)
    say(f"{name}: {_amount(examples.X)} to learn from, {_amount(X_test)} to judge by.")
    start = time.perf_counter()
    detector.fit(examples.X, **training)
    middle = time.perf_counter()
    said = alarmed(detector, X_test, each_step)
    said = replace(said, fit_seconds=middle - start, predict_seconds=time.perf_counter() - middle)
    notes = _notes(detector, each_step)
    if truth is None or not np.concatenate(truth).any():
        share = float(np.concatenate(said.alarms).mean())
        lack = NO_LABELS if truth is None else NO_ANOMALY.format(share=share)
        return JudgedAnomalies(None, said, (lack, *notes))
    found = {name: said}
    for other, model in simple_detectors(detector).items():
        say(f"Baseline: {other}.")
        start = time.perf_counter()
        model.fit(examples.X)
        middle = time.perf_counter()
        one = alarmed(model, X_test, each_step)
        found[other] = replace(one, fit_seconds=middle - start, predict_seconds=time.perf_counter() - middle)
    board = AnomalyBoard.build(found, truth, network=name, rate=detector.false_alarms, notes=notes)
    return JudgedAnomalies(board, said, notes)


def anomaly_study(
    detector: AnomalyDetector,
    examples: WatchExamples,
    folder: Path | str,
    *,
    title: str,
    **job: Any,
) -> JudgedAnomalies:
    """Judges a detector and leaves a run folder with its model, scoreboard and report.

    Raises what `fit` raises.

    job  `resume`, `progress` and `say` of `judged_run`
    """
    judge, report = partial(judge_anomalies, detector, examples), partial(anomaly_report, title, detector, examples)
    return judged_run(detector, folder, judge, report, **job)


def anomalies_frame(detector: AnomalyDetector, X: Sequence[Any]) -> Any:
    """Score and alarm of each step as a pandas table; of several sequences also whether the whole is one."""
    import pandas as pd

    watched = detector.steps(X)
    sizes = [len(w.scores) for w in watched]
    table = pd.DataFrame(
        {
            "sequence": np.repeat(np.arange(len(sizes)), sizes),
            "step": np.concatenate([np.arange(size) for size in sizes]),
            "score": np.concatenate([w.scores for w in watched]).round(4),
            "alarm": np.concatenate([w.alarms for w in watched]).astype(int),
        }
    )
    if len(sizes) == 1:
        return table
    whole = detector.alarm_.pool([w.scores for w in watched]) > detector.alarm_.sequence
    return table.assign(sequence_alarm=np.repeat(whole.astype(int), sizes))


def anomaly_report(title: str, detector: AnomalyDetector, examples: WatchExamples, judged: JudgedAnomalies) -> Report:
    """Scoreboard, signals with scores and alarms, training curve, configuration."""
    plots = watch_plots(detector, examples, judged.said)
    pictures = "".join(
        f"<figure>{to_svg(plot_watch(plot), f'Signal and score: {plot.title}')}</figure>" for plot in plots
    )
    return Report(
        title,
        scoreboard=judged.scoreboard,
        sections={"Signal, score and alarms": f'<div class="plots wide">{pictures}</div>'},
        training=detector.history_.records,
        configuration=detector._params(),
        notes=judged.notes if judged.scoreboard is None else (),
        about=_about(detector, examples),
    )


def _about(detector: AnomalyDetector, examples: WatchExamples) -> About:
    features = f" of {examples.X[0].shape[1]} numbers each" + (
        f" ({', '.join(examples.names)})" if examples.names else ""
    )
    learned = f"{_amount(examples.X)} to learn what is normal from, in steps{features}."
    alarms = f"The threshold is set so that {detector.false_alarms:.3g} of what is normal is flagged."
    split = f"{_amount(examples.X_test)} to judge by: a signal's end, or sequences apart from those learned from."
    return About([learned, alarms], split, limits=[SAME_SOURCE, UNSEEN])


UNSEEN = "It knows what is normal, not what is wrong: an anomaly that looks normal to it stays unseen."


def watch_plots(detector: AnomalyDetector, examples: WatchExamples, said: Alarmed) -> list[WatchPlot]:
    """The strangest test sequences and as many usual ones; of a long one also a closer look at its strangest step."""
    scores = detector.alarm_.pool(said.scores)
    order = np.argsort(-scores, kind="stable")
    chosen = order if len(order) <= SHOWN else [*order[: SHOWN // 2], *order[len(order) // 2 :][: SHOWN // 2]]
    watched = detector.steps([examples.X_test[i] for i in chosen])
    each_step = all(len(s) == len(x) for s, x in zip(said.scores, examples.X_test, strict=True))
    limit = detector.alarm_.step if each_step else detector.alarm_.sequence
    plots = []
    for i, one in zip(chosen, watched, strict=True):
        x = examples.X_test[i]
        truth = None if examples.truth is None else np.broadcast_to(examples.truth[i], len(x))
        name = "test signal" if len(order) == 1 else f"test sequence {i}"
        judged = (one.scores, detector.alarm_.calm, limit, truth, one.expected)
        whole = WatchPlot(name, x, *judged, examples.names, examples.begin)
        plots.append(whole)
        if len(order) <= 2 and len(x) > 4 * CLOSE:
            middle = int(np.clip(np.argmax(one.scores), CLOSE // 2, len(x) - CLOSE // 2))
            plots.append(whole.stretch(middle - CLOSE // 2, middle + CLOSE // 2))
    return plots


CLOSE = 400
"""steps of a closer look"""


def alarmed(model: AnomalyDetector | SimpleDetector, X: Sequence[Array], each_step: bool) -> Alarmed:
    """What a model that has learned says of each step, or of each sequence."""
    alarm: Alarm = model.alarm_
    scores, limit = alarm.steps_of(model.surprise(X)), alarm.step
    if not each_step:
        scores, limit = [np.array([s]) for s in alarm.pool(scores)], alarm.sequence
    return Alarmed(scores, [s > limit for s in scores])


def _amount(X: Sequence[Array]) -> str:
    return f"{len(X[0])} steps" if len(X) == 1 else f"{len(X)} sequences"


def _notes(detector: AnomalyDetector, each_step: bool) -> tuple[str, ...]:
    count = detector.alarm_.steps if each_step else detector.alarm_.sequences
    if count + 1 >= 1 / detector.false_alarms:
        return ()
    return (
        f"The threshold stands on {count} normal {'steps' if each_step else 'sequences'} only: about one in "
        f"{count + 1} will be flagged for nothing, not {detector.false_alarms:.3g} as asked.",
    )
