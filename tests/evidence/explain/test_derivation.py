"""What is printed, read back and computed, is what the cell computes and what autograd says of it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

import elman
from elman.cells import find_cell
from elman.evidence.explain import backward, equations
from elman.graph import trace
from tests.cells.strategies import cell_of, steps
from tests.conftest import TOLERANCE
from tests.contracts.conftest import CELLS, make
from tests.evidence.explain.printed import NAME, run

STEPS, SIZE, HIDDEN = 4, 3, 5


class Awkward(elman.Cell):
    """Names that mean something else in the equations: of the input, of the time, of Greek letters, of functions."""

    gates = ("t", "x", "my_gate", "unused")
    states = ("x", "hidden")
    params = {"exp": 0.5, "x": 0.3, "lambda_": 0.2, "σ": 1.0, "unread": 1.0}

    def step(self, x, r, s, p):
        sigma = torch.sigmoid(p.exp * (x.t + r.t))
        W = torch.tanh(x.x * r.x + p.x)
        return sigma * W + p.σ * s.x, torch.exp(-torch.exp(x.my_gate)) * p.lambda_ + 1e-7


class Idle(elman.Cell):
    """States that are another value as they stand: the input, the state before, a number."""

    gates = ("u", "v")
    states = ("h", "same", "before", "number")

    def step(self, x, r, s, p):
        return x.u, x.u, s.h, 0.0 * s.h + 2.0


def weights_by_name(layer, of):
    """Each weight, or what `of` makes of it, by the name that it is printed under."""
    traced = layer.traced

    def split(kind, value, gates, index=""):
        blocks = () if value is None else of(value).split(layer.hidden_size)
        names = [f"({g})" if g == "t" else g for g in gates]
        plain = [f"{index}{n}" for n in names]
        bare = [n if n.isalnum() else f"{{{n}}}" for n in plain]
        return {f"{kind}_{n}": b.numpy() for n, b in zip(bare, blocks, strict=False)}

    return {
        **split("W", layer.W, traced.gates),
        **split("R", layer.R, traced.recurrent),
        **split("b", layer.b, traced.gates),
        **split("b", layer.b_r, traced.apart, "r,"),
    }


def printed_params(traced):
    """Parameter → the name that it is printed under."""
    from elman.evidence.explain.names import name_values
    from elman.evidence.explain.notation import PLAIN

    named = name_values(traced)
    numbers = {name: named.node(f"p.{name}") for name in traced.cell.params}
    return {name: PLAIN.symbol(named.symbols[n]) for name, n in numbers.items() if n is not None}


def assert_explained(cell, alter=lambda text: text):
    """Outputs, states and every gradient of T steps, from the printed text, are those of the net."""
    traced = trace(find_cell(cell))
    rnn = make(cell, "eager", size=SIZE, hidden=HIDDEN)
    layer = rnn.layers[0]
    x = torch.randn(1, STEPS, SIZE, dtype=torch.float64, requires_grad=True)
    first = tuple(torch.rand(1, 1, HIDDEN, dtype=torch.float64).requires_grad_() for _ in traced.cell.states)
    y, last = rnn(x, first)
    y = y + 0 * (x.sum() + sum(p.sum() for p in (*rnn.parameters(), *first)))  # what plays no part has a gradient, 0
    pulls, ends = torch.randn_like(y), [torch.randn_like(s) for s in last]
    ((y * pulls).sum() + sum((s * e).sum() for s, e in zip(last, ends, strict=True))).backward()

    forward, back = equations(cell), backward(cell)
    told_forward, told_back = ([alter(str(e)) for e in lines] for lines in (forward, back))
    states, params = traced.cell.states, printed_params(traced)
    fixed = weights_by_name(layer, lambda w: w.detach())
    fixed |= {shown: layer.p[name].detach().numpy() for name, shown in params.items()}
    given_names = {
        s: next(n for n in (f"δ⁺{s}", f"δ{s}") if any(e.plain[0] == n + "_{t-1}" for e in back)) for s in states
    }
    into = "x̃_t" if "x" in states else "x_t"
    state = {s: v[0, 0].detach().numpy() for s, v in zip(states, first, strict=True)}
    assert_nothing_is_unsaid(back, {f"{n}_t" for n in given_names.values()})
    kept = []
    for t in range(STEPS):
        before = {into: x[0, t].detach().numpy(), **{f"{s}_{{t-1}}": v for s, v in state.items()}}
        values = run(told_forward, fixed | before, HIDDEN)
        state = {s: values[f"{s}_t"] for s in states}
        close(state[states[0]], y[0, t], f"output {t}")
        kept.append(values)
    handed = {s: e[0, 0].numpy() for s, e in zip(states, ends, strict=True)}
    sums = {}
    for t in reversed(range(STEPS)):
        handed[states[0]] = handed[states[0]] + pulls[0, t].numpy()
        values = run(told_back, kept[t] | {f"{n}_t": handed[s] for s, n in given_names.items()}, HIDDEN)
        close(values[f"δ{into}"], x.grad[0, t], f"input {t}")
        handed = {s: values[f"{n}_{{t-1}}"] for s, n in given_names.items()}
        for name, value in values.items():
            if name.startswith("∂L/∂"):
                sums[name[4:]] = sums.get(name[4:], 0.0) + value
    for s, v in zip(states, first, strict=True):
        close(handed[s], v.grad[0, 0], f"first {s}")
    wanted = weights_by_name(layer, lambda w: w.grad)
    wanted |= {shown: layer.p[name].grad.numpy() for name, shown in params.items()}
    assert set(sums) == set(wanted)
    for name, value in wanted.items():
        close(sums[name], value, f"gradient of {name}")


def assert_nothing_is_unsaid(back, given):
    """Each derivative in an equation, the chain rule's too, is given or has an equation, above it or as a 0."""
    known = given | {e.plain[0] for e in back if e.plain[-1] == "0"}
    for equation in back:
        for side in equation.plain[1:]:
            assert {name for name in re.findall(NAME, side) if name.startswith("δ")} <= known, str(equation)
        known.add(equation.plain[0])


