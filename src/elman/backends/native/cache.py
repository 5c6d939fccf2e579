"""Compiled libraries of this user, kept from process to process: a folder of files that are whole, sealed and private.

Loading a library runs it, so nothing is loaded that another user could have written. Each file ends in a checksum (the
loader does not look past the library's own end): a damaged one is built again. The C source lies beside it, to read.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from elman.backends.native.compiler import Compiler, cpu_name
from elman.errors import OptionError, RunError
from elman.files import remove, sync_folder, write_failure

PATIENCE = 120.0  # seconds to wait for another process that builds the same library, before building it as well
STALE = 3600.0  # seconds after which what a killed build has left is swept away
SEAL = hashlib.sha256().digest_size
OURS = re.compile(r"[a-z0-9_]+-[0-9a-f]{32}\.(so|c|lock)")  # `clear` touches nothing else
WORK = ".build-"
STORE = ".zig"


class CacheWarning(UserWarning):
    """Libraries cannot be kept, so that each process compiles anew; the message names the folder."""


@dataclass(frozen=True)
class Entry:
    """One library: its name without the hash, its file, when it was built, in seconds since 1970, and the bytes that it
    takes together with its C source."""

    name: str
    path: Path
    size: int
    built: float


def library(source: str, compiler: Compiler, name: str = "cell") -> Path:
    """The shared library of a C source, out of the cache or built now; whole and checked, ready to be loaded.

    `name` only makes the file's name readable. What the library depends on (source, compiler, flags, processor) is in
    the hash behind it, so that a home folder may be shared by unlike machines. Any number of processes may ask at once.
    Where it cannot be kept it goes into a folder of this process alone, and a `CacheWarning` says so, once.

    Raises OptionError when another user could have written the folder or the file, CompileError when the compiler
    fails, RunError when every disk is full.

    >>> from elman.backends.native.compiler import find_compiler
    >>> compiler = find_compiler()
    >>> compiler is None or library("int one(void) { return 1; }", compiler).is_file()
    True
    """
    file = f"{_readable(name)}-{_key(source, compiler)}.so"
    places = _places()
    for place in places:
        if _sound(place / file):
            return place / file
    home = _home()
    if _writable(home):
        try:
            return _build(home / file, source, compiler)
        except RunError as problem:  # a full disk, most often of a quota: a temporary folder is on another
            _warn_unkept(str(getattr(problem.__cause__, "strerror", problem)))
    else:
        _warn_unkept("one that cannot be used")
    return _build(_temporary(os.getpid()) / file, source, compiler)


def folder() -> Path:
    """Where new libraries go, made if need be: `wanted()`, or where that cannot be used a folder of this process alone.

    Raises OptionError when another user could write there.
    """
    return _places()[-1]


def wanted() -> Path:
    """Where libraries should be kept: $ELMAN_CACHE_DIR, else elman's folder in the user's cache."""
    asked = os.environ.get("ELMAN_CACHE_DIR")
    if asked:
        return Path(asked).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the standard says that a relative one is to be ignored
        return base / "elman"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "elman"


def entries() -> list[Entry]:
    """The libraries that are kept, by name.

    >>> all(entry.size >= entry.path.stat().st_size for entry in entries())
    True
    """
    place = _known()
    if place is None:
        return []
    found = []
    for path in sorted(place.glob("*.so")):
        if OURS.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):  # another process has just cleared the cache
                status = path.lstat()
                found.append(Entry(path.name[:-36], path, status.st_size + _source_size(path), status.st_mtime))
    return found


def _source_size(path: Path) -> int:
    try:
        return path.with_suffix(".c").lstat().st_size
    except OSError:
        return 0


def clear() -> int:
    """Removes the libraries and all that belongs to them; the bytes that were freed.

    A process that has one loaded keeps it, one that is building another is not disturbed. Other files are let be.

    Raises OptionError when another user could write in the folder.
    """
    place = _known()
    if place is None:
        return 0
    freed = _sweep(place)
    for path in list(place.iterdir()):
        if path.name == STORE and not any(place.glob("*.lock")):  # else a compiler may be using it
            freed += _remove_tree(path)
        elif OURS.fullmatch(path.name) and path.suffix != ".lock":
            size = path.lstat().st_size
            remove(path)
            freed += 0 if path.exists() else size
    return freed


def _places() -> list[Path]:
    """Where a library may lie. The last is where it is built: a folder of this process if the user's cannot take it."""
    home = _home()
    if home is None:
        return [_temporary(os.getpid())]
    return [home] if _writable(home) else [home, _temporary(os.getpid())]


def _writable(home: Path | None) -> TypeGuard[Path]:
    return home is not None and os.access(home, os.W_OK | os.X_OK)


_warned: set[str] = set()


def _warn_unkept(got: str) -> None:
    """Warns, once per process and folder, that what is compiled now is not kept."""
    try:
        home = str(wanted())
    except RuntimeError:  # a user without a home
        home = "~/.cache/elman"
    if home not in _warned:
        _warned.add(home)
        wish = "expected a folder for compiled libraries that can be written and that programs may run from"
        mend = "Each process compiles its cells anew. Set ELMAN_CACHE_DIR to a folder that can keep them."
        warnings.warn(f"{home}: {wish}, got {got.rstrip('.')}. {mend}", CacheWarning, stacklevel=3)


