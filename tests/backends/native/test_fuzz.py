"""Any shape, any lengths, any options: the compiled loop against eager, in outputs, states and every gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elman.backends.native.compiler import find_compiler, no_compiler_reason
from tests.conftest import assert_close
from tests.contracts.conftest import CELLS, gradients, make, run

CHANCES = st.sampled_from([0.0, 0.0, 0.3])


@st.composite
def situations(draw, cells):
    """A net's arguments, a batch's shape, lengths, whether a first state is given, and a number of threads."""
    steps, rows = draw(st.integers(0, 40)), draw(st.integers(1, 9))
    options = {
        "num_layers": draw(st.integers(1, 2)),
        "bidirectional": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "layer_norm": draw(st.booleans()),
        "learn_initial_state": draw(st.booleans()),
        "zoneout": draw(CHANCES),
        "recurrent_dropout": draw(CHANCES),
        "checkpoint": draw(st.sampled_from([None, None, "auto", 1, 5, 40])),
    }
    return {
        "cell": draw(st.sampled_from(sorted(cells))),
        # Of a few units with nearly the same value layer normalisation makes numbers with few digits.
        "dtype": torch.float64 if options["layer_norm"] else draw(st.sampled_from([torch.float32, torch.float64])),
        "options": options,
        "size": draw(st.integers(1, 20)),
        "hidden": draw(st.integers(1, 40)),
        "shape": (rows, steps),
        "lengths": draw(st.none() | st.lists(st.integers(0, steps), min_size=rows, max_size=rows)),
        "threads": draw(st.sampled_from([1, 1, 2, 3])),
        "seed": draw(st.integers(0, 2**31)),
    }


def assert_alike(got, expected, what):
    """The table's tolerance; in float32 relative to the largest number, as a sum of 360 steps may cancel to nothing."""
    if expected.dtype == torch.float64 or not expected.numel():
        return assert_close(got, expected, what)
    level = expected.abs().max().clamp(min=1.0)
    return assert_close(got / level, expected / level, what)


def assert_native_is_eager(situation):
    """Native equals eager. Inputs are small and R a contraction: else float32 shows chaos, not mistakes."""
    if find_compiler() is None:
        pytest.skip(no_compiler_reason())
    torch.set_num_threads(situation["threads"])
    torch.manual_seed(situation["seed"])
    dtype, lengths = situation["dtype"], situation["lengths"]
    net = {"size": situation["size"], "hidden": situation["hidden"], "dtype": dtype}
    rnn = make(CELLS[situation["cell"]], "eager", situation["options"], **net)
    with torch.no_grad():
        for name, p in rnn.named_parameters():
            if name.endswith(".R"):
                p.mul_(0.5)
    x = torch.randn(*situation["shape"], situation["size"], dtype=dtype) * 0.5
    y, state = run(rnn, x, lengths=lengths)
    expected = {name: None if g is None else g.clone() for name, g in gradients(rnn, x, lengths).items()}
    rnn.backend = "native"
    got_y, got_state = run(rnn, x, lengths=lengths)
    assert_alike(got_y, y, "outputs")
    for part, got, wanted in zip(rnn.cell.states, got_state, state, strict=True):
        assert_alike(got, wanted, f"state {part}")
    for name, got in gradients(rnn, x, lengths).items():
        if got is None or expected[name] is None:  # no step, no dependence
            assert all(g is None or g.eq(0).all() for g in (got, expected[name])), name
        else:
            assert_alike(got, expected[name], f"gradient of {name}")


FUZZ = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}


@settings(max_examples=30, **FUZZ)
@given(situations(["lstm", "gru", "users_own"]))
def test_some_situations(situation):
    assert_native_is_eager(situation)


@pytest.mark.slow
@settings(max_examples=300, **FUZZ)
@given(situations(list(CELLS)))
def test_many_situations(situation):
    assert_native_is_eager(situation)
