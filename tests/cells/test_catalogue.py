"""What the shipped cells promise beyond their equations: how they start, what they reduce to, what they survive."""

from __future__ import annotations

import math

import pytest
import torch

import elman
from elman.cells import CATALOGUE, Jordan, SteepGRU
from tests.conftest import assert_close

SIZE = 400
DOUBLE = {"dtype": torch.float64}


def fresh(name, size=SIZE):
    return elman.Recurrent(name, 3, size).layers[0].by_gate()


def assert_same_outputs(special, general, **options):
    """Two nets of these cells, the weights of the general one in the special one, give the same."""
    ours, theirs = (elman.Recurrent(cell, 3, 5, **DOUBLE) for cell in (special, general))
    ours.load_state_dict(theirs.state_dict(), strict=False)
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    assert_close(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "coupled_lstm", "steep_lstm", "minlstm"])
def test_forget_gates_start_open(name):
    assert fresh(name).b.f.eq(1.0).all()


def test_the_exponential_lstm_starts_at_long_memories():
    assert_close(fresh("slstm", 4).b.f, torch.tensor([3.0, 4.0, 5.0, 6.0]))


def test_the_refined_gate_starts_uniform_and_mirrored():
    w = fresh("refined_lstm")
    share = torch.sigmoid(w.b.f)
    assert share.min() >= 1 / SIZE - 1e-6 and share.max() <= 1 - 1 / SIZE + 1e-6
    assert abs(share.mean() - 0.5) < 0.05 and abs(share.std() - 12**-0.5) < 0.05
    assert torch.equal(w.b.r, -w.b.f)
    for size in (1, 2):
        assert_close(fresh("refined_lstm", size).b.f, torch.zeros(size))


def test_independent_units_start_between_forgetting_and_keeping():
    u = fresh("indrnn").p.u
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.05


def test_the_linear_unit_starts_on_its_ring():
    w = fresh("lru")
    radius, phase = torch.exp(-torch.exp(w.p.nu)), torch.exp(w.p.theta)
    assert radius.min() > 0.9 and radius.max() < 0.999
    assert abs(radius.square().mean() - (0.9**2 + 0.999**2) / 2) < 0.01
    assert phase.min() > 0 and phase.max() <= 2 * math.pi + 1e-6 and abs(phase.mean() - math.pi) < 0.3
    assert_close(torch.exp(w.p.gamma), torch.sqrt(1 - radius.square()))
    assert abs(w.W.re.var() - 1 / 6) < 0.03 and abs(w.W.im.var() - 1 / 6) < 0.03


def test_the_linear_units_normaliser_keeps_the_state_near_its_drive():
    rnn = elman.Recurrent("lru", 3, SIZE)
    _, (h, v) = rnn(torch.randn(1, 4000, 3))
    drive = 3 * (1 / 6) * 2  # variance of W x, both parts
    assert abs((h.square() + v.square()).mean().item() / drive - 1) < 0.25


@pytest.mark.parametrize("special, general", [("peephole_lstm", "lstm"), ("steep_lstm", "lstm"), ("jordan", "elman")])
def test_with_its_extra_at_rest_a_cell_is_the_plain_one(special, general):
    kind = CATALOGUE[special]
    at_rest = {
        "peephole_lstm": {},  # weights at 0, as they start
        "steep_lstm": {"params": {"a": 1.0}},
        "jordan": {"mu": 0.0},
    }[special]
    assert_same_outputs(type("AtRest", (kind,), at_rest), general)


def test_a_fixed_slope_is_a_factor_of_the_gates_weights():
    class Slope1(SteepGRU):
        slope = 1.0

    assert_same_outputs(Slope1, "gru")
    steep, plain = elman.Recurrent("steep_gru", 3, 5, **DOUBLE), elman.Recurrent("gru", 3, 5, **DOUBLE)
    plain.load_state_dict(steep.state_dict())
    with torch.no_grad():
        w = plain.layers[0].by_gate()
        for kind in (w.W, w.R, w.b):
            kind.r.mul_(2.0), kind.z.mul_(2.0)
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    assert_close(steep(x)[0], plain(x)[0])


def test_jordans_context_outlasts_one_step():
    class Fading(Jordan):
        mu = 0.9

    rnn = elman.Recurrent(Fading, 1, 1, **DOUBLE)
    with torch.no_grad():
        for p in rnn.parameters():
            p.zero_()
        rnn.layers[0].W.fill_(1.0)
        rnn.layers[0].R.fill_(1e-3)
    y, _ = rnn(torch.eye(1, 6, dtype=torch.float64)[..., None])
    ratio = y[0, 2:, 0] / y[0, 1:-1, 0]
    assert (ratio - 0.9).abs().max() < 0.01


@pytest.mark.parametrize("level", [-300.0, 300.0])
def test_gates_that_are_both_closed_still_share(level):
    rnn = elman.Recurrent("minlstm", 1, 4)
    with torch.no_grad():
        rnn.layers[0].W.fill_(1.0)
        rnn.layers[0].by_gate().b.f.zero_()
    x = torch.full((1, 2, 1), level, requires_grad=True)
    y, _ = rnn(x)
    assert_close(y[0, :, 0], torch.tensor([0.5, 0.75]) * level)
    y.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("levels", [(-300.0, 0.0), (300.0, 0.0), (0.0, -300.0), (-300.0, 300.0)])
def test_the_exponential_gate_takes_the_first_step_whole_and_weighs_the_rest(levels):
    rnn = elman.Recurrent("slstm", 1, 1)
    with torch.no_grad():
        for p in rnn.parameters():
            p.zero_()
        rnn.layers[0].by_gate().W.i.fill_(1.0)
        rnn.layers[0].by_gate().b.z.fill_(1.0)
    x = torch.tensor(levels).reshape(1, 2, 1).requires_grad_()
    y, (_, _, n, m) = rnn(x)
    assert_close(y, torch.full_like(y, 0.5 * math.tanh(1.0)))  # a mean of equal candidates, whatever the weights
    assert n.item() >= 1 and abs(m.item() - max(levels[0] + math.log(0.5), levels[1])) < 1e-4
    y.sum().backward()
    assert torch.isfinite(x.grad).all()
