"""The simple recurrent network of the paper that gave the library its name."""

from __future__ import annotations

from typing import Any

import torch
from torch import relu, tanh

from elman.cells.base import Cell


class Elman(Cell):
    """Simple recurrent network.

    h_t = tanh(W x_t + b + R h_{t-1})

    x_t (B, F); h_t (B, H). Source: Elman 1990, "Finding structure in time", doi:10.1207/s15516709cog1402_1.
    Its gradient fades or explodes with distance: |R^T diag(1 - h²)| multiplied over the steps.

    >>> import elman, torch
    >>> elman.Recurrent("elman", 4, 8)(torch.zeros(1, 3, 4))[0].abs().max().item()
    0.0
    """

    gates = ("h",)

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        return tanh(x.h + r.h)


class ElmanRelu(Cell):
    """Simple recurrent network of rectified units.

    h_t = max(0, W x_t + b + R h_{t-1}), R starting as the identity

    x_t (B, F); h_t (B, H). Source: Le, Jaitly & Hinton 2015, arXiv:1504.00941.
    """

    gates = ("h",)

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        return relu(x.h + r.h)

    def init(self, w: Any) -> None:
        torch.nn.init.eye_(w.R.h)
