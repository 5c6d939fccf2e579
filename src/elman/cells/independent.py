"""Units that feed back to themselves alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import relu

from elman.cells.base import Cell


class IndRNN(Cell):
    """Independently recurrent network: each unit sees its own past only.

    h_t = max(0, W x_t + b + u h_{t-1})

    x_t (B, F); h_t (B, H); u (H,), starting uniform in 0 … 1, so that units of short and of long memory are there. No
    R: units mix in the next layer. |u| above 1 explodes with distance; the paper bounds it by 2^(1/T).
    Source: Li et al. 2018, arXiv:1803.04831.
    """

    gates = ("h",)
    params = {"u": torch.rand}

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        return relu(x.h + p.u * s.h)
