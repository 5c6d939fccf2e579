"""How a call is laid over the GPU: which units and sequences a program takes, and how the steps follow one another."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from elman.backends.linear import transition
from elman.graph import Traced

ALONE = 1 << 17
"""bytes of R up to which one program holds all of it, and no program waits for another"""
HELD = 1 << 16
"""bytes of R that a program keeps on the chip from step to step; more is read anew at each, from the nearest cache"""
COLUMNS = 128
"""columns of R in a piece of the product, of 16 bits; of wider numbers fewer"""


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
    blocks  of sequences in a launch, 0 for all: where programs have to be on the chip at once, more go one after another
    """

    form: str
    BB: int
    BU: int
    BK: int
    chunks: int
    hold: bool
    warps: int = 4
    blocks: int = 0

    def grid(self, rows: int, units: int, heads: int = 1) -> tuple[int, int, int]:
        """Programs by the units of a head, by sequences and by heads."""
        return -(-units // self.BU), rows if self.form == "scan" else -(-rows // self.BB), heads

    def __str__(self) -> str:
        return FORMS[self.form]


def plan_for(
    traced: Traced, units: int, rows: int, dtype: torch.dtype, places: int, *, norm: bool, heads: int = 1
) -> Plan:
    """The layout for so many units of each head, and sequences.

    places  programs that the GPU holds at once, 0 if that is not known

    >>> from elman.cells import LSTM
    >>> from elman.graph import trace
    >>> small, large = (plan_for(trace(LSTM()), H, 32, torch.bfloat16, 132, norm=False) for H in (64, 512))
    >>> small.form, large.form, large.grid(32, 512)
    ('alone', 'spread', (32, 1, 1))
    """
    size, wide, wanted = dtype.itemsize, max(16, power(units)), _forced.get("form")
    recurrent = len(traced.recurrent)
    if transition(traced) is not None:
        return _changed(Plan("scan", 64, min(32, wide), 16, 1, False))
    if not recurrent:
        return _changed(Plan("alone", min(16, power(rows)), min(64, wide), 16, 1, True))
    fits = recurrent * wide * wide * size <= ALONE
    if fits and not (norm and heads > 1) if wanted is None else wanted == "alone":
        return _changed(Plan("alone", 16, wide, wide, 1, fits, warps=8 if wide > 64 else 4))
    BB = min(max(16, power(rows)), 64)
    BK = COLUMNS // max(size // 2, 1)
    chunks = -(-units // BK)
    warps = 8 if BB * size > 64 else 4  # else sums of so many sequences do not fit into registers
    for BU in (16, 32, 64):
        hold = recurrent * BU * chunks * BK * size <= HELD
        plan = Plan("spread", BB, BU, BK, chunks if hold else 1, hold, warps)
        if math.prod(plan.grid(rows, units, heads)) <= places and wanted != "steps":
            return _changed(plan)
    by_units, _, _ = plan.grid(rows, units, heads)
    if by_units * heads <= places and wanted != "steps":
        return _changed(replace(plan, blocks=places // (by_units * heads)))
    return _changed(Plan("spread" if wanted == "spread" else "steps", BB, 32, BK, 1, False, warps))


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
    ...     plan_for(trace(GRU()), 32, 8, torch.float32, 0, norm=False).BB
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
