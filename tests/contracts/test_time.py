"""(4) T single steps are one pass, any split is the whole; (5) padding and the order of rows change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import assert_close
from tests.contracts.conftest import OPTIONS, make, run

ONE_WAY = {name: options for name, options in OPTIONS.items() if not options.get("bidirectional")}


@pytest.mark.parametrize("options", ONE_WAY.values(), ids=ONE_WAY)
def test_single_steps_and_streams_are_one_pass(cell, backend, options):
    rnn = make(cell, backend, options).eval()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    y, final = run(rnn, x)
    state = None
    for t in range(7):
        step, state = rnn.step(x[:, t], state)
        assert_close(step, y[:, t], f"step {t}")
    for got, expected in zip(state, final, strict=True):
        assert_close(got, expected, "state")
    stream = rnn.stream()
    pushed = np.stack([stream.push(v) for v in x[1].cpu().numpy()])
    assert_close(torch.from_numpy(pushed), y[1].detach(), "stream")
    stream.reset()
    assert_close(torch.from_numpy(stream.push(x[1, 0].cpu().numpy())), y[1, 0].detach(), "stream after reset")


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_any_split_is_the_whole(cell, backend, cut):
    rnn = make(cell, backend, {"num_layers": 2, "layer_norm": True})
    x = torch.randn(3, 7, 3, dtype=torch.float64)
    y, final = run(rnn, x)
    first, state = run(rnn, x[:, :cut])
    second, state = run(rnn, x[:, cut:], state)
    assert_close(torch.cat([first, second], 1), y, "outputs")
    for got, expected in zip(state, final, strict=True):
        assert_close(got, expected, "state")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_padding_changes_nothing(cell, backend, options):
    rnn = make(cell, backend, options).eval()
    x = torch.randn(4, 9, 3, dtype=torch.float64)
    lengths = [9, 4, 1, 0]
    poisoned = x.clone()
    for row, length in enumerate(lengths):
        poisoned[row, length:] = float("nan")
    poisoned.requires_grad_()
    y, state = run(rnn, poisoned, lengths=lengths)
    start = rnn.initial_state(4)
    for row, length in enumerate(lengths):
        assert y[row, length:].eq(0).all()
        alone, last = run(rnn, x[row : row + 1, :length])
        assert_close(y[row, :length], alone[0], f"row {row}")
        for got, expected, first in zip(state, last, start, strict=True):
            assert_close(got[:, row], expected[:, 0] if length else first[:, row], f"state of row {row}")
    (y.sum() + sum(s.sum() for s in state)).backward()
    assert all(torch.isfinite(p.grad).all() for p in rnn.parameters() if p.grad is not None)
    valid = torch.arange(9) < torch.tensor(lengths)[:, None]
    assert poisoned.grad[~valid].eq(0).all()
    assert torch.isfinite(poisoned.grad).all()


def test_the_order_of_rows_changes_nothing(cell, backend):
    rnn = make(cell, backend, {"bidirectional": True})
    x, lengths = torch.randn(5, 6, 3, dtype=torch.float64), torch.tensor([2, 6, 0, 5, 6])
    order = torch.tensor([3, 0, 4, 2, 1])
    y, state = run(rnn, x, lengths=lengths)
    moved, moved_state = run(rnn, x[order], lengths=lengths[order])
    assert_close(moved, y[order], "outputs")
    for got, expected in zip(moved_state, state, strict=True):
        assert_close(got, expected[:, order], "state")


def test_reset_starts_chosen_rows_anew(cell, backend):
    rnn = make(cell, backend, {"learn_initial_state": True, "num_layers": 2})
    x = torch.randn(3, 5, 3, dtype=torch.float64)
    _, state = run(rnn, x)
    after = rnn.reset(state, torch.tensor([False, True, False]))
    fresh = rnn.initial_state(3)
    for got, old, new in zip(after, state, fresh, strict=True):
        assert_close(got[:, [0, 2]], old[:, [0, 2]], "kept")
        assert_close(got[:, 1], new[:, 1], "reset")
