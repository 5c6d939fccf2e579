"""Who trains the trials: this process, or several others, each on one thread. Only this one speaks to the study."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

import torch

from elman.errors import DivergenceError, ElmanError
from elman.estimators.base import changed
from elman.evidence.tune.search import Outcome, Search, Trial
from elman.evidence.tune.tasks import Pruned, Report, Task, Watch

ALIVE = 1.0
"""seconds between two looks at whether the search's own process still lives"""
Prepare = Callable[[], Any]
"""called in each process before its first trial: it defines what the estimator names, as cells in a file"""


def attempt(task: Task, params: dict[str, Any], report: Report, beat: Callable[[], None] = lambda: None) -> Outcome:
    """Trains a candidate with these arguments."""
    model = changed(task.estimator, **params)
    try:
        task.fit(model, Watch(report, beat))
    except Pruned:
        return Outcome("pruned")
    except DivergenceError as problem:
        return Outcome("pruned", reason=str(problem))
    except (ElmanError, RuntimeError, MemoryError) as problem:  # torch's out of memory is a RuntimeError
        return Outcome("failed", reason=" ".join(f"{type(problem).__name__}: {problem}".split())[:300])
    return Outcome("complete", task.loss(model.history_))


def run_here(search: Search, told: Callable[[Trial], None]) -> None:
    """All trials, one after the other, in this process."""
    while search.left > 0:
        trial = search.ask()

        def report(number: int, loss: float, done: float, trial: Any = trial) -> bool:
            return search.report(trial, number, loss, done)

        search.tell(trial, attempt(search.task, arguments(trial), report))
        told(search.found()[-1])


def run_beside(search: Search, workers: int, prepare: Prepare, told: Callable[[Trial], None]) -> None:
    """All trials, so many at a time, each in a process of its own. One whose process dies is tried again.

    The processes are spawned: torch's threads do not survive a fork.
    """
    crew = [Member.start(search.task, prepare) for _ in range(min(workers, search.left))]
    try:
        while True:
            for member in crew:
                if member.trial is None and search.left > 0:
                    member.begin(search.ask())
            busy = {member.line: member for member in crew if member.trial is not None}
            if not busy:
                return
            for line in wait(list(busy)):
                member = busy[line]
                try:
                    heard = member.line.recv()
                except (EOFError, ConnectionResetError):
                    member.process.join()
                    search.lose(member.trial, f"its process ended with code {member.process.exitcode}")
                    crew[crew.index(member)] = Member.start(search.task, prepare)
                    continue
                if isinstance(heard, Outcome):
                    number = member.trial.number
                    search.tell(member.end(), heard)
                    told(next(t for t in search.found() if t.id == number))
                else:
                    member.line.send(search.report(member.trial, *heard))
    finally:
        for member in crew:
            member.process.kill()  # asked politely, it might wait for an answer from here
        for member in crew:
            member.process.join()


@dataclass
class Member:
    """A process that trains, the line to it, and the trial that it is at."""

    process: Any
    line: Any
    trial: Any = field(default=None)

    @classmethod
    def start(cls, task: Task, prepare: Prepare) -> Member:
        """A fresh one."""
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, task, prepare), daemon=True)
        process.start()
        theirs.close()  # else its death would not be heard
        return cls(process, mine)

    def begin(self, trial: Any) -> None:
        """Gives it a trial."""
        trial.set_user_attr("process", self.process.pid)
        self.trial = trial
        self.line.send(arguments(trial))

    def end(self) -> Any:
        """Takes its trial back."""
        trial, self.trial = self.trial, None
        return trial


def serve(line: Any, task: Task, prepare: Prepare) -> None:
    """What such a process does, until the line breaks: the search is over, or it was killed."""
    torch.set_num_threads(1)
    looked = time.monotonic()

    def beat() -> None:
        nonlocal looked
        if time.monotonic() - looked > ALIVE:
            looked = time.monotonic()
            parent = multiprocessing.parent_process()
            if parent is not None and not parent.is_alive():
                os._exit(1)  # nobody is left to hear of it

    def report(number: int, loss: float, done: float) -> bool:
        line.send((number, loss, done))
        return line.recv()

    try:
        prepare()
        while True:
            line.send(attempt(task, line.recv(), report, beat))
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return


def arguments(trial: Any) -> dict[str, Any]:
    """What a trial changes: nothing in the first."""
    return {} if trial.user_attrs.get("defaults") else dict(trial.params)
