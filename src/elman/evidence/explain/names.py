"""Names for the values of a step and for their derivatives, so that its graph can be read.

A node of a graph has a number only. A state is known by what it is, a gate by the function that its pre-activation
goes through, another value by the variable that the author of the step gave it to. Which node a variable or a
derivative is, is found by trying: two nodes that agree at many random points are the same function.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from elman.backends.eager import evaluate
from elman.cells import Cell
from elman.cells.base import Fields
from elman.evidence.explain.fold import fold
from elman.evidence.explain.notation import GIVEN, LATEX, PLAIN, TOTAL, Symbol
from elman.graph import Graph, Traced
from elman.graph.expression import TRUTHS, join

ACTIVATIONS = {"tanh", "sigmoid", "relu", "exp", "erf", "sin", "cos"}
LETTERS = "uvwkqeyab"
LONG = 8
"""named values in an expression, beyond which its longest part gets a name"""
SHARED = 3
"""named values in a part that stands in several places, from which on it gets a name"""
_POINTS = 256


@dataclass(frozen=True)
class Named:
    """A cell's step and its derivative in one graph, with names.

    symbols  node → name; what has none is written out where it is used
    totals   node of the step → the name of the loss's derivative by it, and its node
    past     state → name of what is handed back to the step before, as it is named there
    step     nodes that the new states need; the others are of the derivative
    """

    traced: Traced
    graph: Graph
    symbols: Mapping[int, Symbol]
    totals: Mapping[int, tuple[Symbol, int]]
    past: Mapping[str, Symbol]
    step: frozenset[int]

    @property
    def input(self) -> Symbol:
        """The name of the step's input."""
        return _input_of(self.traced)

    def pre_activation(self, kind: str, gate: str) -> Symbol:
        """The name of x.gate or r.gate, also of one that the step does not read."""
        number = self.node(f"{kind}.{gate}")
        return Symbol(kind, index_of(gate)) if number is None else self.symbols[number]

    def node(self, name: str) -> int | None:
        """The node of an input, such as x.i; None where the step does not read it."""
        return _inputs(self.graph).get(name)


def _input_of(traced: Traced) -> Symbol:
    """x_t; with a tilde where a state has that name."""
    return Symbol("x", "t", tildes=int("x" in traced.cell.states))


def index_of(gate: str) -> str:
    """A gate's name as an index; that of a gate t is not the time."""
    return "(t)" if gate == "t" else gate


def parameter_symbol(cell: Cell, name: str) -> Symbol:
    """A parameter by its name; p_name where a gate or a state is called so."""
    return Symbol("p", name) if name in {*cell.gates, *cell.states} else Symbol(name)


def name_values(traced: Traced) -> Named:
    """The joint graph of a traced cell, its values named."""
    with torch.enable_grad(), torch.device("cpu"):  # whatever the caller is in the middle of
        return _name_values(traced)


def _name_values(traced: Traced) -> Named:
    graph = fold(join(traced.forward, traced.backward))
    points = _Points(graph, traced)
    names = _Names(graph, _input_of(traced))
    step = frozenset(_needed(graph, [graph.outputs[s] for s in traced.cell.states]))
    _name_inputs(names, traced)
    for state in traced.cell.states:
        names.keep(graph.outputs[state], Symbol(state, "t"))
    _name_gates(names, traced, points, step)
    names.shorten(sorted(step))
    totals = _name_derivatives(names, traced, points, step)
    names.shorten([n for n in range(len(graph.nodes)) if n not in step])
    given = {s: names.symbols.get(names.inputs.get(f"d.{s}", -1), Symbol(s, "t", GIVEN)) for s in traced.cell.states}
    past = {state: replace(symbol, index="t-1") for state, symbol in given.items()}
    return Named(traced, graph, names.symbols, totals, past, step)


