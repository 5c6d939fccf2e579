"""A traced cell as Triton: its arithmetic from the operation → code table below, around it the time loop of `loop/`.

The loop knows no cell and this module no time. A line of the loop that names GATE, STATE or another of `ranges` is
written once for each of them, with its number in place of the name: kernels have neither lists nor loops over names.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import resources

from elman.backends.linear import transition
from elman.backends.triton.plan import power
from elman.graph import Graph, Traced
from elman.graph.expression import INFIX

# What each operation of `graph.ARITY` is in Triton (functions.py).
OPERATIONS: dict[str, str] = {
    **INFIX,
    "pow": "power({}, {})",
    "maximum": "maximum({}, {})",
    "minimum": "minimum({}, {})",
    "abs": "tl.abs({})",
    "sign": "sign({})",
    "reciprocal": "1.0 / {}",
    "sqrt": "tl.sqrt({})",
    "rsqrt": "tl.rsqrt({})",
    "exp": "tl.exp({})",
    "expm1": "expm1({})",
    "log": "tl.log({})",
    "log1p": "log1p({})",
    "sin": "tl.sin({})",
    "cos": "tl.cos({})",
    "erf": "tl.erf({})",
    "tanh": "tanh({})",
    "sigmoid": "sigmoid({})",
    "relu": "maximum({}, 0.0)",
    "where": "tl.where({}, {}, {})",
}
HEAD = '''"""{name}, written by elman: do not edit."""

import triton
import triton.language as tl

from elman.backends.triton.functions import (
    come, expm1, joined, log1p, maximum, meet, minimum, power, sigmoid, sign, tanh, wait,
)'''


def render(traced: Traced, chunks: int = 1) -> str:
    """The whole source of one cell, whose kernels read h in so many chunks."""
    cell = traced.cell
    ranges = ranges_of(traced, chunks)
    x, q = [f"x_{i}" for i in range(len(traced.gates))], [f"q_{i}" for i in range(len(traced.apart))]
    s, p = [f"s_{i}" for i in range(len(cell.states))], [f"p_{i}" for i in range(len(cell.params))]
    c = [f"c_{i}" for i in range(len(cell.states))]
    reads = dict(zip([f"x.{g}" for g in traced.gates], x, strict=True))
    reads |= dict(zip([f"r.{g}" for g in traced.apart], q, strict=True))
    reads |= dict(zip([f"s.{name}" for name in cell.states], s, strict=True))
    reads |= dict(zip([f"p.{name}" for name in cell.params], p, strict=True))
    results = [f"d{name}" for name in reads]
    reads |= dict(zip([f"d.{name}" for name in cell.states], c, strict=True))
    folder = resources.files("elman.backends.triton") / "loop"
    texts = {name: (folder / f"{name}.in").read_text("utf-8") for name in ("forward", "backward", "scan")}
    functions = [
        _function("cell_forward", [*x, *q, *s, *p], traced.forward, reads, list(cell.states)),
        _function("cell_backward", [*x, *q, *s, *p, *c], traced.backward, reads, results),
    ]
    if traced.recurrent:
        functions.append(_parted(len(traced.recurrent)))
    linear = transition(traced)
    if linear is None:
        del texts["scan"]
    else:
        functions.append(_function("cell_transition", [*x, *p], linear, reads, list(linear.outputs)))
    return "\n\n\n".join([HEAD.format(name=traced.name), *functions, *(expand(t, ranges) for t in texts.values())])


def ranges_of(traced: Traced, chunks: int) -> dict[str, list[dict[str, int]]]:
    """For each name that repeats a line, what is written in its place, and in that of names bound to it."""

    def count(name: str, many: int) -> dict[str, list[dict[str, int]]]:
        return {name: [{name: i} for i in range(many)]}

    summed, cell = len(traced.summed), traced.cell
    return {
        **count("GATE", len(traced.gates)),
        **count("REC", len(traced.recurrent)),
        **count("SUMMED", summed),
        "APART": [{"APART": i, "APARTREC": summed + i} for i in range(len(traced.apart))],
        **count("STATE", len(cell.states)),
        **count("NEW", len(cell.states)),
        **count("VIA", len(cell.states)),
        **count("OLD", len(cell.states)),
        "INNER": [{"INNER": i} for i in range(1, len(cell.states))],
        **count("PARAM", len(cell.params)),
        **count("CHUNK", chunks if traced.recurrent else 0),
        # Not repeated: how many there are.
        "GATES": [{"GATES": len(traced.gates)}],
        "RECURRENT": [{"RECURRENT": len(traced.recurrent)}],
        "PADDED": [{"PADDED": power(len(traced.recurrent))}],
        "APARTS": [{"APARTS": len(traced.apart)}],
        "STATES": [{"STATES": len(cell.states)}],
        "PARAMS": [{"PARAMS": len(cell.params)}],
    }


def expand(text: str, ranges: Mapping[str, list[dict[str, int]]]) -> str:
    """A loop's text, its lines repeated as `ranges` says; EACH(name) is one after another in the same line, and what
    is given to none of them is no line.

    >>> print(expand("EACH(x_GATE) = f(EACH(s_STATE) 0)", {"GATE": [{"GATE": 0}, {"GATE": 1}], "STATE": []}))
    x_0, x_1 = f(0)
    >>> print(expand("if KEEP:\\n    y_STATE = 0", {"STATE": []}))
    if KEEP:
        pass
    """
    lines = [line for given in text.splitlines() for line in _repeated(given, ranges)]
    found: list[str] = []
    for line, below in itertools.zip_longest(lines, lines[1:], fillvalue=""):
        found.append(line)
        if line.endswith(":") and len(below) - len(below.lstrip()) <= len(line) - len(line.lstrip()):
            found.append(" " * (len(line) - len(line.lstrip()) + 4) + "pass")
    return "\n".join(found)


def _repeated(line: str, ranges: Mapping[str, list[dict[str, int]]]) -> Iterator[str]:
    def listed(match: re.Match[str]) -> str:
        return "".join(f"{one}, " for one in _written(match[1], ranges))

    line = re.sub(r"EACH\((\w+)\) ?", listed, line)
    if line.lstrip().startswith("="):
        return iter(())
    line = re.sub(r",  ?=(?!=)", " =", line)
    return _written(line.rstrip(", ") if line.lstrip().startswith("return") else line, ranges)


def _written(text: str, ranges: Mapping[str, list[dict[str, int]]]) -> Iterator[str]:
    named = [n for n, options in ranges.items() if any(_has(text, name) for name in (options or [{n: 0}])[0])]
    for chosen in itertools.product(*(ranges[name] for name in named)):
        numbers = {name: str(value) for one in chosen for name, value in one.items()}
        yield re.sub(r"(?<![A-Z])[A-Z]+(?![A-Z])", partial(_number, numbers), text)


def _number(numbers: Mapping[str, str], match: re.Match[str]) -> str:
    return numbers.get(match[0], match[0])


def _has(text: str, name: str) -> bool:
    return re.search(rf"(?<![A-Z]){name}(?![A-Z])", text) is not None


def _function(name: str, given: list[str], graph: Graph, reads: Mapping[str, str], results: list[str]) -> str:
    """One graph as a device function: one statement for each node, each result as wide as `blank`."""
    value: dict[int, str] = {}
    lines: list[str] = []
    wide: set[int] = set()
    for number, node in enumerate(graph.nodes):
        if node.op == "input":
            value[number] = reads[node.args[0]]
            if not node.args[0].startswith("p."):
                wide.add(number)
        elif node.op == "const":
            value[number] = _constant(node.args[0])
        else:
            value[number] = f"v{number}"
            if wide & set(node.args):
                wide.add(number)
            lines.append(f"v{number} = {_expression(node.op, [value[a] for a in node.args])}")
    outs = [value[graph.outputs[r]] + ("" if graph.outputs[r] in wide else " + blank") for r in results]
    inside = "\n".join(f"    {line}" for line in [*lines, f"return {', '.join(outs)}"])
    return f"@triton.jit\ndef {name}({', '.join([*given, 'blank'])}):\n{inside}"


def _parted(count: int) -> str:
    """A device function that takes (B, U·P) apart into the first of P (B, U), whose columns lie side by side."""
    levels, names = power(count).bit_length() - 1, ["whole"]
    lines = [f"whole = tl.reshape(whole, (BB, BU{', 2' * levels}))"]
    for _ in range(levels):
        # The last axis is the lowest bit of the number.
        found = [(f"{name}0", f"{name}1") for name in names]
        lines += [f"{low}, {high} = tl.split({name})" for name, (low, high) in zip(names, found, strict=True)]
        names = [low for low, _ in found] + [high for _, high in found]
    names = sorted(names, key=lambda name: name.removeprefix("whole")[::-1])
    inside = "\n".join(f"    {line}" for line in [*lines, f"return {', '.join(names[:count])}"])
    return f"@triton.jit\ndef parted(whole, BB: tl.constexpr, BU: tl.constexpr):\n{inside}"


def _expression(op: str, given: list[str]) -> str:
    return OPERATIONS[op].format(*given)


def _constant(value: float) -> str:
    text = repr(value)
    special = text.lstrip("-") in ("inf", "nan")
    return f'float("{text}")' if special else f"({text})" if value < 0 else text
