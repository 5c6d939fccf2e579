"""A step that runs: compiled C with all in one call, or the same in PyTorch where there is no compiler."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from elman.backends.native import cache
from elman.backends.native.compiler import find_compiler
from elman.errors import CompileError, OptionError
from elman.estimators.causal import Causal
from elman.steps.program import Program, program, size_of

CALLS = """
void elman_step(const weight *w, const real *v, const input *m, real *s, const input *x, real *y)
{
    step(w, v, m, s, x, y);
}

/* One step of each of n sequences; rows says where in `states` each has its own. */
void elman_steps(const weight *w, const real *v, const input *m, real *states, long n, const long *rows,
                 const input *x, real *y)
{
    for (long i = 0; i < n; i++) step(w, v, m, states + rows[i] * STATE, x + i * INPUTS, y + i * OUTPUTS);
}
"""


class Engine:
    """One sequence, step by step: write `x`, call `step`, read `y`; the state is `state`, to be read and written.

    x  (I,) float64,  y  (K,) float32,  state  (S,) float32, all parts one after another
    """

    def __init__(self, step: Causal) -> None:
        self.causal = step
        self.x, self.y = np.zeros(step.inputs), np.zeros(step.outputs, np.float32)
        self.state = np.zeros(size_of(step.parts), np.float32)
        self.step: Callable[[], Any] = functools.partial(_run, step, self.x, self.y, self.state)


class Compiled:
    """The C of a step, compiled for this machine, with its numbers."""

    def __init__(self, made: Program) -> None:
        compiler = find_compiler()
        if compiler is None:
            raise CompileError("no C compiler")
        sizes = {"STATE": len(made.first), "INPUTS": made.step.inputs, "OUTPUTS": made.step.outputs}
        names = f"enum {{ {', '.join(f'{name} = {size}' for name, size in sizes.items())} }};"
        text = f"/* A step of {made.step.where}, written by elman. */\n{made.text}\n{names}\n{CALLS}"
        self.code = ctypes.CDLL(str(cache.library(text, compiler, "step")))
        self.made = made
        self.numbers = [np.ascontiguousarray(a) for a in (made.weights, made.vectors, made.measures)]
        self.given = [_at(a) for a in self.numbers]

    def bind(self, x: np.ndarray, y: np.ndarray, state: np.ndarray) -> Callable[[], Any]:
        """A call from x and the state to y and the next state."""
        function = self.code.elman_step
        function.restype = None
        return functools.partial(function, *self.given, *(_at(a) for a in (state, x, y)))

    def many(self, states: np.ndarray, rows: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        """One step of each of n sequences: states (·, S), rows (n,) int64, x (n, I), y (n, K)."""
        self.code.elman_steps(*self.given, _at(states), ctypes.c_long(len(rows)), _at(rows), _at(x), _at(y))


def compiled(step: Causal) -> Compiled | None:
    """The step in C, or None where it cannot be: no compiler, or a model that C is not written for."""
    try:
        return Compiled(program(step, number="double"))
    except (CompileError, OptionError):
        return None


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _run(step: Causal, x: np.ndarray, y: np.ndarray, state: np.ndarray) -> None:
    """The same in PyTorch."""
    with torch.no_grad():
        said, new = step(torch.from_numpy(x)[None], unflatten(step, state[None]))
    y[:] = said[0].numpy()
    state[:] = flatten(new)[0]


def unflatten(step: Causal, states: np.ndarray) -> tuple[torch.Tensor, ...]:
    """(B, S) as parts (B, *shape)."""
    ends = np.cumsum([int(np.prod(part.shape)) for part in step.parts])[:-1]
    pieces = np.split(states, ends, axis=1)
    return tuple(
        torch.from_numpy(np.ascontiguousarray(piece)).reshape(len(states), *part.shape)
        for piece, part in zip(pieces, step.parts, strict=True)
    )


def flatten(state: tuple[torch.Tensor, ...]) -> np.ndarray:
    """Parts (B, …) as (B, S)."""
    return torch.cat([part.reshape(len(part), -1) for part in state], 1).numpy()
