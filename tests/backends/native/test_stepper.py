"""`Stream` on the compiled step: exact, without memory of its own, and with a state that can be kept and given back."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
import torch

import elman
from elman.backends.native.stepper import Stepper
from elman.errors import ShapeError
from tests.conftest import assert_close
from tests.contracts.conftest import CELLS, make, run

STACKS = {
    "one layer": {},
    "residual layers": {"num_layers": 3, "residual": True},
    "layer norm": {"num_layers": 2, "layer_norm": True},
    "zoneout, learned start": {"num_layers": 2, "zoneout": 0.3, "learn_initial_state": True},
    "all": {"num_layers": 3, "residual": True, "layer_norm": True, "zoneout": 0.2, "learn_initial_state": True},
}
pytestmark = pytest.mark.usefixtures("compiler")


@pytest.fixture(params=CELLS)
def cell(request):
    return CELLS[request.param]


def some_steps(count=9, size=3, dtype=np.float64):
    return np.random.default_rng(0).normal(size=(count, size)).astype(dtype)


def push_all(stream, steps):
    return np.stack([stream.push(v) for v in steps])


@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_stream_is_one_pass(cell, options, dtype):
    rnn = make(cell, "native", options, hidden=17, dtype=dtype).eval()
    steps = some_steps(dtype=np.float32 if dtype == torch.float32 else np.float64)
    stream = rnn.stream()
    assert isinstance(stream._steps, Stepper)
    got = push_all(stream, steps)
    rnn.backend = "eager"
    y, state = run(rnn, torch.from_numpy(steps)[None])
    assert_close(torch.from_numpy(got), y[0].detach(), "outputs")
    for part, expected in zip(stream.state, state, strict=True):
        assert part.shape == expected.shape
        assert_close(part, expected.detach(), "state")


@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
def test_a_step_asks_for_no_memory(options):
    rnn = make("lstm", "native", options, size=16, hidden=256, dtype=torch.float32).eval()
    stream, x, out = rnn.stream(), some_steps(1, 16, np.float32)[0], np.empty(256, np.float32)
    for _ in range(10):
        stream.push(x, out)
    grown, peaks = zip(*(_traced(lambda: stream.push(x, out), 300) for _ in range(5)), strict=True)
    assert min(grown) < 256  # what tracemalloc and the loop itself hold; the least, as other threads may be at work
    assert min(peaks) < 1024  # a copy of the state or of the output would be more


def test_the_measure_of_memory_sees_a_copy():
    out = np.empty(256, np.float32)
    kept = []
    assert _traced(out.copy, 10)[1] >= out.nbytes
    assert _traced(lambda: kept.append(out.copy()), 10)[0] >= 10 * out.nbytes


def _traced(work, times):
    """Bytes that are held after so many calls, and at the most during one, beyond those held before."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(times):
            work()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, peak - before


def test_out_is_written_and_given_back():
    rnn = make("gru", "native").eval()
    first, second = rnn.stream(), rnn.stream()
    out = np.full((2, 5), np.nan)
    for x in some_steps():
        got = first.push(x, out[1])
        assert got.base is out
        assert (got == second.push(x)).all()
    assert np.isnan(out[0]).all()


def test_what_a_push_returns_stays_as_it_is():
    stream = make("gru", "native").eval().stream()
    steps = some_steps()
    y = stream.push(steps[0])
    kept = y.copy()
    stream.push(steps[1])
    assert (y == kept).all()


def test_a_state_is_kept_and_given_back(cell):
    rnn = make(cell, "native", {"num_layers": 2}).eval()
    stream, steps = rnn.stream(), some_steps()
    push_all(stream, steps[:4])
    kept = stream.state
    copies = [s.clone() for s in kept]
    rest = push_all(stream, steps[4:])
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))  # a copy: steps do not change it
    stream.state = kept
    assert (push_all(stream, steps[4:]) == rest).all()
    other = rnn.stream()
    other.state = kept
    assert (push_all(other, steps[4:]) == rest).all()
    for part in kept:
        part.zero_()
    stream.state = tuple(copies)
    assert (push_all(stream, steps[4:]) == rest).all()