def _home() -> Path | None:
    """The user's cache, made if need be; None where it can neither be nor be made, or nothing in it may run."""
    try:
        home = wanted()
    except RuntimeError:  # a user without a home
        return None
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise _no_folder(home) from None
    except OSError:
        return None
    _check_private(home, home.stat())
    forbidden = hasattr(os, "statvfs") and os.statvfs(home).f_flag & getattr(os, "ST_NOEXEC", 0)
    return None if forbidden else home


def _known() -> Path | None:
    """The user's cache if it is there; nothing is made."""
    try:
        home = wanted()
        status = home.stat()
    except (OSError, RuntimeError):
        return None
    if not stat.S_ISDIR(status.st_mode):
        raise _no_folder(home)
    _check_private(home, status)
    return home


def _no_folder(home: Path) -> OptionError:
    return OptionError(
        f"the folder for compiled libraries {home}: expected a folder, got a file in its place. "
        "Move that away, or name another folder in ELMAN_CACHE_DIR."
    )


@functools.cache
def _temporary(process: int) -> Path:
    """A private folder that goes when this process ends; after a fork the child, another `process`, has its own."""

    def drop() -> None:
        if os.getpid() == process:  # a forked child also runs what its parent registered
            _remove_tree(made)

    try:
        made = Path(tempfile.mkdtemp(prefix="elman-"))
    except OSError as problem:
        raise OptionError(
            f"no folder for compiled libraries: expected one that can be written, got {problem.strerror or problem}. "
            "Name one in ELMAN_CACHE_DIR."
        ) from problem
    atexit.register(drop)
    return made


def _check_private(path: Path, status: os.stat_result) -> None:
    """Raises OptionError if a user other than this one and root owns the file or folder or may write it."""
    if os.name != "posix":
        return
    where = f"{path}: expected that only you may write compiled libraries, got"
    mend = "or name another folder in ELMAN_CACHE_DIR."
    if status.st_uid not in (os.getuid(), 0):
        raise OptionError(f"{where} user {status.st_uid} as the owner. Remove it, {mend}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(status.st_mode)
        raise OptionError(f"{where} mode {mode:o}. Remove it, run chmod go-w on it if you trust what is there, {mend}")


def _key(source: str, compiler: Compiler) -> str:
    """32 hexadecimal digits of all that a library depends on."""
    parts = (source, *compiler.identity(), cpu_name())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _readable(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40] or "cell"


def _seal(path: Path, code: bytes) -> bytes:
    """The checksum at the end of a library's file; the name is in it, so that no library passes for another."""
    return hashlib.sha256(path.name.encode() + b"\0" + code).digest()


def _sound(path: Path) -> bool:
    """Whether the library is there as it was built. Raises OptionError if another user could have written it."""
    try:
        with path.open("rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            content = file.read()
    except OSError:
        return False
    return len(content) > SEAL and content[-SEAL:] == _seal(path, content[:-SEAL])


def _build(path: Path, source: str, compiler: Compiler) -> Path:
    """Compiles aside and renames, so that no process ever sees a part of a library."""
    try:
        with _alone(path):
            if _sound(path):  # another process has built it in the meantime
                return path
            _sweep(path.parent)
            with tempfile.TemporaryDirectory(prefix=WORK, dir=path.parent, ignore_cleanup_errors=True) as made:
                work = Path(made)
                text, code = work / f"{path.stem}.c", work / path.name
                text.write_text(source, encoding="utf-8")
                _put(work, path.with_suffix(".c"), source.encode())  # also when the compiler fails: to be looked into
                compiler.build(text, code, store=path.parent / STORE)
                content = code.read_bytes()
                _put(work, path, content + _seal(path, content))
            sync_folder(path.parent)
    except OSError as problem:
        raise write_failure(path, problem) from problem
    return path


def _put(work: Path, path: Path, content: bytes) -> None:
    """As `files.write_atomic`, but aside in a folder of this build alone: several may write the same file at once."""
    aside = work / "aside"
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keeps others from building the same library meanwhile. It only saves work: `_build` is right without it."""
    import fcntl  # not on Windows, where there is no compiler either

    lock = path.with_suffix(".lock")
    with lock.open("ab") as file:  # the system frees it when its process dies
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break  # a network disk without locks
        try:
            yield
        finally:
            remove(lock)  # whoever waits for it finds the library there; whoever comes later makes a new one


def _sweep(place: Path) -> int:
    """Removes what killed builds left behind long enough ago; the bytes freed."""
    freed = 0
    for path in (*place.glob(f"{WORK}*"), *place.glob("*.lock")):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > STALE:
                freed += _remove_tree(path)
    return freed


def _remove_tree(path: Path) -> int:
    """Removes a file, or a folder with all in it; its bytes."""
    if not path.is_dir() or path.is_symlink():
        remove(path)
        return 0
    size = 0
    for inside in path.rglob("*"):
        with contextlib.suppress(OSError):
            size += inside.lstat().st_size if inside.is_file() else 0
    shutil.rmtree(path, ignore_errors=True)
    return size
