"""Gradients through time against what mathematics says they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.evidence.diagnose import diagnose, flows
from elman.evidence.diagnose.units import units_of
from elman.recurrent.inside import recorded


def leaky(a, units=1):
    net = elman.Recurrent("leaky", 1, units)
    with torch.no_grad():
        net.layers[0].p["a"].fill_(math.log((1 - a) / a))
    return net


@settings(max_examples=15, deadline=None)
@given(a=st.floats(0.2, 0.97), steps=st.sampled_from([30, 200]))
def test_the_horizon_of_a_leaky_integrator_is_known(a, steps):
    (flow,) = diagnose(leaky(a), torch.randn(3, steps, 1)).flows
    assert flow.decay == pytest.approx(a, rel=1e-4)
    assert abs(flow.horizon - math.log(0.01) / math.log(a)) <= 1
    np.testing.assert_allclose(flow.memory[:10], a ** np.arange(10), rtol=1e-4)


def test_what_never_fades_has_no_horizon():
    net = elman.Recurrent("indrnn", 1, 4)
    with torch.no_grad():
        net.layers[0].p["u"].fill_(1.0)
        net.layers[0].b.fill_(1.0)
    (flow,) = diagnose(net, torch.rand(2, 40, 1)).flows
    assert math.isinf(flow.horizon) and flow.decay == pytest.approx(1)


def test_memory_is_the_norm_of_the_jacobian():
    """Where no unit reads another it is a power of a, whatever the signs of v; the loss adds one of each step."""
    net = leaky(0.9, 3).double()
    found, _ = flows(net, lambda: net(torch.randn(2, 12, 1, dtype=torch.float64))[0].sum())
    np.testing.assert_allclose(found[0].memory, 0.9 ** np.arange(12), rtol=1e-6)
    np.testing.assert_allclose(found[0].loss, np.cumsum(0.9 ** np.arange(12)) * math.sqrt(3), rtol=1e-6)


def test_each_row_is_counted_from_its_own_end():
    net = leaky(0.8)
    x = torch.randn(3, 20, 1)
    found, _ = flows(net, lambda: net(x, lengths=[20, 7, 0])[1][0].sum())
    np.testing.assert_allclose(found[0].memory, 0.8 ** np.arange(20), rtol=1e-4)
    assert found[0].reach == 20  # 0.8^19 is above a hundredth


def test_layers_and_directions_are_told_apart():
    net = elman.Recurrent("lstm", 2, 4, num_layers=2, bidirectional=True)
    net.train()
    found, records = flows(net, lambda: net(torch.randn(2, 9, 2))[0].square().mean())
    assert [(f.layer, f.reverse) for f in found] == [(0, False), (0, True), (1, False), (1, True)]
    assert net.training and all(p.grad is None for p in net.parameters()) and len(records) == 4


def test_gates_and_units():
    net = elman.Recurrent("lstm", 1, 6)
    w = net.layers[0].by_gate()
    w.b.f.fill_(50.0)
    w.b.o.fill_(-50.0)
    w.R.i.zero_()
    with recorded(net) as records:
        net(torch.randn(4, 10, 1))
    units = units_of(records[0])
    gates = {gate.name: gate for gate in units.gates}
    assert gates["f"].high == 1 and gates["o"].low == 1 and gates["o"].mean == pytest.approx(0, abs=1e-6)
    assert units.dead == 1 and units.radius["i"] == 0 and units.radius["f"] == pytest.approx(1)
    assert units.singular["g"] == pytest.approx((1, 1))
