"""Finding a C compiler and building with it: real compilers, and shell scripts that behave like bad ones."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shlex
import time

import pytest

from elman.backends.native import compiler as compilers
from elman.backends.native.compiler import (
    cpu_name,
    find_compiler,
    no_compiler_reason,
    passed_over,
)
from elman.errors import CompileError

WIDTH = """
int width(void) {
#if defined(__AVX512F__)
    return 64;
#elif defined(__AVX__)
    return 32;
#else
    return 16;
#endif
}
"""
# What the native backend asks of a compiler: vectors, threads, the mathematical library.
ALL_THAT_IS_NEEDED = """
#include <math.h>
#include <pthread.h>
typedef float vec __attribute__((vector_size(VECTOR), aligned(4)));
static void *fill(void *given) { *(vec *)given = (vec){0} + 3; return 0; }
double answer(double x) {
    float numbers[VECTOR / 4] = {0};
    pthread_t thread;
    if (pthread_create(&thread, 0, fill, numbers)) return -1;
    pthread_join(thread, 0);
    return numbers[VECTOR / 4 - 1] + exp(x);
}
"""


@pytest.fixture
def real(compiler):
    return find_compiler()  # asked anew: what is cached may have been dropped since the session began


@pytest.fixture
def script(tmp_path, monkeypatch, real):
    """Makes a shell script that stands for the compiler; `exec $REAL` in it goes on to a real one."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    folder = tmp_path / "bin"
    folder.mkdir()
    usual = shlex.quote(os.environ["PATH"])

    def make(body, name="cc"):
        path = folder / name
        path.write_text(f"#!/bin/sh\nPATH={usual}\nREAL={shlex.quote(shlex.join(real.command))}\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/nowhere{time.monotonic_ns()}")  # a PATH that was never searched before
        return path

    monkeypatch.delenv("CC", raising=False)
    return make


def answer_of(compiler, tmp_path, source, name, result=ctypes.c_int):
    (tmp_path / "source.c").write_text(source)
    compiler.build(tmp_path / "source.c", tmp_path / "source.so")
    function = getattr(ctypes.CDLL(str(tmp_path / "source.so")), name)
    function.restype = result
    return function


def test_it_builds_all_that_is_needed(real, tmp_path):
    source = ALL_THAT_IS_NEEDED.replace("VECTOR", str(real.vector_bytes))
    answer = answer_of(real, tmp_path, source, "answer", ctypes.c_double)
    assert answer(ctypes.c_double(0.0)) == 4


def test_the_vector_width_is_the_one_of_its_builds(real, tmp_path):
    assert answer_of(real, tmp_path, WIDTH, "width")() == real.vector_bytes


def test_the_flags_keep_the_promises(real):
    assert "-ffast-math" not in real.flags
    assert "-fopenmp" not in real.flags
    assert real.version and "\n" not in real.version
    assert len(real.target) == 64


def test_found_once_per_process(real, monkeypatch):
    monkeypatch.setattr(compilers.subprocess, "Popen", None)
    assert find_compiler() is real


