"""Shorter forms that mean the same: what a derivative or a stable logarithm is broken up into, put together again."""

from __future__ import annotations

from typing import Any

from elman.graph import Builder, Graph, Node
from elman.graph.expression import COMMUTATIVE

Pattern = Any  # an operation with patterns as arguments, a number, or X

X = "x"
_FADE = ("exp", ("neg", ("abs", X)))  # exp(-|x|), in (0, 1]: the stable half of ln σ and of its derivative
# ln σ(x) and its derivative 1 - σ(x), as torch takes them apart so that neither overflows.
FOLDS: dict[str, Pattern] = {
    "ln σ(x)": ("sub", ("minimum", X, 0.0), ("log1p", _FADE)),
    "1 - σ(x)": (
        "sub",
        ("where", ("lt", X, 0.0), 1.0, 0.0),
        ("mul", ("where", ("lt", X, 0.0), 1.0, -1.0), ("div", _FADE, ("add", _FADE, 1.0))),
    ),
}


def fold(graph: Graph) -> Graph:
    """The graph with each pattern of `FOLDS` written as a reader would.

    >>> from elman.cells import MinLSTM
    >>> from elman.graph import trace
    >>> "log1p" in str(trace(MinLSTM()).forward), "log1p" in str(fold(trace(MinLSTM()).forward))
    (True, False)
    """
    build = Builder()
    new: list[int] = []
    for node in graph.nodes:
        if node.op == "input":
            new.append(build.input(node.args[0]))
        elif node.op == "const":
            new.append(build.const(node.args[0]))
        else:
            new.append(_shorter(build, graph, len(new), new))
    return build.graph({name: new[number] for name, number in graph.outputs.items()})


def _shorter(build: Builder, graph: Graph, number: int, new: list[int]) -> int:
    for name, pattern in FOLDS.items():
        places = _match(graph.nodes, number, pattern)
        if places is not None and len(places) == 1:
            logistic = build.op("sigmoid", new[places.pop()])
            return build.op("log", logistic) if name == "ln σ(x)" else build.op("sub", build.const(1.0), logistic)
    node = graph.nodes[number]
    return build.op(node.op, *(new[a] for a in node.args))


def _match(nodes: tuple[Node, ...], number: int, pattern: Pattern) -> set[int] | None:
    """The nodes that stand at X in the pattern; None where the node is not of its form."""
    node = nodes[number]
    if pattern == X:
        return {number}
    if isinstance(pattern, float):
        return set() if node == Node("const", (pattern,)) else None
    op, *parts = pattern
    if node.op != op:
        return None
    for order in [node.args, node.args[::-1]] if op in COMMUTATIVE else [node.args]:
        found = [_match(nodes, a, part) for a, part in zip(order, parts, strict=True)]
        if None not in found:
            return set().union(*(places for places in found if places is not None))
    return None
