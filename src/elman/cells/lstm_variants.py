"""Long short-term memory with other wiring: peepholes, and one gate for both input and forgetting."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh

from elman.cells.base import Cell


class PeepholeLSTM(Cell):
    """LSTM whose gates see the cell, through one weight per unit.

    i_t = σ(W_i x_t + b_i + R_i h_{t-1} + p_i c_{t-1})      input gate
    f_t = σ(W_f x_t + b_f + R_f h_{t-1} + p_f c_{t-1})      forget gate, b_f starting at 1
    g_t = tanh(W_g x_t + b_g + R_g h_{t-1})                 candidate
    c_t = f_t c_{t-1} + i_t g_t
    o_t = σ(W_o x_t + b_o + R_o h_{t-1} + p_o c_t)          output gate: it sees the new cell
    h_t = o_t tanh(c_t)

    x_t (B, F); h_t, c_t (B, H); p_i, p_f, p_o (H,), starting at 0, where it is the LSTM.
    Source: Gers & Schmidhuber 2000, "Recurrent nets that time and count", doi:10.1109/IJCNN.2000.861302; with tanh at
    the output: Graves 2013, arXiv:1308.0850.
    """

    gates = ("i", "f", "g", "o")
    states = ("h", "c")
    params = {"i": 0.0, "f": 0.0, "o": 0.0}

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        i, f = sigmoid(x.i + r.i + p.i * s.c), sigmoid(x.f + r.f + p.f * s.c)
        c = f * s.c + i * tanh(x.g + r.g)
        return sigmoid(x.o + r.o + p.o * c) * tanh(c), c

    def init(self, w: Any) -> None:
        w.b.f.fill_(1.0)


class CoupledLSTM(Cell):
    """LSTM that takes in what it forgets: one gate is input and forget gate (CIFG).

    f_t = σ(W_f x_t + b_f + R_f h_{t-1})        forget gate, b_f starting at 1; the input gate is 1 - f_t
    g_t = tanh(W_g x_t + b_g + R_g h_{t-1})     candidate
    o_t = σ(W_o x_t + b_o + R_o h_{t-1})        output gate
    c_t = f_t c_{t-1} + (1 - f_t) g_t
    h_t = o_t tanh(c_t)

    x_t (B, F); h_t, c_t (B, H). A quarter fewer weights than the LSTM, and |c_t| stays below 1.
    Source: Greff et al. 2017, arXiv:1503.04069, there with peepholes.
    """

    gates = ("f", "g", "o")
    states = ("h", "c")

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        f, g, o = sigmoid(x.f + r.f), tanh(x.g + r.g), sigmoid(x.o + r.o)
        c = f * s.c + (1 - f) * g
        return o * tanh(c), c

    def init(self, w: Any) -> None:
        w.b.f.fill_(1.0)