def test_a_state_goes_from_the_net_to_a_stream_and_back():
    rnn = make("lstm", "native", {"num_layers": 2}).eval()
    x = torch.from_numpy(some_steps())[None]
    with torch.no_grad():
        _, state = rnn(x[:, :4])
        stream = rnn.stream()
        stream.state = state
        got = push_all(stream, x[0, 4:].numpy())
        rest, last = rnn(x[:, 4:], state)
    assert_close(torch.from_numpy(got), rest[0], "outputs")
    for part, expected in zip(stream.state, last, strict=True):
        assert_close(part, expected, "state")


def test_a_wrong_state_or_step_is_refused():
    stream = make("lstm", "native").eval().stream()
    for wrong in (np.zeros(4), np.zeros((1, 3)), np.float64(0), [1.0, 2.0]):
        with pytest.raises(ShapeError, match="a step must be"):
            stream.push(wrong)
    with pytest.raises(ShapeError, match="2 part"):
        stream.state = (torch.zeros(1, 1, 5),)
    with pytest.raises(ShapeError, match="state"):
        stream.state = (torch.zeros(1, 1, 4), torch.zeros(1, 1, 5))


@pytest.mark.parametrize("kind", [list, tuple, lambda v: v.astype(np.float32), torch.from_numpy])
def test_a_step_may_be_anything_like_an_array(kind):
    rnn = make("gru", "native").eval()
    x = np.arange(3.0)
    assert (rnn.stream().push(kind(x)) == rnn.stream().push(x)).all()


def test_reset_goes_back_to_a_learned_start():
    rnn = make("gru", "native", {"learn_initial_state": True, "num_layers": 2}).eval()
    stream, steps = rnn.stream(), some_steps()
    start = stream.state
    assert_close(start[0], rnn.initial_state(1)[0].detach())
    assert start[0].abs().min() > 0
    first = push_all(stream, steps)
    stream.reset()
    assert torch.equal(stream.state[0], start[0])
    assert (push_all(stream, steps) == first).all()


def test_a_stream_keeps_the_weights_it_was_opened_with():
    rnn = make("lstm", "native").eval()
    steps = some_steps()
    expected = push_all(rnn.stream(), steps)
    stream = rnn.stream()
    with torch.no_grad():
        for p in rnn.parameters():
            p.add_(0.5)
    assert (push_all(stream, steps) == expected).all()
    assert not (push_all(rnn.stream(), steps) == expected).all()


def test_a_stream_outlives_everything_it_was_made_from():
    steps = some_steps()
    rnn = make("lstm", "native", {"num_layers": 2, "zoneout": 0.2}).eval()
    expected = push_all(rnn.stream(), steps)
    stream = rnn.stream()
    stream.rnn = None
    del rnn
    junk = [torch.full((n,), float("nan"), dtype=torch.float64) for n in range(1, 400)]  # whatever was freed is used
    assert (push_all(stream, steps) == expected).all()
    assert junk


def test_streams_of_one_net_do_not_know_each_other():
    rnn = make("gru", "native").eval()
    a, b = rnn.stream(), rnn.stream()
    steps, others = some_steps(), -some_steps()
    alone = push_all(rnn.stream(), steps)
    together = []
    for x, other in zip(steps, others, strict=True):
        together.append(a.push(x))
        b.push(other)
    assert (np.stack(together) == alone).all()


def test_training_mode_changes_no_stream():
    rnn = make("gru", "native", {"zoneout": 0.3, "recurrent_dropout": 0.3, "dropout": 0.3, "num_layers": 2})
    steps = some_steps()
    training = push_all(rnn.train().stream(), steps)
    assert (push_all(rnn.eval().stream(), steps) == training).all()


def test_it_is_the_faster_form_of_a_step():
    assert isinstance(elman.Recurrent("gru", 3, 5, backend="native").stepper(), Stepper)
    assert elman.Recurrent("gru", 3, 5, backend="eager").stepper() is None
