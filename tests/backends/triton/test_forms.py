"""Every form of the loop, interpreted, against the eager backend: outputs, last state and all gradients."""

from __future__ import annotations

import pytest
import torch

import elman
from elman.backends.triton.plan import forced
from tests.backends.triton.together import together
from tests.conftest import assert_close
from tests.contracts.conftest import CELLS, gradients, make, run

STEPS = {"form": "steps", "BB": 16, "BU": 16, "BK": 16}
FORMS = {
    "alone, R held": {"alone": {"BB": 16, "hold": True}},
    "alone, R read": {"alone": {"BB": 16, "hold": False}},
    "steps, R held": {"alone": STEPS | {"hold": True, "chunks": 2}},
    "steps, R read": {"alone": STEPS | {"hold": False, "chunks": 1}},
    "scan": {"scan": {"BB": 4, "BU": 16}},
    "scan, shared": {"scan": {"BB": 2, "BU": 16, "fill": 99}},
}
OPTIONS = {
    "plain": {},
    "all at once": {"zoneout": 0.3, "recurrent_dropout": 0.3, "bidirectional": True, "checkpoint": 3},
}
LENGTHS = [5, 0, 3]
PAIRS = [("users_own", form) for form in FORMS if "scan" not in form]
PAIRS += [pytest.param("gru", form, marks=pytest.mark.slow) for form in FORMS if "scan" not in form]
PAIRS += [("jordan", "alone, R held"), ("minlstm", "scan"), ("leaky", "scan"), ("minlstm", "scan, shared")]


def assert_equal(rnn, x, lengths, **forms):
    """The same net on triton gives what it gives on eager."""
    rnn.backend = "eager"
    y, state = run(rnn, x, lengths=lengths)
    expected = {name: g.clone() for name, g in gradients(rnn, x, lengths).items()}
    rnn.backend = "triton"
    with forced(**forms):
        got, last = run(rnn, x, lengths=lengths)
        found = gradients(rnn, x, lengths)
    assert_close(got, y, "outputs")
    for one, other in zip(last, state, strict=True):
        assert_close(one, other, "state")
    for name, g in expected.items():
        assert_close(found[name], g, f"gradient of {name}")


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell, form", PAIRS)
def test_every_form_is_the_same_net(cell, form, options):
    hidden = 20 if "chunks" in next(iter(FORMS[form].values())) else 5
    rnn = make(CELLS[cell], "eager", OPTIONS[options], hidden=hidden)
    assert_equal(rnn, torch.randn(3, 5, 3, dtype=torch.float64), LENGTHS, **FORMS[form])


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [None, [9, 0, 7]])
@pytest.mark.parametrize("options", [{}, OPTIONS["all at once"], {"layer_norm": True}, {"bidirectional": True}])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_in_every_form_it_has(cell, options, lengths):
    for form, plan in FORMS.items():
        if options.get("layer_norm") and "steps" in form:
            continue
        rnn = make(CELLS[cell], "eager", options, hidden=20)
        assert_equal(rnn, torch.randn(3, 9, 3, dtype=torch.float64), lengths, **plan)


@pytest.mark.parametrize("fill", [0, pytest.param(12, marks=pytest.mark.slow)])
def test_a_scan_of_two_states_over_several_pieces(fill, monkeypatch):
    rnn = make(CELLS["lru"], "eager", {"bidirectional": bool(fill), "zoneout": 0.3}, hidden=3)
    with together(monkeypatch) as counts:
        assert_equal(rnn, torch.randn(2, 11, 3, dtype=torch.float64), [11, 4], scan={"BB": 2, "BU": 4, "fill": fill})
    assert max(counts) == (6 if fill else 2), "three spans of four steps, of two sequences"


@pytest.mark.parametrize("cell, dtype", [("lstm", torch.float16), ("mingru", torch.bfloat16)])
def test_half_precision_is_near_and_keeps_its_dtype(cell, dtype):
    wide = make(CELLS[cell], "eager", hidden=8, dtype=torch.float32)
    half = make(CELLS[cell], "triton", hidden=8, dtype=dtype)
    half.load_state_dict(wide.state_dict())
    x = torch.randn(2, 6, 3)
    with forced(scan={"BB": 4, "BU": 8}):
        (y, state), (expected, _) = run(half, x.to(dtype)), run(wide, x)
        found = gradients(half, x.to(dtype))
    assert y.dtype == dtype and {s.dtype for s in state} == {dtype}
    torch.testing.assert_close(y.float(), expected, atol=0.03, rtol=0.03)
    for name, g in gradients(wide, x).items():
        assert found[name].dtype == dtype
        torch.testing.assert_close(found[name].float(), g, atol=0.05 * float(g.abs().max()) + 0.02, rtol=0.05)


