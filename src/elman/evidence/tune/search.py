"""The search: what to try next, by what was found so far; kept in `study.db`, so that a kill costs nothing."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from elman.errors import DataError, MissingExtraError, RunError
from elman.evidence.tune import space as spaces
from elman.evidence.tune.space import Domain
from elman.evidence.tune.tasks import Task

STUDY = "study.db"
NAME = "elman"
"""of the study in its database: `optuna-dashboard sqlite:///RUN/study.db` shows it"""
RETRIES = 2
"""times that a trial is begun anew whose process ended: a net too large for the memory would end each of them"""
BEGINNING = 0.2
"""share of its training in which no trial is given up: a small learning rate begins slowly"""
STARTUP = 5
"""trials that are trained to their end before any is given up"""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: its loss; or why it has none."""

    state: Literal["complete", "pruned", "failed"]
    loss: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Trial:
    """What is known of a trial.

    number   from 0, without those that were begun anew
    id       its number in the database
    params   the arguments that were drawn for it; the first trial is the estimator as it is
    losses   validation loss by the number of the validation, from 1
    loss     what it is judged by; None for one that was given up or failed
    """

    number: int
    id: int
    state: Literal["complete", "pruned", "failed", "running"]
    params: Mapping[str, Any]
    losses: Mapping[int, float]
    loss: float | None
    seconds: float | None
    reason: str = ""

    @property
    def last(self) -> float | None:
        """The loss to draw: its own, else the last one seen."""
        return self.loss if self.loss is not None else self.losses.get(max(self.losses, default=0))


