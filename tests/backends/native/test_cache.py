"""The cache of compiled libraries: many processes, killed builds, damaged files, folders that others may write."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import elman
from elman.backends.native import cache
from elman.backends.native.compiler import Compiler
from elman.errors import CompileError, OptionError, RunError

SOURCE = "int answer(void) { return 42; }\n"
ROOT = os.getuid() == 0 if os.name == "posix" else False
# A process that has the cache and nothing else: `elman.backends` itself would load torch, for seconds.
BARE = f"""
import ctypes, os, sys, time, types
for name in ("elman", "elman.backends", "elman.backends.native"):
    package = types.ModuleType(name)
    package.__path__ = [os.path.join({str(Path(elman.__file__).parents[1])!r}, *name.split("."))]
    sys.modules[name] = package
from elman.backends.native import cache
from elman.backends.native.compiler import find_compiler
SOURCE = {SOURCE!r}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache of this test alone, which does not exist yet."""
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_building(monkeypatch):
    def build(self, *_, **__):
        raise AssertionError("built again")

    return lambda: monkeypatch.setattr(Compiler, "build", build)


def start(code, **environment):
    command = [sys.executable, "-c", BARE + code]
    return subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process):
    out, problem = process.communicate(timeout=120)
    assert process.returncode == 0, problem
    return out.strip()


def answer(path):
    """Loads a copy, as the system gives a library that is loaded already back unread."""
    copy = path.with_name(f"{time.monotonic_ns()}.copy")
    copy.write_bytes(path.read_bytes())
    try:
        return ctypes.CDLL(str(copy)).answer()
    finally:
        copy.unlink()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_built_once_then_found(compiler, home, no_building):
    path = cache.library(SOURCE, compiler, "LSTM (peephole), float32")
    assert path.parent == home and path.name.startswith("lstm_peephole_float32-")
    assert answer(path) == 42
    assert path.with_suffix(".c").read_text() == SOURCE
    assert {p.name for p in home.iterdir()} <= {path.name, path.with_suffix(".c").name, cache.STORE}
    no_building()
    assert cache.library(SOURCE, compiler, "LSTM (peephole), float32") == path


def test_private_whatever_the_umask(compiler, home):
    before = os.umask(0)
    try:
        path = cache.library(SOURCE, compiler)
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.with_suffix(".c"))] == [0o600, 0o600]
    cache.library(SOURCE, compiler)


def test_the_name_depends_on_all_that_the_library_depends_on(monkeypatch):
    compiler = Compiler(("cc",), "cc 1", ("-O3", "-march=native"), 32, "target")
    changes = {
        "command": ("cc", "-DX"),
        "version": "cc 2",
        "flags": ("-O3", "-mcpu=native"),
        "target": "another instruction set",
    }
    keys = [cache._key(SOURCE, dataclasses.replace(compiler, **{k: v})) for k, v in changes.items()]
    keys += [cache._key(SOURCE, compiler), cache._key(SOURCE + " ", compiler)]
    monkeypatch.setattr(cache, "cpu_name", lambda: "another processor")
    keys += [cache._key(SOURCE, compiler)]
    assert len(set(keys)) == len(keys) == 7
    assert all(len(key) == 32 for key in keys)
    wheels = [Compiler((python, "-m", "ziglang", "cc"), "zig", ()) for python in ("/bin/python", "/bin/python3")]
    assert cache._key(SOURCE, wheels[0]) == cache._key(SOURCE, wheels[1])


@pytest.mark.parametrize("locked", [True, False])
def test_ten_processes_at_once_from_an_empty_cache(locked, compiler, home, tmp_path):
    """With the lock one of them builds; were there no locks, all would, and every one has a whole library."""
    log = tmp_path / "log"
    counting = tmp_path / "counting"
    counting.write_text(
        f'#!/bin/sh\ncase "$*" in *-lm) echo built >> {shlex.quote(str(log))};; esac\n'
        f'exec {shlex.join(compiler.command)} "$@"\n'
    )
    counting.chmod(0o755)
    code = f"""
