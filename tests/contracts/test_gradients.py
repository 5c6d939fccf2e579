"""(2) Gradients by finite differences, and (3) the derived backward graph and every backend against autograd."""

from __future__ import annotations

import pytest
import torch

from elman.backends.eager import evaluate
from elman.graph import trace
from tests.conftest import assert_close
from tests.contracts.conftest import gradients, make, run

LENGTHS = [4, 0, 2]


def test_finite_differences_agree(cell, backend, options):
    rnn = make(cell, backend, options, size=2, hidden=3)
    names = [name for name, _ in rnn.named_parameters()]

    def outputs(x, *values):
        torch.manual_seed(3)
        x = x if rnn.batch_first else x.transpose(0, 1)
        y, state = torch.func.functional_call(rnn, dict(zip(names, values, strict=True)), (x, None, LENGTHS))
        return (y, *state)

    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(outputs, (x, *rnn.parameters()), fast_mode=True)


def test_the_derived_backward_is_the_derivative(cell):
    traced = trace(cell())
    cell = traced.cell
    named = [f"x.{g}" for g in traced.gates] + [f"r.{g}" for g in traced.apart]
    named += [f"s.{s}" for s in cell.states] + [f"p.{p}" for p in cell.params]
    values = {name: torch.randn(64, dtype=torch.float64, requires_grad=True) for name in named}
    cotangents = {f"d.{s}": torch.randn(64, dtype=torch.float64) for s in cell.states}
    new = evaluate(traced.forward, values)
    torch.autograd.backward([new[s] for s in cell.states], [cotangents[f"d.{s}"] for s in cell.states])
    derived = evaluate(traced.backward, {n: v.detach() for n, v in values.items()} | cotangents)
    assert {f"d{name}" for name in named} == set(derived)
    for name, value in values.items():
        expected = torch.zeros(64, dtype=torch.float64) if value.grad is None else value.grad
        got = torch.as_tensor(derived[f"d{name}"], dtype=torch.float64).expand(64)
        assert_close(got, expected, f"d{name}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_every_backend_equals_eager(cell, backend, options, dtype, lengths):
    rnn = make(cell, "eager", options, dtype=dtype)
    x = torch.randn(3, 4, 3, dtype=dtype)
    start = None
    if backend == "triton" and rnn.layer_norm and dtype == torch.float32:
        # R h of a state of 0 has no spread, and its norm's derivative, 1/sqrt(eps), makes a last bit 316 times as
        # large: of sums in another order than eager's that start is float64's to hold.
        start = tuple(s + torch.randn_like(s) for s in rnn.initial_state(3))
    y, state = run(rnn, x, start, lengths)
    expected = gradients(rnn, x, lengths, start)
    expected = {name: value.clone() for name, value in expected.items()}
    rnn.backend = backend
    y_other, state_other = run(rnn, x, start, lengths)
    assert_close(y_other, y, "outputs")
    for got, wanted in zip(state_other, state, strict=True):
        assert_close(got, wanted, "state")
    for name, got in gradients(rnn, x, lengths, start).items():
        assert_close(got, expected[name], f"gradient of {name}")


def test_recomputing_segments_changes_no_gradient(cell, backend):
    rnn, x = make(cell, backend, {"zoneout": 0.2, "bidirectional": True}), torch.randn(3, 11, 3, dtype=torch.float64)
    stored = {name: g.clone() for name, g in gradients(rnn, x, [11, 5, 0]).items()}
    for segment in ("auto", 1, 4, 100):
        rnn.checkpoint = segment
        for name, got in gradients(rnn, x, [11, 5, 0]).items():
            assert_close(got, stored[name], f"checkpoint={segment}, gradient of {name}")


def test_recomputing_segments_stores_less(cell, backend):
    def stored(checkpoint):
        kept = []
        rnn = make(cell, backend, {"checkpoint": checkpoint}, hidden=16)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
            run(rnn, torch.randn(2, 100, 3, dtype=torch.float64))
        return sum(kept)

    assert stored("auto") < 0.5 * stored(None)
