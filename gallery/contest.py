"""A contest of methods on one data set: each trained, judged, tested against the best, and timed at a step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rivals import KalmanReadout, MarkovFilter, WindowNet

from elman.estimators import SequenceRegressor
from elman.estimators.base import changed
from elman.evidence.board import ALPHA, p_text, text
from elman.evidence.compare.entrants import count
from elman.evidence.judging import timed
from elman.evidence.label_study import Examples
from elman.evidence.labels import LabelBoard, Labelled, joined
from elman.evidence.simple import baselines
from elman.evidence.speed.clock import interleave, quartiles

WAITS = {True: "streams", False: "reads anew", None: "at the end"}
"""when a method can answer: at each step from its state, at each step from the window, or not before the end"""


@dataclass(frozen=True)
class Method:
    """A way to answer, in the order of simplicity.

    streams  whether it carries a state from step to step; None: it reads from the end, too
    sees     steps that it reads for an answer; None: all that came
    """

    name: str
    kind: str
    model: Any
    streams: bool | None = False
    sees: int | None = None


@dataclass(frozen=True)
class Scored:
    """One line of a table. p: the paired test against the best line; seconds are wall-clock, `step` of one answer."""

    method: str
    kind: str
    score: float
    p: float | None
    parameters: int | None
    fit: float
    step: float
    answers: str


@dataclass(frozen=True)
class Task:
    """A data set. every: seconds between two steps, where the world sets them; measured: the score's name."""

    name: str
    words: str
    step: str
    every: float | None
    measured: str
    rows: tuple[Scored, ...]

    @property
    def higher(self) -> bool:
        """Whether a greater score is the better one."""
        return self.measured == "accuracy"

    @property
    def best(self) -> Scored:
        """The line that the others were tested against."""
        return next(row for row in self.rows if row.p is None)

    @property
    def equals(self) -> list[Scored]:
        """The best, and what no paired test tells from it, the simplest first."""
        return [row for row in self.rows if row.p is None or not row.p < ALPHA]

    @property
    def live(self) -> tuple[Scored, bool]:
        """What answers at each step in time: the simplest of the equals, else the best; and whether it is an equal."""
        able = [r for r in self.rows if r.answers != WAITS[None] and (self.every is None or r.step < self.every)]
        good = [row for row in self.equals if row in able]
        return (good or sorted(able, key=lambda row: -row.score if self.higher else row.score))[0], bool(good)

    def advice(self) -> str:
        """What to take, by what was measured."""
        simplest, best = self.equals[0], self.best
        net = "a recurrent network" if simplest.kind == "recurrent" else "not a recurrent network"
        said = f"**{simplest.method}: {net}.** "
        if simplest is best:
            others = len(self.equals) - 1
            also = f", and {others} that are less simple are not told from it" if others else ", and all others lose"
            said += f"It has the best {self.measured}, {text(best.score, 3)}{also}."
        else:
            said += (
                f"The best {self.measured} is {text(best.score, 3)}, of {best.method}; the paired test does not tell "
                f"{text(simplest.score, 3)} from it ({_p(simplest.p)})."
            )
        row, equal = self.live
        costs = "" if equal else f", though it is worse ({text(row.score, 3)}, {_p(row.p)}): none of the best can"
        return f"{said} To answer at each {self.step}: {row.method}, {duration(row.step)} a step{costs}."


def _p(p: float | None) -> str:
    return p_text(1.0 if p is None else p)


def duration(seconds: float) -> str:
    """For people, in the unit that fits.

    >>> duration(0.0000123), duration(0.5), duration(2.0)
    ('12.3 µs', '500 ms', '2 s')
    """
    unit, size = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if seconds >= s), ("µs", 1e-6))
    return f"{seconds / size:.3g} {unit}"


