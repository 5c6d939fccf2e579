"""What the compiled cells are to reach, on a machine with two cores and AVX2, in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from elman.evidence.speed.parts.custom import COMPILED, COMPILING, LOOP
from elman.evidence.speed.point import INFERENCE, TRAINING, Point


def _ratio(point: Point) -> float | None:
    return point.ratio


def _value(name: str) -> Callable[[Point], float | None]:
    return lambda point: point.values.get(name)


@dataclass(frozen=True)
class Target:
    """A number to reach on all shapes that `chosen` takes of one part's points.

    against, mode, words  as the table says it
    bound                 the least value, or the greatest where not `least`
    value                 of a point; the peer's time ÷ ours unless told
    """

    part: str
    against: str
    mode: str
    words: str
    bound: float
    chosen: Callable[[Point], bool]
    value: Callable[[Point], float | None] = _ratio
    least: bool = True

    def points(self, points: list[Point]) -> list[Point]:
        """Those it is about."""
        return [p for p in points if p.part == self.part and self.mode in ("", p.mode) and self.chosen(p)]

    def reached(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.bound if self.least else value <= self.bound


def _grid(name: str, mode: str, bound: float, words: str, chosen: Callable[[Point], bool] = lambda p: True) -> Target:
    against = f"nn.{name}"
    return Target("grid", against, mode, f"≥ {bound:g} × {words}", bound, lambda p: p.against == against and chosen(p))


def _own(
    part: str, against: str, words: str, bound: float, name: str, mode: str = "", *, least: bool = False
) -> Target:
    return Target(part, against, mode, words, bound, lambda p: not p.problem, _value(name), least)


def _both(make: Callable[[str], list[Target]]) -> list[Target]:
    return [target for mode in (INFERENCE, TRAINING) for target in make(mode)]


TARGETS: list[Target] = [
    _grid("GRU", INFERENCE, 2, "at H ≤ 256", lambda p: p.H <= 256),
    _grid("GRU", INFERENCE, 1.5, "at H = 512", lambda p: p.H == 512),
    _grid("GRU", TRAINING, 3, "at H ≤ 128", lambda p: p.H <= 128),
    _grid("GRU", TRAINING, 2, "at H = 256", lambda p: p.H == 256),
    _grid("GRU", TRAINING, 1.3, "at H = 512", lambda p: p.H == 512),
    _grid("RNN", INFERENCE, 2, "at H ≤ 128", lambda p: p.H <= 128),
    _grid("RNN", TRAINING, 1.5, "everywhere"),
    _grid("RNN", TRAINING, 5, "at B = 1, T = 1000", lambda p: (p.B, p.T) == (1, 1000)),
    _grid("LSTM", INFERENCE, 1.2, "at H ≤ 128", lambda p: p.H <= 128),
    _grid("LSTM", TRAINING, 1.3, "at H ≤ 512", lambda p: p.H <= 512),
    _grid("LSTM", TRAINING, 2.5, "at B = 1", lambda p: p.B == 1),
    _grid("LSTM", "", 1, "everywhere"),
    *_both(
        lambda mode: [
            Target("custom", LOOP, mode, "≥ 10 × at B ≤ 16, H ≤ 128", 10, lambda p: p.against == LOOP and p.H <= 128),
            Target("custom", LOOP, mode, "≥ 2 × at H = 512", 2, lambda p: p.against == LOOP and p.H == 512),
            Target("custom", COMPILED, mode, "≥ 3 ×", 3, lambda p: p.against == COMPILED),
            Target("custom", COMPILING, mode, "≥ 50 × ours, T = 512", 50, lambda p: p.against == COMPILING),
            Target("packed", "nn.*, PackedSequence", mode, "≥ 10 ×, T ≥ 500", 10, lambda p: p.T >= 500),
            Target(
                *("packed", "our own padded time", mode, "≤ 1.2 × that", 1.2, lambda p: p.T >= 500),
                value=lambda p: p.over("ours", "padded"),
                least=False,
            ),
        ]
    ),
    *(
        Target("step", "nn.LSTM, nn.GRU, one step", INFERENCE, words, bound, chosen)
        for words, bound, chosen in (
            ("≥ 20 × at H ≤ 64", 20, lambda p: p.cell != "elman" and p.H <= 64),
            ("≥ 5 × at H = 256", 5, lambda p: p.cell != "elman" and p.H == 256),
        )
    ),
    _own("step", "our own p50", "p99.9 ≤ 3 × that", 3, "ours p99.9 ÷ p50", INFERENCE),
    _own("step", "memory asked for in a step", "no tensor made", 0, "tensor operations", INFERENCE),
    _own("step", "memory asked for in a step", "nothing left, bytes", 0, "bytes left", INFERENCE),
    _own("checkpoint", "own full storage, T = 1000", "≤ 10 % of the bytes", 0.1, "share of bytes", TRAINING),
    Target(
        *("checkpoint", "own full storage, T = 1000", TRAINING, "≤ 1.4 × the time", 1.4, lambda p: True),
        value=lambda p: p.over("ours", "peer"),
        least=False,
    ),
    Target(
        *("build", "time to compile a cell, s", TRAINING, "≤ 3", 3, lambda p: True),
        value=lambda p: p.seconds("ours"),
        least=False,
    ),
]
