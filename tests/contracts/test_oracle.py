"""(1) Each cell against an implementation that is not ours."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
from torch import nn

import elman
from tests.conftest import assert_close
from tests.contracts.conftest import gradients, run

TORCH = {
    "RNN tanh": lambda **k: nn.RNN(4, 6, **k),
    "RNN relu": lambda **k: nn.RNN(4, 6, nonlinearity="relu", **k),
    "LSTM": lambda **k: nn.LSTM(4, 6, **k),
    "GRU": lambda **k: nn.GRU(4, 6, **k),
}


@pytest.mark.parametrize("module", TORCH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape", [{}, {"num_layers": 2}, {"bidirectional": True, "num_layers": 2}, {"bias": False}, {"batch_first": False}]
)
def test_torch_agrees_in_outputs_state_and_gradients(module, dtype, shape, backend):
    theirs = TORCH[module](**{"batch_first": True, "dtype": dtype} | shape)
    ours = elman.Recurrent.from_torch(theirs)
    ours.backend = backend
    x = torch.randn(3, 9, 4, dtype=dtype)
    y, state = run(ours, x)
    x_in = x if theirs.batch_first else x.transpose(0, 1)
    y_torch, state_torch = theirs(x_in)
    assert_close(y if theirs.batch_first else y.transpose(0, 1), y_torch, "outputs")
    for got, expected in zip(state, state_torch if isinstance(state_torch, tuple) else (state_torch,), strict=True):
        assert_close(got, expected, "state")
    x_ours, x_theirs = (x_in.clone().requires_grad_() for _ in range(2))
    ours(x_ours)[0].square().sum().backward()
    theirs(x_theirs)[0].square().sum().backward()
    assert_close(x_ours.grad, x_theirs.grad, "gradient of x")
    back = ours.to_torch()
    assert_close(back(x_in)[0], y_torch, "to_torch")


@pytest.mark.parametrize("module", ["RNN tanh", "LSTM", "GRU"])
def test_packed_sequences_of_torch_agree_with_lengths(module, backend):
    theirs = TORCH[module](batch_first=True, bidirectional=True, dtype=torch.float64)
    ours = elman.Recurrent.from_torch(theirs)
    ours.backend = backend
    x, lengths = torch.randn(4, 9, 4, dtype=torch.float64), torch.tensor([9, 2, 5, 1])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    out, state_torch = theirs(packed)
    y_torch, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    y, state = ours(x, lengths=lengths)
    assert_close(y, y_torch, "outputs")
    first = state_torch[0] if isinstance(state_torch, tuple) else state_torch
    assert_close(state[0], first, "state")


def test_the_leaky_integrator_is_scipys_filter(backend):
    rnn = elman.Recurrent("leaky", 2, 5, backend=backend, dtype=torch.float64)
    x = torch.randn(1, 200, 2, dtype=torch.float64)
    layer = rnn.layers[0]
    with torch.no_grad():
        layer.p.a.copy_(torch.linspace(-4, 3, 5))
        drive = (x[0] @ layer.W.T + layer.b).numpy()
        start = torch.randn(1, 1, 5, dtype=torch.float64)
        y, _ = rnn(x, (start,))
    for unit, a in enumerate(torch.sigmoid(layer.p.a.detach()).tolist()):
        initial = scipy.signal.lfiltic([a], [1, a - 1], y=[start[0, 0, unit].item()])
        expected, _ = scipy.signal.lfilter([a], [1, a - 1], drive[:, unit], zi=initial)
        np.testing.assert_allclose(y[0, :, unit].numpy(), expected, rtol=1e-10)


def test_gradients_of_a_filter_reach_its_time_constant(backend):
    rnn = elman.Recurrent("leaky", 2, 5, backend=backend, dtype=torch.float64)
    assert gradients(rnn, torch.randn(2, 7, 2, dtype=torch.float64))["layers.0.p.a"].abs().min() > 0
