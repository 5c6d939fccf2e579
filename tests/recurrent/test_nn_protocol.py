"""`elman.nn` as a drop-in: names, arguments, weights, errors, copies, and what torch does around a module."""

from __future__ import annotations

import copy
import io
import itertools
import subprocess
import sys

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils import parametrize, prune
from torch.nn.utils import rnn as packing

from elman import nn
from elman.errors import UnknownNameError
from elman.recurrent.torch_weights import TWINS
from tests.conftest import assert_close
from tests.contracts.conftest import ANY_CELL
from tests.recurrent.test_nn import KINDS, B, F, H, T, every_backend, pair

PLAIN = ["LSTM", "GRU", "RNN tanh"]


def arguments():
    for kind, layers, bias, first, ways in itertools.product(KINDS, [1, 2], *[[True, False]] * 3):
        dropout = 0.25 if layers > 1 else 0.0
        options = {"num_layers": layers, "bias": bias, "batch_first": first, "bidirectional": ways, "dropout": dropout}
        yield KINDS[kind][0], KINDS[kind][1] | options


def test_one_import_is_enough():
    code = """
import sys, torch
import elman
assert "elman.nn" not in sys.modules
from elman import nn
assert nn is elman.nn
import elman.nn as face
from elman.nn import LSTM, Linear, functional
assert face.LSTM is LSTM is nn.LSTM and Linear is torch.nn.Linear and functional is torch.nn.functional
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    own = {"RNN", "LSTM", "GRU"}
    for name in dir(torch.nn):
        if not (name.startswith("__") or name in own):
            assert getattr(nn, name) is getattr(torch.nn, name), name
    for name in own:
        assert getattr(nn, name).__module__ == "elman.nn"
        assert issubclass(getattr(nn, name), torch.nn.RNNBase)
    assert nn.utils.rnn.pack_sequence is packing.pack_sequence
    with pytest.raises(AttributeError, match=r"'elman\.nn' has no attribute 'LTSM'"):
        _ = nn.LTSM


def test_weights_are_torchs_from_the_same_seed():
    for name, options in arguments():
        modules = []
        for home in (torch.nn, nn):
            torch.manual_seed(3)
            modules.append((getattr(home, name)(F, H, **options), torch.rand(1)))
        (theirs, after_theirs), (ours, after) = modules
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
        assert torch.equal(after, after_theirs)
        assert repr(ours) == repr(theirs)
        assert [len(ws) for ws in ours.all_weights] == [len(ws) for ws in theirs.all_weights]
        ours.load_state_dict(theirs.state_dict())
        theirs.load_state_dict(ours.state_dict())


def test_arguments_by_position():
    assert nn.LSTM(2, 5, 2, False, True, 0.1, True, 3).proj_size == 3
    assert nn.GRU(2, 5, 2, False, True, 0.1, True).bidirectional
    rnn = nn.RNN(2, 5, 2, "relu", False, True, 0.1, True)
    assert (rnn.nonlinearity, rnn.bias, rnn.batch_first, rnn.dropout) == ("relu", False, True, 0.1)
    assert nn.LSTM(2, 3, device="meta", dtype=torch.float64).weight_ih_l0.is_meta


@pytest.mark.parametrize(
    "name, args, options",
    [
        ("LSTM", (), {}),
        ("LSTM", (2,), {}),
        ("LSTM", (2.5, 3), {}),
        ("LSTM", (0, 3), {}),
        ("GRU", (2, 0), {}),
        ("GRU", (2, "3"), {}),
        ("GRU", (2, 3, 0), {}),
        ("GRU", (2, 3), {"proj_size": 1}),
        ("RNN", (2, 3), {"proj_size": 1}),
        ("LSTM", (2, 3), {"proj_size": 3}),
        ("LSTM", (2, 3), {"proj_size": -1}),
        ("LSTM", (2, 3), {"dropout": 1.5}),
        ("LSTM", (2, 3), {"dropout": True}),
        ("LSTM", (2, 3), {"dropout": "half"}),
        ("LSTM", (2, 3), {"bias": 1}),
        ("LSTM", (2, 3), {"batch_first": 0}),
        ("RNN", (2, 3), {"nonlinearity": "sigmoid"}),
        ("LSTM", (2, 3), {"depth": 2}),
    ],
)
def test_wrong_arguments_raise_what_torch_raises(name, args, options):
    raised = []
    for home in (torch.nn, nn):
        with pytest.raises(Exception) as caught:
            getattr(home, name)(*args, **options)
        raised.append(caught.type)
    assert raised[0] == raised[1]


def wrong_calls(kind):
    lstm = kind.startswith("LSTM")

    def state(*shape, **options):
        h = torch.zeros(*shape, **options)
        return (h, h) if lstm else h

    x = torch.zeros(T, B, F)
    packed = packing.pack_sequence([torch.zeros(3, F), torch.zeros(2, F)])
    yield "no axis", (torch.zeros(F),)
    yield "four axes", (torch.zeros(1, T, B, F),)
    yield "features", (torch.zeros(T, B, F + 1),)
    yield "whole numbers", (torch.zeros(T, B, F, dtype=torch.long),)
    yield "precision", (x.double(),)
    yield "no steps", (torch.zeros(0, B, F),)
    yield "no steps in one sequence", (torch.zeros(0, F),)
    yield "rows of state", (x, state(1, B + 1, H))
    yield "units of state", (x, state(1, B, H + 1))
    yield "layers of state", (x, state(2, B, H))
    yield "axes of state", (x, state(1, H))
    yield "axes of state of one sequence", (x[:, 0], state(1, 1, H))
    yield "precision of state", (x, state(1, B, H, dtype=torch.float64))
    yield "rows of state, packed", (packed, state(1, 3, H))
    yield "nothing", (None,)
    yield "an array", (x.numpy(),)
    if lstm:
        yield "one state for two", (x, torch.zeros(1, B, H))
        yield "three states", (x, (torch.zeros(1, B, H),) * 3)
        yield "cell's units", (x, (torch.zeros(1, B, H), torch.zeros(1, B, H + 1)))
    else:
        yield "two states for one", (x, (torch.zeros(1, B, H),) * 2)
        # torch.nn.LSTM takes this one without a word
        yield "features, packed", (packing.pack_sequence([torch.zeros(3, F + 1)]),)


@pytest.mark.parametrize("kind", PLAIN)
@every_backend
def test_wrong_calls_raise_what_torch_raises(kind, backend):
    theirs, ours = pair(kind, backend)
    for what, call in wrong_calls(kind):
        with pytest.raises(Exception) as expected:
            theirs(*call)
        with pytest.raises(expected.type):
            ours(*call)
            pytest.fail(what)


@every_backend
def test_copies_and_files(backend):
    for kind in KINDS:
        theirs, ours = pair(kind, backend, num_layers=2, bidirectional=True)
        x = torch.randn(T, B, F)
        y = ours(x)[0]
        file = io.BytesIO()
        torch.save(ours, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        for twin in (loaded, copy.deepcopy(ours)):
            assert type(twin) is type(ours)
            assert twin.backend == backend
            assert torch.equal(twin(x)[0], y)
            twin.weight_hh_l0.data.mul_(2)
            assert not torch.equal(twin(x)[0], y)
            assert torch.equal(ours(x)[0], y)
        file = io.BytesIO()
        torch.save(ours.state_dict(), file)
        file.seek(0)
        theirs.load_state_dict(torch.load(file, weights_only=True))
        assert_close(theirs(x)[0], y, "through a file")


@every_backend
def test_weights_may_change_in_every_way_torch_allows(backend):
    theirs, ours = pair("LSTM", backend)
    x, new = torch.randn(T, B, F), torch.randn(4 * H, F)
    before = ours(x)[0]
    for module in (theirs, ours):
        module.weight_ih_l0 = torch.nn.Parameter(new)
    assert_close(ours(x)[0], theirs(x)[0], "a new parameter")
    assert not torch.allclose(ours(x)[0], before)
    assert_close(ours.double()(x.double())[0], theirs.double()(x.double())[0], "another precision")
    ours.flatten_parameters()
    ours.reset_parameters()
    assert ours.weight_ih_l0.abs().max() <= H**-0.5


class Doubled(torch.nn.Module):
    def forward(self, w):
        return 2 * w


@pytest.mark.parametrize(
    "change",
    [
        lambda m: parametrize.register_parametrization(m, "weight_hh_l0", Doubled()),
        lambda m: torch.nn.utils.parametrizations.weight_norm(m, "weight_ih_l0"),
        lambda m: torch.nn.utils.parametrizations.orthogonal(m, "weight_hh_l0", use_trivialization=False),
        lambda m: torch.nn.utils.parametrizations.spectral_norm(m, "weight_hh_l0"),
        lambda m: prune.l1_unstructured(m, "weight_hh_l0", 0.5),
    ],
    ids=["parametrization", "weight_norm", "orthogonal", "spectral_norm", "prune"],
)
@pytest.mark.parametrize("kind", PLAIN)
@every_backend
def test_parametrised_weights(kind, change, backend):
    modules, x = pair(kind, backend), torch.randn(T, B, F)
    for module in modules:
        change(module)
    modules[1].load_state_dict(modules[0].state_dict())
    outputs = [module(x)[0] for module in modules]
    assert_close(outputs[1], outputs[0], "outputs")
    gradients = [
        torch.autograd.grad(y.square().sum(), list(m.parameters())) for y, m in zip(outputs, modules, strict=True)
    ]
    for (name, _), expected, got in zip(modules[0].named_parameters(), *gradients, strict=True):
        assert_close(got, expected, name)


@pytest.mark.parametrize("kind", KINDS)
def test_transforms_of_torch_func(kind):
    """`vmap` over weights and over x is more than torch.nn can; one by one is the oracle."""
    theirs, ours = pair(kind, num_layers=2)
    weights = [{n: p.detach() * scale for n, p in ours.named_parameters()} for scale in (1.0, 0.5)]
    stacked = {n: torch.stack([w[n] for w in weights]) for n in weights[0]}
    xs = torch.randn(2, T, B, F)

    def loss(module, w, x):
        return torch.func.functional_call(module, w, (x,))[0].square().sum()

    expected = [torch.func.grad(lambda w, x: loss(theirs, w, x))(w, x) for w, x in zip(weights, xs, strict=True)]
    got = torch.func.vmap(torch.func.grad(lambda w, x: loss(ours, w, x)))(stacked, xs)
    for name, value in got.items():
        assert_close(value, torch.stack([e[name] for e in expected]), name)
    _, moved = torch.func.jvp(lambda x: ours(x)[0], (xs[0],), (xs[1],))
    along = torch.autograd.functional.jvp(lambda x: ours(x)[0], xs[0], xs[1])[1]
    assert_close(moved, along, "forward mode")
    assert torch.equal(copy.deepcopy(ours)(xs[0])[0], ours(xs[0])[0])


def some_call(kind, rows=2):
    x, ways = torch.randn(3, rows, F, requires_grad=True), 2
    return x, (torch.randn(ways, rows, H), torch.randn(ways, rows, H)) if kind == "LSTM" else torch.randn(ways, rows, H)


@pytest.mark.parametrize("compiler", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("backend", ANY_CELL)
def test_compile_sees_one_graph(kind, compiler, backend):
    """Dynamo refuses every `torch.nn.LSTM`, `GRU` and `RNN`, a subclass too: ours are none."""
    _, ours = pair(kind, backend, bidirectional=True)
    call = some_call(kind)
    torch._dynamo.reset()
    compiled = torch.compile(ours, fullgraph=True, backend=compiler)
    y, _ = compiled(*call)
    expected, _ = ours(*call)
    assert_close(y, expected, "outputs")
    leaves = call[0], *ours.parameters()
    for got, wanted in zip(*(torch.autograd.grad(v.square().sum(), leaves) for v in (y, expected)), strict=True):
        assert_close(got, wanted, "gradient")


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("backend", ANY_CELL)
def test_compile_as_torch_nn_compiles(kind, backend):
    """Out of the box: the net around it is compiled, itself it runs as ever."""
    _, ours = pair(kind, backend)
    net = torch.nn.ModuleDict({"rnn": ours, "head": torch.nn.Linear(H, 2)})
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: net["head"](net["rnn"](x)[0]), backend="aot_eager")
    x = torch.randn(3, B, F)
    assert_close(compiled(x), net["head"](ours(x)[0]), "outputs")
    packed = packing.pack_sequence([torch.randn(3, F), torch.randn(2, F)])
    torch._dynamo.reset()
    got, _ = torch.compile(lambda p: ours(p), backend="eager")(packed)
    assert_close(got.data, ours(packed)[0].data, "packed")


@pytest.mark.parametrize("kind", ["LSTM", "LSTM projected", "GRU"])
@pytest.mark.parametrize("backend", ANY_CELL)
def test_export_takes_any_batch(kind, backend):
    _, ours = pair(kind, backend, num_layers=2)
    rows = torch.export.Dim("rows")
    program = torch.export.export(ours, (torch.randn(3, 2, F),), dynamic_shapes=({1: rows},))
    x = torch.randn(3, 7, F)
    got, expected = program.module()(x), ours(x)
    assert_close(got[0], expected[0], "outputs")
    for mine, wanted in zip(got[1], expected[1], strict=True):
        assert_close(mine, wanted, "state")


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("kind", PLAIN)
def test_recording_records_the_computation(kind, grad):
    """A backend whose code torch cannot see must not be recorded as nothing, nor as a constant."""
    _, ours = pair(kind)
    x = torch.randn(T, B, F)
    with torch.set_grad_enabled(grad):
        for recorded in (torch.jit.trace(ours, x), make_fx(lambda x: ours(x))(x)):
            assert_close(recorded(2 * x)[0], ours(2 * x)[0], "outputs")


@pytest.mark.parametrize("kind", KINDS)
@every_backend
def test_no_rows_and_no_device(kind, backend):
    theirs, ours = pair(kind, backend, num_layers=2, bidirectional=True)
    y, hidden = ours(torch.zeros(T, 0, F))
    assert y.shape == theirs(torch.zeros(T, 0, F))[0].shape
    assert hidden[0].shape[-2] == 0
    ours.backend = "auto"
    y, _ = ours.to("meta")(torch.zeros(T, B, F, device="meta"))
    assert y.is_meta
    assert y.shape == theirs(torch.zeros(T, B, F))[0].shape


@pytest.mark.parametrize("kind", PLAIN)
def test_tensors_on_two_devices_raise(kind):
    _, ours = pair(kind)
    x, hx = torch.zeros(T, B, F), torch.zeros(1, B, H, device="meta")
    with pytest.raises(RuntimeError, match="hx must be on cpu as the input is"):
        ours(x, (hx, hx) if kind == "LSTM" else hx)
    with pytest.raises(RuntimeError):
        ours.to("meta")(x)


def test_the_first_module_of_a_process_may_be_made_on_no_device(monkeypatch):
    monkeypatch.setattr("elman.recurrent.nn._TRACES", {})
    for cell in TWINS:
        monkeypatch.setattr(cell, "_traces", {}, raising=False)
    for kind in KINDS:
        with torch.device("meta"):
            _, ours = pair(kind)
        assert ours.to_empty(device="cpu")(torch.zeros(T, B, F))[0].shape[:2] == (T, B)


@every_backend
def test_the_backend_is_chosen_by_attribute(backend):
    _, ours = pair("LSTM", backend)
    assert ours.explain_backend().startswith(f"{backend} (asked for: {backend})")
    assert nn.LSTM(2, 3).backend == "auto"
    ours.backend = "eagre"
    for call in (ours.explain_backend, lambda: ours(torch.zeros(T, B, F))):
        with pytest.raises(UnknownNameError, match=r"LSTM: unknown backend 'eagre', did you mean 'eager'\?"):
            call()
    assert "eager: can run" in nn.LSTM(3, 5, proj_size=2).explain_backend()


def test_a_subclass_of_a_subclass():
    class Mine(nn.GRU):
        def __init__(self):
            super().__init__(F, H, batch_first=True)
            self.head = nn.Linear(H, 1)

        def forward(self, x):
            return self.head(super().forward(x)[0][:, -1])

    net = Mine()
    net(torch.randn(B, T, F)).sum().backward()
    assert isinstance(net, nn.GRU)
    assert net.weight_ih_l0.grad.abs().sum() > 0
