"""A row of the table: what is measured, how important it is, and what all rows share while they are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.backends.triton.plan import forced
from elman.evidence.speed.clock import Call
from elman.evidence.speed.gpu.device import DTYPES, events, kernel_times, precision
from elman.evidence.speed.point import TRAINING, Point, Side, agree, contest, inference, training
from elman.evidence.speed.twins import draw

TOY = {"T": 3, "B": 2, "F": 16, "H": 16}
"""sizes of a row that is only tried"""
FORMS = ("alone", "spread", "steps")
"""forms that a row may ask for by its first word"""


@dataclass(frozen=True)
class Lab:
    """Where rows are measured.

    tried  nothing is timed: each side is checked and called once, on a machine without a GPU at toy size
    """

    device: torch.device
    tried: bool = False
    rounds: int = 5
    at_least: float = 0.01
    patience: float = 0.5

    @property
    def dry(self) -> bool:
        """Whether kernels are interpreted."""
        return self.device.type != "cuda"

    def sized(self, point: Point) -> Point:
        """The point at a size that an interpreter can do."""
        return replace(point, **{n: min(getattr(point, n), most) for n, most in TOY.items()}) if self.dry else point

    def dtype(self, point: Point) -> torch.dtype:
        """Of the numbers; the interpreter multiplies no bfloat16 matrices, it has float16 in their place."""
        kind = DTYPES[point.dtype]
        return torch.float16 if self.dry and kind == torch.bfloat16 else kind

    def tensors(self, point: Point) -> tuple[Tensor, Tensor]:
        """x (T, B, F) and the outputs' gradient (T, B, H)."""
        kind = {"device": self.device, "dtype": self.dtype(point)}
        return draw(point.T, point.B, point.F).to(**kind), draw(point.T, point.B, point.H).to(**kind)

    def side(self, module: nn.Module, point: Point, *, exact: bool = False) -> Side:
        """A module in the point's dtype and mode; `exact`: the same numbers in float32, without tf32."""
        module = module.to(self.device, torch.float32 if exact else self.dtype(point))
        x, d_y = (t.float() if exact else t for t in self.tensors(point))
        made = training(module, x, d_y) if point.mode == TRAINING else inference(module, x)
        if not exact:
            return made

        def results() -> dict[str, Tensor]:
            with precision("float32"):
                return made.results()

        return Side(made.call, results)

    @contextlib.contextmanager
    def as_asked(self, point: Point) -> Iterator[None]:
        """Number format and form of a point. Interpreted, programs of a scan are small, for each step of it costs."""
        form = point.form.split(",")[0]
        small: dict[str, Any] = {"scan": {"BB": 4, "BU": 16}} if self.dry else {}
        with precision(point.dtype), forced(form if form in FORMS else None, **small):
            yield

    def contest(
        self,
        point: Point,
        sides: Mapping[str, Side],
        *,
        reference: Side | None = None,
        others: Mapping[str, Call] | None = None,
    ) -> Point:
        """Checks both sides, and only then times them and our kernels alone."""
        with self.as_asked(point):
            if self.tried:
                if agree(point, sides, reference):
                    for call in [side.call for side in sides.values()] + list((others or {}).values()):
                        call()
                return point
            how = {"rounds": self.rounds, "at_least": self.at_least, "patience": self.patience, "timer": events}
            contest(point, sides, reference=reference, others=others, **how)
            if not point.problem:
                alone = kernel_times(sides["ours"].call)
                point.values |= {f"{name} kernel, µs a step": s / point.T * 1e6 for name, s in alone.items()}
        return point


@dataclass(frozen=True)
class Row:
    """A point yet to be measured. rank: 0 comes first."""

    rank: int
    point: Point
    measure: Callable[[Lab, Point], Any]

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return key_of(self.point)


def key_of(point: Point) -> str:
    """What was asked for, in one line.

    >>> key_of(Point("cudnn", "gru", "nn.GRU", "inference", 0, 9, 4, 64, 64, form="steps"))
    'cudnn, gru, nn.GRU, inference, float32, T=9 B=4 H=64, F=64, steps'
    """
    p = point
    return ", ".join([p.part, p.cell, p.against, p.mode, p.dtype, p.shape, f"F={p.F}", *([p.form] if p.form else [])])


def in_order(rows: list[Row]) -> list[Row]:
    """The most important first, none twice."""
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.rank):
        first.setdefault(row.key, row)
    return list(first.values())
