"""Every catalogued cell, and one defined by a user, on every backend, with every option."""

from __future__ import annotations

import pytest
import torch

import elman
from elman.backends import BACKENDS
from elman.backends.triton.plan import forced
from elman.cells import CATALOGUE


class UsersOwn(elman.Cell):
    """A cell with everything the contract allows: two states, a gate of each kind, a parameter, a start off zero."""

    gates = ("summed", "apart", "plain")
    states = ("h", "m")
    params = {"slope": 0.5}
    initial = {"m": 0.25}

    def step(self, x, r, s, p):
        m = torch.sigmoid(x.summed + r.summed) * s.m + torch.tanh(x.plain) * p.slope
        return torch.where(m > 0, m, 0.1 * m) + torch.tanh(x.apart * r.apart), m


# Interpreted, a program costs, and each step of a scan.
CHEAP = {} if torch.cuda.is_available() else {"alone": {"BB": 64}, "scan": {"BB": 4, "BU": 8}}
ANY_CELL = [name for name in BACKENDS if name != "torch"]  # torch's own loops are in tests/backends/test_builtin.py
CELLS = {**CATALOGUE, "users_own": UsersOwn}
OPTIONS = {
    "plain": {},
    "stacked": {"num_layers": 3},
    "bidirectional": {"num_layers": 2, "bidirectional": True},
    "residual": {"num_layers": 2, "residual": True},
    "layer_norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "dropout": {"num_layers": 2, "dropout": 0.3},
    "learn_initial_state": {"learn_initial_state": True, "num_layers": 2},
    "checkpoint_auto": {"checkpoint": "auto"},
    "checkpoint_3": {"checkpoint": 3, "bidirectional": True},
    "time_first": {"batch_first": False},
}


QUICK = {"users_own"}, {"test_padding_changes_nothing"}
"""Cells and tests that the GPU's kernels are tried with by default, besides tests/backends/triton: interpreted, each
operation takes 0.1 ms."""


def pytest_collection_modifyitems(items):
    """All else on that backend is slow."""
    cells, tests = QUICK
    for item in items:
        chosen = getattr(getattr(item, "callspec", None), "params", {})
        if chosen.get("backend") == "triton" and (chosen.get("cell") not in cells or item.originalname not in tests):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=CELLS)
def cell(request):
    return CELLS[request.param]


@pytest.fixture(params=ANY_CELL)
def backend(request):
    """Its name; where there is a GPU, Triton's tests run there, for all that they make is made there."""
    if request.param != "triton":
        yield request.param
        return
    pytest.importorskip("triton")
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"), forced(**CHEAP):
        yield request.param


@pytest.fixture(params=OPTIONS)
def options(request):
    return OPTIONS[request.param]


def make(cell, backend, options=None, *, size=3, hidden=5, dtype=torch.float64):
    """A net with random weights everywhere, so that a forgotten bias or slope shows.

    R is kept a contraction: a chaotic net would turn the last bit of a float32 into the first within 63 steps.
    """
    rnn = elman.Recurrent(cell, size, hidden, backend=backend, dtype=dtype, **(options or {}))
    with torch.no_grad():
        for p in rnn.parameters():
            p.mul_(0.6).add_(0.3 / hidden**0.5 * torch.randn_like(p))
    return rnn


def run(rnn, x, state=None, lengths=None, seed=3):
    """Outputs and final state, the random masks the same at every call; x (B, T, F) whatever `batch_first`."""
    torch.manual_seed(seed)
    y, state = rnn(x if rnn.batch_first else x.transpose(0, 1), state, lengths)
    return (y if rnn.batch_first else y.transpose(0, 1)), state


def gradients(rnn, x, lengths=None, state=None):
    """Gradient of a fixed random combination of outputs and final state, by name: weights, x and first state."""
    rnn.zero_grad()
    x = x.detach().clone().requires_grad_()
    state = rnn.initial_state(len(x)) if state is None else state
    state = tuple(s.detach().clone().requires_grad_() for s in state) if not rnn.learn_initial_state else None
    y, final = run(rnn, x, state, lengths)
    generator = torch.Generator("cpu").manual_seed(1)
    shares = [torch.randn(v.shape, generator=generator, dtype=v.dtype, device="cpu").to(v.device) for v in (y, *final)]
    total = sum((v * share).sum() for v, share in zip((y, *final), shares, strict=True))
    total.backward()
    named = {name: p.grad for name, p in rnn.named_parameters()} | {"x": x.grad}
    return named | {f"state {n}": s.grad for n, s in zip(rnn.cell.states, state or (), strict=False)}
