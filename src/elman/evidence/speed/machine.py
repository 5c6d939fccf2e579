"""The machine that is measured: what it is, what it can do at most, and how to make it act as an older one."""

from __future__ import annotations

import ctypes
import datetime
import os
import platform
import shlex
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import torch

import elman
from elman.backends.native.compiler import Compiler, find_compiler, no_compiler_reason
from elman.errors import OptionError

FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512vl", "asimd", "sve")
ISAS = ("native", "avx2")
CHOSEN = "ELMAN_BENCH_ISA"  # set in the process that `restrict` starts
# torch's own kernels, MKL and oneDNN, each told in its own way.
LIMITS = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}

_FMA = """
typedef float vec __attribute__((vector_size(%(bytes)d)));
float peak(long turns)
{
    vec a[12], m, c;
    for (int k = 0; k < 12; k++) a[k] = (vec){0} + (float)k;
    m = (vec){0} + 0.5f;
    c = (vec){0} + 1.0f;
    for (long i = 0; i < turns; i++)
        for (int k = 0; k < 12; k++) a[k] = a[k] * m + c;
    vec sum = {0};
    for (int k = 0; k < 12; k++) sum += a[k];
    return sum[0];
}
"""


def restrict(isa: str, arguments: list[str]) -> None:
    """Starts the command anew, for good, with peers and ours held to those vector instructions.

    Raises `OptionError` for an unknown name, or a machine that has none of that kind.
    """
    if isa not in ISAS:
        raise OptionError(f"elman bench: --isa must be one of {', '.join(ISAS)}, got {isa!r}.")
    if isa == "native" or os.environ.get(CHOSEN) == isa:
        return
    if platform.machine() not in ("x86_64", "AMD64"):
        raise OptionError(f"elman bench: --isa {isa} is for x86-64 processors, this one is {platform.machine()}.")
    compiler = required_compiler()
    # Behind all other arguments, as the last -march counts.
    run = f'exec {shlex.join(compiler.command)} "$@" -march=haswell'
    ours = {"CC": f"sh -c {shlex.quote(run)} cc", CHOSEN: isa}
    os.execve(sys.executable, [sys.executable, "-m", "elman.cli.app", *arguments], {**os.environ, **LIMITS, **ours})


def required_compiler() -> Compiler:
    """The C compiler; raises `OptionError` without one, as there is nothing to measure then."""
    compiler = find_compiler()
    if compiler is None:
        raise OptionError(
            f"elman bench: expected a C compiler, as compiled cells are measured: {no_compiler_reason()}."
        )
    return compiler


def describe() -> dict[str, Any]:
    """Processor, versions, date, and how busy the machine is."""
    processor = _processor()
    compiler = find_compiler()
    return {
        "processor": processor.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in processor.get("flags", processor.get("Features", "")).split()],
        "system": f"{platform.system()} {platform.machine()}",
        "isa": os.environ.get(CHOSEN, "native"),
        "torch_vectors": torch.backends.cpu.get_cpu_capability(),
        "our_vector_bytes": compiler.vector_bytes if compiler else None,
        "compiler": str(compiler) if compiler else None,
        "elman": elman.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "load": load(),
    }


def load() -> float | None:
    """Processes that wanted to run, on average over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def peaks(threads: tuple[int, ...], seconds: float = 0.2) -> dict[int, dict[str, float]]:
    """float32 GFLOP/s by number of threads: of multiply-adds in registers, and of torch's product of large matrices."""
    return {n: {"registers": _in_registers(n, seconds), "product": _of_product(n, seconds)} for n in threads}


def _in_registers(threads: int, seconds: float) -> float:
    compiler = required_compiler()
    with tempfile.TemporaryDirectory(prefix="elman-", ignore_cleanup_errors=True) as folder:
        source, built = Path(folder, "peak.c"), Path(folder, "peak.so")
        source.write_text(_FMA % {"bytes": compiler.vector_bytes})
        compiler.build(source, built)
        run = ctypes.CDLL(str(built)).peak
    run.argtypes, run.restype = [ctypes.c_long], ctypes.c_float
    turns, best, took = 1 << 20, 0.0, 0.0
    with ThreadPoolExecutor(threads) as pool:
        end = time.perf_counter() + seconds
        while not best or time.perf_counter() < end:
            start = time.perf_counter()
            list(pool.map(run, [turns] * threads))
            took = time.perf_counter() - start
            best = max(best, threads * turns * 12 * 2 * compiler.vector_bytes / 4 / took / 1e9)
    return best


def _of_product(threads: int, seconds: float, size: int = 1024) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a, b = torch.randn(2, size, size)
        best, end = 0.0, time.perf_counter() + seconds
        while not best or time.perf_counter() < end:
            start = time.perf_counter()
            torch.mm(a, b)
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
        return best
    finally:
        torch.set_num_threads(before)


def _processor() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