def close(got, wanted, what):
    np.testing.assert_allclose(
        got,
        wanted.detach().numpy() if isinstance(wanted, torch.Tensor) else wanted,
        **TOLERANCE[torch.float64],
        err_msg=what,
    )


@pytest.mark.parametrize("name", [*CELLS, "awkward", "idle"])
def test_the_printed_equations_are_the_cell_and_its_gradient(name):
    assert_explained({**CELLS, "awkward": Awkward, "idle": Idle}[name])


WRONG = {
    "a factor": ("gru", "δh_t ⊙ (1 - z_t)", "δh_t ⊙ z_t"),
    "a sign": ("coupled_lstm", "(c_{t-1} - g_t)", "(c_{t-1} + g_t)"),
    "a part": ("lstm", "δ⁺c_t + δh_t ⊙", "δh_t ⊙"),
    "a matrix": ("mgu", "R_fᵀ δx_f + R_nᵀ", "R_nᵀ"),
    "the step itself": ("leaky", "α ⊙ x_u", "x_u"),
}


@pytest.mark.parametrize("name, right, wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_line_would_be_noticed(name, right, wrong):
    assert any(right in str(e) for e in (*equations(name), *backward(name)))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_explained(name, lambda text: text.replace(right, wrong))


def test_a_gate_does_not_take_the_name_of_a_state_that_is_the_one_before():
    cell = cell_of(["b = s.h", "alpha = x.b - x.c", "return tanh(alpha) * 0.9 - 0.1 * s.h, b"])
    assert [str(e) for e in equations(cell) if str(e).startswith("c")] == ["c̃_t = tanh(α_t)", "c_t = h_{t-1}"]
    assert_explained(cell)


ANY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@settings(max_examples=30, **ANY)
@given(steps())
def test_so_they_are_for_any_five_lines(lines):
    assert_explained(cell_of(lines))


@pytest.mark.slow
@settings(max_examples=1000, **ANY)
@given(steps())
def test_so_they_are_for_many_five_lines(lines):
    assert_explained(cell_of(lines))
