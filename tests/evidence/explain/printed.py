"""Reads what `elman explain` prints, and computes it: nothing but the text goes in."""

from __future__ import annotations

import ast
import itertools
import re

import numpy as np
from scipy.special import erf

NAME = r"[^\W\d²³ᵀ⁺](?:[^\W²³ᵀ]|⁺|\u0303)*(?:\{[^}]*\})?"
TOKEN = re.compile(rf"(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(?P<name>{NAME}|√)|(?P<power>[²³]|\^\d+)|(?P<sign>==|\S)")
WORDS = {"if", "else", "and", "or", "not"}
SIGNS = {"⊙": "*", "·": "*", "≥": ">=", "≤": "<=", "≠": "!=", "∞": "inf", "ᵀ": ".T @", "^": "**"}
FUNCTIONS = {
    **{name: getattr(np, name) for name in ("tanh", "exp", "sin", "cos", "sign", "abs")},
    "σ": lambda x: 1 / (1 + np.exp(-x)),
    "ln": np.log,
    "√": np.sqrt,
    "erf": erf,
    "max": np.maximum,
    "min": np.minimum,
}


class _UnitByUnit(ast.NodeTransformer):
    """Python's `if`, `and`, `or`, `not` as NumPy's."""

    def visit_IfExp(self, node):
        return self._call("where", [node.test, node.body, node.orelse])

    def visit_BoolOp(self, node):
        first, *rest = node.values
        name = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
        return self._call(name, [first, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)])

    def visit_UnaryOp(self, node):
        return self._call("logical_not", [node.operand]) if isinstance(node.op, ast.Not) else self.generic_visit(node)

    def _call(self, name, arguments):
        function = ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load())
        return ast.Call(function, [self.visit(a) for a in arguments], [])


def compute(text, values):
    """The value of a right-hand side, each name's being in `values`."""
    if total := re.fullmatch(rf"Σ_t ({NAME}) ({NAME})ᵀ", text):
        return np.outer(values[total[1]], values[total[2]])
    tree = ast.parse(_python(text.removeprefix("Σ_t ")), mode="eval")
    tree = ast.fix_missing_locations(_UnitByUnit().visit(tree))
    scope = {"V": values, "F": FUNCTIONS, "np": np, "inf": np.inf}
    with np.errstate(all="ignore"):
        return eval(compile(tree, text, "eval"), scope)


def _python(text):
    """Names become look-ups, two names side by side a product with a matrix, tanh²(x) the square of tanh(x)."""
    tokens = [(m.lastgroup, m[0]) for m in TOKEN.finditer(text)] + [("end", "")]
    words, waiting = [], None  # a power that stands before its function's argument, and how deep
    depth, places = 0, {}
    for (kind, token), (after, coming) in itertools.pairwise(tokens):
        if kind == "name" and token not in WORDS:
            is_function = token in FUNCTIONS and (coming == "(" or after == "power")
            words.append(f"F[{token!r}]" if is_function else f"V[{token!r}]")
            if after == "name" and coming not in WORDS:
                words.append("@")
        elif kind == "power" and coming == "(":
            waiting = token
        elif kind == "power":
            words.append(_power(token))
        else:
            if token == "(":
                places[depth], waiting, depth = waiting, None, depth + 1
            words.append(SIGNS.get(token, token))
            if token == ")":
                depth -= 1
                words.append(_power(places[depth]) if places[depth] else "")
    return " ".join(words)


def _power(token):
    return "**" + {"²": "2", "³": "3"}.get(token, token[1:])


def read(text):
    """(left, right) of each equation of a text; of several forms the last, after which it is computed."""
    found = []
    for line in text.splitlines():
        left, right = line.split(" = ", 1)
        if left.strip():
            found.append((left.strip(), right))
        else:
            found[-1] = found[-1][0], right
    return found


def run(equations, values, size):
    """`values` with each left side's value added, in the order of the text; a number stands for all units."""
    values = dict(values)
    for left, right in read("\n".join(map(str, equations))):
        value = compute(right, values)
        values[left] = value if np.ndim(value) else np.full(size, float(value))
    return values