if not {locked}:
    import fcntl
    def flock(*_): raise OSError("no locks on this disk")
    fcntl.flock = flock
compiler = find_compiler()
open({str(tmp_path)!r} + f"/ready-{{os.getpid()}}", "w").close()
while not os.path.exists({str(tmp_path / "go")!r}): time.sleep(0.001)
for number in range(2):
    path = cache.library(SOURCE.replace("42", str(42 + number)), compiler)
    print(ctypes.CDLL(str(path)).answer())
"""
    processes = [start(code, CC=str(counting)) for _ in range(10)]
    wait_for(lambda: len(list(tmp_path.glob("ready-*"))) == 10 or any(p.poll() for p in processes))
    (tmp_path / "go").touch()
    assert [ended(process) for process in processes] == ["42\n43"] * 10
    builds = log.read_text().count("built")
    assert builds == 2 if locked else builds > 2
    left = {p.name for p in home.iterdir()} - {cache.STORE}
    assert len(left) == 4 and not any(name.startswith(cache.WORK) or name.endswith(".lock") for name in left)


DAMAGES = {
    "empty": lambda content: b"",
    "a few bytes": lambda content: content[:20],
    "truncated": lambda content: content[:-1],
    "half": lambda content: content[: len(content) // 2],
    "without its checksum": lambda content: content[: -cache.SEAL],
    "only a checksum": lambda content: content[-cache.SEAL :],
    "garbage": lambda content: os.urandom(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "longer": lambda content: content + b"x",
    **{
        f"a bit flipped at {place}": lambda content, at=place: (
            content[: int(at * (len(content) - 1))]
            + bytes([content[int(at * (len(content) - 1))] ^ 1])
            + content[int(at * (len(content) - 1)) + 1 :]
        )
        for place in (0.0, 0.3, 0.6, 0.9, 1.0)
    },
}


def test_a_damaged_library_is_built_again(compiler, home):
    path = cache.library(SOURCE, compiler)
    whole = path.read_bytes()
    for damage, change in DAMAGES.items():
        path.write_bytes(change(whole))
        assert path.read_bytes() != whole, damage
        assert cache.library(SOURCE, compiler) == path
        assert answer(path) == 42, damage


def test_a_library_under_anothers_name_is_built_again(compiler, home):
    path, other = (cache.library(SOURCE.replace("42", n), compiler) for n in ("42", "43"))
    path.write_bytes(other.read_bytes())
    assert answer(cache.library(SOURCE, compiler)) == 42


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_is_refused(mode, compiler, home, no_building):
    home.mkdir()
    home.chmod(mode)
    no_building()
    for use in (lambda: cache.library(SOURCE, compiler), cache.folder, cache.entries, cache.clear):
        with pytest.raises(OptionError, match=f"only you may write compiled libraries, got mode {mode:o}") as caught:
            use()
        assert "chmod go-w" in str(caught.value) and "ELMAN_CACHE_DIR" in str(caught.value)
    assert not list(home.iterdir())


def test_a_library_that_others_may_write_is_refused(compiler, home):
    path = cache.library(SOURCE, compiler)
    path.chmod(0o662)
    with pytest.raises(OptionError, match=f"{path.name}: expected that only you may write"):
        cache.library(SOURCE, compiler)


def test_a_link_is_as_good_as_what_it_leads_to(compiler, home, tmp_path):
    real = tmp_path / "elsewhere"
    real.mkdir(mode=0o700)
    home.symlink_to(real)
    path = cache.library(SOURCE, compiler)
    assert answer(path) == 42
    open_to_all = tmp_path / "open.so"
    open_to_all.write_bytes(path.read_bytes())
    open_to_all.chmod(0o666)
    path.unlink()
    path.symlink_to(open_to_all)
    with pytest.raises(OptionError, match="got mode 666"):
        cache.library(SOURCE, compiler)
    real.chmod(0o777)
    with pytest.raises(OptionError, match="got mode 777"):
        cache.library(SOURCE, compiler)


@pytest.mark.skipif(not ROOT, reason="only root can give a file away")
def test_what_another_user_owns_is_refused(compiler, home):
    path = cache.library(SOURCE, compiler)
    os.chown(path, 12345, -1)
    with pytest.raises(OptionError, match=f"{path.name}: .* got user 12345 as the owner"):
        cache.library(SOURCE, compiler)
    os.chown(home, 12345, -1)
    with pytest.raises(OptionError, match=f"{home}: .* got user 12345 as the owner"):
        cache.library(SOURCE, compiler)


def test_a_file_in_the_folders_place(compiler, home):
    home.write_text("")
    with pytest.raises(OptionError, match="expected a folder, got a file"):
        cache.library(SOURCE, compiler)


def test_a_build_that_is_killed(compiler, home, tmp_path):
    """The process and later its compiler die half-way; the next one builds at once, and the rest is swept in time."""
    slow = tmp_path / "slow"
    slow.write_text(
        f'#!/bin/sh\ncd . ; case "$*" in *-lm) [ -e {tmp_path}/fast ] || {{ echo $$ > {tmp_path}/pid.new; '
        f"mv {tmp_path}/pid.new {tmp_path}/pid; echo part > *.so; exec sleep 60; }};; esac\n"
        f'exec {shlex.join(compiler.command)} "$@"\n'
    )
    slow.chmod(0o755)
    code = "print(ctypes.CDLL(str(cache.library(SOURCE, find_compiler()))).answer())"
    victim = start(code, CC=str(slow))
    wait_for(lambda: (tmp_path / "pid").exists() or victim.poll() is not None)
    victim.kill()
    victim.communicate()
    with contextlib.suppress(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert list(home.glob(f"{cache.WORK}*")) and not list(home.glob("*.so"))

    (tmp_path / "fast").touch()
    begun = time.monotonic()
    assert ended(start(code, CC=str(slow))) == "42"
    assert time.monotonic() - begun < cache.PATIENCE / 2
    (left,) = home.glob(f"{cache.WORK}*")
    cache.library(SOURCE.replace("42", "1"), compiler)
    assert left.exists()  # so young that it might be in use
    (home / "gru-00000000000000000000000000000000.lock").touch()
    for path in (left, home / "gru-00000000000000000000000000000000.lock"):
        os.utime(path, (0, time.time() - cache.STALE - 1))
    cache.library(SOURCE.replace("42", "2"), compiler)
    assert {p.suffix for p in home.iterdir() if p.name != cache.STORE} == {".so", ".c"}


def test_a_build_that_is_interrupted_leaves_nothing(compiler, home, monkeypatch):
    def build(self, source, library, **_):
        library.write_bytes(b"part")
        raise KeyboardInterrupt

    monkeypatch.setattr(Compiler, "build", build)
    with pytest.raises(KeyboardInterrupt):
        cache.library(SOURCE, compiler)
    assert [p.suffix for p in home.iterdir()] == [".c"]


def test_a_source_that_does_not_compile_is_kept_to_look_into(compiler, home):
    with pytest.raises(CompileError, match=r"gru-[0-9a-f]{32}\.c:1:"):
        cache.library("int answer(void) { return x; }", compiler, "gru")
    assert [p.suffix for p in home.iterdir() if p.name != cache.STORE] == [".c"]


def test_a_full_disk_is_a_warning_where_another_has_room(compiler, home, monkeypatch):
    put = cache._put

    def full(work, path, content):
        if path.parent == home:
            raise OSError(122, "Disk quota exceeded")
        put(work, path, content)

    monkeypatch.setattr(cache, "_put", full)
    with pytest.warns(cache.CacheWarning, match=r"got Disk quota exceeded\. .*Set ELMAN_CACHE_DIR") as warned:
        path = cache.library(SOURCE, compiler)
        assert cache.library(SOURCE, compiler) == path
    assert len(warned) == 1
    assert path.parent != home and answer(path) == 42


@pytest.mark.filterwarnings("ignore::elman.backends.native.cache.CacheWarning")
def test_a_full_disk_is_one_line(compiler, home, monkeypatch):
    def put(work, path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_put", put)
    with pytest.raises(RunError, match=r"No space left on device.*Free disk space"):
        cache.library(SOURCE + "/* in no folder yet */", compiler)
    assert not [p for p in home.iterdir() if p.name != cache.STORE]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write")
@pytest.mark.parametrize("where", ["ELMAN_CACHE_DIR", "XDG_CACHE_HOME", "HOME"])
def test_a_home_that_cannot_be_written(where, compiler, tmp_path, monkeypatch):
    """A folder of the process serves, its forked children leave it alone, and it goes with the process."""
    for name in ("ELMAN_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    code = """
