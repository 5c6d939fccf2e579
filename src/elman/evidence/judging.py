"""What the studies share: an estimator judged into a run folder, and how long each model took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from elman.cells import find_cell
from elman.evidence.report import Report
from elman.training.progress import Progress
from elman.training.run import RunFolder

Judged = TypeVar("Judged")


def judged_run(
    estimator: Any,
    folder: Path | str,
    judge: Callable[..., Judged],
    report: Callable[[Judged], Report],
    *,
    resume: bool = False,
    progress: Callable[[], Progress | None] = lambda: None,
    say: Callable[[str], None] = lambda line: None,
) -> Judged:
    """What `judge` finds, its training kept in a run folder, and the report beside the model.

    judge   trains the estimator, with what `fit` takes of a run folder, and judges it
    resume  whether to go on with a training that was killed

    The model that is kept is the one that was judged. Raises what `fit` raises.
    """
    run = RunFolder(folder)
    estimator.check()
    if not (resume and run.finished):
        run.create(resume=resume)  # a name that is taken is told before anything is trained
    judged = judge(say=say, folder=run.path, resume=True, progress=progress())
    report(judged).write(run)
    return judged


def timed(model: Any, X: Any, y: Any, X_test: Any, **training: Any) -> tuple[Any, float, float]:
    """What a model that was fitted says of X_test, and the seconds of fitting and of saying it."""
    start = time.perf_counter()
    model.fit(X, y, **training)
    middle = time.perf_counter()
    found = model.predict(X_test)
    return found, middle - start, time.perf_counter() - middle


def cell_of(estimator: Any) -> str:
    """The class name of an estimator's cell, by which the scoreboard calls it."""
    return type(find_cell(estimator.cell, type(estimator).__name__)).__name__


@dataclass(frozen=True)
class Kept:
    """A model that is judged beside another one, its training kept in a folder of its own: a killed one goes on."""

    model: Any
    folder: Path
    progress: Callable[[], Progress | None] = lambda: None

    def fit(self, *data: Any, **how: Any) -> Any:
        """Trains it, or takes what is in the folder."""
        return self.model.fit(*data, **how, **self._training())

    def backtest(self, *data: Any, **how: Any) -> Any:
        """The same of a forecaster, on the past."""
        return self.model.backtest(*data, **how, **self._training())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def _training(self) -> dict[str, Any]:
        return {"folder": self.folder, "resume": True, "progress": self.progress()}
