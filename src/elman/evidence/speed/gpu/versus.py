"""A GPU against its host: where "GPUs train these nets 250 times faster" is true, and where it isn't."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from elman.evidence.speed import bench
from elman.evidence.speed.bench import flops, shorten
from elman.evidence.speed.clock import settled
from elman.evidence.speed.gpu.device import describe_gpu, precision, required_gpu
from elman.evidence.speed.gpu.picture import curve
from elman.evidence.speed.machine import peaks, required_compiler
from elman.evidence.speed.point import TRAINING, Point, Side, contest, training
from elman.evidence.speed.twins import draw
from elman.files import write_atomic
from elman.recurrent import Recurrent

WHERE = "elman bench gpu-vs-cpu"
PART = "gpu-vs-cpu"
CLAIM = 250.0
CELL, STEPS = "lstm", 64
SIZES = ((16, 64, 256, 1024), (1, 16, 128, 1024))
QUICK = ((16, 256), (1, 128))
LONGEST = 6.0  # seconds that a call on the CPU may take, as estimated; longer ones are left out and said


def bench_gpu_vs_cpu(out: Path, *, quick: bool = False, say: Console | None = None) -> dict[str, Any]:
    """Trains the same five-line cell on the same data, on the GPU and on its host; JSON, picture, sentence in `out`.

    Raises `OptionError` without a GPU or without a C compiler, `RunError` for a folder that cannot be written.
    """
    device = required_gpu(WHERE)
    required_compiler()
    say = say or Console(highlight=False)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = tuple(sorted({min(2, cores), cores}))
    machine, peak = describe_gpu(device), peaks(threads)
    kept = {"parts": {PART: {"machine": machine, "threads": threads, "points": []}}}
    file = out / f"bench-{PART}.json"
    bench.write(file, kept)
    began, points = time.perf_counter(), []
    with settled():
        for H, B in product(*(QUICK if quick else SIZES)):
            for count in threads:
                point = Point(PART, CELL, f"{count} cores", TRAINING, count, STEPS, B, H, H)
                seconds = flops(TRAINING, STEPS, B, H, H, 4, 4) / (0.35e9 * peak[count]["product"])
                if seconds > LONGEST:
                    point.problem = f"left out: a call on the CPU would take about {seconds:.0f} s"
                else:
                    against_host(point, device)
                points.append(point)
                say.print(f"{point.shape}, {count} cores: {point.problem or shorten(point.ratio) + ' ×'}", markup=False)
                kept["parts"][PART]["points"] = [p.to_json() for p in points]
                bench.write(file, kept)
    text = sentence(points, machine["gpu"], machine["processor"])
    kept["parts"][PART] |= {"seconds": round(time.perf_counter() - began, 1), "sentence": text}
    bench.write(file, kept)
    picture = out / f"bench-{PART}.png"
    write_atomic(out / f"bench-{PART}.md", (text + "\n").encode())
    title = (
        f"Training, {CELL}, T = {STEPS}, float32: the host's time ÷ the GPU's\n{machine['gpu']}, {machine['processor']}"
    )
    curve(points, title, claim=CLAIM).savefig(picture, dpi=130, facecolor="white")
    say.print(f"\n{text}\nWritten: {file}, {picture}", markup=False)
    return kept


def against_host(point: Point, device: torch.device, *, rounds: int = 3) -> Point:
    """One shape: "peer" is the host on the point's threads, "ours" the GPU; the data lie where they are computed on."""
    torch.manual_seed(0)
    host = Recurrent(point.cell, point.F, point.H, batch_first=False, backend="native")
    card = Recurrent(point.cell, point.F, point.H, batch_first=False, backend="triton")
    card.load_state_dict(host.state_dict())
    x, d_y = draw(point.T, point.B, point.F), draw(point.T, point.B, point.H)
    far = training(card.to(device), x.to(device), d_y.to(device))
    sides = {"peer": training(host, x, d_y), "ours": Side(_awaited(far.call, device), lambda: _near(far))}
    before = torch.get_num_threads()
    torch.set_num_threads(point.threads)
    try:
        with precision("float32"):
            return contest(point, sides, rounds=rounds, at_least=0.01, patience=20.0)
    finally:
        torch.set_num_threads(before)


def _awaited(call: Callable[[], Any], device: torch.device) -> Callable[[], Any]:
    """A call that is over when the GPU is."""

    def awaited() -> Any:
        found = call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return found

    return awaited


def _near(side: Side) -> dict[str, torch.Tensor]:
    return {name: value.cpu() for name, value in side.results().items()}


def sentence(points: Sequence[Point], gpu: str, processor: str) -> str:
    r"""Where the GPU is `CLAIM` times as fast, where not, and where it is slower, of what was measured.

    >>> def made(H, seconds):
    ...     return Point("gpu-vs-cpu", "lstm", "2 cores", TRAINING, 2, 64, 16, H, H, {"peer": [seconds], "ours": [1.0]})
    >>> text = sentence([made(16, 0.5), made(64, 40.0), made(256, 300.0)], "a GPU", "a CPU")
    >>> print(text.replace(", else", ",\n  else"))
    "250 times faster", a GPU against a CPU: of 2 cores at 1 of 3 shapes (H ≥ 256, B ≥ 16: 300 times),
      elsewhere 0.50 to 40 times, slower at 1.
    """
    parts = []
    for count in sorted({p.threads for p in points}):
        mine = [p for p in points if p.threads == count and p.ratio is not None]
        if mine:
            parts.append(_of(mine, f"of {count} core{'s' * (count > 1)}"))
    if not parts:
        return f'"{CLAIM:.0f} times faster", {gpu} against {processor}: no shape was measured.'
    return f'"{CLAIM:.0f} times faster", {gpu} against {processor}: {"; ".join(parts)}.'


def _of(points: Sequence[Point], who: str) -> str:
    true = [p for p in points if (p.ratio or 0) >= CLAIM]
    rest = [p for p in points if (p.ratio or 0) < CLAIM]
    slower = [p for p in rest if (p.ratio or 0) < 1]
    if not true:
        text = f"{who} at none of {len(points)} shapes, {_span(rest)}"
    else:
        where = f"H ≥ {min(p.H for p in true)}, B ≥ {min(p.B for p in true)}: {_span(true)}"
        count = f"all {len(points)}" if not rest else f"{len(true)} of {len(points)}"
        text = f"{who} at {count} shapes ({where})" + (f", elsewhere {_span(rest)}" if rest else "")
    return text + (f", slower at {len(slower)}" if slower else "")


def _span(points: Sequence[Point]) -> str:
    ratios = sorted(p.ratio or 0.0 for p in points)
    low, high = (f"{r:.2f}" if r < 1 else f"{r:.3g}" if r < 1000 else f"{r:.0f}" for r in (ratios[0], ratios[-1]))
    return f"{low} times" if low == high else f"{low} to {high} times"
