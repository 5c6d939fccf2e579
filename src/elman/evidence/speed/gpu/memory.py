"""Peak memory of a training step: cuDNN, ours, and ours with `checkpoint="auto"`; and what recomputing costs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from elman.evidence.speed.gpu.rows import Lab, Row
from elman.evidence.speed.point import TRAINING, Point
from elman.evidence.speed.twins import TWINS, pair

OWN = "own full storage"


def rows() -> list[Row]:
    """Both cells at the size of the table."""
    found = []
    for cell, B in (("lstm", 64), ("gru", 64), ("lstm", 16), ("gru", 16)):
        point = Point("memory", cell, OWN, TRAINING, 0, 1024, B, 768, 768, dtype="bfloat16")
        found.append(Row(2 if B == 64 else 4, point, against_storage))
    return found


def against_storage(lab: Lab, point: Point) -> Point:
    """Time against our own without recomputation, as "peer"; peaks of both, and of cuDNN's module."""
    cudnn, full = pair(point.cell, point.H, point.F, backend="triton")
    short: Any = copy.deepcopy(full)
    short.checkpoint = "auto"
    rounded = copy.deepcopy(cudnn).to(lab.dtype(point)).float()
    sides = {"peer": lab.side(full, point), "ours": lab.side(short, point)}
    lab.contest(point, sides, reference=lab.side(rounded, point, exact=True))
    if point.problem or lab.tried:
        return point
    every = {TWINS[point.cell][0]: lab.side(cudnn, point), "full": sides["peer"], "checkpointed": sides["ours"]}
    with lab.as_asked(point):
        peaks = {name: peak(side.call) for name, side in every.items()}
    theirs = peaks.pop(TWINS[point.cell][0])
    point.values |= {f"bytes {name}": float(size) for name, size in peaks.items()}
    point.values |= {"bytes cuDNN": float(theirs), "checkpointed ÷ cuDNN": peaks["checkpointed"] / theirs}
    return point


def peak(call: Callable[[], Any]) -> int:
    """Bytes at the most in a call, beyond what was there before; the second call, when all is compiled."""
    call()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return max(torch.cuda.max_memory_allocated() - before, 1)
