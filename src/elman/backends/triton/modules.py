"""A cell's kernels: rendered and made a module, once per process. Triton keeps what it compiles itself."""

from __future__ import annotations

import functools
import importlib.util
import linecache
import os
from types import ModuleType
from typing import Any

from elman.backends.triton.render import render
from elman.graph import Traced

_open: dict[tuple[str, int], ModuleType] = {}


def kernels(traced: Traced, chunks: int) -> Any:
    """A module with `forward` and `backward` of this cell, which read h in so many chunks."""
    key = traced.fingerprint, chunks
    if key not in _open:
        source = render(traced, chunks)
        name = f"elman_{traced.name.lower()}_{traced.fingerprint}_{chunks}"
        _open[key] = _module(name, source)
    return _open[key]


def _module(name: str, source: str) -> ModuleType:
    """The source as a module that is in no file; triton reads its functions' text where tracebacks do."""
    module, place = ModuleType(name), f"<{name}>"
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
    exec(compile(source, place, "exec"), module.__dict__)
    return module


@functools.cache
def missing() -> str | None:
    """Why there are no kernels: triton is not there."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed. pip install 'elman[gpu]' brings it"
    return None


def interpreted() -> bool:
    """Whether triton runs kernels on the CPU, one operation after another (TRITON_INTERPRET=1)."""
    return os.environ.get("TRITON_INTERPRET") == "1"
