"""Arguments of `Recurrent`: what each changes, and how a wrong one is answered."""

from __future__ import annotations

import copy
import inspect
import re

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman.errors import CellError, OptionError, ShapeError, UnknownNameError


def test_a_wrong_shape_is_one_clear_line():
    rnn = elman.Recurrent("gru", 8, 4)
    for call, message in {
        lambda: rnn(torch.zeros(32, 8)): r"Recurrent\(GRU\): x must be \(B, T, 8\), got \(32, 8\)\. Add a time axis",
        lambda: rnn(torch.zeros(2, 3, 7)): r"must be \(B, T, 8\), got \(2, 3, 7\)",
        lambda: rnn(
            torch.zeros(2, 3, 8, dtype=torch.long)
        ): r"must be torch\.float32 as the weights are, got torch\.int64",
        lambda: rnn(torch.zeros(2, 3, 8), lengths=[3]): r"lengths must be \(2\), got \(1,\)",
        lambda: rnn(torch.zeros(2, 3, 8), lengths=[3, 4]): r"whole numbers in 0 … 3, got \[3, 4\]",
        lambda: rnn(torch.zeros(2, 3, 8), lengths=[-1, 3]): "whole numbers in 0 … 3",
        lambda: rnn(
            torch.zeros(2, 3, 8), lengths="abc"
        ): r"whole numbers in 0 … 3, got 'abc'\. Give one length per row",
        lambda: rnn(torch.zeros(2, 3, 8), lengths=[2, None]): r"got \[2, None\]",
        lambda: rnn(torch.zeros(2, 3, 8), lengths=[[1], [1, 2]]): r"got \[\[1\], \[1, 2\]\]",
        lambda: rnn(
            torch.zeros(2, 3, 8), lengths=[1.5, 2]
        ): r"got torch\.float32\. Write torch\.as_tensor\(lengths\)\.long",
        lambda: rnn(torch.zeros(2, 3, 8), lengths=[1j, 2]): r"got torch\.complex64",
        lambda: rnn(
            torch.zeros(2, 3, 8, device="meta")
        ): r"x must be on cpu as the weights are, got meta\. A meta tensor",
        lambda: rnn(torch.zeros(2, 3, 8, device="meta"), lengths=[1, 2]): r"x must be on cpu",
        lambda: rnn(
            torch.zeros(2, 3, 8), (torch.zeros(1, 2, 4, device="meta"),)
        ): r"state 'h' must be on cpu as the weights are, got meta",
        lambda: elman.Recurrent("gru", 8, 4, device="meta")(
            torch.zeros(2, 3, 8)
        ): r"x must be on meta as the weights are, got cpu\. Give the weights values",
        lambda: rnn(torch.zeros(2, 3, 8), (torch.zeros(1, 3, 4),)): r"state 'h' must be \(1, 2, 4\), got \(1, 3, 4\)",
        lambda: rnn(torch.zeros(2, 3, 8), (torch.zeros(1, 2, 4),) * 2): r"must have 1 part\(s\) \('h',\), got 2",
        lambda: rnn.step(torch.zeros(8)): r"x must be \(B, 8\), got \(8,\)",
        lambda: rnn.stream().push(np.zeros(7)): r"a step must be \(8,\), got \(7,\)",
    }.items():
        with pytest.raises(ShapeError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_layers": 0}, "num_layers must be a whole number ≥ 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"zoneout": -0.1}, r"zoneout must be in \[0, 1\)"),
        ({"checkpoint": 0}, "checkpoint must be 'auto', a number of steps"),
        ({"checkpoint": "often"}, "got 'often'"),
        ({"forget_bias": True}, "forget_bias must be a number or None, got True"),
        ({"forget_bias": float("inf")}, "forget_bias must be a number or None, got inf"),
    ],
)
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        elman.Recurrent("gru", 2, 3, **options)


def test_an_unknown_backend_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"unknown backend 'eagre', did you mean 'eager'\?"):
        elman.Recurrent("gru", 2, 3, backend="eagre")


def test_a_backend_set_later_is_checked_when_used():
    rnn = elman.Recurrent("gru", 2, 3)
    rnn.backend = "nativ"
    for use in (lambda: rnn(torch.zeros(1, 2, 2)), rnn.explain_backend):
        with pytest.raises(UnknownNameError, match="unknown backend 'nativ', did you mean 'native'"):
            use()


