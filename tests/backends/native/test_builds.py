"""The same source built in other ways: with AddressSanitizer and UndefinedBehaviorSanitizer, and for narrower vectors.

Each build runs contract tests in a process of its own, through a $CC that adds its flags and a cache of its own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# At -O3 instrumented code takes half a minute a cell to compile. Tensors are watched, too: torch asks posix_memalign.
SANITIZE = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
# Cells that together have every kind of gate, number of states, parameters, hoisted values and libm.
CELLS = ("users_own", "lstm", "gru", "lru", "slstm", "minlstm")
CONTRACTS = {
    "tests/contracts/test_gradients.py": "equals_eager or recomputing",
    "tests/contracts/test_time.py": "streams or padding or order",
    "tests/contracts/test_sizes.py": "odd_sizes or empty or large",
}
# Besides: threads, streams and shapes; forked children are left out, as a sanitizer is not made for them.
NEIGHBOURS = {
    "test_lanes": "",
    "test_threads": "any_number or more_threads or share",
    "test_stepper": "one_pass and ([users_own or [lstm or [gru or [slstm)",
    "test_kernel": "lstm or users_own",
    "test_fuzz": "",
}
NARROW = {"AVX2": "-mno-avx512f", "SSE2": "-march=x86-64"}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """For compilers and caches, shared by the tests that build in the same way."""
    return tmp_path_factory.mktemp("builds")


@pytest.fixture
def built_with(compiler, room):
    """The environment in which all is compiled with these flags, after all others."""

    def environment(flags):
        own = room / hashlib.sha256(flags.encode()).hexdigest()[:8]
        own.mkdir(exist_ok=True)
        script = own / "cc"
        script.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec {shlex.join(compiler.command)} "$@" {flags}\n')
        script.chmod(0o755)
        return {**os.environ, "CC": str(script), "ELMAN_CACHE_DIR": str(own / "cache"), "OMP_NUM_THREADS": "1"}

    return environment


@pytest.fixture
def sanitized(compiler, built_with):
    """The environment for both sanitizers."""
    found = []
    for name in ("libasan.so", "libstdc++.so.6"):  # the second, as else a C++ exception in torch stops the first
        command = [*compiler.command, f"-print-file-name={name}"]
        found.append(Path(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()))
        if not found[-1].is_absolute():
            pytest.skip(f"the compiler has no {name} that could be loaded into Python")
    options = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return {**built_with(SANITIZE), **options, "LD_PRELOAD": " ".join(map(str, found))}


def assert_passes(environment, file, which=""):
    """Runs these tests, of which there must be some; all must pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-s", file, "-k", which, "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[:3000]}"


def assert_contracts_hold(environment, file, what, cells=CELLS):
    """Runs contract tests of the native backend."""
    assert_passes(environment, file, f"native and ({' or '.join(f'[{cell}-' for cell in cells)}) and ({what})")


BROKEN = """
import ctypes, sys, torch
from elman.backends.native import cache
from elman.backends.native.compiler import find_compiler
code = ctypes.CDLL(str(cache.library('''
typedef float vec __attribute__((vector_size(32), aligned(4)));
float sum(const float *p, long from) { vec v = *(const vec *)(p + from); return v[0] + v[7]; }
int overflow(int n) { return n + 1; }
''', find_compiler(), "broken")))
numbers = torch.empty(17)
print("before", flush=True)
if sys.argv[1] == "read":
    code.sum(ctypes.c_void_p(numbers.data_ptr()), ctypes.c_long(int(sys.argv[2])))
else:
    code.overflow(ctypes.c_int(int(sys.argv[2])))
print("after", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "what, number, complaint",
    [
        ("read", "9", None),
        ("read", "10", "ERROR: AddressSanitizer"),  # one number past the end of a tensor
        ("overflow", "41", None),
        ("overflow", str(2**31 - 1), "signed integer overflow"),
    ],
)
def test_the_sanitizers_see_what_they_should(sanitized, what, number, complaint):
    command = [sys.executable, "-c", BROKEN, what, number]
    done = subprocess.run(command, env=sanitized, capture_output=True, text=True, cwd=ROOT, check=False)
    assert "before" in done.stdout, done.stderr[-3000:]
    assert ("after" in done.stdout) == (complaint is None), done.stderr[-3000:]
    assert complaint is None or complaint in done.stderr


SHORT = """
import torch, elman
from elman.backends.native.kernel import Frame
whole = Frame.room
def one_row_less(self, like, columns):
    room = whole(self, like, columns)
    return None if room is None else room[:-1].clone()
if {short}:
    Frame.room = one_row_less
y, _ = elman.Recurrent("lstm", 3, 5, backend="native")(torch.ones(2, 4, 3))
y.sum().backward()
print("after", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("short", [False, True])
def test_the_sanitizers_see_a_kernel_that_leaves_its_buffer(sanitized, short):
    command = [sys.executable, "-c", SHORT.format(short=short)]
    done = subprocess.run(command, env=sanitized, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ("after" in done.stdout) != short, done.stderr[-3000:]
    assert ("ERROR: AddressSanitizer" in done.stderr) == short, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("file, what", CONTRACTS.items(), ids=lambda v: Path(v).stem if v.endswith(".py") else "")
def test_the_contracts_hold_under_the_sanitizers(sanitized, file, what):
    assert_contracts_hold(sanitized, file, what)


@pytest.mark.slow
@pytest.mark.parametrize("file, which", NEIGHBOURS.items(), ids=NEIGHBOURS)
def test_its_own_tests_pass_under_the_sanitizers(sanitized, file, which):
    assert_passes(sanitized, f"tests/backends/native/{file}.py", which)


@pytest.mark.slow
@pytest.mark.parametrize("flags", NARROW.values(), ids=NARROW)
@pytest.mark.parametrize("file, what", CONTRACTS.items(), ids=lambda v: Path(v).stem if v.endswith(".py") else "")
def test_the_contracts_hold_for_narrower_vectors(built_with, flags, file, what):
    if platform.machine() != "x86_64":
        pytest.skip(f"{flags} is a flag for x86-64")
    assert_contracts_hold(built_with(flags), file, what, cells=(*CELLS, "elman", "indrnn", "leaky"))


@pytest.mark.slow
@pytest.mark.parametrize("flags", NARROW.values(), ids=NARROW)
@pytest.mark.parametrize("file", ["test_lanes", "test_render", "test_fuzz"])
def test_its_own_tests_pass_for_narrower_vectors(built_with, flags, file):
    if platform.machine() != "x86_64":
        pytest.skip(f"{flags} is a flag for x86-64")
    assert_passes(built_with(flags), f"tests/backends/native/{file}.py", "not same_in_every_process")