class _Points:
    """What every node is at random points, and the loss's derivative by it, both in float64."""

    def __init__(self, graph: Graph, traced: Traced) -> None:
        cell, dice = traced.cell, torch.Generator().manual_seed(0)
        kinds = {"x": cell.gates, "r": traced.apart, "s": cell.states, "p": tuple(cell.params), "d": cell.states}
        self.given = {
            f"{kind}.{name}": torch.randn(_POINTS, generator=dice, dtype=torch.float64).requires_grad_(kind != "d")
            for kind, group in kinds.items()
            for name in group
        }
        everything = Graph(graph.nodes, {str(n): n for n in range(len(graph.nodes))})
        self.values = list(evaluate(everything, self.given).values())
        reached = [(self.values[graph.outputs[s]], self.given[f"d.{s}"]) for s in cell.states]
        moved = ((value * d).sum() for value, d in reached if isinstance(value, Tensor) and value.requires_grad)
        self.loss = sum(moved, torch.zeros(()))

    def find(self, wanted: Tensor, among: Iterable[int]) -> int | None:
        """The node among these that is this value."""
        return next((n for n in among if _same(self.values[n], wanted)), None)

    def derivative(self, number: int) -> Tensor | None:
        """The loss's derivative by a node; None where it does not depend on it."""
        value = self.values[number]
        if not self.loss.requires_grad or not isinstance(value, Tensor) or not value.requires_grad:
            return None
        return torch.autograd.grad(self.loss, value, retain_graph=True, allow_unused=True)[0]

    def variables(self, traced: Traced) -> dict[str, Tensor]:
        """The local variables of the step when it returned, if they are values."""
        cell = traced.cell
        zero = torch.zeros(_POINTS, dtype=torch.float64)  # a gate that reads x + r alone reads the sum as x
        kinds = {"x": cell.gates, "r": cell.gates, "s": cell.states, "p": cell.params}
        fields = [Fields(**{n: self.given.get(f"{kind}.{n}", zero) for n in names}) for kind, names in kinds.items()]
        found: dict[str, Any] = {}
        code = getattr(type(cell).step, "__code__", None)

        def watch(frame: FrameType, event: str, _: Any) -> None:
            if event == "return" and frame.f_code is code:
                found.update(frame.f_locals)

        before = sys.getprofile()
        sys.setprofile(watch)
        try:
            cell.step(*fields)
        finally:
            sys.setprofile(before)
        return {name: value.detach() for name, value in found.items() if isinstance(value, Tensor)}


def _same(value: Any, wanted: Tensor) -> bool:
    if not isinstance(value, Tensor) or value.dtype != torch.float64 or value.shape != wanted.shape:
        return False
    return bool(wanted.isfinite().any()) and torch.allclose(value, wanted, rtol=1e-9, atol=1e-12, equal_nan=True)


class _Names:
    """Names given so far; a name that is another value's already gets a tilde."""

    def __init__(self, graph: Graph, of_input: Symbol) -> None:
        self.graph, self.inputs = graph, _inputs(graph)
        self.symbols: dict[int, Symbol] = {}
        functions = {*PLAIN.functions, *PLAIN.functions.values(), *LATEX.functions, "sigma", "if", "else", "and", "or"}
        self._taken = {PLAIN.symbol(of_input), "not", *functions}
        kinds: list[set[str]] = []
        for node in graph.nodes:
            own = {node.args[0][0]} if node.op == "input" else set()
            kinds.append(own if node.op in ("input", "const") else set().union(*(kinds[a] for a in node.args)))
        self.kinds = kinds  # of the inputs that a node depends on: x, r, s, p, d

    def give(self, number: int, symbol: Symbol) -> None:
        """Names a node, unless it has a name or is a number."""
        if number in self.symbols or self.graph.nodes[number].op == "const":
            return
        while PLAIN.symbol(symbol) in self._taken:
            symbol = replace(symbol, tildes=symbol.tildes + 1)
        self._taken.add(PLAIN.symbol(symbol))
        self.symbols[number] = symbol

    def keep(self, number: int, symbol: Symbol) -> None:
        """Names a node as it must be named; the name is no other's even if the node has one already."""
        self.give(number, symbol)
        self._taken.add(PLAIN.symbol(symbol))

    def when(self, number: int) -> str:
        """The index of a node: t, or nothing where it depends on parameters alone."""
        return "t" if self.kinds[number] - {"p"} else ""

    def shorten(self, numbers: list[int]) -> None:
        """Names what stands in several places, and parts of what is long, among these nodes."""
        nodes, among = self.graph.nodes, set(numbers)
        readers = Counter(a for n in among if nodes[n].op not in ("input", "const") for a in set(nodes[n].args))
        size = [0 if node.op == "const" else 1 for node in nodes]
        for n in sorted(numbers):
            if nodes[n].op in ("input", "const"):
                continue
            parts = [a for a in nodes[n].args if a in among and nodes[a].op not in TRUTHS]
            while sum(size[a] for a in nodes[n].args) > LONG and max((size[a] for a in parts), default=0) > 1:
                longest = max(parts, key=lambda a: size[a])
                self._invent(longest)
                size[longest] = 1
            size[n] = sum(size[a] for a in nodes[n].args)
            if readers[n] > 1 and size[n] >= SHARED and nodes[n].op not in TRUTHS:
                self._invent(n)
            if n in self.symbols:
                size[n] = 1

    def _invent(self, number: int) -> None:
        if "d" in self.kinds[number]:
            known = sum(s.mark == TOTAL and not s.base for s in self.symbols.values())
            self.give(number, Symbol("", str(known + 1), TOTAL))
            return
        bases = {s.base for s in self.symbols.values()}
        self.give(number, Symbol(next((a for a in LETTERS if a not in bases), "u"), self.when(number)))


