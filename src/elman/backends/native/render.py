"""A traced cell as C: its arithmetic from the operation → code table below, around it the time loop of `c/`.

The loop knows no cell and this module no time: it writes the four functions that `c/units.h` calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import torch

from elman.backends.native.arguments import struct
from elman.graph import Graph, Node, Traced
from elman.graph.expression import INFIX, TRUTHS

# What each operation of `graph.ARITY` is in C (c/lanes.h, c/functions.h). Comparisons give masks, all else numbers.
OPERATIONS: dict[str, str] = {
    **INFIX,
    "pow": "power({}, {})",
    "maximum": "maximum({}, {})",
    "minimum": "minimum({}, {})",
    "abs": "absolute({})",
    "sign": "sign({})",
    "reciprocal": "1 / {}",
    "sqrt": "square_root({})",
    "rsqrt": "1 / square_root({})",
    "exp": "exponential({})",
    "expm1": "exponential_minus_1({})",
    "log": "logarithm({})",
    "log1p": "logarithm_plus_1({})",
    "sin": "sine({})",
    "cos": "cosine({})",
    "erf": "error_function({})",
    "tanh": "hyperbolic_tangent({})",
    "sigmoid": "sigmoid({})",
    "relu": "relu({})",
    "where": "choose({}, {}, {})",
}
BITS = {torch.float32: 32, torch.float64: 64}
PARTS = (
    "lanes.h",
    "functions.h",
    "product.h",
    "team.h",
    "units.h",
    "normalise.h",
    "prepare.h",
    "loop.h",
    "calls.c",
    "step.c",
)


def render(traced: Traced, dtype: torch.dtype, *, layer_norm: bool) -> str:
    """The whole C source of one cell in one number type."""
    fixed = Fixed(traced)
    cell = traced.cell
    sizes = {
        "REAL_BITS": BITS[dtype],
        "STATES": len(cell.states),
        "GATES": len(traced.gates),
        "SUMMED": len(traced.summed),
        "APART": len(traced.apart),
        "PARAMS": len(cell.params),
        "NORM": int(layer_norm and bool(traced.recurrent)),
    }
    reads = {
        **{f"x.{g}": f"x[{i}]" for i, g in enumerate(traced.gates)},
        **{f"r.{g}": f"r[{i}]" for i, g in enumerate(traced.apart)},
        **{f"s.{s}": f"s[{i}]" for i, s in enumerate(cell.states)},
        **{f"d.{s}": f"d[{i}]" for i, s in enumerate(cell.states)},
        **fixed.params,
    }
    writes = {s: f"n[{i}]" for i, s in enumerate(cell.states)}
    writes |= {f"d{name}": f"d{place}" for name, place in reads.items() if not name.startswith("d.")}
    forward = body(traced.forward, reads, writes, fixed)
    backward = body(traced.backward, reads, writes, fixed)
    functions = [
        _function("cell_fixed", "const vec *p, vec *q", [f"q[{i}] = {text};" for text, i in fixed.numbers.items()]),
        _function(
            "cell_forward", "const vec *x, const vec *r, const vec *s, const vec *p, const vec *q, vec *n", forward
        ),
        _function(
            "cell_backward",
            "const vec *x, const vec *r, const vec *s, const vec *p, const vec *q, const vec *d,\n"
            "                          vec *dx, vec *dr, vec *ds, vec *dp",
            backward,
        ),
    ]
    sizes["FIXED"] = len(fixed.numbers)
    head = [f"/* {traced.name}, written by elman: do not edit. */", *(f"#define {k} {v}" for k, v in sizes.items())]
    folder = resources.files("elman.backends.native") / "c"
    parts = {name: (folder / name).read_text("utf-8") for name in PARTS}
    middle = [parts.pop("lanes.h"), parts.pop("functions.h"), struct(), *functions]
    return "\n".join([*head, *middle, *parts.values()])


class Fixed:
    """Values that depend on parameters alone: computed once per call, read as q[i] at every step."""

    def __init__(self, traced: Traced) -> None:
        self.params = {f"p.{name}": f"p[{i}]" for i, name in enumerate(traced.cell.params)}
        self.numbers: dict[str, int] = {}

    def texts(self, graph: Graph) -> dict[int, str]:
        """The C expression over p of each such node that is more than a parameter or a number itself."""
        leaves: dict[int, str] = {}
        found: dict[int, str] = {}
        for number, node in enumerate(graph.nodes):
            if node.op == "const":
                leaves[number] = _constant(node.args[0])
            elif node.op == "input":
                if node.args[0] in self.params:
                    leaves[number] = self.params[node.args[0]]
            elif node.op not in TRUTHS and all(a in leaves or a in found for a in node.args):
                parts = [found.get(a) or leaves[a] for a in node.args]
                found[number] = OPERATIONS[node.op].format(*(f"({part})" for part in parts))
        return found


def body(graph: Graph, reads: Mapping[str, str], writes: Mapping[str, str], fixed: Fixed) -> list[str]:
    """One statement per node and result."""
    hoisted = fixed.texts(graph)
    used = {a for i, n in enumerate(graph.nodes) if i not in hoisted and n.op not in ("input", "const") for a in n.args}
    used |= set(graph.outputs.values())
    value: dict[int, str] = {}
    lines: list[str] = []
    for number, node in enumerate(graph.nodes):
        if number in hoisted:
            if number in used:
                value[number] = f"q[{fixed.numbers.setdefault(hoisted[number], len(fixed.numbers))}]"
        elif node.op == "input":
            value[number] = reads[node.args[0]]
        elif node.op == "const":
            value[number] = _constant(node.args[0])
        else:
            value[number] = f"v{number}"
            lines.append(f"const {_kind(node)} v{number} = {_expression(node, value)};")
    return lines + [f"{writes[name]} = {value[number]};" for name, number in graph.outputs.items()]


def _kind(node: Node) -> str:
    return "mask" if node.op in TRUTHS else "vec"


def _expression(node: Node, value: Mapping[int, str]) -> str:
    return OPERATIONS[node.op].format(*(value[a] for a in node.args))


def _constant(value: float) -> str:
    special = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}
    return f"all((real){special.get(str(value), repr(value))})"


def _function(name: str, arguments: str, lines: list[str]) -> str:
    inside = "\n".join(f"    {line}" for line in lines)
    return f"INLINE void {name}({arguments})\n{{\n{inside}\n}}\n"
