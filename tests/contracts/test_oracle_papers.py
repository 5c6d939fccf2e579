"""(1) The cells that torch does not have, against plain loops over the papers' equations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

import elman
from elman.cells import CATALOGUE, name_of
from tests.conftest import assert_close
from tests.contracts.conftest import make, run
from tests.contracts.oracles import ORACLES, unroll
from tests.contracts.test_oracle import TORCH

SCIPY = {"leaky"}  # in test_oracle.py


def plain_weights(rnn):
    """The one layer's weights as lists of numbers, by kind and name, as `oracles.Unit` takes them."""
    by_gate = rnn.layers[0].by_gate()
    kinds = {"W": by_gate.W, "R": by_gate.R, "b": by_gate.b, "b_r": by_gate.b_r, "params": by_gate.p}
    return {kind: {name: value.tolist() for name, value in vars(fields).items()} for kind, fields in kinds.items()}


def test_every_cell_of_the_catalogue_has_an_oracle():
    twins = {name_of(elman.Recurrent.from_torch(module()).cell) for module in TORCH.values()}
    assert twins | SCIPY | set(ORACLES) == set(CATALOGUE)
    assert not (twins | SCIPY) & set(ORACLES)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("start", ["initial", "given"])
def test_the_papers_equations_agree(name, dtype, start, backend):
    rnn = make(name, backend, size=3, hidden=4, dtype=dtype)
    x = torch.randn(2, 7, 3, dtype=dtype)
    state = rnn.initial_state(2)
    if start == "given":  # n, the sLSTM's normaliser, is a sum of positive weights
        state = tuple(
            torch.rand_like(s) + 0.5 if part == "n" else torch.randn_like(s)
            for part, s in zip(rnn.cell.states, state, strict=True)
        )
    got, final = run(rnn, x, state if start == "given" else None)
    first = {part: s[0].double().numpy() for part, s in zip(rnn.cell.states, state, strict=True)}
    with torch.no_grad():
        y, last = unroll(ORACLES[name], rnn.cell.states, plain_weights(rnn), x.double().numpy(), first)
    assert_close(got.detach(), torch.from_numpy(y).to(dtype), "outputs")
    for part, value in zip(rnn.cell.states, final, strict=True):
        assert_close(value[0].detach(), torch.from_numpy(last[part]).to(dtype), f"state {part}")


@pytest.mark.parametrize("name", ORACLES)
def test_every_weight_matters_to_the_oracle(name):
    rnn = make(name, "eager", size=3, hidden=4)
    weights = plain_weights(rnn)
    first = {part: np.full((1, 4), 0.5) for part in rnn.cell.states}
    x = np.linspace(-1, 1, 9).reshape(1, 3, 3)
    y, _ = unroll(ORACLES[name], rnn.cell.states, weights, x, first)
    for kind in ("W", "R", "b", "b_r", "params"):
        for gate, values in weights[kind].items():
            moved = {**weights, kind: {**weights[kind], gate: (np.array(values) + 0.1).tolist()}}
            other, _ = unroll(ORACLES[name], rnn.cell.states, moved, x, first)
            assert abs(other - y).max() > 1e-6, (kind, gate)


def test_the_linear_unit_is_scipys_complex_filter(backend):
    rnn = make("lru", backend, size=2, hidden=5)
    x = torch.randn(1, 100, 2, dtype=torch.float64)
    y, (_, v) = run(rnn, x)
    layer, w = rnn.layers[0], plain_weights(rnn)
    drive = {part: x[0].numpy() @ np.array(w["W"][part]).T + w["b"][part] for part in ("re", "im")}
    nu, theta, gamma = (layer.p[name].detach().numpy() for name in ("nu", "theta", "gamma"))
    for unit, pole in enumerate(np.exp(-np.exp(nu) + 1j * np.exp(theta))):
        u = drive["re"][:, unit] + 1j * drive["im"][:, unit]
        expected = scipy.signal.lfilter([np.exp(gamma[unit])], [1, -pole], u)
        np.testing.assert_allclose(y[0, :, unit].detach().numpy(), expected.real, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(v[0, 0, unit].item(), expected[-1].imag, rtol=1e-9, atol=1e-10)
