"""A `Stream` as a thing of its own: opened from a state, copied, pickled, and untouched by what becomes of its net."""

from __future__ import annotations

import contextlib
import copy
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.utils import prune
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import elman
from elman.errors import OptionError, ShapeError
from elman.recurrent.stream import Stream, _Calls, recorded
from tests.conftest import assert_close

STEPS = np.random.default_rng(0).normal(size=(9, 3))
COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda stream: pickle.loads(pickle.dumps(stream)),
    "copy": copy.copy,
}


@pytest.fixture(params=["auto", "eager"])
def rnn(request):
    options = {"num_layers": 2, "zoneout": 0.2, "learn_initial_state": True, "dtype": torch.float64}
    net = elman.Recurrent("lstm", 3, 5, backend=request.param, **options)
    _train(net)  # first states other than 0
    return net


def _train(net):
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))


def _push(stream, steps):
    return np.stack([stream.push(x) for x in steps])


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_goes_on_by_itself_with_the_same_weights(copied, rnn):
    stream, twin = rnn.stream(), rnn.stream()
    _push(stream, STEPS[:4])
    expected = _push(twin, STEPS)
    _train(rnn)  # neither the stream nor a copy made from now on sees it
    branch = copied(stream)
    _push(branch, -STEPS)
    branch.reset()
    assert (_push(branch, STEPS) == expected).all()  # the learned first state is the old one, too
    again = copied(stream)
    assert (_push(stream, STEPS[4:]) == expected[4:]).all()  # not moved by what its copy did
    assert (_push(again, STEPS[4:]) == expected[4:]).all()
    assert not np.allclose(_push(rnn.stream(), STEPS), expected)


def test_only_a_shallow_copy_shares_the_weights(rnn):
    stream = rnn.stream()
    assert stream.rnn is not rnn and copy.deepcopy(stream).rnn is not stream.rnn
    assert copy.copy(stream).rnn is stream.rnn


def test_a_pickle_goes_on_in_another_process(rnn, tmp_path):
    stream = rnn.stream()
    _push(stream, STEPS[:4])
    (tmp_path / "stream").write_bytes(pickle.dumps(stream))
    np.save(tmp_path / "steps.npy", STEPS[4:])
    code = (
        "import pickle, numpy as np\n"
        "stream = pickle.load(open('stream', 'rb'))\n"
        "np.save('out.npy', [stream.push(x) for x in np.load('steps.npy')])\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), _push(stream, STEPS[4:]))


def test_it_opens_from_a_state(rnn):
    rnn.eval()
    x = torch.from_numpy(STEPS)[None]
    _, state = rnn(x[:, :4])  # with a graph behind it
    kept = [part.detach().clone() for part in state]
    y, last = rnn(x[:, 4:], state)
    for stream in (rnn.stream(state), Stream(rnn, state)):
        assert_close(torch.from_numpy(_push(stream, STEPS[4:])), y[0].detach())
        for part, expected in zip(stream.state, last, strict=True):
            assert not part.requires_grad
            assert_close(part, expected.detach())
    assert all(torch.equal(a, b) for a, b in zip(state, kept, strict=True))
    assert (_push(rnn.stream(), STEPS) == _push(Stream(rnn, None), STEPS)).all()


def test_a_state_is_a_copy_both_ways(rnn):
    start = tuple(torch.ones(2, 1, 5, dtype=torch.float64) for _ in "hc")
    stream, expected = rnn.stream(start), _push(rnn.stream(start), STEPS)
    for part in (*start, *stream.state):
        part.fill_(float("nan"))
    assert (_push(stream, STEPS) == expected).all()


def test_what_cannot_be_opened_is_one_line(rnn):
    with pytest.raises(ShapeError, match=r"state 'h' must be \(2, 1, 5\), got \(2, 3, 5\)"):
        rnn.stream(rnn.initial_state(3))
    with pytest.raises(OptionError, match="a bidirectional net needs the whole sequence"):
        Stream(elman.Recurrent("gru", 3, 5, bidirectional=True))


def test_opening_leaves_the_net_as_it_is(rnn):
    rnn.train()
    _push(rnn.stream(), STEPS)
    assert rnn.training and all(p.requires_grad for p in rnn.parameters())


def test_weights_that_are_computed_are_streamed_and_copied(rnn):
    prune.l1_unstructured(rnn.layers[0], "W", amount=0.5)
    rnn.eval()
    y, _ = rnn(torch.from_numpy(STEPS)[None])  # W is now the product of weight and mask, and has a graph
    assert not rnn.layers[0].W.is_leaf
    stream = rnn.stream()
    branch = copy.deepcopy(stream)
    for each in (stream, branch):
        assert_close(torch.from_numpy(_push(each, STEPS)), y[0].detach())


class Tape(TorchDispatchMode):
    """What a CUDA graph is, on the CPU: operations and the memory that they read and write, to be done again."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        found = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, found))
        return found

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, found in self.done:
            for old, new in zip(tree_leaves(found), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, torch.Tensor):
                    old.copy_(new)


@pytest.fixture
def cuda_on_the_cpu(monkeypatch):
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda which: contextlib.nullcontext(),
        "CUDAGraph": Tape,
        "graph": lambda tape: tape,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)


@pytest.mark.parametrize("cell", ["lstm", "mingru", "slstm"])
def test_a_step_that_is_recorded_once_is_the_step(cell, cuda_on_the_cpu):
    rnn = elman.Recurrent(cell, 3, 5, 2, zoneout=0.1, layer_norm=True, backend="eager").eval()
    with torch.no_grad():
        expected, last = rnn(x := torch.randn(1, 9, 3))
    calls = _Calls(rnn)
    calls._run = recorded(calls._call)
    calls.state = rnn.initial_state(1)
    for t in range(9):
        calls.x[:] = x[0, t]
        calls.step()
        torch.testing.assert_close(calls.y, expected[0, t])
    for one, other in zip(calls.state, last, strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_that_cannot_be_recorded_goes_on_as_it_is(cuda_on_the_cpu):
    seen = []
    with pytest.warns(UserWarning, match="its step is no CUDA graph.*not permitted when stream is capturing"):
        run = recorded(lambda: seen.append(torch.ones(1).item()))
    before = len(seen)
    run()
    assert len(seen) == before + 1
