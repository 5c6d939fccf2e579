"""One step from Python, one sequence: torch.nn's modules called with their state against `Stream.push`."""

from __future__ import annotations

import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from elman.evidence.speed.bench import Bench, shorten
from elman.evidence.speed.clock import latencies
from elman.evidence.speed.point import INFERENCE, Point, Side
from elman.evidence.speed.twins import TWINS, draw, pair
from elman.recurrent import Recurrent

CHECKED = 20


def run(bench: Bench) -> None:
    """Every cell × threads × H."""
    for threads in bench.each_threads():
        before = len(bench.points)
        for (cell, (name, _)), H in product(TWINS.items(), bench.plan.step):
            measure(bench, Point("step", cell, f"nn.{name}, one step", INFERENCE, threads, 1, 1, H, H))
        columns = (
            "peer",
            "H",
            "peer, µs",
            "ours, µs",
            "peer ÷ ours",
            "ours p99.9 ÷ p50",
            "bytes left",
            "at once",
            "tensor ops",
        )
        rows = [
            (
                p.against,
                p.H,
                *(shorten(1e6 * (p.seconds(who) or 0.0)) for who in ("peer", "ours")),
                shorten(p.ratio),
                shorten(p.values.get("ours p99.9 ÷ p50")),
                *(
                    f"{p.values.get(name, float('nan')):.0f}"
                    for name in ("bytes left", "bytes at once", "tensor operations")
                ),
            )
            for p in bench.points[before:]
        ]
        bench.lines(f"One step from Python, B=1, {threads} thread(s)", columns, rows)


def measure(bench: Bench, point: Point) -> Point:
    """One size: time, tail, and what a step asks memory for."""
    peer, _ = pair(point.cell, point.H)
    net = Recurrent.from_torch(peer)
    net.backend = "native"
    stream = net.stream()
    x = draw(1, 1, point.H)
    step, out = x.numpy().reshape(-1), np.zeros(point.H, np.float32)
    held: list[Any] = [None]

    def theirs() -> Any:
        y, held[0] = peer(x, held[0])
        return y

    def mine() -> Any:
        return stream.push(step, out)

    def several(start: Any, call: Any) -> dict[str, torch.Tensor]:
        start()
        return {f"the output of step {t}": torch.as_tensor(call()).flatten().clone() for t in range(CHECKED)}

    sides = {
        "peer": Side(theirs, lambda: several(lambda: held.__setitem__(0, None), theirs)),
        "ours": Side(mine, lambda: several(stream.reset, mine)),
    }
    with torch.no_grad():
        bench.contest(point, sides)
        if point.ratio is not None:
            for who, times in latencies({"peer": theirs, "ours": mine}, count=bench.plan.step_calls).items():
                p50, p999 = np.percentile(times, (50, 99.9))
                point.values |= {f"{who} p50": p50, f"{who} p99.9": p999, f"{who} p99.9 ÷ p50": p999 / p50}
            point.values |= allocations(mine)
    return point


def allocations(call: Any, count: int = 1000) -> dict[str, float]:
    """What so many calls leave behind and hold at most, in bytes, by Python and NumPy; and operations on tensors."""
    (left, most), (empty, _) = (
        _traced(call, count),
        _traced(lambda: None, count),
    )  # the measuring itself takes some, too
    with _Operations() as seen:
        call()
    return {"bytes left": left - empty, "bytes at once": most - empty, "tensor operations": float(seen.count)}


def _traced(call: Any, count: int) -> tuple[float, float]:
    tracemalloc.start()
    try:
        times = range(count)
        call()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in times:
            call()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return float(after - before), float(peak - before)


class _Operations(TorchDispatchMode):
    """Counts what torch is asked to do: where there is no operation, there is no new tensor."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))
