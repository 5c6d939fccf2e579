"""How a call is laid over the GPU: which units and sequences a program takes, and how the steps follow one another."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch

from elman.backends.linear import transition
from elman.graph import Traced

ALONE = 1 << 17
"""bytes of R up to which one program holds all of it, and no program waits for another"""
ROOM = 220 << 10
"""bytes of shared memory that the operands of a program's products may take, of 227 KB on an H100 or H200"""
COLUMNS = 128
"""columns of R in a piece of the product, of 16 bits; of wider numbers fewer"""
STAGES = 3
"""pieces that are on the chip at once where they are read in a loop"""
NEAR = 0.3
"""what a byte from the chip costs beside one from the cache that all share: estimated, not measured"""
MEETING = 200 << 10
"""bytes that a program could fetch while programs meet, 2 µs: estimated, not measured"""
FILL = 4
"""programs of a scan for each multiprocessor: estimated, not measured"""
SIZES = (16, 32, 64)
"""sequences and units of a program, as a product of 16 × 8 × 16 numbers takes them"""


FORMS = {
    "alone": "one launch",
    "spread": "one persistent launch",
    "steps": "one launch per step",
    "scan": "one launch, a parallel scan",
}
"""each form in words"""


@dataclass(frozen=True)
class Plan:
    """The layout.

    form    "alone": a program has all units of its sequences, and goes through time by itself;
            "spread": programs share the units, all are on the chip at once and meet after each step;
            "steps": they share them, and each step is a launch of its own;
            "scan": the cell is linear in its state, and many steps are taken at once
    BB, BU  sequences (of a scan: steps) and units of a program
    BK      columns of R in a piece of the product
    hold    whether a program's part of R stays on the chip, in so many `chunks`; else pieces are read in a loop
    warps   of a program
    blocks  of sequences in a launch, 0 for all: of programs that meet no more than are on the chip at once
    fill    of a scan: programs that keep the GPU busy; so many share the steps where there are fewer
    """

    form: str
    BB: int
    BU: int
    BK: int
    chunks: int
    hold: bool
    warps: int = 4
    blocks: int = 0
    fill: int = 0

    def grid(self, rows: int, units: int, heads: int = 1) -> tuple[int, int, int]:
        """Programs by the units of a head, by sequences and by heads."""
        return -(-units // self.BU), rows if self.form == "scan" else -(-rows // self.BB), heads

    def split(self, steps: int, programs: int) -> tuple[int, int]:
        """Spans into which the steps of a scan are cut, and steps of a span, whole pieces; of at least two of them.

        >>> busy, alone = (Plan("scan", 64, 32, 16, 1, False, fill=fill) for fill in (528, 0))
        >>> busy.split(65536, 8), alone.split(99, 1)
        ((64, 1024), (1, 128))
        """
        pieces = -(-steps // self.BB)
        many = max(1, min(-(-self.fill // programs), pieces // 2))
        each = -(-pieces // many)
        return -(-pieces // each), each * self.BB

    @property
    def ways(self) -> int:
        """Parts of a sum over the columns of a piece, one for each warp."""
        return 1 if self.form == "alone" else min(self.warps, self.BK // 16)

    def __str__(self) -> str:
        return FORMS[self.form]


def plan_for(
    traced: Traced,
    units: int,
    rows: int,
    dtype: torch.dtype,
    places: int,
    *,
    norm: bool = False,
    heads: int = 1,
    back: bool = False,
) -> Plan:
    """The layout for so many units of each head, and sequences; `back`: of the backward pass.

    places  programs that the GPU holds at once, 0 if that is not known

    >>> from elman.cells import LSTM
    >>> from elman.graph import trace
    >>> small, large = (plan_for(trace(LSTM()), H, 32, torch.bfloat16, 132) for H in (64, 512))
    >>> small.form, large.form, large.grid(32, 512)
    ('alone', 'spread', (32, 2, 1))
    """
    size, wide, wanted = dtype.itemsize, max(16, power(units)), _forced.get("form")
    recurrent = len(traced.recurrent)
    if transition(traced) is not None:
        return _changed(Plan("scan", 64, min(32, wide), 16, 1, False, fill=FILL * places))
    if not recurrent:
        return _changed(Plan("alone", min(16, power(rows)), min(64, wide), 16, 1, True))
    parts = 2 if dtype == torch.float32 and not torch.backends.cuda.matmul.allow_tf32 else 1
    fits = recurrent * wide * wide * size * parts <= ALONE
    if fits and not (norm and heads > 1) if wanted is None else wanted == "alone":
        return _changed(Plan("alone", 16, wide, wide, 1, fits, warps=min(max(wide // 8, 4), 16)))
    shape = Shape(units, rows, heads, recurrent, size, parts, back)
    return _changed(_shared(shape, places, wanted))


@dataclass(frozen=True)
class Shape:
    """What programs share: units of each head, sequences, heads, gates with a part of R, bytes of a number.

    parts  in which R is held: an exact product of float32 has its leading bits and the rest
    """

    units: int
    rows: int
    heads: int
    gates: int
    size: int
    parts: int
    back: bool

    def plan(self, BB: int, BU: int, hold: bool, places: int) -> Plan:
        """Programs of so many sequences and units, in blocks that are on the GPU at once; 0 if not even one is."""
        BK = 2 * COLUMNS // self.size
        chunks = -(-self.units // BK) if hold else 1
        plan = Plan("spread", BB, BU, BK, chunks, hold, warps=8 if BB * BU * self.size > 1024 else 4)
        by_units, blocks, heads = plan.grid(self.rows, self.units, self.heads)
        return replace(plan, blocks=min(places // (by_units * heads), blocks))

    def bytes(self, plan: Plan) -> int:
        """Shared memory of the operands: R's part and h forwards, R's part and the gradients of all gates backwards."""
        R = (self.gates if self.back else power(self.gates)) * plan.BU * self.parts
        other = (self.gates if self.back else 1) * plan.BB
        return (R + other) * plan.BK * (plan.chunks if plan.hold else STAGES) * self.size

    def work(self, plan: Plan) -> float:
        """What a step costs: bytes that a program fetches, those of a held R from near it; and a meeting, as bytes."""
        R = self.gates * plan.BU * (NEAR if plan.hold else 1.0)
        other = plan.BB * (self.gates if self.back else 1)
        _, blocks, _ = plan.grid(self.rows, self.units)
        return ((R + other) * self.units * self.size + MEETING) * -(-blocks // max(plan.blocks, 1))


@functools.lru_cache(1024)
def _shared(shape: Shape, places: int, wanted: str | None) -> Plan:
    """The layout of programs that share the units, with the least work; found once, asked for at every call."""
    found = [shape.plan(BB, BU, hold, places) for BB, BU, hold in product(SIZES, SIZES, (True, False))]
    plans = [p for p in found if shape.bytes(p) <= ROOM and (p.blocks or wanted == "spread")]
    if not plans or wanted == "steps":
        return replace(shape.plan(16, 16, hold=False, places=0), form="steps")
    return min(plans, key=shape.work)


def places_on(device: torch.device) -> int:
    """Programs that a GPU surely holds at once: one on each of its multiprocessors."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 0


def power(count: int) -> int:
    """The least power of 2 that is not less."""
    return 1 << max(count - 1, 0).bit_length()


_forced: dict[str, Any] = {}


@contextlib.contextmanager
def forced(form: str | None = None, **parts: dict[str, Any]) -> Iterator[None]:
    """Within the block plans of a form have these parts instead of their own, for tests and measurements.

    form: "alone", "spread" or "steps" for cells with R, where they would choose another; normalised ones can't.

    >>> from elman.cells import GRU
    >>> from elman.graph import trace
    >>> with forced(alone={"BB": 64}):
    ...     plan_for(trace(GRU()), 32, 8, torch.float32, 0).BB
    64
    """
    before = dict(_forced)
    _forced.update(parts if form is None else {"form": form, **parts})
    try:
        yield
    finally:
        _forced.clear()
        _forced.update(before)


def _changed(plan: Plan) -> Plan:
    return replace(plan, **_forced.get(plan.form, {}))
