"""How time and peak memory of forward + backward grow with T, B and H, each size in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.evidence.speed.bench import Bench
from elman.evidence.speed.child import start
from elman.evidence.speed.point import TRAINING, Point

AXES = ("T", "B", "H")
# Who runs, under which name.
WHO = {"ours": "elman", "checkpointed": "elman, checkpoint='auto'", "peer": "nn.LSTM"}


def run(bench: Bench) -> None:
    """An LSTM along every axis, with the most threads asked for."""
    threads = max(bench.threads)
    for (sizes, (T, B, H)), who in ((along, who) for along in bench.plan.growth for who in WHO):
        for size in sizes:
            point = Point("growth", "lstm", WHO[who], TRAINING, threads, T or size, B or size, H or size, H or size)
            job = {"job": "growth", "who": who, "T": point.T, "B": point.B, "H": point.H, "threads": threads}
            with bench.say.status(f"growth: {WHO[who]}, {point.shape}"):
                answer = start(job)
            point.problem = str(answer.get("problem", ""))
            if not point.problem:
                point.rounds, point.values = {who: [answer["seconds"]]}, {"bytes": answer["bytes"]}
            point.values["axis"] = float(((T, B, H)).index(0))
            bench.add(point)
    rows = [
        (name, axis, *(f"{exponent:.2f}" for exponent in found))
        for (name, axis), found in exponents(bench.points).items()
    ]
    bench.lines("Growth as a power of the size", ("who", "axis", "time", "peak memory"), rows)


def curves(points: Sequence[Point], axis: str) -> dict[str, list[tuple[int, float, float]]]:
    """By name: size along the axis, seconds, bytes."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    for point in points:
        if point.values["axis"] == AXES.index(axis) and not point.problem:
            [[seconds]] = point.rounds.values()
            found.setdefault(point.against, []).append((getattr(point, axis), seconds, point.values["bytes"]))
    return found


def exponents(points: Sequence[Point]) -> dict[tuple[str, str], tuple[float, float]]:
    """By name and axis: the powers of the size with which time and memory grow."""
    return {
        (name, axis): (exponent([p[0] for p in curve], [p[1] for p in curve]), _of_memory(curve))
        for axis in AXES
        for name, curve in curves(points, axis).items()
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log value over log size, fitted to the upper half, where fixed costs no longer count.

    >>> round(exponent([1, 10, 100, 1000], [3, 4, 20, 200]), 2)
    0.85
    """
    kept = [(x, y) for x, y in zip(sizes, values, strict=True) if y > 0]
    kept = sorted(kept)[-max(3, -(-len(kept) // 2)) :]
    if len(kept) < 2:
        return float("nan")
    x, y = np.log(np.array(kept, float)).T
    return float(np.polyfit(x, y, 1)[0])


def _of_memory(curve: Sequence[tuple[int, float, float]]) -> float:
    return exponent([p[0] for p in curve], [p[2] for p in curve])
