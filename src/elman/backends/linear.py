"""Cells that are linear in their state: s_t = A_t s_{t-1} + b_t, where A and b do not depend on s.

Such a step need not wait for the one before it: two of them are one again, (A₂A₁, A₂b₁ + b₂), and a scan can join many
at once (Blelloch 1990; Martin & Cundy 2018, arXiv:1709.04057). Whether a cell is one is read off its derivative.
"""

from __future__ import annotations

import torch

from elman.backends.eager import evaluate
from elman.graph import Graph, Traced
from elman.graph.expression import join, substitute


def transition(traced: Traced) -> Graph | None:
    """A and b as one graph of x.gate and p.name, results "a.new.old" and "b.new"; None: the cell is not linear.

    >>> from elman.cells import GRU, Leaky
    >>> from elman.graph import trace
    >>> transition(trace(GRU())) is None
    True
    >>> print(transition(trace(Leaky())))
    p.a
    v2 = sigmoid(p.a)
    v3 = sub(1.0, v2)
    x.u
    v6 = mul(v3, 0.0)
    v7 = mul(v2, x.u)
    v8 = add(v6, v7)
    a.h.h = v3
    b.h = v8
    """
    if traced.fingerprint not in _found:  # asked at every call, and found in a millisecond
        _found[traced.fingerprint] = None if traced.recurrent else _find(traced)
    return _found[traced.fingerprint]


_found: dict[str, Graph | None] = {}


def _find(traced: Traced) -> Graph | None:
    states, parts = traced.cell.states, []
    for new in states:
        slopes = substitute(traced.backward, {f"d.{s}": float(s == new) for s in states})
        found = {f"a.{new}.{old}": slopes.outputs[f"ds.{old}"] for old in states}
        parts.append(substitute(Graph(slopes.nodes, found), {}))
    start = substitute(traced.forward, {f"s.{s}": 0.0 for s in states})
    parts.append(Graph(start.nodes, {f"b.{s}": start.outputs[s] for s in states}))
    whole = join(*parts)
    if any(name.startswith("s.") for name in whole.inputs) or not _agrees(traced, whole):
        return None
    return whole


def _agrees(traced: Traced, whole: Graph) -> bool:
    """Whether A s + b is the step at random points: a step that compares s with a number has the slopes of one that is
    linear."""
    dice, states = torch.Generator("cpu").manual_seed(0), traced.cell.states
    names = {*traced.forward.inputs, *whole.inputs, *(f"s.{s}" for s in states)}
    values = {n: 3 * torch.randn(256, generator=dice, dtype=torch.float64, device="cpu") for n in sorted(names)}
    step, parts = evaluate(traced.forward, values), evaluate(whole, values)
    for new in states:
        said = sum((parts[f"a.{new}.{old}"] * values[f"s.{old}"] for old in states), parts[f"b.{new}"])
        expected = torch.as_tensor(step[new], dtype=torch.float64).expand(256)
        if not torch.allclose(torch.as_tensor(said, dtype=torch.float64), expected, rtol=1e-9, atol=1e-9):
            return False
    return True
