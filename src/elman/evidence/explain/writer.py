"""An expression graph as a reader writes it: sums of products, named values by their names, few parentheses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from elman.evidence.explain.notation import ATOM, CHOICE, OR, POWER, PRODUCT, SUM, Notation, Symbol
from elman.graph import Graph

OPPOSITE = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt"}


@dataclass(frozen=True)
class Term:
    """coefficient · above / below, the factors given by their nodes."""

    coefficient: float
    above: tuple[int, ...] = ()
    below: tuple[int, ...] = ()

    def times(self, other: Term) -> Term:
        """The product of two terms."""
        return Term(self.coefficient * other.coefficient, self.above + other.above, self.below + other.below)


@dataclass(frozen=True)
class Writer:
    """Writes the values of a graph; those with a symbol by it, wherever they are part of another.

    >>> from elman.cells import CoupledLSTM
    >>> from elman.graph import trace
    >>> graph = trace(CoupledLSTM()).forward
    >>> names = {n: Symbol(node.args[0]) for n, node in enumerate(graph.nodes) if node.op == "input"}
    >>> from elman.evidence.explain.notation import PLAIN
    >>> Writer(graph, names, PLAIN).write(graph.outputs["c"])
    's.c ⊙ σ(x.f) + tanh(x.g) ⊙ (1 - σ(x.f))'
    """

    graph: Graph
    symbols: Mapping[int, Symbol]
    notation: Notation

    def write(self, number: int) -> str:
        """What a value is equal to, in terms of named ones."""
        return self._of(number)[0]

    def name(self, number: int, *, part: bool = False) -> str:
        """A value by its name, or, where it has none, what it is equal to; as `part` of a sum."""
        return self._within(number, SUM if part else CHOICE)

    def _of(self, number: int) -> tuple[str, int]:
        """The expression of a node, even if it has a name, and how tightly it binds."""
        node, notation = self.graph.nodes[number], self.notation
        if node.op in ("input", "const"):
            return self._named(number)
        if node.op in ("add", "sub", "neg", "mul", "div", "reciprocal"):
            return self._sum(self._terms(number, root=True))
        if node.op == "where":
            return self._choice(*node.args)
        if node.op in notation.functions:
            inside = ", ".join(self._named(a)[0] for a in node.args)
            return notation.functions[node.op] + notation.group.format(inside), ATOM
        form, level = notation.forms[node.op]
        needed = SUM if level == ATOM else level + 1  # a function brings its own parentheses
        return form.format(*(self._within(a, needed) for a in node.args)), level

    def _named(self, number: int) -> tuple[str, int]:
        """A value by its name, or, where it has none, its expression."""
        if number in self.symbols:
            return self.notation.symbol(self.symbols[number]), ATOM
        node = self.graph.nodes[number]
        if node.op == "const":
            return self.notation.number(node.args[0]), SUM if node.args[0] < 0 else ATOM
        return self._of(number)

    def _within(self, number: int, needed: int) -> str:
        """A value where what binds less tightly than `needed` must be grouped."""
        text, level = self._named(number)
        return text if level >= needed else self.notation.group.format(text)

    def _choice(self, condition: int, one: int, other: int) -> tuple[str, int]:
        """One value or another; of a value and a number, the value comes first."""
        test = self.graph.nodes[condition]
        form, level = self.notation.forms["where"]
        if condition not in self.symbols and test.op in OPPOSITE and self._is_const(one) and not self._is_const(other):
            said, bound = self.notation.forms[OPPOSITE[test.op]]
            text = said.format(*(self._within(a, bound + 1) for a in test.args))
            one, other = other, one
        else:
            text = self._within(condition, OR)
        return form.format(text, self._within(one, OR), self._within(other, OR)), level

    def _is_const(self, number: int) -> bool:
        return self.graph.nodes[number].op == "const"

    def _terms(self, number: int, *, root: bool = False) -> list[Term]:
        """A value as a sum of terms, down to named values and functions."""
        node = self.graph.nodes[number]
        if number in self.symbols and not root:
            return [Term(1.0, (number,))]
        if node.op == "const":
            return [Term(node.args[0])]
        if node.op in ("add", "sub"):
            first, second = (self._terms(a) for a in node.args)
            return first + (second if node.op == "add" else _negative(second))
        if node.op == "neg":
            return _negative(self._terms(node.args[0]))
        if node.op == "mul":
            first, second = (self._factor(a) for a in node.args)
            return [first.times(second)]
        if node.op == "div":
            return [self._factor(node.args[0]).times(self._below(node.args[1]))]
        if node.op == "reciprocal":
            return [self._below(node.args[0])]
        return [Term(1.0, (number,))]

    def _factor(self, number: int) -> Term:
        """A value as one term: a sum is a factor by itself."""
        terms = self._terms(number)
        return terms[0] if len(terms) == 1 else Term(1.0, (number,))

    def _below(self, number: int) -> Term:
        term = self._factor(number)
        if abs(term.coefficient) == 1.0:
            return Term(term.coefficient, term.below, term.above)
        return Term(1.0, (), (number,))

    def _sum(self, terms: list[Term]) -> tuple[str, int]:
        terms = _collected(terms)
        if not terms:
            return self.notation.number(0.0), ATOM
        if len(terms) > 1 and (common := self._common(terms)):
            rest = [Term(t.coefficient, _without(t.above, common), t.below) for t in terms]
            inside = self.notation.group.format(self._sum([part for t in rest for part in self._opened(t)])[0])
            return self.notation.times.join([*self._powers(common), inside]), PRODUCT
        first = next((n for n, t in enumerate(terms) if t.coefficient > 0), 0)
        terms.insert(0, terms.pop(first))  # a sum does not begin with a minus if it need not
        text = ""
        for term in terms:
            written = self._product(term)
            sign = "-" if term.coefficient < 0 else "+"
            text += f" {sign} {written}" if text else ("-" if sign == "-" else "") + written
        return text, SUM if len(terms) > 1 or terms[0].coefficient < 0 else self._binding(terms[0])

    def _binding(self, term: Term) -> int:
        """How tightly a term without a sign binds."""
        parts = len(term.above) + len(term.below) + (term.coefficient != 1.0)
        return PRODUCT if parts > 1 or term.below else POWER if term.above else ATOM

    def _opened(self, term: Term) -> list[Term]:
        """A term that is a sum by itself as that sum's terms."""
        if len(term.above) != 1 or term.below:
            return [term]
        return [Term(term.coefficient).times(part) for part in self._terms(term.above[0])]

    def _common(self, terms: list[Term]) -> list[int]:
        """Derivatives of the loss that are a factor of every term."""
        shared = Counter(terms[0].above)
        for term in terms[1:]:
            shared &= Counter(term.above)
        return [n for n in shared.elements() if n in self.symbols and self.symbols[n].mark]

    def _product(self, term: Term) -> str:
        """A term without its sign."""
        size, notation = abs(term.coefficient), self.notation
        divisor = math.prod(self.graph.nodes[n].args[0] for n in term.below if self._is_const(n))
        if divisor and size % divisor == 0:
            size, divisor = size / divisor, 1.0
        over = self._scaled(size, self._powers(term.above))
        below = self._powers(tuple(n for n in term.below if not self._is_const(n)))
        if divisor == 1.0 and not below:
            return over
        under = self._scaled(divisor, below)
        if len(below) + (divisor != 1.0) > 1 and not notation.is_latex:
            under = notation.group.format(under)
        return notation.fraction.format(over, under)

    def _scaled(self, size: float, factors: list[str]) -> str:
        """A number times factors; 1 is left out."""
        text = self.notation.times.join(factors)
        if size == 1.0 and factors:
            return text
        return self.notation.number(size) + (self.notation.scaled + text if factors else "")

    def _powers(self, factors: list[int] | tuple[int, ...]) -> list[str]:
        """The factors in a reader's order, equal ones as powers."""
        counted = Counter(factors)
        return [self._power(n, counted[n]) for n in sorted(counted, key=self._rank)]

    def _power(self, number: int, times: int) -> str:
        notation = self.notation
        if times == 1:
            return self._within(number, POWER)
        exponent = notation.power.get(times, f"^{{{times}}}" if notation.is_latex else f"^{times}")
        node = self.graph.nodes[number]
        if number not in self.symbols and node.op in ("tanh", "sigmoid", "sin", "cos"):  # tanh²(c)
            name = notation.functions[node.op]
            return name + exponent + self._of(number)[0].removeprefix(name)
        return self._within(number, ATOM) + exponent

    def _rank(self, number: int) -> tuple[float, float]:
        """Derivatives of the loss first, then parameters, gates with their 1 - z, pre-activations, what was before."""
        node = self.graph.nodes[number]
        if number in self.symbols:
            symbol = self.symbols[number]
            kind = str(node.args[0])[:2] if node.op == "input" else ""
            if symbol.mark:
                return (0, number)
            late = {"p.": 1, "x.": 4, "r.": 4, "s.": 5}.get(kind, 3 if number in self.graph.outputs.values() else 2)
            return (late, number)
        if node.op == "sub" and self._is_const(node.args[0]) and node.args[1] in self.symbols:
            late, place = self._rank(node.args[1])
            return (late, place + 0.5)
        return (6, number)


def _negative(terms: list[Term]) -> list[Term]:
    return [Term(-t.coefficient, t.above, t.below) for t in terms]


def _collected(terms: list[Term]) -> list[Term]:
    """Equal terms as one, those that come to nothing left out."""
    sums: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    for t in terms:
        key = tuple(sorted(t.above)), tuple(sorted(t.below))
        sums[key] = sums.get(key, 0.0) + t.coefficient
    return [Term(value, *key) for key, value in sums.items() if value]


def _without(factors: tuple[int, ...], common: list[int]) -> tuple[int, ...]:
    left = Counter(factors)
    left.subtract(common)
    return tuple(left.elements())