def _inputs(graph: Graph) -> dict[str, int]:
    return {node.args[0]: n for n, node in enumerate(graph.nodes) if node.op == "input"}


def _needed(graph: Graph, numbers: list[int]) -> set[int]:
    """These nodes and all that they are computed from."""
    found: set[int] = set()
    while numbers:
        number = numbers.pop()
        if number not in found:
            found.add(number)
            node = graph.nodes[number]
            numbers += () if node.op in ("input", "const") else node.args
    return found


def _name_inputs(names: _Names, traced: Traced) -> None:
    for name, number in names.inputs.items():
        kind, _, base = name.partition(".")
        if kind in "xr":
            names.give(number, Symbol(kind, index_of(base)))
        elif kind == "s":
            names.give(number, Symbol(base, "t-1"))
        elif kind == "p":
            names.give(number, parameter_symbol(traced.cell, base))


def _name_gates(names: _Names, traced: Traced, points: _Points, step: frozenset[int]) -> None:
    """Gates by the author's variable of that name, else by what their pre-activation goes through; then the author's
    other variables."""
    nodes = names.graph.nodes
    found = {name: points.find(value, sorted(step)) for name, value in points.variables(traced).items()}
    variables = {name: n for name, n in found.items() if n is not None and not name.startswith("_")}
    for gate in traced.cell.gates:
        pre = names.inputs.get(f"x.{gate}")
        number = variables.pop(gate, None)
        if number is None and pre in step:
            number = _activation(names.graph, step, pre)
        if number is not None:
            names.give(number, Symbol(gate, "t"))
    for name, number in variables.items():
        if nodes[number].op not in ("input", *TRUTHS):
            names.give(number, Symbol(name, names.when(number)))


def _activation(graph: Graph, step: frozenset[int], number: int) -> int | None:
    """The first function that a pre-activation goes through, if it goes one way up to there."""
    while True:
        readers = [n for n in step if graph.nodes[n].op not in ("input", "const") and number in graph.nodes[n].args]
        if len(readers) != 1 or number in graph.outputs.values():
            return None
        number = readers[0]
        if graph.nodes[number].op in ACTIVATIONS:
            return number


def _name_derivatives(
    names: _Names, traced: Traced, points: _Points, step: frozenset[int]
) -> dict[int, tuple[Symbol, int]]:
    """Names the loss's derivatives by the values that have names, the last value's first."""
    out = names.graph.outputs
    late = [n for n in range(len(names.graph.nodes)) if "d" in names.kinds[n]]
    exact = {number: out[f"d{name}"] for name, number in names.inputs.items() if f"d{name}" in out}
    totals: dict[int, tuple[Symbol, int]] = {}
    states = {out[s] for s in traced.cell.states}
    computed = [n for n in names.symbols if n not in exact]
    order = [*sorted(computed, key=lambda n: (n not in states, -n)), *exact]
    for number in order:
        slope = None if number in exact else points.derivative(number)
        place = exact.get(number) if slope is None else points.find(slope, late)
        if place is None:
            continue
        symbol = replace(names.symbols[number], mark=TOTAL)
        if symbol.index != "t-1":
            names.give(place, symbol)
            totals[number] = symbol, place
    for state in traced.cell.states:
        if (place := names.inputs.get(f"d.{state}")) is not None:
            names.give(place, Symbol(state, "t", GIVEN))
    return totals
