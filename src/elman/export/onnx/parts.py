"""The parts of a model around its stack as ONNX: what is read, what is kept of the steps, what is said.

One table each, by the classes of `elman.steps.causal`. What reads and says does so on the last axis, of one step or of
whole sequences; what is kept of the steps is a running value there and a reduction here, so that there are two tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from elman.errors import OptionError
from elman.export.onnx.layers import Times
from elman.export.onnx.nodes import Nodes
from elman.steps.parts import (
    Chain,
    Chances,
    Looked,
    Measured,
    Pool,
    PoolAttention,
    PoolMax,
    PoolMean,
    Probabilities,
    Reads,
    Says,
    Spelt,
    Units,
)

Kept = list[str]
"""values of what is kept, in the order of `parts`"""


# -- what is read -----------------------------------------------------------------------------------------------------


def _measured(out: Nodes, reads: Measured, x: str) -> str:
    kind = np.float64
    missing = out.op("IsNaN", x)
    z = out.op("Div", out.op("Sub", x, out.number(reads.mean, kind)), out.number(reads.scale, kind))
    z = _as_float(out, out.op("Where", missing, out.number(0.0, kind), z))
    if not reads.gaps:
        return z
    return out.join([z, _as_float(out, out.op("Gather", missing, out.axes(*reads.gaps), axis=-1))], -1)


def _as_float(out: Nodes, value: str) -> str:
    return out.op("Cast", value, to=out.onnx.TensorProto.FLOAT)


def _looked(out: Nodes, reads: Looked, x: str) -> str:
    """The vector of a code; as in C, one that the table does not have is 0, what is not known."""
    code, zero = out.op("Squeeze", x, out.axes(-1)), out.number(0, np.int64)
    known = out.op("And", out.op("Greater", code, zero), out.op("Less", code, out.number(len(reads.table), np.int64)))
    return out.op("Gather", out.number(reads.table), out.op("Where", known, code, zero))


class Reading(NamedTuple):
    """The type of x, and what is made of it."""

    kind: Any
    write: Callable[[Nodes, Any, str], str]


READS: dict[type[Reads], Reading] = {
    Reads: Reading(np.float32, lambda out, reads, x: x),
    Measured: Reading(np.float64, _measured),  # a clock in seconds needs more digits than float32 has
    Looked: Reading(np.int64, _looked),
    Spelt: Reading(np.float32, lambda out, reads, x: x),
}


# -- what is kept of the steps so far: the next vector of the sequence, and what is kept then -------------------------


def _max(out: Nodes, pool: Pool, h: str, kept: Kept) -> tuple[str, Kept]:
    most = out.op("Max", kept[0], h)
    return most, [most]


def _mean(out: Nodes, pool: Pool, h: str, kept: Kept) -> tuple[str, Kept]:
    steps = out.op("Add", kept[1], out.number(1.0))
    mean = out.op("Add", kept[0], out.op("Div", out.op("Sub", h, kept[0]), steps))
    return mean, [mean, steps]


def _attention(out: Nodes, pool: Any, h: str, kept: Kept) -> tuple[str, Kept]:
    seen, weight, greatest = kept
    a = _score(out, pool, h)
    new = out.op("Max", greatest, a)
    before, now = (out.op("Exp", out.op("Sub", value, new)) for value in (greatest, a))
    seen = out.op("Add", out.op("Mul", seen, before), out.op("Mul", now, h))
    weight = out.op("Add", out.op("Mul", weight, before), now)
    return out.op("Div", seen, weight), [seen, weight, new]


def _score(out: Nodes, pool: Any, h: str) -> str:
    """How much a step counts, before the softmax: (…, 1)."""
    look = out.op("Tanh", out.linear(h, pool.look.weight, pool.look.bias))
    return out.linear(look, pool.score.weight)


POOLS: dict[type[Pool], Callable[[Nodes, Any, str, Kept], tuple[str, Kept]]] = {
    Pool: lambda out, pool, h, kept: (h, []),
    PoolMax: _max,
    PoolMean: _mean,
    PoolAttention: _attention,
}


# -- the same of whole sequences: y (T, B, D·H) and the top layer's last h (D, B, H) to (B, D·H) ----------------------


def _whole_last(out: Nodes, pool: Pool, y: str, last: str, times: Times) -> str:
    return out.op("Reshape", out.op("Transpose", last, perm=[1, 0, 2]), out.axes(0, pool.size))


def _whole_max(out: Nodes, pool: Pool, y: str, last: str, times: Times) -> str:
    inside = out.op("Where", times.valid, y, out.number(-np.inf))
    return out.op("ReduceMax", inside, out.axes(0), keepdims=0)


def _whole_mean(out: Nodes, pool: Pool, y: str, last: str, times: Times) -> str:
    steps = out.op("Unsqueeze", _as_float(out, times.lengths), out.axes(1))
    return out.op("Div", out.op("ReduceSum", y, out.axes(0), keepdims=0), steps)


def _whole_attention(out: Nodes, pool: Pool, y: str, last: str, times: Times) -> str:
    scores = out.op("Where", times.valid, _score(out, pool, y), out.number(-np.inf))
    weighted = out.op("Mul", out.op("Softmax", scores, axis=0), y)
    return out.op("ReduceSum", weighted, out.axes(0), keepdims=0)


WHOLE_POOLS: dict[type[Pool], Callable[[Nodes, Any, str, str, Times], str]] = {
    Pool: _whole_last,
    PoolMax: _whole_max,
    PoolMean: _whole_mean,
    PoolAttention: _whole_attention,
}


# -- what is said: y from z, and what is kept then --------------------------------------------------------------------


def _probabilities(out: Nodes, says: Probabilities, z: str, kept: Kept) -> tuple[str, Kept]:
    if says.without_first:
        z = out.op("Add", z, out.number([-np.inf] + [0.0] * (says.outputs - 1)))
    return out.op("Softmax", z, axis=-1), []


def _chain(out: Nodes, says: Any, z: str, kept: Kept) -> tuple[str, Kept]:
    path, begun = kept
    further = out.op("Add", out.op("Unsqueeze", path, out.axes(2)), out.number(says.after))
    further = out.op("ReduceMax", further, out.axes(1), keepdims=0)
    to = out.op("Where", out.op("Greater", begun, out.number(0.0)), further, out.number(says.first))
    a = _below_most(out, out.op("Add", to, z))
    y = _below_most(out, out.op("Add", a, out.number(says.last)))
    return y, [a, out.op("Max", begun, out.number(1.0))]


def _below_most(out: Nodes, a: str) -> str:
    return out.op("Sub", a, out.op("ReduceMax", a, out.axes(1), keepdims=1))


def _units(out: Nodes, says: Units, z: str, kept: Kept) -> tuple[str, Kept]:
    return out.op("Add", out.op("Mul", z, out.number(says.scale)), out.number(says.mean)), []


SAYS: dict[type[Says], Callable[[Nodes, Any, str, Kept], tuple[str, Kept]]] = {
    Says: lambda out, says, z, kept: (z, []),
    Probabilities: _probabilities,
    Chain: _chain,
    Units: _units,
    Chances: lambda out, says, z, kept: (out.op("Sigmoid", z), []),
}


def check_whole(where: str, reads: Reads) -> None:
    """Raises `OptionError` for what is read outside of a graph over whole sequences."""
    if isinstance(reads, Spelt):
        raise OptionError(
            f"{where}: how names are spelt is read outside of the graph. Train with spelling=0, or write steps=True, "
            "which takes the vectors of names."
        )
