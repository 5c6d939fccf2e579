"""`elman.compare`: cells, depths, widths and every baseline from several starts; what is a difference, what chance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from elman.cells import find_cell, name_of
from elman.estimators.base import Estimator, changed, whole
from elman.evidence.board import Board, rank, text
from elman.evidence.compare.contests import Contest, contest_of
from elman.evidence.compare.crossed import Pairs
from elman.evidence.compare.entrants import CELLS, DEPTHS, Budget, Entrant, baselines, count, grid
from elman.evidence.compare.kept import Kept, Outcome
from elman.evidence.compare.recommend import Recommendation, recommend

FEW = 3
"""starts below which what a start changes is hardly known"""


@dataclass(frozen=True)
class Line:
    """A model's line: means over its seeds, and how far the seeds are from each other (standard deviation)."""

    model: str
    group: str | None
    depth: int
    width: int
    score: float
    spread: float
    seeds: int
    parameters: int | None
    fit_seconds: float
    answer_seconds: float
    p: float  # against the first line, corrected for the number of pairs

    @classmethod
    def of(cls, entrant: Entrant, runs: Sequence[Outcome], p: float) -> Line:
        """The means of an entrant's runs."""
        scores = [run.score for run in runs]
        spread = float(np.std(scores, ddof=1)) if len(runs) > 1 else 0.0
        fit, answer = (
            float(np.mean([getattr(run, name) for run in runs])) for name in ("fit_seconds", "answer_seconds")
        )
        about = entrant.name, entrant.group, entrant.depth, entrant.width
        return cls(*about, float(np.mean(scores)), spread, len(runs), runs[0].parameters, fit, answer, p)

    @property
    def is_network(self) -> bool:
        """Whether it is a recurrent one."""
        return self.group is not None

    @property
    def cost(self) -> float:
        """By which one of two equally good models is chosen: weights, of which one that is no net has none."""
        return self.parameters or 0


