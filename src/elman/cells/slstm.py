"""The LSTM with exponential gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import exp, relu, sigmoid, tanh
from torch.nn.functional import logsigmoid

from elman.cells.base import Cell


class SLSTM(Cell):
    """sLSTM: an exponential input gate, a normaliser that sums the weights, a stabiliser that keeps them finite.

    i_t = W_i x_t + b_i + R_i h_{t-1}                       logarithm of the input gate
    f_t = ln σ(W_f x_t + b_f + R_f h_{t-1})                 logarithm of the forget gate; b_f starts at 3 … 6
    z_t = tanh(W_z x_t + b_z + R_z h_{t-1})                 candidate
    o_t = σ(W_o x_t + b_o + R_o h_{t-1})                    output gate
    m_t = max(f_t + m_{t-1}, i_t), where n_{t-1} = 0: i_t   stabiliser: c and n stand in units of exp(m)
    c_t = exp(f_t + m_{t-1} - m_t) c_{t-1} + exp(i_t - m_t) z_t
    n_t = exp(f_t + m_{t-1} - m_t) n_{t-1} + exp(i_t - m_t)     normaliser
    h_t = o_t c_t / n_t

    x_t (B, F); h_t, c_t, n_t, m_t (B, H), each starting at 0; n_{t-1} = 0 says that nothing was seen yet. c / n is a
    weighted mean of the candidates, and m changes nothing but rounding. One head: R is full.
    Source: Beck et al. 2024, arXiv:2405.04517; b_f: their implementation, `small_init`.

    >>> import elman, torch
    >>> y, (h, c, n, m) = elman.Recurrent("slstm", 4, 8)(torch.full((1, 3, 4), 100.0))
    >>> bool(y.abs().max() <= 1), bool(n.min() >= 1)
    (True, True)
    """

    gates = ("i", "f", "z", "o")
    states = ("h", "c", "n", "m")

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        i, f = x.i + r.i, logsigmoid(x.f + r.f)
        before = torch.where(s.n > 0, f + s.m, i)  # not exp(f + 0 - i), which overflows where i is far below 0
        m = torch.maximum(before, i)
        keep, take = exp(before - m), exp(i - m)
        c = keep * s.c + take * tanh(x.z + r.z)
        n = keep * relu(s.n) + take  # a learned start may not go below 0: n is a sum of weights, and a divisor
        return sigmoid(x.o + r.o) * c / n, c, n, m

    def init(self, w: Any) -> None:
        w.b.f.copy_(torch.linspace(3.0, 6.0, len(w.b.f)))
