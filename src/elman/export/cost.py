"""What an exported step costs in truth: how far its answers are from the model's, and how many are still right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.errors import DataError
from elman.export.model import some_steps
from elman.steps.causal import StackStep
from elman.steps.engine import Engine
from elman.steps.program import Program, program

TRIED = 1000
"""random steps that are tried where no data are given"""


@dataclass(frozen=True)
class Cost:
    """The C against the model, on the same sequences.

    steps      how many were compared
    error      largest difference of y, above 1 relative to |y|
    agreement  share of them with the same greatest y; None where y is one number
    judged     "accuracy" of names or "mean absolute error" of numbers, where the truth was given
    model, c   that of both, and
    """

    steps: int
    error: float
    agreement: float | None
    judged: str | None = None
    model: float = 0.0
    c: float = 0.0


def cost_of(step: StackStep, made: Program, X: Sequence[Any] | None = None, y: Sequence[Any] | None = None) -> Cost:
    """Runs both over sequences.

    X  as the model reads them; None: one of random steps
    y  what is true of each, or of each of its steps; None: it is not judged

    Raises `DataError` where X and y do not fit, or X is nothing that the model reads.
    """
    if X is None:
        given = [some_steps(step.reads, TRIED)]
    else:
        given = [np.stack([step.encode(x) for x in _steps(step, sequence)]) for sequence in X]
    if not given:
        raise DataError(f"{step.where}: at least one sequence is needed to measure the cost on, got none.")
    if y is not None and len(y) != len(given):
        raise DataError(f"{step.where}: as many targets as sequences are needed, got {len(y)} and {len(given)}.")
    engines = Engine(step, compiled=False), Engine.of(program(step, made.kept, number="double"))
    exact, other = ([_answers(engine, x) for x in given] for engine in engines)
    a, b = np.concatenate(exact), np.concatenate(other)
    same = None if step.outputs == 1 else float(np.mean(a.argmax(1) == b.argmax(1)))
    error = float((np.abs(a - b) / np.maximum(1, np.abs(a))).max())
    if y is None:
        return Cost(len(a), error, same)
    names = getattr(step.says, "names", None)
    judged = (
        [_judge(said, truth, names) for said, truth in zip(answers, y, strict=True)] for answers in (exact, other)
    )
    scores = (float(np.mean(np.concatenate(each))) for each in judged)
    return Cost(len(a), error, same, "mean absolute error" if names is None else "accuracy", *scores)


def _steps(step: StackStep, sequence: Any) -> Any:
    """A sequence as what is pushed: text as the names that it is cut into."""
    return step.codes.cut(sequence) if step.codes is not None else sequence


def _answers(engine: Engine, x: np.ndarray) -> np.ndarray:
    """y (T, K) over a sequence (T, I) from the beginning."""
    one, y, state = np.zeros(x.shape[1]), np.zeros(engine.step.outputs, np.float32), engine.first.copy()
    run, found = engine.bind(one, y, state), np.empty((len(x), len(y)), np.float32)
    for t, values in enumerate(x):
        one[:] = values
        run()
        found[t] = y
    return found


def _judge(said: np.ndarray, truth: Any, names: list[Any] | None) -> np.ndarray:
    """Of each step, or of the last where the truth is of the whole: whether its name is right, or how far y is off."""
    if names is None:
        target = np.asarray(truth, np.float64)
        each = target.ndim and len(target) == len(said) and target.size == said.size
        return (
            np.abs(said.reshape(target.shape) - target).reshape(-1) if each else np.abs(said[-1] - target).reshape(-1)
        )
    greatest = said.argmax(1)
    if isinstance(truth, (list, tuple, np.ndarray)) and np.ndim(truth):
        return np.array([str(names[i]) == str(name) for i, name in zip(greatest, truth, strict=True)])
    return np.array([str(names[greatest[-1]]) == str(truth)])