@dataclass(frozen=True)
class Comparison(Board):
    """All models on the same data, best first; print it, or see `rows`, `pairs` and `recommendation`."""

    rows: tuple[Line, ...]
    network: str
    error: str
    higher: bool
    units: int
    tested: str
    pairs: Pairs
    recommendation: Recommendation
    notes: tuple[str, ...] = field(default=())

    @property
    def unit(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the tests stand on."""
        return self.tested

    @classmethod
    def build(cls, entrants: Sequence[Entrant], outcomes: dict[str, list[Outcome]], contest: Contest) -> Comparison:
        """Scores, tests of all pairs, and what to make of them; entrants: the simplest first."""
        pairs = Pairs.test({name: np.array([one.losses for one in runs]) for name, runs in outcomes.items()})
        means = {name: float(np.mean([one.score for one in runs])) for name, runs in outcomes.items()}
        ordered = sorted(entrants, key=lambda e: rank(means[e.name], higher=contest.higher))
        rows = tuple(Line.of(e, outcomes[e.name], pairs.p_of(ordered[0].name, e.name)) for e in ordered)
        best = next(row for row in rows if row.is_network)
        starts = len(outcomes[best.model])
        notes = [] if starts > 1 else ["One seed: another start may give another order. Give more seeds."]
        units = len(outcomes[best.model][0].losses)
        found = recommend(rows, pairs, contest.measure)
        notes += [found.deeper] if found.deeper else []
        judged = contest.measure, contest.higher, units, contest.unit
        return cls(rows, best.model, *judged, pairs, found, tuple(notes))

    @property
    def network_wins(self) -> bool:
        """Whether a recurrent network is better than every baseline, and that is no chance."""
        picked = next(row for row in self.rows if row.model == self.recommendation.model)
        return picked.is_network and self.recommendation.winner

    def verdict(self) -> str:
        """What to use, in a sentence."""
        return self.recommendation.sentence

    def marked(self, row: Line) -> bool:
        """The one to use stands out."""
        return row.model == self.recommendation.model

    def columns(self) -> list[tuple[str, str]]:
        """Model, score and spread, weights, seconds, p."""
        return [
            ("model", "a cell, its layers × units; or a baseline"),
            (self.error, "mean over seeds"),
            ("±", "standard deviation over seeds"),
            ("weights", "parameters of the net"),
            ("fit s", "seconds to train, mean over seeds"),
            (
                "answer ms",
                "milliseconds from one more step to the answer: a push where a model streams, else all again",
            ),
            ("p", "of no difference from the first line: over test data and seeds, corrected by Holm for all pairs"),
        ]

    def cells(self, row: Line) -> list[str]:
        """A line's texts."""
        weights = "" if row.parameters is None else str(row.parameters)
        p = "" if row is self.rows[0] else text(row.p, 3)
        spread = text(row.spread, 3) if row.seeds > 1 else ""
        return [
            row.model,
            text(row.score, 3),
            spread,
            weights,
            text(row.fit_seconds, 1),
            text(1000 * row.answer_seconds, 3),
            p,
        ]

    def value(self, row: Line) -> float:
        """The score."""
        return row.score

    def scope(self) -> str:
        """What the tests stand on."""
        seeds = max(row.seeds for row in self.rows)
        pairs = len(self.rows) * (len(self.rows) - 1) // 2
        return (
            f"{self.units} test {self.unit}, {seeds} seed{'s' if seeds > 1 else ''}. p: how easily chance alone sets a "
            f"model as far from the first line, {self.rows[0].model}, as it is. It is tested over test data and seeds "
            f"at once, and corrected for all {pairs} pairs (Holm); the more a model's seeds differ (±), the "
            "larger, so that a worse model may have a larger p."
            + (" So few starts tell little: give more seeds." if seeds < FEW else "")
        )


def compare(
    estimator: Estimator,
    *data: Any,
    cells: Iterable[Any] = CELLS,
    depths: Iterable[int] = DEPTHS,
    widths: Sequence[int] = (),
    parameters: int | None = None,
    seconds: float | None = None,
    seeds: int = 3,
    folder: Path | str | None = None,
    resume: bool = False,
    say: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> Comparison:
    """Which cell, how deep and how wide; or no recurrent network, for a simpler model is as good.

    Trains the estimator with each of these, and every baseline, on the same data, and tests all differences at once.

    estimator   all other arguments are taken from it
    data        X and y; a table for a `Forecaster`; a `Corpus` for a `LanguageModel`; or `Examples`, for a detector
                `WatchExamples`, split already
    parameters  weights that each net is to have: its width is what they leave
    seconds     training time that each net is to have: its steps are what they leave
    seeds       starts of each model that draws any
    folder      where the outcome of each training is kept, so that `resume` goes on after a kill
    options     `share` to judge by; of forecasts `n_windows`, `season`, `most` (series scored)

    Raises `OptionError`, `DataError`, `RunError`, each in one line.

    >>> import elman, numpy as np
    >>> X = list(np.random.default_rng(0).standard_normal((60, 12)))
    >>> net = elman.SequenceRegressor(hidden_size=4, max_steps=5, bidirectional=False)
    >>> found = elman.compare(net, X, [x[0] for x in X], cells=["elman"], depths=[1], seeds=1)
    >>> found.recommendation.model in [row.model for row in found.rows]
    True
    """
    whole("compare", "seeds", seeds)
    budget = Budget(parameters, seconds)
    cells, depths = list(cells), list(depths)
    if widths:
        estimator = changed(estimator, hidden_size=max(widths))  # the baselines among the nets are as wide
    contest = contest_of(estimator, *data, **options)
    rivals, entered = contest.baselines(), grid(estimator, cells, depths, widths, budget, contest)
    names = [name_of(find_cell(cell, "compare")) for cell in cells]
    asked = {"estimator": type(estimator).__name__, "cells": names, "depths": depths, "widths": list(widths)}
    kept = Kept(folder, {**asked, "parameters": parameters, "seconds": seconds}, resume=resume)
    outcomes: dict[str, list[Outcome]] = {}

    def enter(entrant: Entrant) -> Entrant:
        for seed in range(seeds if entrant.draws else 1):
            outcome = kept.get(entrant.name, seed)
            outcome = outcome or kept.add(entrant.name, seed, _run(entrant.model_for(seed), contest))
            outcomes.setdefault(entrant.name, []).append(outcome)
            start = f", seed {seed + 1} of {seeds}" if entrant.draws else ""
            say(f"{entrant.name}{start}: {contest.measure} {text(outcome.score, 3)}, {outcome.fit_seconds:.1f} s.")
        return entrant

    simple = [enter(entrant) for entrant in baselines(rivals, budget, contest)]
    nets = [enter(entrant) for entrant in entered]
    return Comparison.build([*simple, *nets], outcomes, contest)


def _run(model: Any, contest: Contest) -> Outcome:
    start = time.perf_counter()
    contest.fit(model)
    seconds = time.perf_counter() - start
    losses, score = contest.judge(model)
    return Outcome(losses.tolist(), score, count(model), seconds, contest.answer_seconds(model))
