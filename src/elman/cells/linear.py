"""Cells that are linear in their state."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import cos, exp, sin

from elman.cells.base import Cell


class LRU(Cell):
    """Linear recurrent unit: each unit a damped rotation, a complex pole λ, of which the real part is the output.

    λ = exp(-exp(ν) + i exp(θ))                 |λ| < 1 for any ν
    u_t = (W_re + i W_im) x_t + b_re + i b_im
    s_t = λ s_{t-1} + exp(γ) u_t
    h_t = Re s_t,  v_t = Im s_t

    x_t (B, F); h_t, v_t (B, H); ν, θ, γ (H,) per unit. λ starts uniform in the ring 0.9 < |λ| < 0.999 (`ring`) of any
    phase (`max_phase`), γ at ln √(1 - |λ|²), which keeps |s_t| near |u_t|, and W as normal numbers of variance 1 / 2F.
    No R. The paper reads Re(C s_t) + D x_t and gates it: a layer or a head above reads h with real weights; the phase
    that a complex C would choose is in W_re and W_im. `residual` gives the skip past it.
    Source: Orvieto et al. 2023, arXiv:2303.06349.

    >>> import elman
    >>> decay = elman.Recurrent("lru", 4, 8).layers[0].p.nu.exp().neg().exp()
    >>> bool(((decay > 0.9) & (decay < 0.999)).all())
    True
    """

    gates = ("re", "im")
    states = ("h", "v")
    params = {"nu": 0.0, "theta": 0.0, "gamma": 0.0}
    ring: ClassVar[tuple[float, float]] = (0.9, 0.999)
    max_phase: ClassVar[float] = 2 * math.pi

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        size, phase, gain = exp(-exp(p.nu)), exp(p.theta), exp(p.gamma)
        a, b = size * cos(phase), size * sin(phase)
        return a * s.h - b * s.v + gain * x.re, b * s.h + a * s.v + gain * x.im

    def init(self, w: Any) -> None:
        inner, outer = self.ring
        size = w.p.nu.new_empty(len(w.p.nu)).uniform_(inner**2, outer**2).sqrt()  # uniform in area
        w.p.nu.copy_((-size.log()).log())
        w.p.theta.uniform_(1e-4 * self.max_phase, self.max_phase).log_()  # phase 0 has no logarithm
        w.p.gamma.copy_((1 - size * size).log() / 2)
        for weight in (w.W.re, w.W.im):
            weight.normal_(0.0, (2 * max(weight.shape[1], 1)) ** -0.5)
