"""(6) Odd sizes, large inputs and poisoned buffers; (7) a deliberately wrong cell must fail."""

from __future__ import annotations

import pytest
import torch

import elman
from elman.cells import LSTM
from tests.conftest import assert_close
from tests.contracts.conftest import gradients, make, run


@pytest.mark.parametrize("hidden", [1, 17, 64])
@pytest.mark.parametrize("rows", [1, 3, 33])
@pytest.mark.parametrize("steps", [1, 2, 63])
def test_odd_sizes(cell, backend, steps, hidden, rows):
    rnn = make(cell, backend, hidden=hidden, dtype=torch.float32)
    x = torch.randn(rows, steps, 3)
    y, state = run(rnn, x)
    wide = make(cell, "eager", hidden=hidden)
    wide.load_state_dict(rnn.state_dict())
    y_wide, state_wide = run(wide, x.double())
    assert_close(y, y_wide.float(), "outputs")
    for got, expected in zip(state, state_wide, strict=True):
        assert_close(got, expected.float(), "state")


@pytest.mark.parametrize("level", [-100.0, 100.0, 0.0])
def test_large_inputs_stay_finite(cell, backend, level):
    rnn = elman.Recurrent(cell, 3, 5, backend=backend)
    x = torch.full((2, 6, 3), level)
    y, _ = run(rnn, x)
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(g).all() for g in gradients(rnn, x).values())


@pytest.mark.parametrize("rows, steps", [(0, 4), (3, 0)])
def test_empty_batches_and_sequences(cell, backend, rows, steps):
    rnn = make(cell, backend, {"num_layers": 2})
    y, state = run(rnn, torch.zeros(rows, steps, 3, dtype=torch.float64))
    assert y.shape == (rows, steps, 5)
    if rows:
        for got, expected in zip(state, rnn.initial_state(rows), strict=True):
            assert_close(got, expected, "state")


def test_no_backend_reads_what_it_did_not_write(cell, backend):
    torch.use_deterministic_algorithms(True)  # torch.empty is then filled with NaN
    try:
        y, state = run(make(cell, backend, {"num_layers": 2}), torch.randn(3, 4, 3, dtype=torch.float64))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(s).all() for s in state)


def test_the_same_inputs_give_the_same_bits(cell, backend):
    rnn, x = make(cell, backend), torch.randn(3, 9, 3, dtype=torch.float64)
    first, second = (run(rnn, x)[0] for _ in range(2))
    assert torch.equal(first, second)


class Wrong(LSTM):
    """An LSTM whose input and forget gates are exchanged: every shape is right, the numbers are not."""

    def step(self, x, r, s, p):
        i, f, g, o = (
            torch.sigmoid(x.f + r.f),
            torch.sigmoid(x.i + r.i),
            torch.tanh(x.g + r.g),
            torch.sigmoid(x.o + r.o),
        )
        c = f * s.c + i * g
        return o * torch.tanh(c), c


def test_a_wrong_cell_fails_the_oracle(backend):
    right = elman.Recurrent.from_torch(torch.nn.LSTM(3, 5, batch_first=True))
    wrong = elman.Recurrent(Wrong, 3, 5, backend=backend)
    wrong.load_state_dict(right.state_dict())
    x = torch.randn(2, 4, 3)
    with pytest.raises(AssertionError):
        assert_close(run(wrong, x)[0], run(right, x)[0], "outputs")
