"""The gated recurrent unit."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh

from elman.cells.base import Cell


class GRU(Cell):
    """Gated recurrent unit, the reset gate applied after the product (cuDNN's and PyTorch's form).

    r_t = σ(W_r x_t + b_r + R_r h_{t-1})                    reset gate
    z_t = σ(W_z x_t + b_z + R_z h_{t-1})                    update gate
    n_t = tanh(W_n x_t + b_n + r_t (R_n h_{t-1} + b_rn))    candidate
    h_t = (1 - z_t) n_t + z_t h_{t-1}

    x_t (B, F); h_t (B, H). Source: Cho et al. 2014, arXiv:1406.1078; reset after the product: arXiv:1406.1078v1.

    >>> import elman
    >>> elman.Recurrent("gru", 4, 8)
    Recurrent(GRU, 4, 8)
    """

    gates = ("r", "z", "n")

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        reset, z = sigmoid(x.r + r.r), sigmoid(x.z + r.z)
        n = tanh(x.n + reset * r.n)
        return (1 - z) * n + z * s.h
