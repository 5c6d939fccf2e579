"""A model as WebAssembly: the C99 file, compiled for what runs in every browser."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.errors import CompileError, MissingExtraError
from elman.export.c import Exported, to_c
from elman.export.model import causal_of
from elman.files import write_atomic
from elman.steps.program import program

# memory.copy and memory.fill in place of a library's, vectors of 16 bytes: browsers from 2023 on.
FLAGS = ("-std=c99", "-O3", "-msimd128", "-mbulk-memory", "-nostdlib")
LINKED = ("--no-entry", "--strip-all", "--export=__heap_base", "-z", "stack-size=1048576")
SECONDS = 300.0


@dataclass(frozen=True)
class ExportedWasm:
    """What was written: the module, which exports `NAME_init`, `NAME_step`, `memory` and `__heap_base`, and its C."""

    path: Path
    size: int
    c: Exported


def to_wasm(model: Any, folder: Path | str, name: str = "model") -> ExportedWasm:
    """Writes `name.wasm` beside the `name.c` and `name.h` that it is made of.

    A page puts states, x and y anywhere from `__heap_base` on, each of the sizes that the header names.

    Raises what `to_c` raises, `MissingExtraError` without clang and wasm-ld or the ziglang wheel, `CompileError`.
    """
    program(causal_of(model))  # a model that has no C is told so first: no compiler would help it
    command = _compiler()
    made = to_c(model, folder, name)
    path = made.source.with_suffix(".wasm")
    linked = f"-Wl,{','.join([*LINKED, f'--export={name}_init', f'--export={name}_step'])}"
    with tempfile.TemporaryDirectory(prefix="elman-") as work:
        built = Path(work) / path.name
        command += [*FLAGS, linked, str(made.source), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            problem = next((line for line in done.stderr.splitlines() if "error" in line), f"status {done.returncode}")
            raise CompileError(f"to_wasm: {command[0]} could not compile {made.source.name}, got {problem}.")
        write_atomic(path, built.read_bytes())
    return ExportedWasm(path, path.stat().st_size, made)


def _compiler() -> list[str]:
    """What compiles for WebAssembly here: clang with its linker, or zig, which brings both."""
    clang = shutil.which("clang")
    if clang is not None and shutil.which("wasm-ld") is not None:
        return [clang, "--target=wasm32"]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc", "--target=wasm32-freestanding"]
    raise MissingExtraError(
        "to_wasm: needs a compiler for WebAssembly. pip install 'elman[compiler]', or clang and lld."
    )
