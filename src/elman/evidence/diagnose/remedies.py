"""Trying what a diagnosis proposes: train again with it, and see whether it helped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from elman.errors import OptionError
from elman.estimators.base import changed
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.diagnose.diagnosis import Diagnosis, diagnose
from elman.evidence.diagnose.verdict import Remedy
from elman.evidence.label_study import Examples

HELPED = 0.5
"""share of what was left unexplained that a remedy must explain for no other one to be tried"""


@dataclass(frozen=True)
class Tried:
    """A model that was trained with a remedy (none: the one before), and its diagnosis on the same unseen data."""

    remedy: Remedy | None
    model: SequenceEstimator
    diagnosis: Diagnosis

    @property
    def explained(self) -> float:
        """R² on data that neither model was trained on."""
        return self.diagnosis.explained or 0.0


def try_remedies(
    model: SequenceEstimator,
    X: Sequence[Any],
    y: Any,
    *,
    share: float = 0.2,
    say: Callable[[str], None] = lambda line: None,
) -> list[Tried]:
    """The model trained again as it is, then with each remedy of its diagnosis until one helps; the best one last.

    All are trained on the same sequences and judged on the same share of others. Raises `OptionError` where there is no
    fault to be mended.
    """
    first = diagnose(model, (X, y))
    if not first.verdict.remedies:
        raise OptionError(f"diagnose: nothing to apply. {first.verdict.sentence}")
    data = Examples.split(X, y, share, 0)

    def trained(remedy: Remedy | None) -> Tried:
        other = changed(model, **({} if remedy is None else remedy.change))
        other.fit(data.X, data.y)
        tried = Tried(remedy, other, diagnose(other, (data.X_test, data.y_test)))
        what = "as it is" if remedy is None else str(remedy).split(" (")[0]
        say(f"{what}: R² {tried.explained:.3f}. {tried.diagnosis.verdict.sentence}")
        return tried

    found = [trained(None)]
    for remedy in first.verdict.remedies:
        found.append(trained(remedy))
        if found[-1].explained > found[0].explained + HELPED * (1 - found[0].explained):
            break
    return [found[0], *sorted(found[1:], key=lambda tried: tried.explained)]
