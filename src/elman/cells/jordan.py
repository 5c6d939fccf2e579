"""Jordan's network: what is fed back is a fading trace of past outputs."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import tanh

from elman.cells.base import Cell


class Jordan(Cell):
    """Jordan network of one layer: context units sum the past outputs and fade.

    z_t = μ z_{t-1} + h_{t-1}                   context units, one per output
    q_t = R z_t                                 kept as q_t = μ q_{t-1} + R h_{t-1} + b_r
    h_t = tanh(W x_t + b + q_t)

    x_t (B, F); h_t, q_t (B, H); μ = 0.5, the class attribute `mu`, in [0, 1); with 0 it is Elman's network. One μ for
    all units makes R z_t a trace of R h_t, so that q can be the state. Jordan's outputs are logistic and stand above a
    hidden layer: that would be a second product within the step, which a cell does not have.
    Source: Jordan 1986, "Serial order: a parallel distributed processing approach", reprinted 1997,
    doi:10.1016/S0166-4115(97)80111-2.
    """

    gates = ("h",)
    states = ("h", "q")
    mu: ClassVar[float] = 0.5

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        q = self.mu * s.q + r.h
        return tanh(x.h + q), q
