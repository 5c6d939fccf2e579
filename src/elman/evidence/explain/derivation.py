"""One step of a cell as equations, and its backward pass by the chain rule, both from the trace that kernels run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from elman.cells import Cell, find_cell
from elman.evidence.explain.names import Named, index_of, name_values
from elman.evidence.explain.notation import GIVEN, TOTAL, Equation, Notation, Symbol, both
from elman.evidence.explain.writer import Writer
from elman.graph import trace
from elman.graph.expression import TRUTHS


@dataclass(frozen=True)
class Derivation:
    """A cell's equations, part by part.

    forward  pre-activations, gates, states
    within   δ of each value of the step, from its states back to its pre-activations and parameters
    beyond   what goes on from there to the state before and to the input
    weights  what the weights get, summed over steps and sequences
    given    names of what comes from the step after and from the loss
    """

    forward: tuple[Equation, ...]
    within: tuple[Equation, ...]
    beyond: tuple[Equation, ...]
    weights: tuple[Equation, ...]
    given: tuple[Symbol, ...]


def derive(cell: str | type[Cell] | Cell) -> Derivation:
    """The equations of one step and of its derivative; raises `UnknownNameError`, `CellError`.

    >>> from elman.evidence.explain.notation import PLAIN
    >>> [PLAIN.symbol(s) for s in derive("lstm").given]
    ['δh_t', 'δ⁺c_t']
    """
    named = name_values(trace(find_cell(cell, "explain")))
    return Derivation(
        forward=(*_pre_activations(named), *_step(named)),
        within=tuple(_within_the_step(named)),
        beyond=(*_to_the_past(named), *_to_the_input(named)),
        weights=tuple(_to_the_weights(named)),
        given=tuple(replace(symbol, index="t") for symbol in named.past.values()),
    )


def equations(cell: str | type[Cell] | Cell) -> tuple[Equation, ...]:
    """One step, in the order in which it is computed: pre-activations, then gates and states.

    x_g is what gate g receives, W_g x_t + b_g and, where the step reads only their sum, R_g h_{t-1}; r_g is R_g h_{t-1}
    + b_{r,g} where the step uses it apart. ⊙ multiplies unit by unit. x_t (F,); W_g (H, F); R_g (H, H); all else (H,).

    Raises `UnknownNameError`, `CellError`.

    >>> print(*equations("elman"), sep="\\n")
    x_h = W_h x_t + R_h h_{t-1} + b_h
    h_t = tanh(x_h)
    """
    return derive(cell).forward


def backward(cell: str | type[Cell] | Cell) -> tuple[Equation, ...]:
    """The derivative of a loss L through one step, from its states back to its weights, by the chain rule.

    δv is ∂L/∂v. Of a state s_t the part that comes from step t + 1, as this step hands it back to t - 1, and from the
    loss at step t is given: δs_t, or δ⁺s_t where the step itself uses s_t further. Sums over t are also over sequences.

    Raises `UnknownNameError`, `CellError`.

    >>> print(*backward("elman"), sep="\\n")
    δx_h = δh_t ∂h_t/∂x_h
         = δh_t ⊙ (1 - h_t²)
    δh_{t-1} = R_hᵀ δx_h
    δx_t = W_hᵀ δx_h
    ∂L/∂W_h = Σ_t δx_h x_tᵀ
    ∂L/∂R_h = Σ_t δx_h h_{t-1}ᵀ
    ∂L/∂b_h = Σ_t δx_h
    """
    found = derive(cell)
    return found.within + found.beyond + found.weights


def _weight(kind: str, gate: str) -> Symbol:
    return Symbol(kind, index_of(gate))


def _bias(kind: str, gate: str) -> Symbol:
    return Symbol("b", f"r,{index_of(gate)}" if kind == "r" else index_of(gate))


def _pre_activations(named: Named) -> Iterator[Equation]:
    traced = named.traced
    fed_back = Symbol(traced.cell.states[0], "t-1")

    def sides(notation: Notation, gate: str, kind: str) -> tuple[str, str]:
        parts = [notation.product(_weight("W", gate), named.input)] if kind == "x" else []
        if kind == "r" or gate in traced.summed:
            parts.append(notation.product(_weight("R", gate), fed_back))
        parts.append(notation.symbol(_bias(kind, gate)))
        return notation.symbol(named.pre_activation(kind, gate)), " + ".join(parts)

    for kind, gates in (("x", traced.cell.gates), ("r", traced.apart)):
        for gate in gates:
            yield both(lambda notation, gate=gate, kind=kind: sides(notation, gate, kind))


def _step(named: Named) -> Iterator[Equation]:
    graph = named.graph
    for number in sorted(named.step & named.symbols.keys()):
        if graph.nodes[number].op != "input":
            yield _equation(named, named.symbols[number], number)
    for state in named.traced.cell.states:
        number, symbol = graph.outputs[state], Symbol(state, "t")
        if named.symbols.get(number) != symbol:
            yield _equation(named, symbol, number)


def _equation(named: Named, left: Symbol, number: int, chain: _Chain | None = None) -> Equation:
    """left = what the node is equal to; where it has another name, that name."""

    def sides(notation: Notation) -> tuple[str, ...]:
        writer = Writer(named.graph, named.symbols, notation)
        right = writer.write(number) if named.symbols.get(number) == left else writer.name(number)
        middle = chain(notation) if chain else right
        return (notation.symbol(left), *([] if middle == right else [middle]), right)

    return both(sides)


class _Chain:
    """The chain rule for one value v: Σ δu ∂u/∂v over the values u that are computed from v.

    Where the derivative by u is no value of the trace, the way goes on from u to what is computed from it.
    """

    def __init__(self, named: Named, number: int) -> None:
        self._named = named
        here = [s for s in named.traced.cell.states if named.graph.outputs[s] == number]
        self.given = [replace(named.past[s], index="t") for s in here if named.past[s].mark == GIVEN]
        self.ways = list(self._ways_from(number))

    def __bool__(self) -> bool:
        return bool(self.given or self.ways)

    def __call__(self, notation: Notation) -> str:
        """The sum, each derivative by its name."""
        products = (
            [notation.symbol(total), *(notation.derivative(of, by) for of, by in way)] for total, way in self.ways
        )
        return " + ".join([*map(notation.symbol, self.given), *map(" ".join, products)])

    def _ways_from(self, number: int) -> Iterator[tuple[Symbol, list[tuple[Symbol, Symbol]]]]:
        named = self._named
        for reader in sorted(named.step & named.symbols.keys()):
            if named.graph.nodes[reader].op != "input" and number in _mentioned(named, reader):
                last = named.symbols[reader], named.symbols[number]
                if reader in named.totals:
                    yield named.totals[reader][0], [last]
                else:
                    yield from ((total, [*way, last]) for total, way in self._ways_from(reader))


def _mentioned(named: Named, number: int) -> set[int]:
    """The named values in the equation of a node, save those that are only compared: what they decide has no slope."""
    found: set[int] = set()
    waiting = list(named.graph.nodes[number].args)
    while waiting:
        n = waiting.pop()
        if n in named.symbols:
            found.add(n)
        elif named.graph.nodes[n].op not in ("const", *TRUTHS):
            waiting += named.graph.nodes[n].args
    return found


def _within_the_step(named: Named) -> Iterator[Equation]:
    """δ of each named value, down to pre-activations and parameters, in the order in which they are computed."""
    nodes, graph = named.graph.nodes, named.graph
    lines = [(place, symbol, number) for number, (symbol, place) in named.totals.items()]
    derived = {place for place, symbol, _ in lines if named.symbols.get(place) == symbol}
    lines += [(n, named.symbols[n], None) for n in named.symbols.keys() - named.step - derived]
    # Of several names of one value its own comes first; what is a number waits for nothing, and comes last.
    lines.sort(key=lambda line: (nodes[line[0]].op == "const", line[0], named.symbols.get(line[0]) != line[1]))
    for place, symbol, number in lines:
        if nodes[place].op != "input" or named.symbols[place] != symbol:
            yield _equation(named, symbol, place, None if number is None else _Chain(named, number))
    for gate in named.traced.cell.gates:
        if named.node(f"x.{gate}") is None:
            yield _equation(named, _slope(named, "x", gate), graph.outputs[f"dx.{gate}"])


def _slope(named: Named, kind: str, gate: str) -> Symbol:
    """δx_g, or δr_g where R_g h_{t-1} stands apart."""
    return replace(named.pre_activation(kind, gate), mark=TOTAL)


def _recurrent(named: Named) -> list[tuple[str, Symbol]]:
    """Gates with an R, each with the derivative that goes through it."""
    traced = named.traced
    return [
        (g, _slope(named, "x" if g in traced.summed else "r", g)) for g in traced.cell.gates if g in traced.recurrent
    ]


def _to_the_past(named: Named) -> Iterator[Equation]:
    states = named.traced.cell.states
    yield _handed_back(named, states[0], _recurrent(named))
    for state in states[1:]:
        yield _handed_back(named, state, [])


def _handed_back(named: Named, state: str, through: list[tuple[str, Symbol]]) -> Equation:
    """The derivative by a state of the step before: through R, and directly."""
    number, out = named.node(f"s.{state}"), named.graph.outputs[f"ds.{state}"]
    chain = None if number is None else _Chain(named, number)

    def sides(notation: Notation) -> tuple[str, ...]:
        products = [notation.product(_weight("R", g), slope, transposed=True) for g, slope in through]
        writer = Writer(named.graph, named.symbols, notation)
        is_zero = named.graph.nodes[out].op == "const"
        direct = [] if is_zero and products else [writer.name(out, part=bool(products))]
        value = " + ".join([*products, *direct]).replace("+ -", "- ")
        rule = " + ".join([*products, chain(notation)]) if chain else value
        return (notation.symbol(named.past[state]), *([] if rule == value else [rule]), value)

    return both(sides)


def _to_the_input(named: Named) -> Iterator[Equation]:
    def sides(notation: Notation) -> tuple[str, ...]:
        products = [
            notation.product(_weight("W", g), _slope(named, "x", g), transposed=True) for g in named.traced.cell.gates
        ]
        return notation.symbol(replace(named.input, mark=TOTAL)), " + ".join(products)

    yield both(sides)


def _to_the_weights(named: Named) -> Iterator[Equation]:
    traced = named.traced
    fed_back = Symbol(traced.cell.states[0], "t-1")
    through = dict(_recurrent(named))
    for gate in traced.cell.gates:
        slope = _slope(named, "x", gate)
        yield _summed(_weight("W", gate), slope, named.input)
        if gate in through:
            yield _summed(_weight("R", gate), through[gate], fed_back)
        yield _summed(_bias("x", gate), slope)
        if gate in traced.apart:
            yield _summed(_bias("r", gate), through[gate])
    for name in traced.cell.params:
        number = named.node(f"p.{name}")
        if number is not None:
            symbol = named.symbols[number]
            yield _summed(symbol, replace(symbol, mark=TOTAL))


def _summed(weight: Symbol, slope: Symbol, seen: Symbol | None = None) -> Equation:
    """∂L/∂weight, summed over the steps: of a matrix an outer product with what it multiplies."""

    def sides(notation: Notation) -> tuple[str, str]:
        return notation.loss(weight), notation.total(slope, seen)

    return both(sides)
