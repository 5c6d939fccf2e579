"""Triton kernels: any cell at full speed on a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from elman.backends.base import Pass, Weights, refuse_tracing, refuse_transforms, watched
from elman.backends.operator import ENGINES, through
from elman.backends.triton import kernel
from elman.backends.triton.frame import plan
from elman.backends.triton.modules import interpreted, missing
from elman.backends.triton.plan import Plan
from elman.graph import Traced

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

ENGINES["triton"] = kernel


class Triton:
    """Each cell is written as kernels, forward and backward; T and B are run-time values, a new one compiles nothing.

    A cell that is linear in its state is a parallel scan. In half precision sums, states and the step are float32.
    """

    name = "triton"

    def refusal(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str | None:
        """What it does not run: the CPU but for tests, other number types, transforms of `torch.func`."""
        if reason := missing():
            return reason
        if x.device.type != "cuda" and not (x.device.type == "cpu" and interpreted()):
            return f"it runs on a GPU and x is on {x.device}; TRITON_INTERPRET=1 tries it there"
        if weights.W.device != x.device:
            return f"x is on {x.device} and W on {weights.W.device}"
        kind = _autocast(x) or x.dtype
        if kind not in DTYPES or (_autocast(x) is None and weights.W.dtype != x.dtype):
            return f"it computes in one dtype of 16, 32 or 64 bits, and x is {x.dtype}, W {weights.W.dtype}"
        if kind == torch.bfloat16 and x.device.type == "cpu" and traced.recurrent:
            return "triton's interpreter cannot multiply bfloat16"
        if weights.gain_r is not None and _plan(traced, weights, x).form == "steps":
            if x.device.type == "cpu":
                return "programs that normalise a layer together have to run at once, and interpreted they do not"
            return "programs that normalise a layer have to be on the GPU at once, and there is no room for this one's"
        return refuse_tracing() or (None if watched() else refuse_transforms())

    def note(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str:
        """One launch for all steps, or one for each."""
        return str(_plan(traced, weights, x))

    def unroll(
        self, traced: Traced, weights: Weights, x: Tensor, state: tuple[Tensor, ...], how: Pass
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (T, B, F) and the first state, each part (B, H), to the outputs (T, B, H) and the last state."""
        weights = replace(weights, heads=1)  # the kernels take the blocks as they are
        kind = _autocast(x)
        if kind is not None:  # sums, states and the cell's own arithmetic stay as wide as they are
            x = x.to(kind)
            narrow = {name: getattr(weights, name).to(kind) for name in ("W", "b")}
            narrow |= {} if weights.blocks is None else {"blocks": weights.blocks.to(kind)}
            weights = replace(weights, **narrow)
        with torch.autocast(x.device.type, enabled=False):
            return through(self.name, traced, weights, x, state, how)

    def stepper(
        self, traced: Traced, layers: Sequence[Weights], zoneout: Mapping[str, float], *, residual: bool
    ) -> None:
        """None: a step is a sequence of length 1."""


def _plan(traced: Traced, weights: Weights, x: Tensor) -> Plan:
    """How it would be laid out."""
    units = len(weights.b) // len(traced.gates)
    head = units // weights.heads
    return plan(traced, x, (units, head), x.shape[1], norm=weights.gain_r is not None, back=True, tell=False)


def _autocast(x: Tensor) -> torch.dtype | None:
    """The dtype in which products are to be computed, where autocast is on."""
    kind = x.device.type
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if on else None