def test_explain_backend_names_the_choice():
    assert elman.Recurrent("gru", 2, 3).explain_backend().startswith("native (asked for: auto)")
    assert elman.Recurrent("gru", 2, 3, backend="eager").explain_backend().startswith("eager (asked for: eager)")
    half = elman.Recurrent("gru", 2, 3, dtype=torch.bfloat16).explain_backend()
    assert half.startswith("torch (asked for: auto)\nnative: refused because it computes in float32 and float64")
    half = elman.Recurrent("mgu", 2, 3, dtype=torch.bfloat16).explain_backend()
    assert half.startswith("eager (asked for: auto)\nnative: refused")
    assert "torch: refused because torch.nn has no MGU" in half


def test_a_backend_asked_for_by_name_runs_or_raises():
    with pytest.raises(OptionError, match="backend='native': cannot run GRU because it computes in float32"):
        elman.Recurrent("gru", 2, 3, dtype=torch.bfloat16, backend="native")(torch.zeros(1, 2, 2).bfloat16())


def test_a_bidirectional_net_cannot_step():
    rnn = elman.Recurrent("gru", 2, 3, bidirectional=True)
    with pytest.raises(OptionError, match="a bidirectional net needs the whole sequence"):
        rnn.stream().push(np.zeros(2))


def test_training_draws_new_masks_and_evaluation_none():
    x = torch.randn(4, 6, 3)
    for options in ({"zoneout": 0.5}, {"recurrent_dropout": 0.5}, {"dropout": 0.5, "num_layers": 2}):
        rnn = elman.Recurrent("lstm", 3, 8, **options)
        assert not torch.equal(rnn(x)[0], rnn(x)[0])
        rnn.eval()
        assert torch.equal(rnn(x)[0], rnn(x)[0])


def test_zoneout_keeps_the_share_it_promises():
    rnn = elman.Recurrent("elman", 3, 400, zoneout=0.25)
    y, _ = rnn(torch.randn(1, 50, 3))
    kept = (y[:, 1:] == y[:, :-1]).float().mean().item()
    assert abs(kept - 0.25) < 0.01


def test_recurrent_dropout_masks_the_same_units_at_every_step():
    rnn = elman.Recurrent("elman", 1, 64, recurrent_dropout=0.5, dtype=torch.float64)
    layer = rnn.layers[0]
    x = torch.randn(1, 20, 1, dtype=torch.float64)
    torch.manual_seed(5)
    y, _ = rnn(x)
    torch.manual_seed(5)
    mask = rnn._pass(x.transpose(0, 1), None, reverse=False).mask
    h = torch.zeros(1, 64, dtype=torch.float64)
    for t in range(20):
        h = torch.tanh(x[:, t] @ layer.W.T + layer.b + (h * mask) @ layer.R.T)
        torch.testing.assert_close(h, y[:, t])
    assert set(mask.unique().tolist()) == {0.0, 2.0}


def test_layer_norm_is_the_papers_formula():
    rnn = elman.Recurrent("elman", 3, 8, layer_norm=True, dtype=torch.float64)
    layer, x = rnn.layers[0], torch.randn(2, 5, 3, dtype=torch.float64)
    y, _ = rnn(x)

    def norm(v, gain):
        centred = v - v.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain

    h = torch.zeros(2, 8, dtype=torch.float64)
    for t in range(5):
        h = torch.tanh(norm(x[:, t] @ layer.W.T, layer.gain_x) + layer.b + norm(h @ layer.R.T, layer.gain_r))
        torch.testing.assert_close(h, y[:, t])


def test_starting_weights():
    layer = elman.Recurrent("lstm", 12, 16).layers[0]
    gates = layer.by_gate()
    torch.testing.assert_close(gates.R.f @ gates.R.f.T, torch.eye(16), atol=1e-5, rtol=0)
    assert gates.b.f.eq(1).all() and gates.b.i.eq(0).all()
    assert torch.equal(elman.Recurrent("elman_relu", 2, 4).layers[0].R, torch.eye(4))


def biases(cell, **options):
    """Of each layer and direction the biases by gate, each a plain list."""
    layers = elman.Recurrent(cell, 3, 4, **options).layers
    return [{gate: b.tolist() for gate, b in vars(layer.by_gate().b).items()} for layer in layers]


