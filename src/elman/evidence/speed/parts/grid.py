"""torch.nn's RNN, LSTM and GRU, shape by shape."""

from __future__ import annotations

from itertools import product

from elman.evidence.speed.bench import Bench, flops
from elman.evidence.speed.point import MODES, TRAINING, Point, inference, training
from elman.evidence.speed.twins import TWINS, draw, pair


def run(bench: Bench) -> None:
    """Every cell × threads × mode × T × B × H."""
    plan = bench.plan
    for cell, (name, gates) in TWINS.items():
        for threads in bench.each_threads():
            for mode in MODES:
                before = len(bench.points)
                for T, B, H in product(*plan.grid):
                    point = Point("grid", cell, f"nn.{name}", mode, threads, T, B, H, H)
                    work = flops(mode, T, B, H, H, gates, gates)
                    if not bench.too_long(point, work):
                        measure(bench, point, work)
                _show(bench, f"nn.{name} ÷ elman, {mode}, {threads} thread(s)", bench.points[before:])


def measure(bench: Bench, point: Point, work: float) -> Point:
    """One shape."""
    x, d_y = draw(point.T, point.B, point.F), draw(point.T, point.B, point.H)
    modules = dict(zip(("peer", "ours"), pair(point.cell, point.H), strict=True))
    if point.mode == TRAINING:
        sides = {who: training(module, x, d_y) for who, module in modules.items()}
    else:
        sides = {who: inference(module, x) for who, module in modules.items()}
    return bench.contest(point, sides, flops=work)


def _show(bench: Bench, title: str, points: list[Point]) -> None:
    bench.table(title, points)
    shares = [p.values["share of peak"] for p in points if "share of peak" in p.values]
    if shares:
        best = max((p for p in points if "GFLOP/s" in p.values), key=lambda p: p.values["GFLOP/s"])
        bench.say.print(f"[dim]at most {max(shares):.0%} of peak, {best.values['GFLOP/s']:.0f} GFLOP/s at {best.shape}")
