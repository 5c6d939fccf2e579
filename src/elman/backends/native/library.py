"""A cell's compiled library: rendered, built or found in the cache, opened once per process."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman.backends.native import cache
from elman.backends.native.arguments import Arguments
from elman.backends.native.compiler import find_compiler, no_compiler_reason
from elman.backends.native.render import render
from elman.errors import CompileError
from elman.graph import Traced

_open: dict[tuple[str, torch.dtype, bool], Library] = {}


class Library:
    """The C functions of one cell in one number type; a call lets other Python threads run.

    lanes      units in a vector: V; units are padded to a multiple of it
    norm       whether it normalises R h
    gates      of the cell
    arguments  the layout of what the functions take
    """

    def __init__(self, path: Path, traced: Traced, *, norm: bool) -> None:
        try:
            code = ctypes.CDLL(str(path))
        except OSError as problem:  # a folder mounted noexec
            hint = "Set ELMAN_CACHE_DIR to a folder that programs may run from."
            raise CompileError(f"{path}: expected a library that can be loaded, got {problem}. {hint}") from problem
        self.path, self.norm, self.gates = path, norm, len(traced.gates)
        self.arguments = Arguments(len(traced.cell.states))
        self.lanes: int = code.elman_lanes()
        self.scratch, self.forward, self.backward = code.elman_scratch, code.elman_forward, code.elman_backward
        self.scratch.restype = ctypes.c_long
        self.scratch.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self.open, self.step = code.elman_open, code.elman_step
        self.job_bytes: int = code.elman_job_bytes()
        for function, count in ((self.forward, 1), (self.backward, 1), (self.open, 2)):
            function.restype = None
            function.argtypes = [ctypes.c_void_p] * count
        self.step.restype = None
        self.step.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long]

    def arrange(self, fields: Mapping[str, Any], *, backward: bool) -> tuple[ctypes.Array[ctypes.c_int64], Tensor]:
        """The bytes of `Args` with scratch memory of the size that the call asks for, and that memory."""
        args = self.arguments.fill(fields)
        scratch = torch.empty(self.scratch(args, backward), dtype=torch.uint8)
        args[self.arguments.place["scratch"]] = scratch.data_ptr()
        return args, scratch

    def padded(self, units: int) -> int:
        """The least multiple of V that holds so many units."""
        return -(-units // self.lanes) * self.lanes


def library(traced: Traced, dtype: torch.dtype, *, layer_norm: bool) -> Library:
    """The library of this cell; the first call may compile, for about a second.

    Raises `CompileError` without a compiler or when it fails, `OptionError` for a cache folder that cannot be trusted.
    """
    norm = layer_norm and bool(traced.recurrent)
    key = (traced.fingerprint, dtype, norm)
    if key not in _open:
        compiler = find_compiler()
        if compiler is None:
            raise CompileError(no_compiler_reason())
        path = cache.library(render(traced, dtype, layer_norm=norm), compiler, traced.name.lower())
        _open[key] = Library(path, traced, norm=norm)
    return _open[key]


_forked = False


def openmp() -> tuple[int, int]:
    """The addresses of `GOMP_parallel` and `omp_get_num_threads` in the OpenMP runtime that torch itself runs on.

    (0, 0) where there is none: threads of our own then. Sharing torch's keeps two pools from fighting for the cores.
    They do not survive a fork, and calling them afterwards would wait for ever.
    """
    return (0, 0) if _forked else _openmp_of_torch()


@functools.cache
def _openmp_of_torch() -> tuple[int, int]:
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        try:
            code = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))
            parallel, size = (ctypes.cast(f, ctypes.c_void_p) for f in (code.GOMP_parallel, code.omp_get_num_threads))
            return parallel.value or 0, size.value or 0
        except (OSError, AttributeError):
            continue
    return 0, 0


def _remember_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_fork)
