"""A cell's step as ONNX: a table of operations, and the products around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from elman.backends.base import Weights
from elman.export.onnx.nodes import Nodes
from elman.graph import Graph, Traced


def _named(kind: str) -> Callable[..., str]:
    return lambda out, *values: out.op(kind, *values)


def _ne(out: Nodes, a: str, b: str) -> str:
    return out.op("Not", out.op("Equal", a, b))


def _sign(out: Nodes, x: str) -> str:
    """Without ONNX's own, which leaves the sign of NaN open; here as in torch it is 0."""
    zero = out.number(0.0)
    more, less = (out.op("Cast", out.op(kind, x, zero), to=out.onnx.TensorProto.FLOAT) for kind in ("Greater", "Less"))
    return out.op("Sub", more, less)


def _rsqrt(out: Nodes, x: str) -> str:
    return out.op("Reciprocal", out.op("Sqrt", x))


def _expm1(out: Nodes, x: str) -> str:
    """tanh(x / 2) (eˣ + 1), which loses no digits near 0 and no infinity."""
    half = out.op("Tanh", out.op("Mul", x, out.number(0.5)))
    return out.op("Mul", half, out.op("Add", out.op("Exp", x), out.number(1.0)))


def _log1p(out: Nodes, x: str) -> str:
    """With u = 1 + x as it is rounded, ln(u) x / (u - 1); x itself where u is 1, ln(u) where u is x.

    Source: Kahan, in the Hewlett-Packard HP-15C Advanced Functions Handbook, 1982.
    """
    one = out.number(1.0)
    u = out.op("Add", x, one)
    log = out.op("Log", u)
    near = out.op("Div", out.op("Mul", log, x), out.op("Sub", u, one))
    return out.op("Where", out.op("Equal", u, one), x, out.op("Where", out.op("Equal", u, x), log, near))


OPERATIONS: dict[str, Callable[..., str]] = {
    "add": _named("Add"),
    "sub": _named("Sub"),
    "mul": _named("Mul"),
    "div": _named("Div"),
    "pow": _named("Pow"),
    "maximum": _named("Max"),
    "minimum": _named("Min"),
    "gt": _named("Greater"),
    "ge": _named("GreaterOrEqual"),
    "lt": _named("Less"),
    "le": _named("LessOrEqual"),
    "eq": _named("Equal"),
    "ne": _ne,
    "and": _named("And"),
    "or": _named("Or"),
    "not": _named("Not"),
    "neg": _named("Neg"),
    "abs": _named("Abs"),
    "sign": _sign,
    "reciprocal": _named("Reciprocal"),
    "sqrt": _named("Sqrt"),
    "rsqrt": _rsqrt,
    "exp": _named("Exp"),
    "expm1": _expm1,
    "log": _named("Log"),
    "log1p": _log1p,
    "sin": _named("Sin"),
    "cos": _named("Cos"),
    "erf": _named("Erf"),
    "tanh": _named("Tanh"),
    "sigmoid": _named("Sigmoid"),
    "relu": _named("Relu"),
    "where": _named("Where"),
}


def write_graph(out: Nodes, graph: Graph, values: Mapping[str, str]) -> dict[str, str]:
    """The graph's results from its inputs by name."""
    at: list[str] = []
    for node in graph.nodes:
        if node.op == "input":
            at.append(values[node.args[0]])
        elif node.op == "const":
            at.append(out.number(node.args[0]))
        else:
            at.append(OPERATIONS[node.op](out, *(at[a] for a in node.args)))
    return {name: at[number] for name, number in graph.outputs.items()}


def write_projection(out: Nodes, w: Weights, x: str) -> str:
    """What a step reads of its input, W x + b or with W x normalised: (…, F) to (…, G·H), for all steps at once."""
    return out.op("Add", _normalise(out, out.linear(x, w.W), w.gain_x), out.number(w.b))


def write_step(out: Nodes, traced: Traced, w: Weights, pre: str, state: Sequence[str], zoneout: float) -> list[str]:
    """One step of a cell: its projected input pre (B, G·H) and its state, each part (B, H), to the next state."""
    units, cell = w.W.shape[0] // len(traced.gates), traced.cell
    values = {f"s.{name}": part for name, part in zip(cell.states, state, strict=True)}
    values |= {f"p.{name}": out.number(vector) for name, vector in w.params.items()}
    if w.R is not None and w.gain_r is None and traced.summed == traced.gates:
        pre = out.op("Gemm", state[0], out.number(w.R), pre, transB=1)
    gates = dict(zip(traced.gates, out.split(pre, [units] * len(traced.gates), 1), strict=True))
    if w.R is not None and (w.gain_r is not None or traced.summed != traced.gates):
        product = _normalise(out, out.linear(state[0], w.R), w.gain_r)
        if w.b_r is not None:
            product = out.op("Add", product, out.number(w.biases()[1][: len(w.R)]))
        parts = out.split(product, [units] * len(traced.recurrent), 1)
        for gate, part in zip(traced.recurrent, parts, strict=True):
            if gate in traced.apart:
                values[f"r.{gate}"] = part
            else:
                gates[gate] = out.op("Add", gates[gate], part)
    values |= {f"x.{gate}": value for gate, value in gates.items()}
    new = write_graph(out, traced.forward, values)
    moves = _moving(traced.forward)
    found = [new[s] if moves[s] else out.op("Expand", new[s], out.op("Shape", state[0])) for s in cell.states]
    return [_zoneout(out, zoneout, *pair) for pair in zip(state, found, strict=True)] if zoneout else found


def _moving(graph: Graph) -> dict[str, bool]:
    """Whether a result depends on more than parameters; one that does not still has the state's shape."""
    moves: list[bool] = []
    for node in graph.nodes:
        if node.op in ("input", "const"):
            moves.append(node.op == "input" and not node.args[0].startswith("p."))
        else:
            moves.append(any(moves[a] for a in node.args))
    return {name: moves[number] for name, number in graph.outputs.items()}


def _normalise(out: Nodes, z: str, gain: torch.Tensor | None) -> str:
    return z if gain is None else out.op("LayerNormalization", z, out.number(gain), axis=-1, epsilon=1e-5)


def _zoneout(out: Nodes, share: float, old: str, new: str) -> str:
    kept, taken = out.op("Mul", old, out.number(share)), out.op("Mul", new, out.number(1 - share))
    return out.op("Add", kept, taken)