def test_autocast_multiplies_in_half_precision_and_keeps_weights_and_state_wide():
    rnn = make(CELLS["gru"], "triton", hidden=8, dtype=torch.float32)
    x = torch.randn(2, 5, 3)
    with torch.autocast("cpu", torch.float16):
        y, state = run(rnn, x)
        y.sum().backward()
    assert y.dtype == state[0].dtype == torch.float32
    assert all(p.grad.dtype == torch.float32 for p in rnn.parameters())
    torch.testing.assert_close(y, run(rnn, x)[0], atol=0.03, rtol=0.03)
    assert not torch.equal(y, run(rnn, x)[0])


def test_what_it_does_not_run_it_refuses():
    rnn = elman.Recurrent("lstm", 3, 8, heads=2, layer_norm=True, backend="triton")
    why = (
        "have to be on the GPU at once, and there is no room"
        if torch.cuda.is_available()
        else "interpreted they do not"
    )
    refused = pytest.raises(elman.errors.OptionError, match=why)
    with refused, forced("steps"):
        rnn(torch.zeros(1, 2, 3))
    if not torch.cuda.is_available():
        with pytest.raises(elman.errors.OptionError, match="triton's interpreter cannot multiply bfloat16"):
            elman.Recurrent("lstm", 3, 4, backend="triton", dtype=torch.bfloat16)(torch.zeros(1, 2, 3).bfloat16())
    said = elman.Recurrent("mingru", 3, 4).explain_backend()
    assert "triton: can run (one launch, a parallel scan)" in said


@pytest.mark.parametrize("form", ["alone, R held", "steps, R held", "steps, R read"])
@pytest.mark.parametrize("cell", ["users_own", pytest.param("gru", marks=pytest.mark.slow)])
def test_heads_in_every_form(cell, form):
    rnn = make(CELLS[cell], "eager", {"heads": 2, "bidirectional": True}, hidden=36)
    assert_equal(rnn, torch.randn(2, 3, 3, dtype=torch.float64), [3, 2], **FORMS[form])


SPREAD = {"form": "spread", "BB": 16, "BU": 16, "BK": 32, "hold": True, "chunks": 2, "blocks": 0}
READ = SPREAD | {"hold": False, "chunks": 1}
MEETING = {
    "one head": ("users_own", SPREAD, {}),
    "R read, backwards, in segments": ("gru", READ, OPTIONS["all at once"]),
    "normalised": ("users_own", SPREAD, {"layer_norm": True, "zoneout": 0.3}),
    "normalised, R read": ("gru", READ, {"layer_norm": True, "bidirectional": True}),
    "heads": ("gru", SPREAD, {"heads": 2}),
    "heads normalised together": ("users_own", SPREAD, {"heads": 2, "layer_norm": True, **OPTIONS["all at once"]}),
}


def spread(plan):
    """Where a cell with R would have another form."""
    return dict.fromkeys(("alone", "spread", "steps"), plan)


@pytest.mark.parametrize("name", [n if n == "normalised" else pytest.param(n, marks=pytest.mark.slow) for n in MEETING])
def test_programs_at_work_at_once_meet_and_are_the_same_net(name, monkeypatch):
    cell, plan, options = MEETING[name]
    rnn = make(CELLS[cell], "eager", options, hidden=40)
    with together(monkeypatch) as counts:
        assert_equal(rnn, torch.randn(2, 3, 3, dtype=torch.float64), [3, 2], **spread(plan))
    assert min(counts) > 1


@pytest.mark.slow
def test_more_sequences_than_there_is_room_for_go_one_block_after_another(monkeypatch):
    rnn = make(CELLS["gru"], "eager", {"layer_norm": True}, hidden=20)
    with together(monkeypatch) as counts:
        assert_equal(rnn, torch.randn(35, 2, 3, dtype=torch.float64), None, **spread(SPREAD | {"blocks": 2}))
    assert set(counts) == {4, 2}, "two programs for each block: two blocks of 16 sequences, then the third"


@pytest.mark.slow
def test_programs_that_do_not_wait_are_found_out(monkeypatch):
    from elman.backends.triton import modules, render

    monkeypatch.setattr(modules, "_open", {})
    monkeypatch.setattr(render, "HEAD", render.HEAD + "\n\n@triton.jit\ndef wait(counter, goal):\n    pass\n")
    rnn = make(CELLS["gru"], "eager", hidden=40)
    with together(monkeypatch), pytest.raises(AssertionError):
        assert_equal(rnn, torch.randn(3, 8, 3, dtype=torch.float64), None, **spread(SPREAD))
