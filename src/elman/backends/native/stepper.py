"""One sequence, one step at a time: all layers in one call to C, which asks for no memory."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from elman.backends.base import Weights
from elman.backends.native.library import Library


class Stepper:
    """Layers with their weights packed as they are now, and the state.

    x     (F,) is read at every step: write the next input there
    y     (H,) holds the output of the last step
    step  a call without arguments, from `x` and the state to `y` and the next state
    """

    def __init__(
        self, lib: Library, layers: Sequence[Weights], zone: Sequence[Tensor | None], *, residual: bool
    ) -> None:
        like, self.units = layers[0].W, layers[0].b.shape[0] // lib.gates
        self.x = like.new_zeros(layers[0].W.shape[1])
        padded, below = lib.padded(self.units), self.x
        self._zone = [None if z is None else _widen(z.reshape(-1), padded) for z in zone]
        self._state = [[like.new_zeros(padded) for _ in zone] for _ in layers]
        self._memory: list[object] = []
        jobs = []
        for weights, state in zip(layers, self._state, strict=True):
            output = like.new_zeros(padded)
            jobs.append(self._open(lib, weights, below, state, output, padded))
            below = output
        self.y = below[: self.units]
        self._jobs = (ctypes.c_void_p * len(jobs))(*jobs)
        addresses = (ctypes.c_void_p(ctypes.addressof(self._jobs)), ctypes.c_long(len(jobs)), ctypes.c_long(residual))
        self.step = functools.partial(lib.step, *addresses)  # no Python function and nothing to convert in between

    def _open(self, lib: Library, w: Weights, x: Tensor, state: list[Tensor], output: Tensor, padded: int) -> int:
        """The address of one layer that is ready to step; what it points to is kept alive here."""
        params = torch.stack([p.detach() for p in w.params.values()]) if w.params else None
        tensors = {"W": w.W, "R": w.R, "b": w.b, "b_r": w.b_r, "gain": w.gain_r, "gain_x": w.gain_x, "params": params}
        fields = {name: value.detach().contiguous() for name, value in tensors.items() if value is not None}
        fields |= {"x": x, "state": state, "kept": [output], "zone": self._zone}
        fields |= dict.fromkeys(("steps", "rows", "total", "threads", "parts"), 1)
        fields |= {"inputs": w.W.shape[1], "x_step": w.W.shape[1], "units": self.units, "padded": padded}
        args, scratch = lib.arrange(fields, backward=False)
        job = ctypes.create_string_buffer(lib.job_bytes)
        lib.open(args, job)
        self._memory += [fields, args, scratch, job]
        return ctypes.addressof(job)

    @property
    def state(self) -> tuple[Tensor, ...]:
        """A copy of the state, each part (L, 1, H)."""
        return tuple(torch.stack(parts)[:, None, : self.units] for parts in zip(*self._state, strict=True))

    @state.setter
    def state(self, new: Sequence[Tensor]) -> None:
        for parts, values in zip(zip(*self._state, strict=True), new, strict=True):
            for part, value in zip(parts, values, strict=True):
                part[: self.units] = value.reshape(-1)


def _widen(values: Tensor, padded: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, padded - len(values)))
