"""The leaky integrator: a first-order infinite-impulse-response filter, learned."""

from __future__ import annotations

from typing import Any

from torch import sigmoid

from elman.cells.base import Cell


class Leaky(Cell):
    """Leaky integrator, also exponentially weighted moving average (EWMA).

    α = σ(a)
    h_t = (1 - α) h_{t-1} + α (W x_t + b)

    x_t (B, F); h_t, a (H,) per unit, a starting at -2, so that α = 0.12 and a unit forgets with a time constant of
    -1 / ln(1 - α) ≈ 8 steps. No product with h: a filter with the one pole 1 - α, as `scipy.signal.lfilter` runs it.
    Source: Jaeger et al. 2007, doi:10.1016/j.neunet.2007.04.016; the average: Roberts 1959,
    doi:10.1080/00401706.1959.10489860.

    >>> import elman
    >>> [name for name, _ in elman.Recurrent("leaky", 4, 8).named_parameters()]
    ['layers.0.W', 'layers.0.b', 'layers.0.p.a']
    """

    gates = ("u",)
    params = {"a": -2.0}

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        alpha = sigmoid(p.a)
        return (1 - alpha) * s.h + alpha * x.u
