"""Cells that torch.nn does not have, against the loop a user would write: step by step, and as torch.scan compiled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from elman.evidence.speed.gpu.rows import Lab, Row
from elman.evidence.speed.loops import LOOPS, Loop, ours
from elman.evidence.speed.point import INFERENCE, TRAINING, Point

LOOP, SCAN = "the eager loop", "torch.scan compiled"


def rows() -> list[Row]:
    """Each loop × peer × shape."""
    found = []
    for name, (H, B) in product(LOOPS, ((64, 16), (256, 64), (512, 64))):
        first = name == "peephole LSTM" and H == 64
        found += [_row(1 if first else 3, name, LOOP, H, B, against_loop)]
        found += [_row(2 if first else 4, name, SCAN, H, B, against_scan, T=256)]
        found += [_row(5, name, SCAN, H, B, against_scan, mode=INFERENCE)]
    return found


def _row(
    rank: int, name: str, against: str, H: int, B: int, measure: Callable[[Lab, Point], Point], *, T: int = 1024,
    mode: str = TRAINING,
) -> Row:  # fmt: skip
    return Row(rank, Point("custom", name, against, mode, 0, T, B, H, H), measure)


def against_loop(lab: Lab, point: Point) -> Point:
    """The loop as it stands, in float32; a mask is drawn alike on both sides."""
    mine = _ours(point)
    sides = {"peer": lab.side(LOOPS[point.cell][0](mine), point), "ours": lab.side(mine, point)}
    return lab.contest(point, sides)


def against_scan(lab: Lab, point: Point) -> Point:
    """The loop's step under torch's own scan; whatever its compiler raises is its answer."""
    mine = _ours(point)
    loop = LOOPS[point.cell][0](mine).to(lab.device)
    try:
        peer = lab.side(Scanned(loop, "aot_eager" if lab.dry else "inductor"), point)
        with lab.as_asked(point):
            peer.call()
    except Exception as problem:
        point.problem = f"torch.scan failed: {type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        return point
    return lab.contest(point, {"peer": peer, "ours": lab.side(mine, point)})


def _ours(point: Point) -> Any:
    torch.manual_seed(0)
    return ours(point.cell, point.H, "triton")


class Scanned(torch.nn.Module):
    """A loop whose steps are torch.scan's, compiled as a whole; weights keep their names."""

    def __init__(self, loop: Loop, compiler: str) -> None:
        super().__init__()
        self._loop = [loop]
        for name, value in loop.named_parameters():
            self.register_parameter(name, value)  # pyright: ignore[reportArgumentType]
        self._run = torch.compile(self._all, backend=compiler, fullgraph=True)

    def train(self, mode: bool = True) -> Scanned:
        self._loop[0].train(mode)
        return super().train(mode)

    def forward(self, x: Tensor) -> Any:
        return self._run(x)

    def _all(self, x: Tensor) -> Any:
        from torch._higher_order_ops import scan

        loop = self._loop[0]
        state = tuple(x.new_zeros(x.shape[1], loop.size) for _ in range(loop.parts))

        def step(state: tuple[Tensor, ...], given: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Tensor]:
            new = loop.step(given[0], state, *given[1:])
            return tuple(part.clone() for part in new), new[0].clone()  # it refuses what may be the same memory twice

        last, y = scan(step, state, (loop.inputs(x), *map(torch.stack, loop.masks(x))))
        return y, tuple(part.unsqueeze(0) for part in last)
