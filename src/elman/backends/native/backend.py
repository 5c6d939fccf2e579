"""Generated C: as fast as the hand-tuned kernels, for any cell."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from elman.backends.base import Pass, Weights, refuse_tracing, refuse_transforms, watched
from elman.backends.native import kernel
from elman.backends.native.compiler import NoCompilerWarning
from elman.backends.native.library import library
from elman.backends.native.render import BITS
from elman.backends.native.stepper import Stepper
from elman.backends.operator import ENGINES, share, through
from elman.errors import ElmanError
from elman.graph import Traced

ENGINES["native"] = kernel


class Native:
    """Each cell is compiled once, forward and backward; sizes are run-time values, a new shape compiles nothing."""

    name = "native"

    def refusal(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str | None:
        """What it does not run: other devices and number types, no compiler, transforms of `torch.func`."""
        for name, value in (("x", x), ("W", weights.W)):
            if value.device.type != "cpu":
                return f"it runs on the CPU and {name} is on {value.device}"
        if weights.W.dtype not in BITS or (weights.W.dtype != x.dtype and not torch.is_autocast_enabled("cpu")):
            return f"it computes in float32 and float64, and x is {x.dtype}, W {weights.W.dtype}"
        if reason := refuse_tracing():
            return reason
        if watched():
            return None
        return refuse_transforms() or _build_failure(traced, weights.W.dtype, layer_norm=weights.gain_r is not None)

    def note(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> None:
        """None: it has one way."""

    def unroll(
        self, traced: Traced, weights: Weights, x: Tensor, state: tuple[Tensor, ...], how: Pass
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (T, B, F) and the first state, each part (B, H), to the outputs (T, B, H) and the last state."""
        if not torch.is_autocast_enabled("cpu"):
            return through(self.name, traced, weights, x, state, how)
        # Autocast may round and need not: this loop in the dtype of the weights is faster than steps in bfloat16.
        with torch.autocast("cpu", enabled=False):
            return through(self.name, traced, weights, x.to(weights.W.dtype), state, how)

    def stepper(
        self, traced: Traced, layers: Sequence[Weights], zoneout: Mapping[str, float], *, residual: bool
    ) -> Stepper:
        """These layers for one sequence, step by step, with their weights as they are now."""
        lib = library(traced, layers[0].W.dtype, layer_norm=layers[0].gain_r is not None)
        ordered = [replace(w, params={name: w.params[name] for name in traced.cell.params}) for w in layers]
        like = layers[0].W[: len(layers[0].W) // len(traced.gates), 0]
        zone = [share(zoneout.get(name), like) for name in traced.cell.states]
        return Stepper(lib, ordered, zone, residual=residual)


_failures: dict[tuple[str, torch.dtype, bool], str | None] = {}


def _build_failure(traced: Traced, dtype: torch.dtype, *, layer_norm: bool) -> str | None:
    """Why the cell has no library, tried once; the first time in a process it is a warning, too."""
    key = traced.fingerprint, dtype, layer_norm
    if key not in _failures:
        try:
            library(traced, dtype, layer_norm=layer_norm)
            _failures[key] = None
        except ElmanError as problem:
            if not any(_failures.values()):
                text = f"elman runs cells that torch.nn has not op by op, several times slower, because {problem}"
                warnings.warn(text, NoCompilerWarning, stacklevel=2)
            _failures[key] = str(problem)
    return _failures[key]
