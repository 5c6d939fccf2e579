"""torch.nn's own loops as a backend, against the eager one: values, gradients, and who is refused."""

from __future__ import annotations

import copy

import pytest
import torch

import elman
from elman.backends import TWINS
from elman.cells import name_of
from elman.errors import OptionError
from tests.conftest import assert_close
from tests.contracts.conftest import gradients, make, run

CELLS = [name_of(cell()) for cell in TWINS]
RUNS = {
    "plain": {},
    "stacked": {"num_layers": 3},
    "bidirectional": {"num_layers": 2, "bidirectional": True},
    "residual": {"num_layers": 2, "residual": True},
    "dropout": {"num_layers": 2, "dropout": 0.3},
    "learn_initial_state": {"learn_initial_state": True, "num_layers": 2},
    "time_first": {"batch_first": False},
}
REFUSED = {
    "layer_norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "checkpoint": {"checkpoint": 3},
}


def pair(cell, options, dtype=torch.float64):
    ours = make(cell, "torch", options, dtype=dtype)
    other = copy.deepcopy(ours)
    other.backend = "eager"
    return ours, other


@pytest.mark.parametrize("lengths", [None, [7, 1, 0, 4]], ids=["full", "lengths"])
@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("cell", CELLS)
def test_values_and_gradients_are_those_of_the_eager_backend(cell, options, lengths):
    ours, other = pair(cell, options)
    x = torch.randn(4, 7, 3, dtype=torch.float64)
    x[2] = torch.nan if lengths else 0.0  # past a row's length anything may stand
    lengths = lengths and torch.tensor(lengths)
    start = None if ours.learn_initial_state else tuple(torch.randn_like(s) for s in ours.initial_state(4))
    (y, last), (expected, state) = (run(net, x, start, lengths) for net in (ours, other))
    assert_close(y, expected, "outputs")
    for got, wanted in zip(last, state, strict=True):
        assert_close(got, wanted, "last state")
    theirs = gradients(other, x, lengths, start)
    for name, got in gradients(ours, x, lengths, start).items():
        assert_close(got, theirs[name], name)


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("cell", CELLS)
def test_options_that_torch_has_not_are_refused(cell, options):
    (option,) = options
    with pytest.raises(OptionError, match=f"backend='torch': cannot run .* because torch.nn has no {option}"):
        make(cell, "torch", options)(torch.zeros(1, 2, 3, dtype=torch.float64).requires_grad_())


def test_a_cell_of_ones_own_is_refused_even_where_it_inherits():
    class Mine(elman.cells.LSTM):
        def step(self, x, r, s, p):
            h, c = super().step(x, r, s, p)
            return 0.5 * h, c

    with pytest.raises(OptionError, match=r"torch\.nn has no Mine"):
        elman.Recurrent(Mine, 2, 3, backend="torch")(torch.zeros(1, 2, 2))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_torchs(cell, dtype):
    rnn = elman.Recurrent(cell, 3, 5).to(dtype)
    assert rnn.explain_backend().startswith("torch (asked for: auto)")
    y, _ = rnn(torch.randn(2, 4, 3, dtype=dtype))
    y.float().sum().backward()
    assert y.dtype == rnn.layers[0].W.grad.dtype == dtype


@pytest.mark.parametrize("cell", CELLS)
def test_without_a_compiler_torchs_loops_run(monkeypatch, cell):
    monkeypatch.setattr("elman.backends.native.backend._build_failure", lambda *args, **options: "there is no compiler")
    rnn = elman.Recurrent(cell, 3, 5, num_layers=2)
    assert rnn.explain_backend().startswith("torch (asked for: auto)\nnative: refused because there is no compiler")
    with torch.no_grad(), torch.autograd.profiler.profile() as seen:
        rnn(torch.zeros(2, 100, 3))
    loop = TWINS[type(rnn.cell)].run.__name__
    assert [event.count for event in seen.key_averages() if event.key == f"aten::{loop}"] == [2]  # one for each layer


def test_under_autocast_outputs_have_the_states_number_type():
    rnn = elman.Recurrent("lstm", 3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        y, (h, c) = rnn(torch.randn(2, 4, 3))
        rnn.backend = "eager"
        expected, _ = rnn(torch.randn(2, 4, 3))
    assert y.dtype == h.dtype == c.dtype == expected.dtype
