"""Cells that do with less: one gate, or gates that see the input alone."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn.functional import logsigmoid

from elman.cells.base import Cell


class MGU(Cell):
    """Minimal gated unit: one gate resets and updates; as reset it is applied after the product.

    f_t = σ(W_f x_t + b_f + R_f h_{t-1})                    gate
    n_t = tanh(W_n x_t + b_n + f_t (R_n h_{t-1} + b_rn))    candidate
    h_t = (1 - f_t) h_{t-1} + f_t n_t

    x_t (B, F); h_t (B, H). Source: Zhou et al. 2016, arXiv:1603.09420. The paper gates h before the product,
    R_n (f_t h_{t-1}), as the first GRU did; after it, R is applied once a step, as in cuDNN's GRU.
    """

    gates = ("f", "n")

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        f = sigmoid(x.f + r.f)
        return (1 - f) * s.h + f * tanh(x.n + f * r.n)


class MinGRU(Cell):
    """Minimal GRU: gate and candidate see the input alone, so that the step is linear in h.

    z_t = σ(W_z x_t + b_z)                      update gate
    h_t = (1 - z_t) h_{t-1} + z_t (W_n x_t + b_n)

    x_t (B, F); h_t (B, H). No R. Source: Feng et al. 2024, arXiv:2410.01201, in its plain form: the candidate may be
    negative.

    >>> import elman
    >>> elman.Recurrent("mingru", 4, 8).layers[0].R is None
    True
    """

    gates = ("z", "n")

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        z = sigmoid(x.z)
        return (1 - z) * s.h + z * x.n


class MinLSTM(Cell):
    """Minimal LSTM: gates and candidate see the input alone; the two gates are scaled to sum to 1.

    i_t = σ(W_i x_t + b_i)                      input gate
    f_t = σ(W_f x_t + b_f)                      forget gate, b_f starting at 1
    h_t = f_t / (f_t + i_t) h_{t-1} + i_t / (f_t + i_t) (W_n x_t + b_n)

    x_t (B, F); h_t (B, H). No R. Source: Feng et al. 2024, arXiv:2410.01201, in its plain form: the candidate may be
    negative. The share f / (f + i) is computed as σ(ln f - ln i), which is finite where both gates are closed.
    """

    gates = ("i", "f", "n")

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        kept = sigmoid(logsigmoid(x.f) - logsigmoid(x.i))
        return kept * s.h + (1 - kept) * x.n

    def init(self, w: Any) -> None:
        w.b.f.fill_(1.0)
