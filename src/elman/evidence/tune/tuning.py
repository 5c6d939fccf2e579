"""`tune`: a search over an estimator's arguments, from data to the best of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.errors import OptionError, RunError
from elman.estimators.base import Estimator, changed, whole
from elman.evidence.tune.crew import Prepare, run_beside, run_here
from elman.evidence.tune.search import STUDY, Search, Trial, alone, load_optuna, quiet
from elman.evidence.tune.space import Domain, fixed, make_space
from elman.evidence.tune.tasks import Task, make_task
from elman.files import make_folder
from elman.training.signals import Interrupted

SIGINT = 2


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    given       the estimator as it was, which was the first trial
    space       what was searched over
    trials      in their order
    importances   the share of the differences in loss that each argument explains, most first; {}: too few trials
    """

    given: Any
    space: Mapping[str, Domain]
    trials: tuple[Trial, ...]
    importances: Mapping[str, float]

    @property
    def best(self) -> Trial:
        """The trial with the lowest validation loss; of equal ones the first. Raises `RunError` where all failed."""
        judged = [trial for trial in self.trials if trial.loss is not None]
        if not judged:
            raise RunError(f"tune: every trial failed, the first one: {self.trials[0].reason} Mend that first.")
        return min(judged, key=lambda trial: (trial.loss, trial.number))

    @property
    def first(self) -> Trial:
        """The trial of the estimator as it was."""
        return self.trials[0]

    @property
    def changes(self) -> dict[str, Any]:
        """What the best trial changed; {}: the defaults were not beaten."""
        has = self.given._params()
        params = {} if self.best.number == 0 else self.best.params
        return {name: value for name, value in params.items() if value != has[name]}

    @property
    def estimator(self) -> Any:
        """The best estimator, not fitted."""
        return changed(self.given, **self.changes)


def tune(
    estimator: Estimator,
    X: Any,
    y: Any = None,
    *,
    trials: int = 40,
    search: Mapping[str, Any] | None = None,
    only: Iterable[str] | None = None,
    workers: int = 1,
    folder: Path | str | None = None,
    resume: bool = False,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Tuned:
    """Searches the arguments with which an estimator has the lowest loss on a part of the training data.

    The first trial is the estimator as it is, so that the best of them is never worse on the validation data. What X
    holds decides: keep other data to judge the best estimator by.

    X, y      as `fit` takes them
    trials    in all, those before a `resume` included
    search    arguments by name: (low, high), a list of values, one value to keep, None for the usual range
    only      the arguments to search over, and no others; None: cell, layers, units, learning rate, clipping, dropout
              and length of truncation, as far as the estimator has them
    workers   processes that train, each on one thread; 1: this one. In a script with more, guard what is not a
              definition by `if __name__ == "__main__":`
    folder    keeps the search in `study.db`; None: it is kept in memory
    resume    goes on with the search in the folder; a trial whose process was killed is begun anew
    say       told what is searched, then a line for each trial

    Raises `OptionError`, `DataError`, `RunError`, and `MissingExtraError` without the package optuna.
    Source: Akiba et al. 2019, doi:10.1145/3292500.3330701 (optuna).

    >>> import numpy as np
    >>> from elman.estimators import SequenceClassifier
    >>> X = np.random.default_rng(0).normal(size=(20, 5, 1)); y = X[:, 0, 0] > 0
    >>> model = SequenceClassifier(hidden_size=4, max_steps=5)
    >>> found = tune(model, X, y, trials=3, search={"cell": ["lstm", "gru"]}, only=["learning_rate"])
    >>> len(found.trials), found.best.loss <= found.first.loss, sorted(found.space)
    (3, True, ['cell', 'learning_rate'])
    """
    load_optuna()
    if not isinstance(estimator, Estimator):
        raise OptionError(f"tune: expected an estimator of elman, got {type(estimator).__name__}. Give one.")
    estimator = changed(estimator, **fixed(estimator, search))
    space = make_space(estimator, search, only)
    where = None if folder is None else Path(folder)
    if where is not None:
        if (where / STUDY).exists() and not resume:
            raise RunError(f"{where}: holds a search. Resume it (resume=True), or choose another folder.")
        make_folder(where)
    return run_search(make_task(estimator, X, y), space, where, trials=trials, workers=workers, seed=seed, say=say)


def run_search(
    task: Task,
    space: Mapping[str, Domain],
    folder: Path | None,
    *,
    trials: int,
    workers: int = 1,
    seed: int = 0,
    prepare: Prepare = dict,
    say: Callable[[str], None] = lambda line: None,
) -> Tuned:
    """The trials of a task that are left to do, and what all of them found.

    prepare  defines in each other process what the estimator names; it must be importable
    """
    whole("tune", "trials", trials)
    whole("tune", "workers", workers)
    say(f"{trials} trials over {', '.join(space)}.")
    with alone(folder), quiet(load_optuna()):
        search = Search(task, space, trials, folder, seed)
        done = len(search.found())
        if done:
            say(f"{done} of {trials} trials are done.")

        def told(trial: Trial) -> None:
            say(_line(trial, trials, search.found()))

        try:
            if workers == 1:
                run_here(search, told)
            elif search.left > 0:
                run_beside(search, workers, prepare, told)
        except KeyboardInterrupt as problem:
            over = sum(trial.state != "running" for trial in search.found())
            how = "nothing was kept, for no folder was given" if folder is None else "to go on, resume it (--resume)"
            number = getattr(problem, "exit_code", 128 + SIGINT) - 128
            raise Interrupted(f"stopped after {over} of {trials} trials; {how}.", number) from None
        return Tuned(task.estimator, space, tuple(search.found()), search.importances())


def _line(trial: Trial, trials: int, found: list[Trial]) -> str:
    """A trial in a line."""
    losses = [other.loss for other in found if other.loss is not None]
    loss = "no loss" if trial.last is None else f"loss {trial.last:.4f}"
    end = {"complete": "", "pruned": ", given up", "failed": f", failed: {trial.reason}"}.get(trial.state, "")
    best = f" (best {min(losses):.4f})" if losses else ""
    shown = (
        ", ".join(f"{name} {shorten(value)}" for name, value in trial.params.items()) if trial.number else "as it is"
    )
    return f"Trial {trial.number + 1}/{trials}: {loss}{end}{best}. {shown}"


def shorten(value: Any) -> str:
    """An argument's value for people: three digits of a fraction.

    >>> shorten(0.0123456), shorten(64), shorten("gru")
    ('0.0123', '64', 'gru')
    """
    return f"{value:.3g}" if isinstance(value, float) else str(value)
