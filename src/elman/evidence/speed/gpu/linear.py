"""Cells that are linear in their state, against torch's associative scan and accelerated_scan on the same A and b."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.backends.eager import evaluate
from elman.backends.linear import transition
from elman.cells import CATALOGUE
from elman.evidence.speed.gpu.device import installed
from elman.evidence.speed.gpu.rows import Lab, Row
from elman.evidence.speed.point import MODES, TRAINING, Point
from elman.graph import trace
from elman.recurrent import Recurrent

TORCHS, ACCELERATED = "torch.associative_scan compiled", "accelerated_scan"
Run = Callable[[list[list[Tensor]], list[Tensor]], tuple[Tensor, ...]]
"""A[new][old] and b[new], each (T, B, H), to the states, each (T, B, H)"""


def rows() -> list[Row]:
    """Every linear cell of the catalogue × peer × length; accelerated_scan takes one state."""
    found = []
    cells = [name for name, cell in CATALOGUE.items() if transition(trace(cell())) is not None]
    for (T, B), cell, mode, against in product(((8192, 8), (65536, 1)), cells, MODES, (TORCHS, ACCELERATED)):
        if against == ACCELERATED and len(CATALOGUE[cell].states) > 1:
            continue
        first = cell == "mingru" and mode == TRAINING
        rank = (1 if T == 8192 else 2) if first else 3 if T == 8192 else 4
        found.append(Row(rank, Point("linear", cell, against, mode, 0, T, B, 64, 256), against_scan))
    return found


def against_scan(lab: Lab, point: Point) -> Point:
    """The whole layer on both sides, the projection and what A and b cost in it."""
    if point.against == ACCELERATED and not installed("accelerated_scan"):
        point.problem = "accelerated_scan is not installed"
        return point
    torch.manual_seed(0)
    mine = Recurrent(CATALOGUE[point.cell], point.F, point.H, batch_first=False, backend="triton")
    try:
        peer = lab.side(Scan(mine, _runner(point.against, dry=lab.dry)), point)
        with lab.as_asked(point):
            peer.call()
    except Exception as problem:  # whatever the peer raises is its answer
        point.problem = f"{point.against} failed: {type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        return point
    return lab.contest(point, {"peer": peer, "ours": lab.side(mine, point)})


class Scan(nn.Module):
    """Our layer with someone else's scan: the same weights by the same names, A and b by the same graph."""

    def __init__(self, ours: Recurrent, run: Run) -> None:
        super().__init__()
        self.traced, self.size, self.run = ours.traced, ours.hidden_size, run
        self.graph: Any = transition(ours.traced)
        for name, value in ours.layers[0].named_parameters():
            self.register_parameter(name.replace("p.", "p_"), nn.Parameter(value.detach().clone()))

    def forward(self, x: Tensor) -> Any:
        """Steps first."""
        own = dict(self.named_parameters())
        states = self.traced.cell.states
        pre = F.linear(x, own["W"], own["b"]).unflatten(-1, (-1, self.size))
        values = {f"x.{gate}": pre[..., i, :] for i, gate in enumerate(self.traced.gates)}
        values |= {f"p.{name}": own[f"p_{name}"] for name in self.traced.cell.params}
        found = evaluate(self.graph, values)
        shape = *x.shape[:2], self.size

        def whole(name: str) -> Tensor:
            return torch.as_tensor(found[name], dtype=x.dtype, device=x.device).expand(shape)

        A = [[whole(f"a.{new}.{old}") for old in states] for new in states]
        out = self.run(A, [whole(f"b.{new}") for new in states])
        return out[0], tuple(part[-1:] for part in out)


def _runner(against: str, *, dry: bool) -> Run:
    if against == ACCELERATED:
        return _accelerated
    mode = "generic" if dry else "pointwise"  # the fast one is for a GPU and compiled

    def run(A: list[list[Tensor]], b: list[Tensor]) -> tuple[Tensor, ...]:
        from torch._higher_order_ops.associative_scan import associative_scan

        size = len(b)
        flat = tuple(t.contiguous() for t in (*(a for line in A for a in line), *b))

        def join(one: tuple[Tensor, ...], two: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            P, Q = ([t[i * size : (i + 1) * size] for i in range(size)] for t in (one, two))
            p, q = one[size * size :], two[size * size :]
            span = range(size)
            slopes = [_sum(Q[n][v] * P[v][o] for v in span) for n, o in product(span, span)]
            return (*slopes, *(_sum(Q[n][v] * p[v] for v in span) + q[n] for n in span))

        found: Any = associative_scan(join, flat, 0, combine_mode=mode)
        return found[size * size :]

    return run if dry else torch.compile(run, fullgraph=True)


def _sum(terms: Any) -> Tensor:
    first, *rest = terms
    for term in rest:
        first = first + term
    return first


def _accelerated(A: list[list[Tensor]], b: list[Tensor]) -> tuple[Tensor, ...]:
    """Its layout is (B, H, T); turning there and back belongs to what it costs in a layer."""
    from accelerated_scan.warp import scan  # pyright: ignore[reportMissingImports]

    gates, tokens = (t.permute(1, 2, 0).contiguous() for t in (A[0][0], b[0]))
    return (scan(gates, tokens).permute(2, 0, 1),)
