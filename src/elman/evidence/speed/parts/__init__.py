"""What `elman bench cpu` measures, in order."""

from __future__ import annotations

from collections.abc import Callable

from elman.evidence.speed.bench import Bench
from elman.evidence.speed.parts import accuracy, build, checkpoint, custom, grid, growth, packed, step

PARTS: dict[str, Callable[[Bench], None]] = {
    "accuracy": accuracy.run,
    "build": build.run,
    "grid": grid.run,
    "custom": custom.run,
    "packed": packed.run,
    "step": step.run,
    "checkpoint": checkpoint.run,
    "growth": growth.run,
}

__all__ = ["PARTS"]
