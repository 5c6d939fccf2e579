"""Pointwise expressions as a graph: nodes in execution order, each computed from earlier ones.

A `Builder` makes a graph and simplifies while it does: equal nodes become one, constants are folded. So two results
that are always equal end up as the same node, and asking whether they are equal is comparing two numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# What a step can say, after aten's many spellings are reduced (graph/spelling.py), with the number of arguments.
# A backend gives each of them a meaning; backends/eager.py is the living definition.
ARITY: dict[str, int] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "pow", "maximum", "minimum"), 2),
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne", "and", "or"), 2),
    **dict.fromkeys(("neg", "abs", "sign", "reciprocal", "sqrt", "rsqrt", "not"), 1),
    **dict.fromkeys(("exp", "expm1", "log", "log1p", "sin", "cos", "erf", "tanh", "sigmoid", "relu"), 1),
    "where": 3,
}
TRUTHS = {"gt", "ge", "lt", "le", "eq", "ne", "and", "or", "not"}
COMMUTATIVE = {"add", "mul", "maximum", "minimum", "eq", "ne", "and", "or"}
INFIX: dict[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "{} == 0",
    "neg": "-{}",
}
"""how C and Python both write what they have signs for; a backend's table adds the functions"""
_FOLD = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg}


@dataclass(frozen=True)
class Node:
    """One operation on earlier nodes, given by their numbers; an "input" has a name, a "const" a value."""

    op: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they can be computed, and which of them are the results, by name.

    >>> build = Builder()
    >>> x = build.input("x")
    >>> print(build.graph({"y": build.op("mul", x, build.op("tanh", x))}))
    x
    v1 = tanh(x)
    v2 = mul(x, v1)
    y = v2
    """

    nodes: tuple[Node, ...]
    outputs: Mapping[str, int]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what the graph reads, in order of first use."""
        return tuple(n.args[0] for n in self.nodes if n.op == "input")

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        def text(number: int) -> str:
            node = self.nodes[number]
            return str(node.args[0]) if node.op in ("input", "const") else f"v{number}"

        for number, node in enumerate(self.nodes):
            if node.op == "input":
                yield str(node.args[0])
            elif node.op != "const":
                yield f"v{number} = {node.op}({', '.join(text(a) for a in node.args)})"
        for name, number in self.outputs.items():
            yield f"{name} = {text(number)}"


class Builder:
    """Grows a graph node by node; the number that comes back stands for the value."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._numbers: dict[Node, int] = {}

    def input(self, name: str) -> int:
        """The value that is read under this name."""
        return self._place(Node("input", (name,)))

    def const(self, value: float) -> int:
        """A number."""
        return self._place(Node("const", (float(value),)))

    def is_truth(self, number: int) -> bool:
        """Whether a value is true or false, not a number."""
        return self._nodes[number].op in TRUTHS

    def op(self, op: str, *args: int) -> int:
        """An operation of `ARITY` on earlier values, simplified."""
        values = [self._value(a) for a in args]
        if op in _FOLD and None not in values:
            return self.const(_FOLD[op](*values))
        if (same := self._identity(op, args, values)) is not None:
            return same
        if op == "add" and (minus := self._argument_of("neg", args[1])) is not None:
            return self.op("sub", args[0], minus)
        return self._place(Node(op, tuple(sorted(args)) if op in COMMUTATIVE else args))

    def graph(self, outputs: Mapping[str, int]) -> Graph:
        """What the results need, and nothing else."""
        needed: set[int] = set()
        waiting = list(outputs.values())
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                waiting += self._parents(number)
        new = {old: place for place, old in enumerate(sorted(needed))}
        nodes = tuple(_renumber(self._nodes[old], new) for old in sorted(needed))
        return Graph(nodes, {name: new[number] for name, number in outputs.items()})

    def _identity(self, op: str, args: tuple[int, ...], values: list[float | None]) -> int | None:
        """The argument that the operation gives back unchanged: x + 0, 1 · x, --x …"""
        if (op == "add" and 0.0 in values) or (op == "mul" and 1.0 in values):
            return args[1] if values[0] == (0.0 if op == "add" else 1.0) else args[0]
        if (op == "sub" and values[1] == 0.0) or (op in ("div", "pow") and values[1] == 1.0):
            return args[0]
        if op == "neg":
            return self._argument_of("neg", args[0])
        return args[1] if op == "where" and args[1] == args[2] else None

    def _argument_of(self, op: str, number: int) -> int | None:
        node = self._nodes[number]
        return node.args[0] if node.op == op else None

    def _value(self, number: int) -> float | None:
        node = self._nodes[number]
        return node.args[0] if node.op == "const" else None

    def _parents(self, number: int) -> tuple[int, ...]:
        node = self._nodes[number]
        return () if node.op in ("input", "const") else node.args

    def _place(self, node: Node) -> int:
        if node not in self._numbers:
            self._numbers[node] = len(self._nodes)
            self._nodes.append(node)
        return self._numbers[node]


def substitute(graph: Graph, values: Mapping[str, float]) -> Graph:
    """The graph with some inputs replaced by numbers, simplified again.

    >>> build = Builder()
    >>> both = build.op("add", build.input("x"), build.input("r"))
    >>> print(substitute(build.graph({"y": both}), {"r": 0.0}))
    x
    y = x
    """
    build = Builder()
    new = _copy(build, graph, values)
    return build.graph({name: new[number] for name, number in graph.outputs.items()})


def join(*graphs: Graph) -> Graph:
    """One graph with the results of all: what several of them compute is there once.

    >>> build = Builder()
    >>> y = build.op("tanh", build.input("x"))
    >>> first, second = build.graph({"y": y}), build.graph({"z": build.op("neg", y)})
    >>> print(join(first, second))
    x
    v1 = tanh(x)
    v2 = neg(v1)
    y = v1
    z = v2
    """
    build, outputs = Builder(), {}
    for graph in graphs:
        new = _copy(build, graph, {})
        outputs |= {name: new[number] for name, number in graph.outputs.items()}
    return build.graph(outputs)


def _copy(build: Builder, graph: Graph, values: Mapping[str, float]) -> list[int]:
    """Each node's number in `build`, inputs replaced by numbers where `values` has one."""
    new: list[int] = []
    for node in graph.nodes:
        if node.op == "input" and node.args[0] in values:
            new.append(build.const(values[node.args[0]]))
        elif node.op in ("input", "const"):
            new.append(build._place(node))
        else:
            new.append(build.op(node.op, *(new[a] for a in node.args)))
    return new


def _renumber(node: Node, new: Mapping[int, int]) -> Node:
    return node if node.op in ("input", "const") else Node(node.op, tuple(new[a] for a in node.args))