def methods(estimator: Any, X: Sequence[Any], y: Any) -> list[Method]:
    """For an estimator that reads one way: all that is tried, the simplest first."""
    known = {name.partition(" ")[0]: (name, model) for name, model in baselines(estimator, X, y).items()}
    steps, words = estimator.per_step, isinstance(X[0], list)
    numbers = isinstance(estimator, SequenceRegressor)
    name, guess = next(iter(known.values()))
    found = [Method(name, "simple", guess, True, 1)]
    if not steps:
        found.append(Method("linear on a summary", "simple", known["linear"][1]))
    if words:
        found.append(Method("hidden Markov filter", "filter", MarkovFilter(), True))
    else:
        found.append(Method("Kalman filter", "filter", KalmanReadout(per_step=steps, numbers=numbers), True))
    if steps:
        found.append(Method("feed-forward, one step", "feed-forward", known["feed-forward"][1], False, 1))
        seen = 3 if words else 16
        window = WindowNet(seen, _options(estimator))
        found.append(Method(f"feed-forward, {seen} steps", "feed-forward", window, False, 1))
    else:
        found.append(Method("feed-forward, all at once", "feed-forward", known["feed-forward"][1]))
    both, wide = changed(estimator, bidirectional=True), changed(estimator, bidirectional=True, body="convolution")
    return [
        *found,
        Method("convolution", "convolution", known["convolution"][1]),
        Method("LSTM", "recurrent", estimator, True),
        Method("convolution, both ways", "convolution", wide, None),
        Method("LSTM, both ways", "recurrent", both, None),
    ]


def _options(estimator: Any) -> dict[str, Any]:
    names = ("hidden_size", "max_steps", "bidirectional", "random_state")
    return {name: getattr(estimator, name) for name in names}


def label_rows(estimator: Any, examples: Examples, pieces: int | None = None) -> tuple[str, list[Scored]]:
    """The score's name, and a line for each method: trained, judged, and timed at a step.

    pieces  stretches that the test steps are cut into for the paired test; None: the sequences
    """
    tried = methods(estimator, examples.X, examples.y)
    found = {m.name: Labelled.of(*timed(m.model, examples.X, examples.y, examples.X_test)) for m in tried}
    truth, sequence = joined(examples.y_test, steps=estimator.per_step)
    group = sequence if estimator.per_step else None
    if pieces is not None:
        group = np.arange(len(truth)) * pieces // len(truth)

    def board(network: str) -> LabelBoard:
        return LabelBoard.build(found, truth, network=network, sequence=group)

    best = board(tried[-1].name).rows[0].model
    judged = board(best)
    lines = {row.model: row for row in judged.rows}
    costs = _step_seconds(tried, typical(examples.X_test)[-estimator.longest_ :])
    rows = [
        Scored(
            m.name,
            m.kind,
            lines[m.name].scores[judged.error],
            None if (test := lines[m.name].test) is None else test.p_value,
            parameters(m.model),
            found[m.name].fit_seconds,
            costs[m.name],
            WAITS[m.streams],
        )
        for m in tried
    ]
    return judged.error, rows


def typical(X: Sequence[Any]) -> Any:
    """A sequence of middle length; of words without numbers and marks, of which a stream takes those alone it knows."""
    middle = sorted(X, key=len)[len(X) // 2]
    return [word for word in middle if word.isalpha()] if isinstance(middle[0], str) else middle


def _step_seconds(tried: Sequence[Method], x: Any) -> dict[str, float]:
    """Seconds that an answer takes when one more step of a sequence has come, median of rounds that take turns."""
    calls: dict[str, Callable[[], Any]] = {}
    for m in tried:
        if m.streams and hasattr(m.model, "stream"):
            push, steps = m.model.stream().push, itertools.cycle(x)
            calls[m.name] = lambda push=push, steps=steps: push(next(steps))
        else:
            calls[m.name] = lambda m=m: m.model.predict([x[-(m.sees or 0) :]])
    seconds = interleave(calls, rounds=5, at_least=0.01)
    return {name: quartiles(values)[1] for name, values in seconds.items()}


def parameters(model: Any) -> int:
    """How many numbers a model has learned."""
    if hasattr(model, "parameters"):
        return model.parameters()
    if (weights := count(model)) is not None:
        return weights
    if isinstance(model, MarkovFilter):
        return model.first_.size + model.next_.size + (len(model.words_) + len(model.endings_)) * model.first_.size
    if isinstance(model, KalmanReadout):
        return 1 + model.reads_.coef_.size + np.size(model.reads_.intercept_)
    last = model[-1] if hasattr(model, "steps") else model
    if hasattr(last, "coef_"):
        return last.coef_.size + np.size(last.intercept_)
    return len(getattr(last, "best_", ())) + 1