@pytest.mark.parametrize(
    "cell, gate, sign", [("lstm", "f", 1), ("slstm", "f", 1), ("gru", "z", 1), ("mgu", "f", -1), ("mingru", "z", -1)]
)
def test_the_gate_that_keeps_the_state_starts_where_it_is_told_to(cell, gate, sign):
    usual = biases(cell, num_layers=2, bidirectional=True)
    told = biases(cell, num_layers=2, bidirectional=True, forget_bias=3)
    assert len(told) == 4
    for before, after in zip(usual, told, strict=True):
        assert after.pop(gate) == [3.0 * sign] * 4 != before.pop(gate)
        assert after == before


@pytest.mark.parametrize("cell", ["lstm", "gru", "mgu", "mingru"])
def test_a_greater_forget_bias_keeps_more_of_the_state(cell):
    """Of a state of ones, with weights of 0 and no input, σ(b)^10 is left after ten steps."""
    for bias in (-1.0, 1.0, 4.0):
        rnn = elman.Recurrent(cell, 2, 8, forget_bias=bias)
        with torch.no_grad():
            for weights in (rnn.layers[0].W, rnn.layers[0].R):
                if weights is not None:
                    weights.zero_()
            _, state = rnn(torch.zeros(1, 10, 2), tuple(torch.ones(1, 1, 8) for _ in rnn.cell.states))
        left = torch.sigmoid(torch.tensor(bias)) ** 10
        torch.testing.assert_close(state[-1], left.expand(1, 1, 8))


def test_a_cell_without_a_gate_that_keeps_is_refused_a_forget_bias():
    with pytest.raises(OptionError, match="forget_bias needs a gate that keeps the state, got h") as caught:
        elman.Recurrent("elman", 2, 3, forget_bias=2.0)
    assert "\n" not in str(caught.value)
    assert repr(elman.Recurrent("lstm", 2, 3, forget_bias=2.5)) == "Recurrent(LSTM, 2, 3, forget_bias=2.5)"
    assert repr(elman.Recurrent("lstm", 2, 3, forget_bias=0.0)) == "Recurrent(LSTM, 2, 3, forget_bias=0.0)"


def test_an_estimator_keeps_its_forget_bias(tmp_path):
    X, y = [[float(i % 2)] * 4 for i in range(12)], [i % 2 for i in range(12)]
    options = {"hidden_size": 4, "max_steps": 6, "forget_bias": 3.5}
    model = elman.SequenceClassifier(**options).fit(X, y, folder=tmp_path / "run")
    found = elman.load(tmp_path / "run")
    assert found.forget_bias == 3.5 and (found.predict_proba(X) == model.predict_proba(X)).all()
    again = elman.SequenceClassifier(**options).fit(X, y, folder=tmp_path / "run", resume=True)
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    other = elman.SequenceClassifier(**options | {"forget_bias": None}).fit(X, y)
    assert (other.predict_proba(X) != model.predict_proba(X)).any()
    with pytest.raises(OptionError, match="forget_bias needs a gate"):
        elman.SequenceClassifier(**options, cell="elman").fit(X, y)


def test_an_estimator_has_every_option_of_the_stack():
    options = set(inspect.signature(elman.Recurrent).parameters)
    shape = {"input_size", "batch_first", "bidirectional", "device", "dtype"}  # the problem's, or the training's
    assert set(elman.SequenceClassifier().stack()) == options - shape
    with pytest.raises(OptionError, match="hidden_size must be a multiple of heads, got 8 and 3") as caught:
        elman.SequenceClassifier(hidden_size=8, heads=3).fit([[1, 2], [2, 1]] * 4, [0, 1] * 4)
    assert "\n" not in str(caught.value)


def test_a_net_copies_saves_and_loads():
    rnn = elman.Recurrent("gru", 3, 4, 2, bidirectional=True, learn_initial_state=True)
    x = torch.randn(2, 5, 3)
    twin = elman.Recurrent("gru", 3, 4, 2, bidirectional=True, learn_initial_state=True)
    twin.load_state_dict(rnn.state_dict())
    assert torch.equal(rnn(x)[0], twin(x)[0])
    assert torch.equal(rnn(x)[0], copy.deepcopy(rnn)(x)[0])


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_mixed_precision_runs_and_is_no_less_exact_than_half_precision(backend):
    rnn = elman.Recurrent("lstm", 3, 4, 2, zoneout=0.1, layer_norm=True, backend=backend)
    for x in (torch.randn(2, 5, 3), torch.randn(2, 5, 3).bfloat16()):
        torch.manual_seed(0)
        expected, _ = rnn(x.float(), lengths=[5, 2])
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y, state = rnn(x, lengths=[5, 2])
        assert {v.dtype for v in (y, *state)} == {torch.float32}
        torch.testing.assert_close(y, expected, rtol=0, atol=2e-2 if backend == "eager" else 0)
        y.sum().backward()
    assert torch.isfinite(rnn.layers[0].W.grad).all()


