"""Seconds per call of several things that take turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Call = Callable[[], Any]
Timer = Callable[[Call, int], float]
"""seconds per call, of so many calls"""
FEWEST = 3  # rounds, however long a call takes


def interleave(
    calls: Mapping[str, Call],
    *,
    rounds: int,
    at_least: float,
    patience: float = math.inf,
    timer: Timer | None = None,
) -> dict[str, list[float]]:
    """Seconds per call of each, one number a round; in every round each is called in turn.

    rounds    how many, fewer when they would take longer than `patience` seconds, but never fewer than three
    at_least  seconds that each is called over and over in a round
    timer     what takes the time, where it is not this process's clock

    >>> sorted(interleave({"a": lambda: 1, "b": lambda: 2}, rounds=3, at_least=1e-4))
    ['a', 'b']
    """
    take = timer or repeated
    with quiet():
        counts = {name: _count(call, at_least, take) for name, call in calls.items()}
        found: dict[str, list[float]] = {name: [] for name in calls}
        began, names = time.perf_counter(), list(calls)
        for done in range(max(rounds, FEWEST)):
            if done >= FEWEST and time.perf_counter() - began > patience * done / (done + 1):
                break
            for name in names:
                found[name].append(take(calls[name], counts[name]))
            names.append(names.pop(0))  # no one always comes first
    return found


def latencies(calls: Mapping[str, Call], *, count: int, blocks: int = 10) -> dict[str, list[float]]:
    """Seconds of so many single calls of each, in turn by blocks; the clock itself costs some 50 ns of each."""
    size = -(-count // blocks)
    found: dict[str, list[float]] = {name: [] for name in calls}
    clock = time.perf_counter_ns
    for _ in range(blocks):
        for name, call in calls.items():
            call()
            times = np.empty(size, np.int64)
            for i in range(size):
                start = clock()
                call()
                times[i] = clock() - start
            found[name] += (times / 1e9).tolist()
    return found


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile.

    >>> quartiles([1.0, 2.0, 3.0])
    (1.5, 2.0, 2.5)
    """
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float(low), float(middle), float(high)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """What is there now is not looked through again when garbage is collected, which `quiet` does at every shape."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection in between."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _count(call: Call, at_least: float, take: Timer) -> int:
    """Calls that take so many seconds; it warms up on the way."""
    count, seconds = 1, take(call, 1)
    while seconds * count < at_least and count < 1 << 20:
        count = min(count * 10, max(count + 1, math.ceil(at_least / max(seconds, 1e-9))))
        seconds = take(call, count)
    return count


def repeated(call: Call, count: int) -> float:
    """Seconds per call by this process's clock."""
    times = range(count)
    start = time.perf_counter()
    for _ in times:
        call()
    return (time.perf_counter() - start) / count
