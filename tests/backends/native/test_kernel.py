"""The compiled loop behind autograd: what is differentiated, what is kept, what is read anew at every call."""

from __future__ import annotations

import copy

import pytest
import torch

import elman
from elman.backends.native import kernel
from elman.errors import OptionError
from tests.conftest import assert_close
from tests.contracts.conftest import UsersOwn, gradients, make, run

SOME_CELLS = {"lstm": "lstm", "gru": "gru", "minlstm": "minlstm", "users_own": UsersOwn}
OTHER = {None: "stored", 3: "in segments"}
pytestmark = pytest.mark.usefixtures("compiler")


@pytest.fixture(params=SOME_CELLS)
def cell(request):
    return SOME_CELLS[request.param]


@pytest.fixture(params=OTHER, ids=OTHER.get)
def checkpoint(request):
    return {"checkpoint": request.param}


def both(cell, options=None, *, size=3, hidden=5, dtype=torch.float64):
    """The same net on the native backend and on eager."""
    native = make(cell, "native", options, size=size, hidden=hidden, dtype=dtype)
    eager = copy.deepcopy(native)
    eager.backend = "eager"
    return native, eager


def some_input(*shape, dtype=torch.float64):
    return torch.randn(*(shape or (4, 7, 3)), dtype=dtype)


def assert_same_gradients(native, eager, x, loss, state=None):
    """Gradients of `loss(y, state)` by weights, x and the first state are those of eager."""
    found = []
    for rnn in (native, eager):
        rnn.zero_grad()
        given = x.detach().clone().requires_grad_(x.requires_grad)
        first = None if state is None else tuple(s.detach().clone().requires_grad_(s.requires_grad) for s in state)
        torch.manual_seed(5)
        loss(*rnn(given, first)).backward()
        named = {n: p.grad for n, p in rnn.named_parameters()} | {"x": given.grad}
        found.append(named | {f"state {i}": s.grad for i, s in enumerate(first or ())})
    for name, expected in found[1].items():
        got = found[0][name]
        if expected is None or got is None:  # eager has none where the loss does not depend on it
            assert all(g is None or g.eq(0).all() for g in (got, expected)), name
        else:
            assert_close(got, expected, name)