def test_what_torch_has_not_is_not_handed_over():
    with pytest.raises(OptionError, match=r"torch\.nn has no Leaky"):
        elman.Recurrent("leaky", 2, 3).to_torch()
    with pytest.raises(OptionError, match=r"torch\.nn has no zoneout"):
        elman.Recurrent("lstm", 2, 3, zoneout=0.1).to_torch()
    with pytest.raises(OptionError, match="proj_size"):
        elman.Recurrent.from_torch(nn.LSTM(3, 5, proj_size=2))
    with pytest.raises(OptionError, match="LSTM or GRU, got Linear"):
        elman.Recurrent.from_torch(nn.Linear(2, 2))


def test_a_users_cell_in_five_lines_trains():
    class Minimal(elman.Cell):
        gates = ("f", "h")

        def step(self, x, r, s, p):
            f = torch.sigmoid(x.f + r.f)
            return (1 - f) * s.h + f * torch.tanh(x.h + f * r.h)

    rnn = elman.Recurrent(Minimal, 1, 16)
    head = nn.Linear(16, 1)
    optimiser = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=0.01)
    x = torch.randn(32, 12, 1)
    y = x[:, 0]
    losses = []
    for _ in range(150):
        loss = (head(rnn(x)[0][:, -1]) - y).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_unknown_attribute_in_a_step_is_a_cell_error():
    with pytest.raises(CellError):
        elman.cells.base.Fields(a=1).b  # noqa: B018


def test_heads_are_a_net_that_has_blocks_in_its_matrix():
    whole, parted = (elman.Recurrent("gru", 3, 6, heads=heads) for heads in (1, 3))
    assert parted.layers[0].R.shape == (18, 2) and "heads=3" in repr(parted)
    dense = parted.layers[0].weights().R
    for gate in dense.split(6):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6))  # each head's block starts orthogonal
        assert (gate.reshape(3, 2, 3, 2).abs().amax((1, 3)) > 0).equal(torch.eye(3, dtype=torch.bool))
    with torch.no_grad():
        for name, value in parted.named_parameters():
            whole.get_parameter(name).copy_(dense if name == "layers.0.R" else value)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(parted(x)[0], whole(x)[0])
    torch.testing.assert_close(parted.to_torch()(x)[0], whole(x)[0])
    stream = parted.stream()
    pushed = [stream.push(v) for v in x[0].numpy()]
    torch.testing.assert_close(torch.tensor(pushed[-1]), parted(x)[0][0, -1].detach())
    identity = elman.Recurrent("elman_relu", 3, 6, heads=3).layers[0].weights().R
    torch.testing.assert_close(identity, torch.eye(6))
    with pytest.raises(OptionError, match="hidden_size must be a multiple of heads, got 6 and 4"):
        elman.Recurrent("gru", 3, 6, heads=4)


MISTAKES = {
    "bidirectional must be True or False, got 'no'": {"bidirectional": "no"},
    "layer_norm must be True or False, got 1": {"layer_norm": 1},
    "zoneout must be in [0, 1), got 1.5. It is the chance that a unit keeps its state": {"zoneout": 1.5},
    "dtype must be one of torch's floating types, got 'float32'": {"dtype": "float32"},
    "dtype must be one of torch's floating types, got torch.int64": {"dtype": torch.int64},
    "device 'gpu7' cannot be used: ": {"device": "gpu7"},
}


@pytest.mark.parametrize("told", MISTAKES)
def test_a_wrong_option_is_one_line(told):
    with pytest.raises(OptionError, match=re.escape(told)) as problem:
        elman.Recurrent("gru", 3, 4, **MISTAKES[told])
    assert "\n" not in str(problem.value)


def test_a_state_that_is_no_tuple_of_tensors_is_told():
    rnn = elman.Recurrent("lstm", 3, 4)
    with pytest.raises(ShapeError, match=r"state must be a tuple of tensors \('h', 'c'\), got a str among them"):
        rnn(torch.zeros(1, 2, 3), {"h": torch.zeros(1, 1, 4), "c": torch.zeros(1, 1, 4)})