class Search:
    """A study of optuna's over an estimator's arguments. One process asks and tells; many may train.

    Each trial is drawn by a generator of its own, seeded by how many came before: a search that was killed goes on
    with the very trials that it would have tried. Trials are pruned by the median of the others at the same
    validation. Sources: Bergstra et al. 2011 (TPE), doi:10.5555/2986459.2986743; Golovin et al. 2017 (median rule),
    doi:10.1145/3097983.3098043.

    Raises `MissingExtraError`; `RunError` where the folder holds another search, or where one is under way.
    """

    def __init__(self, task: Task, space: Mapping[str, Domain], trials: int, folder: Path | None, seed: int) -> None:
        self.task, self.space, self.trials, self.seed = task, space, trials, seed
        self.optuna = load_optuna()
        self.path = None if folder is None else folder / STUDY
        self.study = self._open()
        self._go_on()

    def _open(self) -> Any:
        optuna = self.optuna
        storage = None
        if self.path is not None:
            # Whoever reads it meanwhile, as a dashboard does, may hold it for a while.
            options = {"connect_args": {"timeout": 60}}
            storage = optuna.storages.RDBStorage(f"sqlite:///{self.path}", engine_kwargs=options)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
        study = optuna.create_study(
            storage=storage, study_name=NAME, pruner=pruner, direction="minimize", load_if_exists=True
        )
        self._check(study)
        return study

    def _check(self, study: Any) -> None:
        """Whether a study that was found is of the same estimator, ranges and data."""
        now = {
            "estimator": {"kind": type(self.task.estimator).__name__, **self.task.estimator._params()},
            "ranges": spaces.to_json(self.space),
            "data": self.task.fingerprint(),
            "seed": self.seed,
        }
        now = json.loads(json.dumps(now))
        then = study.user_attrs.get("identity")
        if then is None:
            study.set_user_attr("identity", now)
        elif odd := [name for name in now if then.get(name) != now[name]]:
            raise RunError(
                f"{self.path}: holds a search of another {odd[0]}. Resume it with what it was begun with, or choose "
                "another folder."
            )

    def _go_on(self) -> None:
        """The defaults come first; what a killed process was at comes next."""
        if not self.study.trials:
            self.study.enqueue_trial(spaces.defaults(self.task.estimator, self.space), user_attrs={"defaults": True})
        for trial in self.study.get_trials(deepcopy=False, states=[self.optuna.trial.TrialState.RUNNING]):
            self._again(trial, "its process was killed")

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def left(self) -> int:
        """Trials still to begin."""
        states = self.optuna.trial.TrialState
        counted = [t for t in self.study.get_trials(deepcopy=False) if t.state != states.WAITING]
        return self.trials - sum("lost" not in t.user_attrs for t in counted)

    def ask(self) -> Any:
        """The next trial, of optuna's, with its arguments drawn."""
        number = self.trials - self.left
        self.study.sampler = self.optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0]), constant_liar=True
        )
        trial = self.study.ask()
        for name, domain in self.space.items():
            # The estimator's own value may lie outside: then the first trial says nothing of that range.
            if not trial.user_attrs.get("defaults") or name in spaces.defaults(self.task.estimator, self.space):
                domain.suggest(trial, name)
        return trial

    # -- hearing ---------------------------------------------------------------------------------------------------

    def report(self, trial: Any, number: int, loss: float, done: float) -> bool:
        """Notes a validation; True where the trial is to be given up, which the defaults never are."""
        trial.report(loss, number)
        return done >= BEGINNING and not trial.user_attrs.get("defaults") and trial.should_prune()

    def tell(self, trial: Any, outcome: Outcome) -> None:
        """Notes how a trial ended. One that diverged counts as given up: the search is to learn from it.

        Raises `DataError` where the estimator as it is cannot be trained: neither could others.
        """
        states = self.optuna.trial.TrialState
        if outcome.state == "failed" and trial.user_attrs.get("defaults"):
            self._again(self.study.trials[trial.number], outcome.reason)
            raise DataError(f"tune: the estimator as it is cannot be trained. {outcome.reason}")
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[outcome.state]
        if outcome.reason:
            trial.set_user_attr("reason", outcome.reason)
        self.study.tell(trial, outcome.loss if outcome.state == "complete" else None, state=state)

    def lose(self, trial: Any, reason: str) -> None:
        """A process ended that was at this trial, which is tried again."""
        self._again(self.study.trials[trial.number], reason)

    def _again(self, trial: Any, reason: str) -> None:
        states = self.optuna.trial.TrialState
        handle = self.optuna.trial.Trial(self.study, trial._trial_id)
        attempts = trial.user_attrs.get("attempts", 0) + 1
        if attempts <= RETRIES:
            kept = {key: trial.user_attrs[key] for key in ("defaults",) if key in trial.user_attrs}
            handle.set_user_attr("lost", True)
            again = {**kept, "attempts": attempts, "again": trial.number}
            self.study.enqueue_trial(trial.params, user_attrs=again)
        handle.set_user_attr("reason", reason)
        self.study.tell(trial.number, state=states.FAIL)

    # -- what was found --------------------------------------------------------------------------------------------

    def found(self) -> list[Trial]:
        """All trials that were begun, but for those that were begun anew."""
        kept = self.study.get_trials(deepcopy=False)
        states = self.optuna.trial.TrialState
        shown = [t for t in kept if t.state != states.WAITING and "lost" not in t.user_attrs]
        return [_trial(number, trial) for number, trial in enumerate(shown)]

    def importances(self) -> dict[str, float]:
        """The share of the differences in loss that each argument explains, most first; {} for too few trials."""
        complete = self.study.get_trials(deepcopy=False, states=[self.optuna.trial.TrialState.COMPLETE])
        if len(complete) < 2 * STARTUP or len({t.value for t in complete}) < 2:
            return {}
        with quiet(self.optuna):
            evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
            try:
                return self.optuna.importance.get_param_importances(self.study, evaluator=evaluator)
            except (ValueError, RuntimeError, ZeroDivisionError):  # an argument that took one value only
                return {}


def load_optuna() -> ModuleType:
    """The package; raises `MissingExtraError`."""
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("elman tune: needs optuna. pip install 'elman[tune]'") from None
    return optuna


@contextmanager
def quiet(optuna: ModuleType) -> Iterator[None]:
    """Without optuna's lines on stderr, and afterwards as it was."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="optuna")
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def alone(folder: Path | None) -> Iterator[None]:
    """Within the block no other process searches in this folder. The system frees the lock when its holder dies."""
    if folder is None:
        yield
        return
    lock = sqlite3.connect(folder / "study.lock", isolation_level=None, timeout=0.0)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        raise RunError(
            f"{folder}: another process is searching there. Wait for it, or choose another folder."
        ) from None
    else:
        yield
    finally:
        lock.close()


def _trial(number: int, trial: Any) -> Trial:
    return Trial(
        number,
        trial.number,
        trial.state.name.lower().replace("fail", "failed"),
        trial.params,
        trial.intermediate_values,
        trial.value if trial.state.name == "COMPLETE" else None,
        None if trial.duration is None else trial.duration.total_seconds(),
        trial.user_attrs.get("reason", ""),
    )
