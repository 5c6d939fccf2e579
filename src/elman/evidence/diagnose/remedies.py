"""Trying what a diagnosis proposes: train again with it, and see whether it helped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from elman.errors import OptionError
from elman.estimators.base import Estimator, changed
from elman.evidence.board import text
from elman.evidence.compare.contests import Contest, contest_of
from elman.evidence.diagnose.diagnosis import Diagnosis, diagnose
from elman.evidence.diagnose.verdict import Remedy

R2 = "R²"
HELPED = 0.5
"""share of its loss (of R²: of what was left unexplained) that a remedy must save for no other one to be tried"""


@dataclass(frozen=True)
class Tried:
    """A model that was trained with a remedy (none: the one before), its diagnosis, and what it is worth.

    measure  what it is judged by, on data that it did not learn from: "R²" where the model labels, else what `compare`
             decides by
    score    that measure
    loss     the mean loss on the same data; of R² what is left, 1 - R². Less of it is better
    """

    remedy: Remedy | None
    model: Any
    diagnosis: Diagnosis
    measure: str
    score: float
    loss: float

    @classmethod
    def of(cls, remedy: Remedy | None, model: Any, contest: Contest) -> Tried:
        """Looks into a model that has learned, and judges it."""
        found = diagnose(model, contest.data)
        if contest.explains and found.explained is not None:
            return cls(remedy, model, found, R2, found.explained, 1 - found.explained)
        losses, score = contest.judge(model)
        return cls(remedy, model, found, contest.measure, score, float(losses.mean()))

    def __str__(self) -> str:
        if self.measure == R2:
            return f"explains {self.score:.1%}"
        return f"{self.measure} {text(self.score, 3)}"


def try_remedies(
    model: Estimator,
    *data: Any,
    share: float = 0.2,
    say: Callable[[str], None] = lambda line: None,
) -> list[Tried]:
    """The model trained again as it is, then with each remedy of its diagnosis until one helps; the best one last.

    data   what the model learns from, as `diagnose` takes it
    share  of it that none learns from, and all are judged by; of forecasts the last windows instead

    All learn from the same data, and are judged on the same of others. Raises `OptionError` where there is no fault to
    be mended.
    """
    first = diagnose(model, data)
    if not first.verdict.remedies:
        raise OptionError(f"diagnose: nothing to apply. {first.verdict.sentence}")
    contest = contest_of(model, *data, share=share)

    def trained(remedy: Remedy | None) -> Tried:
        other = changed(model, **({} if remedy is None else remedy.change))
        contest.fit(other)
        tried = Tried.of(remedy, other, contest)
        what = "as it is" if remedy is None else str(remedy).split(" (")[0]
        say(f"{what}: {tried.measure} {text(tried.score, 3)}. {tried.diagnosis.verdict.sentence}")
        return tried

    found = [trained(None)]
    for remedy in first.verdict.remedies:
        found.append(trained(remedy))
        if found[-1].loss < found[0].loss - HELPED * abs(found[0].loss):
            break
    before, *others = found
    *others, best = sorted(others, key=lambda tried: -tried.loss)
    return [before, *others, replace(best, model=contest.keep(best.model)) if best.loss < before.loss else best]
