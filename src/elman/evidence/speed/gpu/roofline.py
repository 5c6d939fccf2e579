"""How far the kernels are from what the GPU can do: bytes, operations and meetings of a step beside its time."""

from __future__ import annotations

import functools
from dataclasses import replace
from itertools import product as every
from typing import Any

import torch

from elman.backends.triton.plan import places_on, plan_for
from elman.evidence.speed.bench import flops
from elman.evidence.speed.gpu.device import DTYPES, bandwidth, events, kernel_times, product
from elman.evidence.speed.gpu.rows import Lab, Row
from elman.evidence.speed.point import INFERENCE, TRAINING, Point
from elman.evidence.speed.twins import TWINS, pair

FLOOR = "the floor of a step"
MEETING = "an empty loop of meetings"
KERNELS = {INFERENCE: "forward", TRAINING: "backward"}
"""the kernel that a row is about, by mode"""


def rows() -> list[Row]:
    """Meetings of so many programs; then both kernels of both cells."""
    found = [
        Row(
            2,
            Point("roofline", "none", MEETING, INFERENCE, 0, 1000, 1, 1, 32 * many, form=f"{many} programs"),
            meetings,
        )
        for many in (8, 16, 32, 64, 128)
    ]
    cells = [cell for cell in TWINS if cell != "elman"]
    for mode, cell, (H, B), kind in every(
        KERNELS, cells, ((64, 64), (128, 64), (256, 64), (512, 64), (768, 16), (1024, 64)), ("bfloat16", "float32")
    ):
        rank = 2 if H in (128, 512) and kind == "bfloat16" else 4
        found.append(Row(rank, Point("roofline", cell, FLOOR, mode, 0, 1024, B, 8, H, dtype=kind), against_floor))
    return found


def meetings(lab: Lab, point: Point) -> Point:
    """µs of a meeting, by a loop that does nothing else."""
    from elman.evidence.speed.gpu.barrier import empty

    many = 1 if lab.dry else int(point.form.split()[0])
    if not lab.dry and many > places_on(lab.device):
        point.problem = f"the GPU has {places_on(lab.device)} multiprocessors"
        return point
    counter = torch.zeros(32, dtype=torch.int32, device=lab.device)
    more: dict[str, Any] = {} if lab.dry else {"launch_cooperative_grid": True}

    def call() -> None:
        counter.zero_()
        empty[(many,)](counter, point.T, **more)

    call()
    if int(counter[0]) != many * point.T:
        point.problem = f"{many} programs met {int(counter[0])} times in {point.T} steps"
    elif not lab.tried:
        point.rounds = {"ours": [events(call, 3) for _ in range(lab.rounds)]}
        point.values["µs a step"] = min(point.rounds["ours"]) / point.T * 1e6
    return point


def against_floor(lab: Lab, point: Point) -> Point:
    """The kernel's time a step, and the least that its bytes, operations and meetings take."""
    peer, ours = pair(point.cell, point.H, point.F, backend="triton")
    whole = replace(point, mode=TRAINING, values={})
    kind = lab.dtype(point)
    exact = lab.side(peer.to(kind).float(), whole, exact=True)
    side = lab.side(ours, whole)
    trial = Lab(lab.device, tried=True)
    trial.contest(whole, {"ours": side}, reference=exact)
    point.error, point.problem = whole.error, whole.problem
    if point.problem or lab.tried:
        return point
    with lab.as_asked(point):
        seconds = kernel_times(side.call)[KERNELS[point.mode]]
    point.rounds = {"ours": [seconds]}
    floors = floor(lab, point, ours.cell)
    point.values |= {name: value * 1e6 for name, value in floors.items()}
    least = sum(floors[n] for n in ("R once, µs", "meeting, µs")) + max(floors["streams, µs"], floors["operations, µs"])
    ours_µs = seconds / point.T * 1e6
    point.values |= {"floor, µs": least * 1e6, "ours, µs": ours_µs, "ours ÷ floor": ours_µs / (least * 1e6)}
    return point


def floor(lab: Lab, point: Point, cell: Any) -> dict[str, float]:
    """Seconds of a step: R read once for all of them; z, y and states that come and go; R h; the meeting."""
    from elman.graph import trace

    traced = trace(cell)
    size, gates = DTYPES[point.dtype].itemsize, len(traced.gates)
    rate, speed = _bandwidth(lab.device), _product(lab.device, point.dtype)
    back = point.mode == TRAINING
    plan = plan_for(traced, point.H, point.B, DTYPES[point.dtype], places_on(lab.device), back=back)
    numbers = point.B * point.H
    # Forward reads z and writes it, y and the inner states; backward reads those and d_y and writes z.
    streams = numbers * (size * (2 * gates + 1 + len(traced.apart)) + 4 * (len(traced.cell.states) - 1))
    if back:
        streams += numbers * size * (1 + len(traced.apart))
    met = _meeting(lab.device, plan.grid(point.B, point.H)[0]) if plan.form == "spread" else 0.0
    work = flops(INFERENCE, 1, point.B, 0, point.H, 0, len(traced.recurrent))
    return {
        "R once, µs": len(traced.recurrent) * point.H**2 * size / rate / point.T,
        "streams, µs": streams / rate,
        "operations, µs": work / speed,
        "meeting, µs": met,
    }


@functools.cache
def _bandwidth(device: torch.device) -> float:
    return bandwidth(device)


@functools.cache
def _product(device: torch.device, dtype: str) -> float:
    return product(device, dtype)


@functools.cache
def _meeting(device: torch.device, programs: int) -> float:
    """Seconds of one."""
    point = Point("roofline", "none", MEETING, INFERENCE, 0, 1000, 1, 1, 1, form=f"{programs} programs")
    return meetings(Lab(device), point).values["µs a step"] / 1e6
