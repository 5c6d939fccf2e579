"""Gates that open and close more easily than a logistic one: steeper, or refined by a second gate."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import sigmoid, tanh

from elman.cells.base import Cell


class SteepLSTM(Cell):
    """LSTM with steep gates, whose slope is learned for each unit.

    i_t, f_t, o_t = σ(a (W x_t + b + R h_{t-1}))    gates; b_f starts at 1
    g_t = tanh(W_g x_t + b_g + R_g h_{t-1})         candidate
    c_t = f_t c_{t-1} + i_t g_t
    h_t = o_t tanh(c_t)

    x_t (B, F); h_t, c_t (B, H); a (H,), one slope for the three gates of a unit, starting at 2. A slope could be had by
    larger weights too; as a factor of its own it trains faster and lets a unit sharpen all its gates at once.
    Source: a variation: slopes learned per unit, Jagtap, Kawaguchi & Karniadakis 2020, arXiv:1909.12228, in the gates
    of an LSTM; why gates near 0 and 1 serve it: Li et al. 2018, arXiv:1806.02988.
    """

    gates = ("i", "f", "g", "o")
    states = ("h", "c")
    params = {"a": 2.0}

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        i, f, o = sigmoid(p.a * (x.i + r.i)), sigmoid(p.a * (x.f + r.f)), sigmoid(p.a * (x.o + r.o))
        c = f * s.c + i * tanh(x.g + r.g)
        return o * tanh(c), c

    def init(self, w: Any) -> None:
        w.b.f.fill_(1.0)


class SteepGRU(Cell):
    """GRU with steep gates of one fixed slope; the reset gate is applied after the product.

    r_t = σ(a (W_r x_t + b_r + R_r h_{t-1}))                reset gate
    z_t = σ(a (W_z x_t + b_z + R_z h_{t-1}))                update gate
    n_t = tanh(W_n x_t + b_n + r_t (R_n h_{t-1} + b_rn))    candidate
    h_t = (1 - z_t) n_t + z_t h_{t-1}

    x_t (B, F); h_t (B, H); a = 2, the class attribute `slope`; with 1 it is the GRU. It computes what a GRU whose gates
    have weights a times as large does, but an optimiser's step moves its gates a times as far.
    Source: a variation, as `SteepLSTM`: Li et al. 2018, arXiv:1806.02988, on gates near 0 and 1.

    >>> import elman
    >>> from elman.cells import SteepGRU
    >>> class SteeperGRU(SteepGRU):
    ...     slope = 4.0
    >>> elman.Recurrent(SteeperGRU, 4, 8)
    Recurrent(SteeperGRU, 4, 8)
    """

    gates = ("r", "z", "n")
    slope: ClassVar[float] = 2.0

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        reset, z = sigmoid(self.slope * (x.r + r.r)), sigmoid(self.slope * (x.z + r.z))
        n = tanh(x.n + reset * r.n)
        return (1 - z) * n + z * s.h


class RefinedLSTM(Cell):
    """UR-LSTM: a second gate refines the forget gate, which starts at time constants of every length.

    f_t = σ(W_f x_t + b_f + R_f h_{t-1})        forget gate; σ(b_f) starts uniform in 1/H … 1 - 1/H
    r_t = σ(W_r x_t + b_r + R_r h_{t-1})        refine gate; b_r starts at -b_f
    e_t = r_t (1 - (1 - f_t)²) + (1 - r_t) f_t²     effective gate: f_t moved up to 1 - (1 - f_t)², or down to f_t²
    g_t = tanh(W_g x_t + b_g + R_g h_{t-1})     candidate
    o_t = σ(W_o x_t + b_o + R_o h_{t-1})        output gate
    c_t = e_t c_{t-1} + (1 - e_t) g_t
    h_t = o_t tanh(c_t)

    x_t (B, F); h_t, c_t (B, H). The effective gate learns faster near 0 and 1, where σ is flat.
    Source: Gu et al. 2020, arXiv:1910.09890 (uniform gate initialisation and refine gate).
    """

    gates = ("f", "r", "g", "o")
    states = ("h", "c")

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        f, refine = sigmoid(x.f + r.f), sigmoid(x.r + r.r)
        e = refine * (1 - (1 - f) * (1 - f)) + (1 - refine) * f * f
        c = e * s.c + (1 - e) * tanh(x.g + r.g)
        return sigmoid(x.o + r.o) * tanh(c), c

    def init(self, w: Any) -> None:
        low = min(1.0 / len(w.b.f), 0.5)  # one unit alone: the middle
        w.b.f.uniform_(low, 1.0 - low).logit_()
        torch.neg(w.b.f, out=w.b.r)