path = cache.library(SOURCE, find_compiler())
cache.library(SOURCE + " ", find_compiler())
child = os.fork()
if not child:
    sys.exit(0)
os.waitpid(child, 0)
again = cache.library(SOURCE, find_compiler())
print(path == again, oct(path.parent.stat().st_mode)[-3:], ctypes.CDLL(str(path)).answer(), path)
"""
    process = start(code, **{where: "/proc/elman", "TMPDIR": str(tmp_path)})
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert said.count("CacheWarning: /proc/elman") == 1 and "Set ELMAN_CACHE_DIR" in said
    same, mode, got, path = out.split()
    assert (same, mode, got) == ("True", "700", "42")
    assert Path(path).parents[1] == tmp_path
    assert not list(tmp_path.iterdir())


def test_a_read_only_cache_serves_what_it_has(compiler, home, monkeypatch):
    known = cache.library(SOURCE, compiler)
    monkeypatch.setattr(cache.os, "access", lambda *_: False)
    assert cache.library(SOURCE, compiler) == known
    with pytest.warns(cache.CacheWarning) as warned:
        new = cache.library(SOURCE.replace("42", "7"), compiler)
        cache.library(SOURCE.replace("42", "8"), compiler)
    (one,) = warned
    assert str(home) in str(one.message) and "Set ELMAN_CACHE_DIR" in str(one.message)
    assert new.parent != home and answer(new) == 7
    assert cache.library(SOURCE.replace("42", "7"), compiler) == new
    assert [e.path for e in cache.entries()] == [known]


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ELMAN_CACHE_DIR", raising=False)
    base = "Library/Caches" if sys.platform == "darwin" else ".cache"
    assert cache.wanted() == tmp_path / base / "elman"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.wanted() == tmp_path / base / "elman"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.wanted() == tmp_path / "xdg" / "elman"
    monkeypatch.setenv("ELMAN_CACHE_DIR", "~/own")
    assert cache.wanted() == tmp_path / "own"


def test_list_and_clear(compiler, home):
    assert cache.entries() == [] and cache.clear() == 0
    assert not home.exists()
    paths = [cache.library(SOURCE, compiler, name) for name in ("LSTM", "GRU")]
    mine = [home / "thesis.c", home / "libm.so", home / "folder"]
    for path in mine[:2]:
        path.write_text("not elman's")
    mine[2].mkdir()
    listed = cache.entries()
    assert [(e.name, e.path) for e in listed] == [("gru", paths[1]), ("lstm", paths[0])]
    assert all(e.size == e.path.stat().st_size + len(SOURCE) and abs(time.time() - e.built) < 60 for e in listed)
    size = sum(p.stat().st_size for p in home.iterdir() if p.is_file()) - 2 * len("not elman's")
    assert sum(e.size for e in listed) == size
    paths[0].with_suffix(".c").unlink()
    size -= len(SOURCE)
    assert sum(e.size for e in cache.entries()) == size
    assert cache.clear() >= size > 0
    assert sorted(home.iterdir()) == sorted(mine)
    assert cache.entries() == [] and cache.clear() == 0
    assert answer(cache.library(SOURCE, compiler)) == 42
