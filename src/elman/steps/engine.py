"""A step that runs: compiled C with all in one call, or the same in PyTorch where there is no compiler."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.backends.native import cache
from elman.backends.native.compiler import find_compiler, no_compiler_reason
from elman.errors import CompileError, OptionError
from elman.steps.causal import GREATEST, Causal, StackStep
from elman.steps.parts import Reads, layout
from elman.steps.program import Program, program

WORTH = 64
"""sequences for each thread, below which a thread costs more than it saves"""
# What Python calls; elman_step gives 1 for an x that cannot be, and then nothing has changed.
CALLS = """
static int can_be(const input *x)
{
    for (int i = 0; i < INPUTS; i++)
        if (!(x[i] <= GREATEST && x[i] >= -GREATEST) && (x[i] == x[i] || FINITE)) return 0;
    return 1;
}

/* All that one sequence's step reads and writes: one pointer is quicker to hand over than six. */
typedef struct {
    const weight *w;
    const real *v;
    const input *m;
    real *s;
    const input *x;
    real *y;
} Job;

int elman_step(const Job *j)
{
    if (!can_be(j->x)) return 1;
    step(j->w, j->v, j->m, j->s, j->x, j->y);
    return 0;
}

/* One step of each of n sequences; rows says which of `states` each has. The steps have been checked. */
void elman_steps(const weight *w, const real *v, const input *m, real *states, long n, const int64_t *rows,
                 const input *x, real *y)
{
    long i = 0;
#ifdef CROWD
    for (; i + TOGETHER <= n; i += TOGETHER)
        step_together(w, v, m, states, rows + i, x + i * INPUTS, y + i * OUTPUTS);
#endif
    for (; i < n; i++) step(w, v, m, states + rows[i] * STATE, x + i * INPUTS, y + i * OUTPUTS);
}
"""


class Engine:
    """A step of a model, ready to run for any number of sequences, each with a state of its own.

    step   what is run, with the weights as they were
    first  (S,) float32: the state before the first step, all parts one after another
    finite whether a step must be finite; else NaN stands for what is missing
    why    why it does not run as C; None where it does

    compiled  False: in PyTorch, whatever there is
    crowd     whether it is to run many sequences at once, for which there is C of its own
    """

    def __init__(self, step: Causal, *, compiled: bool = True, crowd: bool = False) -> None:
        self.step = step
        self.why: str | None = "it was not to be compiled"
        self.first = flatten(step.initial(1))[0]
        self.finite = isinstance(step, StackStep) and type(step.reads) is Reads
        self._code = None
        if compiled:
            try:
                self._build(program(step, number="double", many=crowd))
            except (CompileError, OptionError) as reason:
                self.why = str(reason)

    def _build(self, made: Program) -> None:
        """Compiles the step; the first time for a model of this shape it takes part of a second."""
        compiler = find_compiler()
        if compiler is None:
            raise CompileError(no_compiler_reason())
        sizes = {
            "STATE": len(self.first),
            "INPUTS": self.step.inputs,
            "OUTPUTS": self.step.outputs,
            "FINITE": +self.finite,
        }
        named = f"enum {{ {', '.join(f'{name} = {size}' for name, size in sizes.items())} }};"
        limit = f"#define GREATEST {GREATEST!r}{chr(10) + '#define CROWD' if made.many else ''}"
        head = "/* One step of a model, written by elman: do not edit. */"
        text = "\n".join([head, made.text, named, limit, CALLS])
        code = ctypes.CDLL(str(cache.library(text, compiler, "step")))
        code.elman_step.restype, code.elman_steps.restype = ctypes.c_int, None
        self._code, self.why = code, None
        self._numbers = [np.ascontiguousarray(a) for a in (made.weights, made.vectors, made.measures)]
        self._given = [_at(a) for a in self._numbers]

    @classmethod
    def of(cls, made: Program) -> Engine:
        """One that runs this C; raises `CompileError` where it cannot."""
        engine = cls(made.step, compiled=False)
        engine._build(made)
        return engine

    def bind(self, x: np.ndarray, y: np.ndarray, state: np.ndarray) -> Callable[[], int]:
        """A call from x (I,) float64 and state (S,) to y (K,) and the next state, in place; 0, or 1 if x cannot be."""
        if self._code is None:
            return functools.partial(self._run_one, x[None], y[None], state[None])
        job = (ctypes.c_void_p * 6)(*(p.value for p in self._given), *(a.ctypes.data for a in (state, x, y)))
        return functools.partial(self._code.elman_step, job)

    def _run_one(self, x: np.ndarray, y: np.ndarray, state: np.ndarray) -> int:
        if self.wrong(x) is not None:
            return 1
        _run(self.step, x, y, state)
        return 0

    def wrong(self, x: np.ndarray) -> int | None:
        """The first of these steps (n, I) that cannot be, or None."""
        odd = ~(np.abs(x) <= GREATEST)
        odd = odd if self.finite else odd & ~np.isnan(x)
        return int(odd.any(1).argmax()) if odd.any() else None

    def many(self, states: np.ndarray, rows: np.ndarray, x: np.ndarray, y: np.ndarray, *, threads: int = 1) -> None:
        """One step of each of n sequences, their states the distinct rows (n,) of states (·, S); x (n, I), y (n, K).

        The steps must be such that `wrong` finds none.
        """
        if self._code is None:
            some = states[rows]
            _run(self.step, x, y, some)
            states[rows] = some
        elif threads == 1 or len(rows) < WORTH * threads:
            self._share(states, rows, x, y)
        else:
            cuts = np.linspace(0, len(rows), threads + 1).astype(int)
            parts = [slice(a, b) for a, b in pairwise(cuts)]
            list(_pool(threads).map(lambda part: self._share(states, rows[part], x[part], y[part]), parts))

    def _share(self, states: np.ndarray, rows: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        code: Any = self._code
        code.elman_steps(*self._given, _at(states), ctypes.c_long(len(rows)), _at(rows), _at(x), _at(y))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "elman-steps")


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _run(step: Causal, x: np.ndarray, y: np.ndarray, states: np.ndarray) -> None:
    """The same in PyTorch, for (n, I), (n, K) and (n, S)."""
    with torch.no_grad():
        said, new = step(torch.from_numpy(x), unflatten(step, states))
    y[:], states[:] = said.numpy(), flatten(new)


def unflatten(step: Causal, states: np.ndarray) -> tuple[Tensor, ...]:
    """(n, S) as parts (n, *shape)."""
    return tuple(
        torch.from_numpy(np.ascontiguousarray(states[:, place])).reshape(len(states), *part.shape)
        for part, place in layout(step.parts)
    )


def flatten(state: tuple[Tensor, ...]) -> np.ndarray:
    """Parts (n, …) as (n, S)."""
    return torch.cat([part.detach().float().reshape(len(part), -1) for part in state], 1).numpy()
