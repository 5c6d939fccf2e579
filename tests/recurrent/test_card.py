"""Nets on a GPU, the machine's or one that is not there: the CPU's outputs, states and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import elman

T, B, F, H = 5, 3, 4, 6
OPTIONS = {
    "plain": {"num_layers": 2, "bidirectional": True},
    "heads": {"heads": 2, "layer_norm": True, "residual": True, "num_layers": 2},
    "all that normalises and remembers": {"layer_norm": True, "learn_initial_state": True, "zoneout": 0.2},
    "time first, recomputed": {"batch_first": False, "checkpoint": "auto", "bidirectional": True},
}
CELLS = ("gru", "elman", "minlstm", "slstm", "lru")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def through(net: nn.Module, device: torch.device | str, *more, x=None):
    """Outputs, last state and gradients, brought back."""
    net = net.to(device)
    net.zero_grad()
    x = torch.randn(B, T, F, generator=torch.Generator().manual_seed(0)) if x is None else x
    y, state = net(x.to(device), *more)
    y = getattr(y, "data", y)
    state = state if isinstance(state, tuple) else (state,)
    (y.square().sum() + sum(part.sum() for part in state)).backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    return [t.detach().cpu() for t in (y, *state, *grads)]


def close(found, expected) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)


@pytest.mark.parametrize("lengths", [None, [5, 0, 2]])
@pytest.mark.parametrize("cell", ["lstm", *(pytest.param(c, marks=pytest.mark.slow) for c in CELLS)])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_net_on_a_gpu_gives_what_it_gives_on_the_cpu(card, options, cell, lengths):
    net = elman.Recurrent(cell, F, H, **OPTIONS[options]).eval()
    x = torch.randn(*((B, T) if net.batch_first else (T, B)), F, generator=torch.Generator().manual_seed(0))
    expected = through(net, "cpu", None, lengths, x=x)
    close(through(net, card, None, lengths, x=x), expected)
    net.backend = "eager"
    close(through(net, card, None, lengths, x=x), expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", ["auto", "eager"])
@pytest.mark.parametrize("options", OPTIONS)
def test_mixed_precision_on_a_gpu_is_near_and_its_state_wide(card, options, backend, kind):
    net = elman.Recurrent("lstm", F, H, backend=backend, **OPTIONS[options]).eval()
    x = torch.randn(*((B, T) if net.batch_first else (T, B)), F, generator=torch.Generator().manual_seed(0))
    start = tuple(part.detach() for part in net.initial_state(B))
    expected = through(net, "cpu", start, x=x)
    with torch.autocast("cuda", kind):
        half = tuple(part.to(card, kind) for part in start)
        found = through(net, card, half, [T] * B, x=x)
    assert {t.dtype for t in found} == {torch.float32}
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() <= 0.1 * b.norm() + 0.01


def test_masks_are_drawn_where_the_net_is(card):
    net = elman.Recurrent("gru", F, H, 2, dropout=0.3, recurrent_dropout=0.3, zoneout=0.3).to(card)
    x = torch.randn(B, T, F, device=card)
    torch.manual_seed(0)
    first, again = net(x)[0].cpu(), net(x)[0].cpu()
    torch.manual_seed(0)
    assert torch.equal(net(x)[0].cpu(), first) and not torch.equal(first, again)


GRAPHS = "error" if torch.cuda.is_available() else "ignore:Stream. its step is no CUDA graph"


@pytest.mark.filterwarnings(GRAPHS)
def test_steps_streams_and_resets_on_a_gpu(card):
    net = elman.Recurrent("lstm", F, H, 2, learn_initial_state=True).eval()
    x = torch.randn(1, T, F)
    with torch.no_grad():
        expected = net(x)[0][0]
    stream = net.to(card).stream()
    found = [stream.push(step) for step in x[0].numpy()]
    np.testing.assert_allclose(found, expected, **TOLERANCE)
    stream.state = stream.state
    y, state = net.step(x[:, 0].to(card))
    fresh = net.reset(state, torch.tensor([True], device=card))
    assert y.device == card and torch.equal(fresh[0], net.initial_state(1)[0])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_drop_ins_on_a_gpu(card, kind):
    options = {"proj_size": 3} if kind == "LSTM" else {}
    net = getattr(elman.nn, kind)(F, H, 2, batch_first=True, bidirectional=True, **options)
    x = torch.randn(B, T, F)
    packed = pack_padded_sequence(x, torch.tensor([2, 5, 3]), batch_first=True, enforce_sorted=False)
    for given in (x, packed):
        expected = through(net.cpu(), "cpu", x=given)
        close(through(net, card, x=given), expected)
        with torch.autocast("cuda", torch.float16):
            through(net, card, x=given)
