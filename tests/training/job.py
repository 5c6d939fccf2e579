"""A whole training job as a process of its own, to be killed or interrupted: `python job.py VERB FOLDER …`.

run FOLDER           trains far too long, until a signal comes; exit code as the shell expects it
kill FOLDER N SEED   N times: trains in a new process, SIGKILLs it at a random instant, resumes to the end
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import lightning_fabric  # noqa: F401  # else each fork would load it, and be killed while it does
import torch
from tiny import TinyLearner, padded, truncated

from elman.errors import ElmanError
from elman.training.checkpoint import Checkpoint
from elman.training.loop import fit
from elman.training.run import RunFolder
from elman.training.settings import TrainingSettings
from elman.training.signals import Interrupted

SETTINGS = {"max_epochs": 10, "learning_rate": 0.01, "average": 0.9, "checkpoint_every": 3, "accelerator": "cpu"}


def train(folder: Path, resume: bool = False, **changed) -> None:
    """Everything a checkpoint must bring back is in use: dropout, carried state, average, best weights, metrics."""
    torch.set_num_threads(1)
    run = RunFolder(folder).create(resume=resume, command=["job"])
    if run.finished:
        return
    model = TinyLearner(dropout=0.2)
    settings = TrainingSettings(**{**SETTINGS, **changed})
    fit(model, truncated(), validation=padded(seed=2), settings=settings, folder=folder, resume=resume)
    run.save_model(model.state_dict(), {"estimator": "Tiny", "params": {}, "state": {}})


def in_new_process(folder: Path, resume: bool, kill_after: float | None = None) -> int:
    """Trains in a fork of this process, which has imported everything but done nothing; returns its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(folder, resume)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def kill(folder: Path, number: int, seed: int) -> list[dict]:
    """The trials: when each was killed, how far it had come, how the resumed run ended."""
    began = time.monotonic()
    status = in_new_process(folder / "undisturbed", resume=False)
    whole = time.monotonic() - began
    dice, trials = random.Random(seed), [{"name": "undisturbed", "status": status}]
    for i in range(number):
        path = folder / f"killed{i}"
        killed = in_new_process(path, resume=False, kill_after=dice.uniform(0, 0.9 * whole))
        found = Checkpoint.load(path) if path.is_dir() else None
        step = None if found is None else found.notes["standing"]["step"]
        status = in_new_process(path, resume=True)
        trials.append({"name": path.name, "killed": killed, "step": step, "status": status})
    return trials


def main(verb: str, folder: str, *rest: str) -> int:
    path = Path(folder)
    try:
        if verb == "kill":
            print(json.dumps(kill(path, int(rest[0]), int(rest[1]))))
        else:
            train(path, max_epochs=100_000)
    except (ElmanError, Interrupted) as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        return getattr(problem, "exit_code", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
