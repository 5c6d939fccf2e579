"""The gradient's decay against what is known of each net, and remedies that do and do not help."""

from __future__ import annotations

import math

import memory_tasks
import numpy as np
import pytest
import remedies
import torch
import vanishing_gradient


@pytest.fixture(scope="module")
def page(made):
    return made(vanishing_gradient)


def test_the_gradient_of_elmans_net_vanishes_fastest(page):
    starts = page[0].numbers["starts"]
    decay = {name: start["decay"] for name, start in starts.items()}
    assert decay["Elman, small start"] < decay["GRU"] < decay["LSTM"] < 1
    assert decay["Elman, small start"] < decay["Elman, orthogonal start"] < 1 < decay["Elman, large start"]
    for name in ("Elman, small start", "LSTM"):
        loss = starts[name]["of loss"]
        assert (loss[20] / loss[0] < 1e-4) == (name != "LSTM")


def test_what_helps_and_what_does_not(page):
    found = {one["remedy"]: one for one in page[0].numbers["trials"]}
    nothing, clipped = found["none: small start, SGD"], found["clipping"]
    assert not nothing["solved"] and not clipped["solved"] and nothing["after"] < 15
    assert found["ReLU from the identity, SGD, no clipping"]["loss"] is None
    steep = found["steeper gates: GRU, Adam"]
    assert steep["solved"] and steep["after"] > steep["before"]
    assert "Broke down, the loss no number: ReLU from the identity, SGD, no clipping." in page[1]


def test_clipping_keeps_an_exploding_gradient_finite():
    task = memory_tasks.Adding(60)
    wild, tamed = (remedies.Trial("", "elman_relu", "SGD", clip).run(task, 0, 0.03, 60)[0] for clip in (None, 1.0))
    assert math.isinf(wild.loss) and math.isfinite(tamed.loss) and not wild.solved


def test_batch_normalisation_normalises_each_step():
    """With a gain of 1 and h fed back by zero weights, pre-activations have mean 0 and variance 1 over the batch."""
    net = remedies.BatchNormElman(2, 5)
    with torch.no_grad():
        net.gain_x.fill_(1.0)
        net.R.zero_()
    x = torch.rand(64, 4, 2)
    before = torch.atanh(net(x)[0])
    assert before.mean(0).abs().max() < 1e-4 and (before.var(0, correction=0) - 1).abs().max() < 1e-2


def test_the_horizon_of_a_net_of_ones_own_is_by_the_same_measure():
    """Of one unit, ∂h_T/∂h_(T-k) is the product of (1 - h²) r over the steps between."""
    task, net = memory_tasks.Adding(20), remedies.elman.Recurrent(remedies.SmallStart, 2, 1)
    x, _ = task.draw(8, torch.Generator().manual_seed(0))
    h = net(x)[0][..., 0].detach().double().numpy()
    factors = (1 - h**2) * float(net.layers[0].R.detach())
    known = np.array([np.sqrt(np.mean(np.prod(factors[:, 20 - k :], axis=1) ** 2)) for k in range(20)])
    found = remedies.memory_of(memory_tasks.Reader(net, task), x)
    np.testing.assert_allclose(found[:8], known[:8], rtol=1e-3)
