"""Errors of float32 against float64, ours beside torch's own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from elman.evidence.speed.bench import Bench
from elman.evidence.speed.point import TOLERANCE, TRAINING, Point, training
from elman.evidence.speed.twins import TWINS, draw, pair
from elman.recurrent import Recurrent


def run(bench: Bench) -> None:
    """torch.nn's cells on every shape; cells of the catalogue on the first, against the same op by op."""
    for T, B, H in bench.plan.accuracy:
        for cell, (name, _) in TWINS.items():
            peer, ours = pair(cell, H)
            _measure(bench, Point("accuracy", cell, f"nn.{name}", TRAINING, bench.threads[0], T, B, H, H), peer, ours)
    T, B, H = bench.plan.accuracy[0]
    for cell in bench.plan.cells:
        torch.manual_seed(0)
        peer = Recurrent(cell, H, H, batch_first=False, backend="eager")
        ours = Recurrent(cell, H, H, batch_first=False, backend="native")
        ours.load_state_dict(peer.state_dict())
        point = Point("accuracy", cell, "op by op in float32", TRAINING, bench.threads[0], T, B, H, H)
        _measure(bench, point, peer, ours)
    names = ("ours output", "peer output", "ours gradient", "peer gradient")
    rows = [
        (p.cell, p.against, p.shape, *(f"{p.values.get(n, float('nan')):.1e}" for n in names)) for p in bench.points
    ]
    bench.lines("Largest error against float64", ("cell", "peer", "shape", *names), rows)


def _measure(bench: Bench, point: Point, peer: Any, ours: Any) -> None:
    """Errors of outputs and states as they are, of gradients as a share of the largest."""
    x, d_y = draw(point.T, point.B, point.F), draw(point.T, point.B, point.H)
    exact = training(copy.deepcopy(peer).double(), x.double(), d_y.double()).results()
    with bench.say.status(f"accuracy: {point.cell}, {point.shape}"):
        for who, module in (("peer", peer), ("ours", ours)):
            found = training(module, x, d_y).results()
            point.values |= {f"{who} {kind}": error for kind, error in errors(exact, found).items()}
    point.error = max(point.values["ours output"], point.values["ours gradient"])
    if not point.error <= TOLERANCE[point.dtype]:
        point.problem = f"off by {point.error:.1e} against float64"
    bench.add(point)


def errors(exact: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, float]:
    """The largest of outputs and states, and of gradients."""
    worst = {"output": 0.0, "gradient": 0.0}
    for name, value in exact.items():
        kind = "gradient" if "gradient" in name else "output"
        scale = value.abs().max().clamp(min=1e-9) if kind == "gradient" else 1.0
        worst[kind] = max(worst[kind], float((found[name] - value).abs().max() / scale))
    return worst
