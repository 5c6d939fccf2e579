"""What the trace finds out about a cell, and which operations it can write."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import elman
from elman.backends.eager import OPERATIONS, evaluate
from elman.cells import GRU, LSTM, Leaky
from elman.errors import CellError
from elman.graph import ARITY, Builder, trace
from tests.conftest import assert_close


def cell_of(function):
    class Given(elman.Cell):
        gates = ("a", "b")

        def step(self, x, r, s, p):
            return function(x.a, x.b, s.h)

    return Given()


def test_gates_are_told_apart_by_how_they_read_r():
    assert (trace(LSTM()).summed, trace(LSTM()).apart, trace(LSTM()).plain) == (("i", "f", "g", "o"), (), ())
    assert (trace(GRU()).summed, trace(GRU()).apart) == (("r", "z"), ("n",))
    assert trace(Leaky()).plain == ("u",)
    assert elman.Recurrent("leaky", 2, 3).layers[0].R is None
    assert elman.Recurrent("gru", 2, 3).layers[0].b_r.shape == (3,)


def test_a_sum_written_in_pieces_is_still_a_sum():
    class Split(elman.Cell):
        gates = ("a", "b")

        def step(self, x, r, s, p):
            return torch.tanh(r.a + 0.5 * s.h + x.a) + x.b * r.b

    assert (trace(Split()).summed, trace(Split()).apart) == (("a",), ("b",))


def test_a_gate_that_is_only_compared_is_not_summed():
    class Compared(elman.Cell):
        gates = ("f", "h")

        def step(self, x, r, s, p):
            return torch.where(x.f > r.f, s.h, torch.tanh(x.h + r.h))

    assert (trace(Compared()).summed, trace(Compared()).apart) == (("h",), ("f",))


def test_the_fingerprint_follows_the_mathematics():
    def made(factor):
        return cell_of(lambda a, b, h: a + factor * h)

    assert trace(made(0.5)).fingerprint == trace(made(0.5)).fingerprint
    assert trace(made(0.5)).fingerprint != trace(made(0.25)).fingerprint


STEPS = {
    "relu": lambda a, b, h: torch.relu(a) + F.relu6(b) + F.hardtanh(h),
    "smooth": lambda a, b, h: F.silu(a) + F.gelu(b) + F.softplus(h) + F.logsigmoid(a) + F.mish(b),
    "leaky": lambda a, b, h: F.leaky_relu(a, 0.1) + F.elu(b) + F.softsign(h) + F.hardswish(a),
    "powers": lambda a, b, h: a**2 + b**3 + (h.abs() + 1) ** -0.5 + a.square() + 2**b + (a.abs() + 1).sqrt(),
    "bounds": lambda a, b, h: torch.clamp(a, -0.5, 0.5) + torch.maximum(a, b) + torch.minimum(b, h) + h.clamp(min=0),
    "logic": lambda a, b, h: torch.where((a > 0) & (b < 0) | ~(h >= 0.1), a, torch.zeros_like(b)) + h,
    "waves": lambda a, b, h: torch.sin(a) * torch.cos(b) + torch.erf(h) + torch.expm1(a) + torch.log1p(b * b),
    "mixed": lambda a, b, h: (
        torch.lerp(a, b, torch.sigmoid(h)) + torch.addcmul(a, b, h, value=2) + (3 - a) / (2 + b * b)
    ),
    "kin": lambda a, b, h: torch.logaddexp(a, b) + torch.add(a, h, alpha=2) - torch.sub(b, h, alpha=3) + torch.exp(-a),
    "logs": lambda a, b, h: torch.log2(a * a + 1) + torch.log10(b * b + 1) + 1 / (h * h + 1) + torch.sign(a),
    "sums of masks": lambda a, b, h: ((a > 0).float() + (h >= 0).float()) * 0.5 * b + 1 - (b > 0).float(),
    "numbers as truths": lambda a, b, h: torch.where(torch.logical_and(a > 0, h), a, b) + h,
    "masks": lambda a, b, h: (a > 0).float() * b + (b > h).to(a.dtype) * a,
    "constant": lambda a, b, h: torch.ones_like(a) * 0.5 + torch.full_like(h, 2.0) * a,
}


@pytest.mark.parametrize("name", STEPS)
def test_forward_and_backward_equal_autograd(name):
    step = STEPS[name]
    traced = trace(cell_of(step))
    values = {k: torch.randn(50, dtype=torch.float64, requires_grad=True) for k in ("x.a", "x.b", "s.h")}
    expected = step(*values.values())
    plain = {k: v.detach() for k, v in values.items()}
    assert_close(evaluate(traced.forward, plain)["h"], expected.detach(), "forward")
    cotangent = torch.randn(50, dtype=torch.float64)
    grads = torch.autograd.grad(expected, list(values.values()), cotangent, allow_unused=True)
    derived = evaluate(traced.backward, plain | {"d.h": cotangent})
    for key, grad in zip(values, grads, strict=True):
        got = torch.as_tensor(derived[f"d{key}"], dtype=torch.float64).expand(50)
        assert_close(got, torch.zeros(50, dtype=torch.float64) if grad is None else grad, key)


def test_an_unknown_operation_is_refused_with_its_line():
    cell = cell_of(lambda a, b, h: torch.lgamma(a))
    with pytest.raises(
        CellError, match=r"Given\.step, line \d+: `return function.*uses lgamma, which no backend knows"
    ):
        trace(cell)


REFUSED = {
    "rounded division": lambda a, b, h: torch.div(a, b, rounding_mode="floor"),
    "whole numbers": lambda a, b, h: a.to(torch.int32) * b,
    "floor": lambda a, b, h: torch.floor(a),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_graph_cannot_say_is_refused(name):
    with pytest.raises(CellError, match="which no backend knows"):
        trace(cell_of(REFUSED[name]))


def test_cells_with_attributes_of_any_kind_are_traced_apart():
    class Steep(elman.Cell):
        gates = ("a",)

        def __init__(self, slopes=(1.0,)):
            self.slopes = list(slopes)

        def step(self, x, r, s, p):
            return torch.tanh(sum(self.slopes) * (x.a + r.a))

    one, two = trace(Steep([1.0])), trace(Steep([1.0, 2.0]))
    assert one.fingerprint != two.fingerprint
    assert trace(Steep([1.0])).fingerprint == one.fingerprint
    x = torch.ones(1, 1, 1)
    rnn = elman.Recurrent(Steep([1.0, 2.0]), 1, 1)
    expected = torch.tanh(3 * (rnn.layers[0].W + rnn.layers[0].b))
    assert_close(rnn(x)[0].squeeze(), expected.squeeze(), "slope 3")


def test_every_operation_has_a_meaning():
    assert set(OPERATIONS) == set(ARITY)


def test_equal_expressions_become_one_node():
    build = Builder()
    x, y = build.input("x"), build.input("y")
    assert build.op("mul", x, y) == build.op("mul", y, x)
    assert build.op("add", x, build.op("neg", y)) == build.op("sub", x, y)
    assert build.op("neg", build.op("neg", x)) == x
    assert build.op("mul", build.const(1), x) == build.op("add", x, build.const(0)) == x
    assert build.op("add", build.const(1), build.const(2)) == build.const(3)


def test_the_fingerprint_knows_parameters_that_a_step_does_not_read_and_their_order():
    def made(names):
        class Told(elman.Cell):
            gates = ("u",)
            params = dict.fromkeys(names, 1.0)

            def step(self, x, r, s, p):
                return x.u * p.a

        return trace(Told()).fingerprint

    assert len({made("a"), made("ab"), made("ba")}) == 3
