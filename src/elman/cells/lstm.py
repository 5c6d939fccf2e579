"""Long short-term memory."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh

from elman.cells.base import Cell


class LSTM(Cell):
    """Long short-term memory, with a forget gate.

    i_t = σ(W_i x_t + b_i + R_i h_{t-1})        input gate
    f_t = σ(W_f x_t + b_f + R_f h_{t-1})        forget gate, b_f starting at 1
    g_t = tanh(W_g x_t + b_g + R_g h_{t-1})     candidate
    o_t = σ(W_o x_t + b_o + R_o h_{t-1})        output gate
    c_t = f_t c_{t-1} + i_t g_t
    h_t = o_t tanh(c_t)

    x_t (B, F); h_t, c_t (B, H). Source: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; forget gate:
    Gers, Schmidhuber & Cummins 2000, doi:10.1162/089976600300015015; its bias: Jozefowicz et al. 2015, ICML.

    >>> import elman, torch
    >>> y, (h, c) = elman.Recurrent("lstm", 4, 8)(torch.zeros(1, 3, 4))
    >>> c.shape
    torch.Size([1, 1, 8])
    """

    gates = ("i", "f", "g", "o")
    states = ("h", "c")

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        i, f, g, o = sigmoid(x.i + r.i), sigmoid(x.f + r.f), tanh(x.g + r.g), sigmoid(x.o + r.o)
        c = f * s.c + i * g
        return o * tanh(c), c

    def init(self, w: Any) -> None:
        w.b.f.fill_(1.0)
