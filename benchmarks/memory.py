"""How far back a net can look: the adding problem over 600 steps and the copy memory over 1000, both of Bai 2018.

    python benchmarks/memory.py [--only adding copy] [--seeds 0 1 2] [--write]

Data are drawn anew for each seed, those to judge by with another one. --write puts the table into docs/results.md and
the numbers into docs/results/memory.json. Half an hour on one core.

Source: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; Bai, Kolter & Koltun 2018, arXiv:1803.01271.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, main

from elman import SequenceRegressor, SequenceTagger
from elman.cells import LRU

JUDGED = 1000
"""sequences to judge by"""
FORWARD = {"bidirectional": False, "dropout": 0.0}
"""the past alone is read, as everybody does who reports on these two"""


class NearCircle(LRU):
    """A linear recurrent unit whose poles start so near the unit circle that 1000 steps leave something of them."""

    ring = (0.999, 0.9999)


@dataclass(frozen=True)
class Task:
    """How many steps are to be bridged, what is learned by, the mark, and what a net without memory reaches."""

    steps: int
    build: Callable[[int], Any]
    draw: Callable[[int, int, np.random.Generator], tuple[list[Any], Any]]
    loss: Callable[[Any, list[Any], Any], float]
    mark: str
    published: str
    without: float


def adding(count: int, steps: int, dice: np.random.Generator) -> tuple[list[Any], Any]:
    """Numbers in 0 … 1, two of them marked, one in each half: their sum."""
    values, marks, rows = dice.random((count, steps)), np.zeros((count, steps)), np.arange(count)
    first, second = dice.integers(0, steps // 2, count), dice.integers(steps // 2, steps, count)
    marks[rows, first] = marks[rows, second] = 1.0
    return list(np.stack([values, marks], 2)), values[rows, first] + values[rows, second]


def copy(count: int, steps: int, dice: np.random.Generator) -> tuple[list[Any], Any]:
    """Ten letters, blanks, a mark: at the end the ten letters again, blanks before."""
    letters = np.array(list("abcdefgh"))[dice.integers(0, 8, (count, 10))]
    X, y = np.full((count, steps + 20), "_"), np.full((count, steps + 20), "_")
    X[:, :10], X[:, -11:], y[:, -10:] = letters, "|", letters
    return list(X), list(y)


def squared(model: Any, X: list[Any], y: np.ndarray) -> float:
    """The mean squared error."""
    return float(np.mean((model.predict(X) - y) ** 2))


def entropy(model: Any, X: list[Any], y: list[np.ndarray]) -> float:
    """The mean cross-entropy over all steps, in nats."""
    said = np.stack(model.predict_proba(X))
    right = np.take_along_axis(said, np.searchsorted(model.classes_, np.stack(y))[..., None], 2)
    return float(-np.log(np.maximum(right, 1e-12)).mean())


TASKS = {
    "adding": Task(
        600,
        lambda seed: SequenceRegressor(cell="gru", stride=1, max_steps=4000, random_state=seed, **FORWARD),
        adding,
        squared,
        "≤ 0.001",
        "LSTM .164, GRU 5.3e-5, TCN 5.8e-5",
        1 / 6,
    ),
    "copy": Task(
        1000,
        lambda seed: SequenceTagger(
            cell=NearCircle,
            hidden_size=256,
            embedding_size=16,
            embedding_dropout=0.0,
            spelling=0,
            unknown=0.0,
            learning_rate=0.01,
            max_steps=2000,
            random_state=seed,
            **FORWARD,
        ),
        copy,
        entropy,
        "< 0.020",
        "LSTM .0204, GRU .0197, TCN 3.5e-5",
        10 * np.log(8) / 1020,
    ),
}


def run(folder: Path, name: str, seed: int, with_baselines: bool) -> dict[str, Any]:
    """Learns 10,000 sequences and judges others."""
    task = TASKS[name]
    learn, judge = (
        task.draw(count, task.steps, np.random.default_rng([seed, part])) for part, count in enumerate((10_000, JUDGED))
    )
    model, start = task.build(seed), time.perf_counter()
    model.fit(*learn)
    seconds = time.perf_counter() - start
    return {"task": name, "seed": seed, "loss": task.loss(model, *judge), "seconds": seconds}


def table(results: Results) -> str:
    found = ["| task | loss, by seed | mark | without memory | published | seconds |", "|---|---:|---:|---:|---|---:|"]
    for name, task in TASKS.items():
        mine = [r for r in results if r["task"] == name]
        if mine:
            losses = " / ".join(f"{r['loss']:.1e}" for r in mine)
            seconds = float(np.median([r["seconds"] for r in mine]))
            row = (name, f"**{losses}**", task.mark, f"{task.without:.3g}", task.published, f"{seconds:.0f}")
            found.append(f"| {' | '.join(row)} |")
    return "\n".join(found)


if __name__ == "__main__":
    main("memory", __doc__, TASKS, run, table, reads=False)
