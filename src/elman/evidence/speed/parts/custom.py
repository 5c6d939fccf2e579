"""Cells that torch.nn does not have: against the loop a user would write, plain and under torch.compile."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import torch

from elman.evidence.speed.bench import Bench, shorten
from elman.evidence.speed.child import start
from elman.evidence.speed.loops import LOOPS, Loop, compiled, ours
from elman.evidence.speed.point import INFERENCE, MODES, TRAINING, Point, inference, training
from elman.evidence.speed.twins import draw

LOOP, COMPILED, COMPILING = "a PyTorch loop", "the loop under torch.compile", "the build of torch.compile"


def run(bench: Bench) -> None:
    """The loops, the loops compiled, and how long compiling a long one takes."""
    plan = bench.plan
    for threads in bench.each_threads():
        for name, mode in product(LOOPS, MODES):
            before = len(bench.points)
            for T, B, H in product(*plan.custom):
                measure(bench, Point("custom", name, LOOP, mode, threads, T, B, H, H))
            bench.table(f"{name} as {LOOP} ÷ elman, {mode}, {threads} thread(s)", bench.points[before:])
    if plan.compiled:
        _compiled(bench)
    if plan.compile_limit:
        for mode in MODES:
            _build(bench, mode)


def measure(bench: Bench, point: Point, wrap: Callable[[Loop], torch.nn.Module] | None = None) -> Point:
    """One shape; what `wrap` makes of the loop stands in for it."""
    x, d_y = draw(point.T, point.B, point.F), draw(point.T, point.B, point.H)
    torch.manual_seed(0)
    mine = ours(point.cell, point.H)
    loop = LOOPS[point.cell][0](mine)
    peer = loop if wrap is None else wrap(loop)
    if point.mode == TRAINING:
        sides = {"peer": training(peer, x, d_y), "ours": training(mine, x, d_y)}
    else:
        sides = {"peer": inference(peer, x), "ours": inference(mine, x)}
    return bench.contest(point, sides)


def _compiled(bench: Bench) -> None:
    plan, before, began = bench.plan, len(bench.points), time.perf_counter()
    for (T, B, H), threads in ((shape, threads) for shape in plan.compiled for threads in bench.each_threads()):
        for name, mode in product(LOOPS, MODES):
            point = Point("custom", name, COMPILED, mode, threads, T, B, H, H)
            if time.perf_counter() - began > plan.compiled_limit:
                point.problem = f"left out: {plan.compiled_limit:.0f} s were spent on compiling"
                bench.add(point)
                continue
            torch.compiler.reset()
            try:
                measure(bench, point, _Compiled)
            except Exception as problem:  # whatever its compiler raises is its answer
                point.problem = f"torch.compile failed: {' '.join(str(problem).split())[:200]}"
                bench.add(point)
    rows = [(p.cell, p.mode, p.threads, p.shape, shorten(p.ratio)) for p in bench.points[before:]]
    bench.lines(f"{COMPILED} ÷ elman", ("cell", "mode", "threads", "shape", "ratio"), rows)


class _Compiled(torch.nn.Module):
    """A loop whose forward pass is compiled; weights keep their names, which torch's own wrapper would change."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = [loop]
        self._run = compiled(loop)
        for name, value in loop.named_parameters():
            self.register_parameter(name, value)  # pyright: ignore[reportArgumentType]

    def train(self, mode: bool = True) -> _Compiled:
        self._loop[0].train(mode)
        return super().train(mode)

    def forward(self, x: torch.Tensor) -> Any:
        return self._run(x)


def _build(bench: Bench, mode: str) -> None:
    """The first call at a large T, each in a process and cache of its own."""
    plan, name = bench.plan, "layer-norm LSTM"
    point = Point("custom", name, COMPILING, mode, 1, plan.compile_steps, 1, 64, 64)
    job = {"cell": name, "T": plan.compile_steps, "B": 1, "H": 64, "training": mode != INFERENCE, "threads": 1}
    with bench.say.status(
        f"custom: torch.compile at T={plan.compile_steps}, {mode}, {plan.compile_limit:.0f} s at most"
    ):
        mine = start({"job": "build", **job}, limit=plan.compile_limit)
        theirs = start({"job": "compile", **job}, limit=plan.compile_limit)
    if "problem" in mine or ("problem" in theirs and not theirs.get("late")):
        point.problem = str(mine.get("problem") or theirs.get("problem"))
    else:
        point.rounds = {"peer": [theirs.get("seconds", plan.compile_limit)], "ours": [mine["seconds"]]}
        point.values = {"given up": float("late" in theirs)}
    bench.add(point)
    sign = "more than " if point.values.get("given up") else ""
    bench.say.print(
        f"{COMPILING} at T={plan.compile_steps}, {mode}: {sign}{shorten(point.ratio)} × ours {point.problem}"
    )
