"""Generated C: as fast as the hand-tuned kernels, for any cell."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.backends.base import Pass, Weights, refuse_tracing, refuse_transforms, watched
from elman.backends.eager import blank, normalise
from elman.backends.native.compiler import NoCompilerWarning
from elman.backends.native.kernel import Given, Manner
from elman.backends.native.library import library
from elman.backends.native.operator import Call, Unroll, run, spell, unroll
from elman.backends.native.render import BITS
from elman.backends.native.stepper import Stepper
from elman.errors import ElmanError
from elman.graph import Traced


class Native:
    """Each cell is compiled once, forward and backward; sizes are run-time values, a new shape compiles nothing."""

    name = "native"

    def refusal(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str | None:
        """What it does not run: other devices and number types, no compiler, transforms of `torch.func`."""
        for name, value in (("x", x), ("W", weights.W)):
            if value.device.type != "cpu":
                return f"it runs on the CPU and {name} is on {value.device}"
        if x.dtype not in BITS or weights.W.dtype != x.dtype:
            return f"it computes in float32 and float64, and x is {x.dtype}, W {weights.W.dtype}"
        if reason := refuse_tracing():
            return reason
        if watched():
            return None
        if torch.is_autocast_enabled("cpu"):
            return "autocast is on, and it computes in the dtype it is given"
        return refuse_transforms() or _build_failure(traced, x.dtype, layer_norm=weights.gain_r is not None)

    def unroll(
        self, traced: Traced, weights: Weights, x: Tensor, state: tuple[Tensor, ...], how: Pass
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (T, B, F) and the first state, each part (B, H), to the outputs (T, B, H) and the last state."""
        if x.numel() == 0 and 0 in x.shape[:2]:
            return x.new_zeros(*x.shape[:2], state[0].shape[-1]) + 0 * x.sum(), state
        W, b = weights.W, weights.b
        if weights.gain_x is not None:
            x, W, b = normalise(F.linear(blank(x, how.lengths), W), weights.gain_x) + b, None, None
        params = torch.stack([weights.params[name] for name in traced.cell.params]) if weights.params else None
        zone = tuple(_share(how.zoneout.get(name), state[0]) for name in traced.cell.states)
        tensors = (x, W, weights.R, b, weights.b_r, weights.gain_r, params)
        if watched():
            shares = [z for z in zone if z is not None]
            options = how.lengths, how.mask, shares, spell(traced), how.reverse, how.segment or 0
            y, *last = unroll(*tensors, list(state), *options)
            return y, tuple(last)
        call = Call(traced, Manner(how.lengths, how.mask, zone, how.reverse, how.segment))
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (*tensors, *state)):
            y, *last = Unroll.apply(call, *tensors, *state)  # pyright: ignore
        else:
            y, last, _ = run(call, Given(*tensors, state), keep=False)
        return y, tuple(last)

    def stepper(
        self, traced: Traced, layers: Sequence[Weights], zoneout: Mapping[str, float], *, residual: bool
    ) -> Stepper:
        """These layers for one sequence, step by step, with their weights as they are now."""
        lib = library(traced, layers[0].W.dtype, layer_norm=layers[0].gain_r is not None)
        ordered = [replace(w, params={name: w.params[name] for name in traced.cell.params}) for w in layers]
        like = layers[0].W[: len(layers[0].W) // len(traced.gates), 0]
        zone = [_share(zoneout.get(name), like) for name in traced.cell.states]
        return Stepper(lib, ordered, zone, residual=residual)


def _share(keep: Tensor | float | None, like: Tensor) -> Tensor | None:
    """What zoneout keeps as a tensor: (T, B, H), or one row (1, H) for a number."""
    return keep if keep is None or isinstance(keep, Tensor) else like.new_full((1, like.shape[-1]), keep)


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
