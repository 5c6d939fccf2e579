"""Memory for backward: all steps stored against `checkpoint="auto"`."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from elman.evidence.speed.bench import Bench, flops, shorten
from elman.evidence.speed.point import TRAINING, Point, training
from elman.evidence.speed.twins import TWINS, draw
from elman.recurrent import Recurrent


def run(bench: Bench) -> None:
    """Every cell × threads × shape; "peer" is the same net without checkpoints."""
    for threads in bench.each_threads():
        before = len(bench.points)
        for (cell, (_, gates)), (T, B, H) in product(TWINS.items(), bench.plan.checkpoint):
            point = Point("checkpoint", cell, "own full storage", TRAINING, threads, T, B, H, H)
            if not bench.too_long(point, flops(TRAINING, T, B, H, H, gates, gates)):
                measure(bench, point)
        rows = [
            (p.cell, p.shape, _percent(p.values.get("share of bytes")), shorten(p.over("ours", "peer")))
            for p in bench.points[before:]
        ]
        bench.lines(f"checkpoint='auto', {threads} thread(s)", ("cell", "shape", "bytes kept", "× the time"), rows)


def measure(bench: Bench, point: Point) -> Point:
    """One shape: time of both and the bytes that they keep."""
    torch.manual_seed(0)
    sizes = point.cell, point.F, point.H
    full = Recurrent(*sizes, batch_first=False, backend="native")
    short = Recurrent(*sizes, batch_first=False, backend="native", checkpoint="auto")
    short.load_state_dict(full.state_dict())
    x, d_y = draw(point.T, point.B, point.F), draw(point.T, point.B, point.H)
    stored, recomputed = kept_bytes(full, x, d_y), kept_bytes(short, x, d_y)
    point.values |= {"bytes full": stored, "bytes checkpointed": recomputed, "share of bytes": recomputed / stored}
    return bench.contest(point, {"peer": training(full, x, d_y), "ours": training(short, x, d_y)})


def kept_bytes(module: nn.Module, x: Tensor, d_y: Tensor) -> int:
    """Bytes that forward keeps for backward beyond its input, weights and output."""
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = x.detach().clone().requires_grad_()
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        y, _ = module(x)
    y.backward(d_y)
    known = {tensor.untyped_storage().data_ptr() for tensor in (x, y, *module.parameters())}
    return sum(size for place, size in found.items() if place not in known)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
