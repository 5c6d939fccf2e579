"""Which backend runs: the one asked for or, with "auto", the first that does not refuse."""

from __future__ import annotations

from torch import Tensor

from elman.backends.base import Backend, Pass, Weights
from elman.backends.builtin import Torch
from elman.backends.eager import Eager
from elman.backends.native.backend import Native
from elman.backends.triton.backend import Triton
from elman.errors import OptionError, UnknownNameError, suggest
from elman.graph import Traced

# Fastest first, as far as measured: where torch has cuDNN for a cell, Triton is behind it until a GPU has said
# otherwise. The last one refuses nothing.
FASTEST_FIRST: tuple[Backend, ...] = (Native(), Torch(), Triton(), Eager())
BACKENDS: dict[str, Backend] = {backend.name: backend for backend in FASTEST_FIRST}


def check_backend(name: str, where: str) -> None:
    """Raises `UnknownNameError` unless `name` is "auto" or a backend."""
    if name != "auto" and name not in BACKENDS:
        raise UnknownNameError(f"{where}: unknown backend {name!r}, {suggest(name, ['auto', *BACKENDS])}")


def select(name: str, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> Backend:
    """The backend to use; one that was asked for by name runs or raises `OptionError` with its reason."""
    if name != "auto":
        check_backend(name, f"backend of {traced.name}")
        reason = BACKENDS[name].refusal(traced, weights, x, how)
        if reason is not None:
            raise OptionError(
                f"backend={name!r}: cannot run {traced.name} because {reason.rstrip('.')}. Use backend='auto'."
            )
        return BACKENDS[name]
    return next(b for b in BACKENDS.values() if b.refusal(traced, weights, x, how) is None)


def explain(name: str, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str:
    """Which backend `select` would choose, and why each other was refused, one line each."""
    check_backend(name, f"backend of {traced.name}")
    lines = []
    for key, backend in BACKENDS.items():
        reason = backend.refusal(traced, weights, x, how)
        note = None if reason else backend.note(traced, weights, x, how)
        lines.append(
            f"{key}: " + (f"refused because {reason}" if reason else f"can run ({note})" if note else "can run")
        )
    return f"{select(name, traced, weights, x, how).name} (asked for: {name})\n" + "\n".join(lines)
