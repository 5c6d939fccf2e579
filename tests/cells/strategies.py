"""Random cells of five lines, as a user might write them."""

from __future__ import annotations

import keyword

import torch
from hypothesis import strategies as st

import elman

UNARY = (
    *("tanh({})", "sigmoid({})", "relu({})", "sin({})", "cos({})", "exp(-abs({}))", "logsigmoid({})", "1 - {}"),
    *("0.5 * {}", "{} ** 2", "{} / 3 + 2.0", "-{}", "sqrt(1 + ({}) ** 2)"),
)
BINARY = (
    *("{} + {}", "{} - {}", "{} * {}", "{} / (1 + ({}) ** 2)", "maximum({}, {})", "minimum({}, {})"),
    *("where({0} > {1}, {0}, 0.5 * ({1}))", "where({0} <= {1}, 0.0, {1})", "erf({}) * 2 * ({})"),
)
ENDS = ("tanh({})", "tanh({}) * 0.9 - 0.1 * s.h", "where(s.h > x.a, s.h, tanh({}))")
NAMES = ("a", "b", "c", "e", "h", "i", "keep", "alpha", "x_new", "q")
GATES, STATES, PARAMS = ("a", "b", "c"), ("h", "c"), ("w", "b")
LEAVES = (
    *(f"{kind}.{name}" for kind, names in zip("xrsp", (GATES, GATES, STATES, PARAMS), strict=True) for name in names),
    *(f"(x.{gate} + r.{gate})" for gate in GATES),
)
KNOWN = {name: getattr(torch, name) for name in dir(torch) if not keyword.iskeyword(name)}
KNOWN["logsigmoid"] = torch.nn.functional.logsigmoid


@st.composite
def steps(draw):
    """The five lines of a step that returns two states."""
    values, lines = list(LEAVES), []
    for _ in range(4):
        text = draw(st.sampled_from(LEAVES))
        for _ in range(draw(st.integers(1, 3))):
            form = draw(st.sampled_from(UNARY + BINARY))
            other = draw(st.sampled_from(values))
            text = form.format(f"({text})", other) if form in BINARY else form.format(f"({text})")
        name = draw(st.sampled_from(NAMES))
        lines.append(f"{name} = {text}")
        values.append(name)
    first, second = (draw(st.sampled_from([line.split(" = ")[0] for line in lines])) for _ in range(2))
    last = draw(st.sampled_from(ENDS)).format(first)
    return [*lines, f"return {last}, {second}"]


def cell_of(lines):
    """The cell with a step of these lines; its text is its docstring, for the eye."""
    scope = dict(KNOWN)
    exec("def step(self, x, r, s, p):\n    " + "\n    ".join(lines), scope)
    declared = {"gates": GATES, "states": STATES, "params": dict.fromkeys(PARAMS, 0.5), "step": scope["step"]}
    return type("Drawn", (elman.Cell,), declared | {"__doc__": "\n".join(lines)})()
