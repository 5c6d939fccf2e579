"""The peers of a cell of one's own: the loop that a user of PyTorch would write, and write well.

The input's product is taken out of the loop, a step makes one product with R, gates are cut out of it as views. The
weights are those of one of our layers, by the same names.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional as F

from elman.evidence.speed.machine import CHOSEN
from elman.recurrent import Recurrent


class Loop(nn.Module):
    """One layer, steps first: x (T, B, F) to the outputs (T, B, H) and the last state, each part (1, B, H)."""

    W: Tensor
    R: Tensor
    b: Tensor
    b_r: Tensor
    gain_x: Tensor
    gain_r: Tensor
    p_i: Tensor
    p_f: Tensor
    p_o: Tensor
    parts: int = 2

    def __init__(self, ours: Recurrent) -> None:
        super().__init__()
        layer: Any = ours.layers[0]
        self.size, self.zoneout = ours.hidden_size, ours.zoneout
        for name, value in layer.named_parameters():
            self.register_parameter(name.replace("p.", "p_"), nn.Parameter(value.detach().clone()))

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Steps one after another."""
        state = tuple(x.new_zeros(x.shape[1], self.size) for _ in range(self.parts))
        outputs = []
        for pre, *more in zip(self.inputs(x).unbind(), *self.masks(x), strict=True):
            state = self.step(pre, state, *more)
            outputs.append(state[0])
        return torch.stack(outputs), tuple(part.unsqueeze(0) for part in state)

    def inputs(self, x: Tensor) -> Tensor:
        """The input's part of all pre-activations, (T, B, G·H)."""
        return F.linear(x, self.W, self.b)

    def masks(self, x: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """What a step needs besides, each a value for every step."""
        return ()

    def step(self, pre: Tensor, state: tuple[Tensor, ...], *more: Tensor) -> tuple[Tensor, ...]:
        """The next state."""
        h, c = state
        i, f, g, o = torch.addmm(pre, h, self.R.t()).chunk(4, 1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


class LayerNormLSTM(Loop):
    """Normalises W x and R h, each over all gates."""

    def inputs(self, x: Tensor) -> Tensor:
        """The input's part of all pre-activations, (T, B, G·H)."""
        return F.layer_norm(F.linear(x, self.W), (4 * self.size,), self.gain_x) + self.b

    def step(self, pre: Tensor, state: tuple[Tensor, ...], *more: Tensor) -> tuple[Tensor, ...]:
        """The next state."""
        h, c = state
        i, f, g, o = (pre + F.layer_norm(F.linear(h, self.R), (4 * self.size,), self.gain_r)).chunk(4, 1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


class ZoneoutLSTM(Loop):
    """Keeps units of the previous state at random; on average, when not training."""

    def masks(self, x: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """Which units of h and c are kept at each step."""
        if not self.training:
            return ()
        shape = *x.shape[:2], self.size
        return tuple(x.new_empty(shape).bernoulli_(self.zoneout).unbind() for _ in range(2))

    def step(self, pre: Tensor, state: tuple[Tensor, ...], *more: Tensor) -> tuple[Tensor, ...]:
        """The next state."""
        new = super().step(pre, state)
        shares: Any = more or (self.zoneout, self.zoneout)
        if more:
            return tuple(torch.lerp(b, a, z) for a, b, z in zip(state, new, shares, strict=True))
        return tuple(torch.lerp(b, a, self.zoneout) for a, b in zip(state, new, strict=True))


class PeepholeLSTM(Loop):
    """Gates that see the cell."""

    def step(self, pre: Tensor, state: tuple[Tensor, ...], *more: Tensor) -> tuple[Tensor, ...]:
        """The next state."""
        h, c = state
        i, f, g, o = torch.addmm(pre, h, self.R.t()).chunk(4, 1)
        c = sigmoid(torch.addcmul(f, self.p_f, c)) * c + sigmoid(torch.addcmul(i, self.p_i, c)) * tanh(g)
        return sigmoid(torch.addcmul(o, self.p_o, c)) * tanh(c), c


class MGU(Loop):
    """One gate that resets and updates."""

    parts: int = 1

    def step(self, pre: Tensor, state: tuple[Tensor, ...], *more: Tensor) -> tuple[Tensor, ...]:
        """The next state."""
        (h,) = state
        r = F.linear(h, self.R)
        f = sigmoid(pre[:, : self.size] + r[:, : self.size])
        n = tanh(torch.addcmul(pre[:, self.size :], f, r[:, self.size :] + self.b_r))
        return (torch.lerp(h, n, f),)


# Name, the loop, our cell and its options.
LOOPS: dict[str, tuple[type[Loop], str, dict[str, Any]]] = {
    "layer-norm LSTM": (LayerNormLSTM, "lstm", {"layer_norm": True}),
    "zoneout LSTM": (ZoneoutLSTM, "lstm", {"zoneout": 0.1}),
    "peephole LSTM": (PeepholeLSTM, "peephole_lstm", {}),
    "MGU": (MGU, "mgu", {}),
}


def compiled(loop: Loop) -> Any:
    """The loop under torch.compile, with the vectors that it is held to, and random numbers that can be compared."""
    options: dict[str, Any] = {"fallback_random": isinstance(loop, ZoneoutLSTM)}
    if os.environ.get(CHOSEN) == "avx2":
        options["cpp.simdlen"] = 256
    return torch.compile(loop, fullgraph=True, options=options)


def ours(name: str, size: int, backend: str = "native") -> Recurrent:
    """Our net of that name, compiled, with random weights everywhere, so that none can be forgotten unseen."""
    _, cell, options = LOOPS[name]
    rnn = Recurrent(cell, size, size, batch_first=False, backend=backend, **options)
    with torch.no_grad():
        for p in rnn.parameters():
            p.mul_(0.6).add_(0.3 / size**0.5 * torch.randn_like(p))
    return rnn
