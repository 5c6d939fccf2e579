"""A cell's kernels: rendered and made a module, once per process. Triton keeps what it compiles itself."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import linecache
import os
from types import ModuleType
from typing import Any

from elman.backends.triton.render import render
from elman.graph import Traced

OLDEST = [3, 3]
"""of triton: 3.2's compiler breaks off at some kernels"""

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
    """Why there are no kernels: triton is not there, or one whose compiler breaks off at some of them."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed. pip install 'elman[gpu]' brings it"
    version = importlib.metadata.version("triton")
    if [int(part) for part in version.split(".")[:2]] < OLDEST:
        return f"triton {version} is too old. It takes {OLDEST[0]}.{OLDEST[1]}, which comes with torch 2.7"
    return None


def interpreted() -> bool:
    """Whether triton runs kernels on the CPU, one operation after another (TRITON_INTERPRET=1)."""
    return os.environ.get("TRITON_INTERPRET") == "1"