def test_cc_with_arguments(real, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", shlex.join([*real.command, "-DANSWER=42"]))
    found = find_compiler()
    assert found is not None and found.command[-1] == "-DANSWER=42"
    assert answer_of(found, tmp_path, "int answer(void) { return ANSWER; }", "answer")() == 42


def test_cc_goes_first_by_name_and_by_path(script, monkeypatch, tmp_path):
    script("exec $REAL $*")
    other = script("exec $REAL $*", "other")
    for name in ("other", str(other)):
        monkeypatch.setenv("CC", name)
        found = find_compiler()
        assert found is not None and found.command == (str(other),)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", "bin/other")
    found = find_compiler()
    assert found is not None
    assert answer_of(found, other.parent, WIDTH, "width")() in (16, 32, 64)


@pytest.mark.parametrize(
    ("cc", "reason"),
    [
        ("nothing-of-this-name -O2", "there is no nothing-of-this-name"),
        ("cc 'unclosed", "No closing quotation"),
        ("broken", "status 3 broken: cannot find its own parts"),
        ("silent", "status 0"),
    ],
)
def test_a_cc_that_does_not_run_is_passed_over_and_named(cc, reason, script, monkeypatch):
    script("echo 'broken: cannot find its own parts' >&2; exit 3", "broken")
    script("exit 0", "silent")
    works = script("exec $REAL $*")
    monkeypatch.setenv("CC", cc)
    found = find_compiler()
    assert found is not None and found.command == (str(works),)
    (said,) = passed_over()
    assert said.startswith(f"$CC ({cc}) was passed over: ") and reason in said


def test_no_compiler_at_all(script, monkeypatch):
    script("echo 'xcrun: error: invalid active developer path' >&2; exit 1")
    assert find_compiler() is None
    reason = no_compiler_reason()
    assert "pip install ziglang" in reason and "apt install gcc" in reason
    assert "cc was passed over: --version ends with status 1 xcrun: error: invalid active developer path" in reason
    assert "\n" not in reason
    assert "looked for $CC, cc, gcc, clang, ziglang" in reason


def test_nothing_on_the_path_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert find_compiler() is None
    assert passed_over() == ()


def test_no_reason_where_there_is_a_compiler(real):
    assert no_compiler_reason() == ""


@pytest.mark.parametrize(("refused", "taken"), [("*-march=*", "-mcpu=native"), ("*=native*", None)])
def test_a_compiler_that_does_not_know_march_native(refused, taken, script, tmp_path):
    # gcc for x86 takes -mcpu, clang does not; either way something is found that builds.
    script(f"case \"$*\" in {refused}) echo 'error: no such option' >&2; exit 1;; esac; exec $REAL $*")
    found = find_compiler()
    assert found is not None and "-march=native" not in found.flags
    assert taken is None or taken in found.flags or not any("native" in flag for flag in found.flags)
    assert answer_of(found, tmp_path, WIDTH, "width")() == found.vector_bytes


def test_a_compiler_for_another_machine_is_passed_over(script):
    script("case \"$*\" in *-E*) echo '#define __sparc__ 1';; *) echo 'cc 1.0';; esac")
    assert find_compiler() is None
    assert "does not compile for" in passed_over()[0]


def test_a_compiler_without_headers_is_passed_over(script):
    script(
        'case "$*" in *-E*) echo "probe.c:1:10: fatal error: math.h: No such file" >&2; exit 1;; esac; exec $REAL $*'
    )
    assert find_compiler() is None
    assert "math.h" in passed_over()[0]


def test_a_compiler_that_never_ends_is_stopped_with_all_that_it_started(script, tmp_path, monkeypatch):
    monkeypatch.setattr(compilers, "ASKING", 0.3)
    script(f"(/bin/sleep 1.2; : > {tmp_path}/late) & wait")
    assert find_compiler() is None
    assert "timed out" in passed_over()[0]
    monkeypatch.setattr(compilers, "ASKING", 30.0)
    monkeypatch.setattr(compilers, "BUILDING", 0.3)
    script(f'case "$*" in *-lm) (/bin/sleep 1.2; : > {tmp_path}/late) & wait;; esac; exec $REAL $*')
    found = find_compiler()
    assert found is not None
    with pytest.raises(CompileError, match=r"expected source\.c to compile within 0 s"):
        answer_of(found, tmp_path, WIDTH, "width")
    time.sleep(1.3)
    assert not (tmp_path / "late").exists()


def test_a_source_that_does_not_compile(real, tmp_path):
    with pytest.raises(CompileError) as caught:
        answer_of(real, tmp_path, "int one(void) { return missing; }\nint two(void) { return absent; }", "one")
    said = str(caught.value)
    assert said.startswith(
        f"{real.version} ({shlex.join(real.command)}): expected to compile source.c, got source.c:1:"
    )
    assert "missing" in said and "absent" in said and said.endswith("use backend='eager'.")
    assert "\n" not in said
    assert not (tmp_path / "source.so").exists()


def test_a_compiler_that_fails_without_a_word_or_is_gone(script, tmp_path):
    path = script('case "$*" in *-lm) exit 7;; esac; exec $REAL $*')
    found = find_compiler()
    assert found is not None
    with pytest.raises(CompileError, match="exit status 7 without a word"):
        answer_of(found, tmp_path, WIDTH, "width")
    path.unlink()
    with pytest.raises(CompileError, match="expected to run, got No such file"):
        answer_of(found, tmp_path, WIDTH, "width")


def test_the_name_of_the_processor():
    assert cpu_name() == cpu_name.__wrapped__()
    assert "MHz" not in cpu_name() and "bogomips" not in cpu_name().lower()  # they change from minute to minute


def test_ziglang(tmp_path, monkeypatch):
    pytest.importorskip("ziglang")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("CC", raising=False)
    found = find_compiler()
    assert found is not None and found.command[1:] == ("-m", "ziglang", "cc") and "ziglang" in found.version
    source = ALL_THAT_IS_NEEDED.replace("VECTOR", str(found.vector_bytes))
    assert answer_of(found, tmp_path, source, "answer", ctypes.c_double)(ctypes.c_double(0.0)) == 4
