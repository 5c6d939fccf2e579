"""Histories as rows of lags and the steps that followed: what the two pooled baselines learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.evidence.baselines.base import CannotFitError, Floats, Task, fill_gaps

_MAX_ROWS = 20_000  # bounds time and memory on large panels; drawn evenly at random with a fixed seed
_HELD_OUT = 0.2  # the last fifth of each series' rows judges the fit: intervals from rows fitted on are too narrow


@dataclass(frozen=True)
class Lags:
    """Rows to learn from. x (R, L): lags; y (R, H): the steps after, NaN = missing; both less a centre, over a scale.

    held_out (R,): the latest rows of each series, none of whose targets a fitted row has seen.
    """

    x: Floats
    y: Floats
    held_out: NDArray[np.bool_]


def training_histories(task: Task) -> list[Floats]:
    """Each series' shortest history: all that was known at its first cutoff.

    A later window's history holds an earlier window's truth, so learning from it would be looking at the answers.

    >>> task = Task.build([[1.0, 2.0], [1.0], [5.0]], 1, 1, (0.5,), series=["a", "a", "b"])
    >>> [history.tolist() for history in training_histories(task)]
    [[1.0], [5.0]]
    """
    shortest: dict[int, Floats] = {}
    for number, history in zip(task.series.tolist(), task.histories, strict=True):
        if number not in shortest or len(history) < len(shortest[number]):
            shortest[number] = history
    return list(shortest.values())


def choose_lags(histories: Sequence[Floats], horizon: int, season: int) -> int:
    """L: two seasons and a step (at least 8), or what leaves the median series a third of its steps to learn from.

    >>> choose_lags([np.zeros(365)], 14, 7), choose_lags([np.zeros(30)], 10, 12)
    (15, 13)
    """
    room = int(np.median([len(history) for history in histories])) - horizon
    return max(1, min(max(2 * season + 1, 8), room * 2 // 3))


def normalise(windows: Floats, season: int, floor: float | Floats) -> tuple[Floats, Floats, Floats]:
    """(R, L) → the same less its centre and over its scale, with centre and scale (R, 1).

    Centre: the mean of the last season (m = 1: the last value). Scale: the mean distance from it, at least `floor`,
    so that a quiet stretch of a series doesn't promise that it stays quiet.
    """
    centre = windows[:, -min(season, windows.shape[1]) :].mean(axis=1, keepdims=True)
    scale = np.maximum(np.abs(windows - centre).mean(axis=1, keepdims=True), floor)
    return (windows - centre) / scale, centre, scale


def scale_floor(history: Floats) -> float:
    """A tenth of the history's mean distance from its mean (1 for a constant history, where any scale will do)."""
    spread = float(np.abs(history - history.mean()).mean())
    return 0.1 * spread if spread > 0 else 1.0


def build_lags(task: Task, lags: int) -> Lags:
    """All rows of all training histories. Raises CannotFitError where not even two rows can be had.

    A missing lag is put in by a straight line; a missing target stays NaN.
    """
    horizon, season = task.horizon, task.season
    parts: list[tuple[Floats, Floats, NDArray[np.bool_]]] = []
    for history in training_histories(task):
        if len(history) < lags + horizon or not np.isfinite(history).any():
            continue
        filled = fill_gaps(history)
        windows = np.lib.stride_tricks.sliding_window_view(filled, lags + horizon)
        truth = np.lib.stride_tricks.sliding_window_view(history, lags + horizon)[:, lags:]
        x, centre, scale = normalise(windows[:, :lags], season, scale_floor(filled))
        held = np.arange(len(x)) >= len(x) - max(1, round(_HELD_OUT * len(x)))
        # Rows whose targets reach into the held-out ones' lags are fine; into their targets they are not.
        gap = (np.arange(len(x)) >= held.argmax() - horizon + 1) & ~held
        keep = ~gap if (~gap & ~held).any() else np.ones(len(x), dtype=bool)
        parts.append((x[keep], ((truth - centre) / scale)[keep], held[keep]))
    if not parts or sum(len(x) for x, _, _ in parts) < 2:
        raise CannotFitError(f"no history holds {lags} lags and {horizon} steps after them twice")
    x, y, held_out = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    known = ~np.isnan(y).all(axis=1)
    rows = np.flatnonzero(known)
    if len(rows) < 2:
        raise CannotFitError("no row of lags has an observed step after it")
    if len(rows) > _MAX_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MAX_ROWS, replace=False))
    return Lags(x[rows], y[rows], held_out[rows])


def latest_lags(task: Task, lags: int) -> tuple[Floats, Floats, Floats, list[int]]:
    """The last L steps of every window, normalised (N, L), centre and scale (N, 1), and the windows too short for L.

    A window too short is filled with its first value, so that the arrays stay whole; its forecast is to be replaced.
    """
    rows = np.empty((len(task.histories), lags))
    floors = np.empty((len(task.histories), 1))
    short = [number for number, history in enumerate(task.histories) if len(history) < lags]
    for number, history in enumerate(task.histories):
        filled = fill_gaps(history)
        rows[number] = filled[0]
        rows[number, lags - min(lags, len(filled)) :] = filled[-lags:]
        floors[number] = scale_floor(filled)
    x, centre, scale = normalise(rows, task.season, floors)
    return x, centre, scale, short