def test_backward_twice_gives_the_gradient_twice(cell, checkpoint):
    rnn, _ = both(cell, checkpoint)
    y, state = rnn(some_input().requires_grad_())
    loss = y.square().sum() + sum(s.sum() for s in state)
    loss.backward(retain_graph=True)
    once = [p.grad.clone() for p in rnn.parameters()]
    loss.backward(retain_graph=True)
    loss.backward()
    for p, grad in zip(rnn.parameters(), once, strict=True):
        assert_close(p.grad, 3 * grad)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_derivatives_of_derivatives(cell, checkpoint):
    rnn, _ = both(cell, {"layer_norm": True, **checkpoint}, size=2, hidden=2)
    names = [name for name, _ in rnn.named_parameters()]

    def outputs(x, *values):
        y, state = torch.func.functional_call(rnn, dict(zip(names, values, strict=True)), (x, None, [3, 2]))
        return (y, *state)

    x = some_input(2, 3, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(outputs, (x, *rnn.parameters()), fast_mode=True)


def test_a_penalty_on_a_gradient_trains(cell):
    native, eager = both(cell)

    def penalty(rnn, x):
        y, _ = rnn(x)
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        (y.sum() + slope.square().sum()).backward()
        return [p.grad for p in rnn.parameters()]

    x = some_input().requires_grad_()
    for got, expected in zip(penalty(native, x), penalty(eager, x), strict=True):
        assert_close(got, expected)


@pytest.mark.parametrize("wanted", [("x",), ("W",), ("R",), ("b",), ("p",), ("state",), ("W", "b"), ("x", "state")])
def test_only_some_are_differentiated(cell, checkpoint, wanted):
    native, eager = both(cell, checkpoint)
    for rnn in (native, eager):
        for name, p in rnn.named_parameters():
            p.requires_grad_(name.split(".")[2] in wanted)
    state = tuple(torch.randn_like(s).requires_grad_("state" in wanted) for s in native.initial_state(4))
    x = some_input().requires_grad_("x" in wanted)
    if wanted in {("p",), ("R",)} and not any(p.requires_grad for p in native.parameters()):
        return  # a cell without
    assert_same_gradients(native, eager, x, lambda y, last: y.square().sum() + last[-1].sum(), state)


def test_nothing_to_differentiate_keeps_nothing(cell):
    rnn, _ = both(cell)
    rnn.requires_grad_(False)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y, state = rnn(some_input())
    assert not y.requires_grad
    assert not any(s.requires_grad for s in state)
    assert not kept


def test_frozen_parameters_have_no_gradient():
    native, eager = both("lstm", {"num_layers": 2})
    for rnn in (native, eager):
        for p in rnn.layers[0].parameters():
            p.requires_grad_(False)
    assert_same_gradients(native, eager, some_input(), lambda y, _: y.square().sum())
    assert all(p.grad is None for p in native.layers[0].parameters())
    assert all(p.grad is not None for p in native.layers[1].parameters())


def test_the_gradient_of_x_is_not_computed_unless_it_is_wanted(monkeypatch):
    asked = []
    backward = kernel.backward

    def watched(*given, **options):
        asked.append(options.get("x_too"))
        return backward(*given, **options)

    monkeypatch.setattr(kernel, "backward", watched)
    rnn, _ = both("gru")
    rnn(some_input())[0].sum().backward()
    rnn(some_input().requires_grad_())[0].sum().backward()
    assert asked == [False, True]


LAYOUTS = {
    "transposed": lambda: some_input(7, 4, 3).transpose(0, 1),
    "every other": lambda: some_input(8, 14, 6)[::2, ::2, ::2],
    "expanded rows": lambda: some_input(1, 7, 3).expand(4, 7, 3),
    "expanded steps": lambda: some_input(4, 1, 3).expand(4, 7, 3),
    "one number": lambda: some_input(1, 1, 1).expand(4, 7, 3),
    "in the middle of another": lambda: some_input(6, 9, 5)[1:5, 1:8, 1:4],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("lengths", [None, [7, 0, 3, 5]])
def test_any_layout_of_the_input(layout, lengths, checkpoint):
    x = layout()
    assert not x.is_contiguous()
    rnn, _ = both("gru", {"bidirectional": True, **checkpoint})
    state = tuple(s[:, :1].expand_as(s) for s in map(torch.randn_like, rnn.initial_state(4)))
    y, last = run(rnn, x, state, lengths)
    y_plain, last_plain = run(rnn, x.contiguous(), tuple(s.contiguous() for s in state), lengths)
    assert torch.equal(y, y_plain)
    assert all(torch.equal(a, b) for a, b in zip(last, last_plain, strict=True))
    grads = gradients(rnn, x, lengths, state)
    for name, expected in gradients(rnn, x.contiguous(), lengths, state).items():
        assert torch.equal(grads[name], expected), name


LOSSES = {
    "sum: gradients of stride 0": lambda y, last: y.sum(),
    "transposed": lambda y, last: (y.transpose(0, 2).contiguous() * torch.arange(5.0)[:, None, None]).sum(),
    "one step": lambda y, last: y[:, 2].square().sum(),
    "last state": lambda y, last: last[0].square().sum(),
    "last part of the last state": lambda y, last: last[-1].sum(),
    "all": lambda y, last: y.square().mean() + sum(s.square().sum() for s in last),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_any_loss(cell, checkpoint, loss):
    native, eager = both(cell, checkpoint)
    state = tuple(torch.randn_like(s).requires_grad_() for s in native.initial_state(4))
    assert_same_gradients(native, eager, some_input().requires_grad_(), loss, state)


@pytest.mark.parametrize("rows, steps", [(0, 4), (3, 0), (0, 0)])
def test_nothing_at_all_has_gradients_of_zero(cell, checkpoint, rows, steps):
    native, eager = both(cell, {"num_layers": 2, **checkpoint})
    state = tuple(s.requires_grad_() for s in native.initial_state(rows))
    x = some_input(rows, steps, 3).requires_grad_()
    assert_same_gradients(native, eager, x, lambda y, last: y.sum() + sum(s.square().sum() for s in last), state)


def test_no_row_is_as_long_as_the_batch(cell):
    native, eager = both(cell, {"bidirectional": True})
    x = some_input(4, 9, 3)
    for lengths in ([3, 5, 0, 1], [0, 0, 0, 0]):
        expected = {name: g.clone() for name, g in gradients(eager, x, lengths).items()}
        for name, got in gradients(native, x, lengths).items():
            assert_close(got, expected[name], name)


@pytest.mark.parametrize("hidden", [5, 16])
def test_changing_outputs_before_backward_is_refused(cell, hidden):
    rnn, _ = both(cell, hidden=hidden)
    y, _ = rnn(some_input())
    y[:, 0] = 0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_outputs_that_are_recomputed_may_be_changed(cell):
    native, eager = both(cell, {"checkpoint": 3})
    loss = lambda y, last: y.mul_(2).square().sum() + last[0].add_(1).sum()  # noqa: E731
    assert_same_gradients(native, eager, some_input().requires_grad_(), loss)


@pytest.mark.parametrize("what", ["x", "R"])
def test_changing_what_was_read_before_backward_is_refused(checkpoint, what):
    rnn, x = both("lstm", checkpoint)[0], some_input()
    y, _ = rnn(x)
    with torch.no_grad():
        (x if what == "x" else rnn.layers[0].R).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("hidden", [5, 16])
def test_nothing_that_was_given_is_changed_or_shared(cell, hidden):
    rnn, _ = both(cell, hidden=hidden)
    x, state = some_input(), tuple(map(torch.randn_like, rnn.initial_state(4)))
    before = [v.clone() for v in (x, *state)]
    with torch.no_grad():
        y, last = rnn(x, state)
        kept = [v.clone() for v in last]
        y.zero_()
        rnn(x, last)
    assert all(torch.equal(a, b) for a, b in zip((x, *state), before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(last, kept, strict=True))


@pytest.mark.parametrize("hidden", [5, 16])
def test_gradients_that_arrive_are_not_changed(hidden):
    rnn, _ = both("lstm", hidden=hidden)
    y, (h, c) = rnn(some_input().requires_grad_())
    grads = [torch.randn_like(v) for v in (y, h, c)]
    before = [g.clone() for g in grads]
    torch.autograd.backward([y, h, c], grads)
    assert all(torch.equal(a, b) for a, b in zip(grads, before, strict=True))


def kept_by(rnn, x):
    """Numbers that are kept for backward, what was given not counted, each memory once."""
    given = {p.untyped_storage().data_ptr() for p in (*rnn.parameters(), x)}
    sizes = {}

    def pack(t):
        if t.untyped_storage().data_ptr() not in given:
            sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes() // t.element_size()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y, state = rnn(x)
    return sum(sizes.values()), (y, state)


def test_only_pre_activations_and_states_are_kept(cell):
    rnn, x = make(cell, "native", hidden=16), some_input(2, 1000, 3)
    traced = rnn.traced
    per_step = len(traced.gates) + len(traced.apart) + len(traced.cell.states)
    size, _ = kept_by(rnn, x)
    assert size <= 16 * 2 * (1000 * per_step + 2 * len(traced.cell.states)) * 1.01


def test_recomputing_keeps_a_tenth(cell):
    rnn, x = make(cell, "native", hidden=16), some_input(2, 1000, 3)
    stored, _ = kept_by(rnn, x)
    rnn.checkpoint = "auto"
    recomputed, _ = kept_by(rnn, x)
    assert recomputed <= 0.1 * stored


def test_what_is_kept_may_be_moved_and_brought_back():
    rnn, x = both("gru")[0], some_input()
    expected = {n: g.clone() for n, g in gradients(rnn, x).items()}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().copy() if t.ndim else t, _from_numpy):
        for name, got in gradients(rnn, x).items():
            assert_close(got, expected[name], name)


def _from_numpy(value):
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(value)


def test_new_weights_are_seen_by_the_next_call(cell):
    rnn, eager = both(cell, {"num_layers": 2})
    x = some_input()

    def changed(change):
        before = run(rnn, x)[0].detach().clone()
        with torch.no_grad():
            change()
        eager.load_state_dict(rnn.state_dict())
        y = run(rnn, x)[0]
        assert not torch.equal(y, before)
        assert_close(y, run(eager, x)[0])

    layer = rnn.layers[1]
    changed(lambda: layer.W.data.mul_(1.5))
    changed(lambda: layer.W.copy_(torch.randn_like(layer.W)))
    changed(lambda: setattr(layer.b, "data", torch.randn_like(layer.b)))
    changed(lambda: layer.by_gate().b.__dict__[rnn.traced.gates[0]].fill_(0.7))
    changed(lambda: rnn.load_state_dict(make(cell, "native", {"num_layers": 2}).state_dict()))
    optimiser = torch.optim.SGD(rnn.parameters(), lr=0.1)
    run(rnn, x)[0].sum().backward()
    changed(optimiser.step)


def test_a_copy_has_weights_of_its_own(cell):
    rnn, _ = both(cell)
    x = some_input()
    expected = run(rnn, x)[0].detach()
    other = copy.deepcopy(rnn)
    assert torch.equal(run(other, x)[0], expected)
    with torch.no_grad():
        other.layers[0].W.zero_()
    assert torch.equal(run(rnn, x)[0], expected)
    assert not torch.equal(run(other, x)[0], expected)


def test_weights_of_any_layout(cell):
    rnn, _ = both(cell)
    x = some_input()
    expected = run(rnn, x)[0]
    weights = {
        name: p.detach().t().contiguous().t() if p.ndim == 2 else p.detach()[:, None].expand(-1, 2)[:, 0]
        for name, p in rnn.named_parameters()
    }
    torch.manual_seed(3)
    y, _ = torch.func.functional_call(rnn, weights, (x,))
    assert torch.equal(y, expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_same_without_gradients(cell, mode):
    rnn, _ = both(cell, {"num_layers": 2, "layer_norm": True})
    x = some_input()
    expected = run(rnn, x)[0]
    with mode():
        y, _ = run(rnn, x)
    assert torch.equal(y, expected.detach())
    assert not y.requires_grad


def test_a_nan_stays_in_its_row(cell):
    rnn, _ = both(cell)
    x = some_input()
    expected = run(rnn, x)[0]
    x[2, 3, 0] = float("nan")
    y, _ = run(rnn, x)
    assert y[2, 3:].isnan().all()
    assert torch.equal(y[[0, 1, 3]], expected[[0, 1, 3]])
    assert torch.equal(y[2, :3], expected[2, :3])


REFUSED = {
    "bfloat16": (lambda rnn, x: rnn.to(torch.bfloat16)(x.bfloat16()), "float32 and float64"),
    "torch.func": (lambda rnn, x: torch.func.vmap(lambda v: rnn(v)[0])(x[:, None]), "torch.func"),
    "forward mode": (lambda rnn, x: torch.func.jvp(lambda v: rnn(v)[0], (x,), (x,)), "forward-mode|torch.func"),
    "meta": (lambda rnn, x: rnn.to("meta")(x.to("meta")), "meta"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_asked_for_by_name_it_never_gives_way(name):
    call, reason = REFUSED[name]
    rnn = elman.Recurrent("gru", 3, 5, backend="native")
    with pytest.raises(OptionError, match=reason):
        call(rnn, torch.randn(2, 4, 3))
    rnn = elman.Recurrent("gru", 3, 5)
    call(rnn, torch.randn(2, 4, 3))


@pytest.mark.parametrize("inputs, hidden", [(3, 16), (16, 16), (17, 20), (20, 64)])
def test_gradients_lie_row_by_row(inputs, hidden):
    rnn = elman.Recurrent("gru", inputs, hidden, backend="native")
    x = torch.randn(2, 5, inputs, requires_grad=True)
    for gradient in torch.autograd.grad(rnn(x)[0].sum(), [*rnn.parameters(), x]):
        assert gradient.is_contiguous() or gradient.transpose(0, 1).is_contiguous()
        gradient.reshape(-1) if gradient.ndim == 3 else gradient.view(-1)
