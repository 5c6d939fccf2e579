"""Files that are either wholly there or not there: written aside, synced, renamed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from elman.errors import RunError


def leads() -> bool:
    """Whether this process is the only one, or the first of those that `torchrun` started to train together."""
    rank = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))
    return rank == "0" or os.environ.get("WORLD_SIZE", "1") == "1"


def write_atomic(path: Path, content: bytes) -> None:
    """Puts `content` at `path` so that a kill at any instant leaves the old file or the new one, never a part.

    Raises RunError when the disk is full or the folder cannot be written; the old file is then intact.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomic(Path(folder, "a.txt"), b"whole")
    ...     Path(folder, "a.txt").read_bytes()
    b'whole'
    """
    # One name, lest what killed runs leave behind piles up; processes that train together may write at once.
    aside = path.with_name(f".{path.name}.partial" if leads() else f".{path.name}.{os.getpid()}.partial")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else the rename may reach the disk before the content does
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as problem:
        raise write_failure(path, problem, intact=path.is_file()) from problem
    finally:
        remove(aside)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, if they are not there; raises RunError where there can be none.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     make_folder(Path(file.name, "out"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    elman.errors.RunError: ...out: could not be written, got Not a directory; nothing was kept. Make ...
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise write_failure(folder, problem) from problem


def sync_folder(folder: Path) -> None:
    """Makes a rename inside `folder` survive a power cut (POSIX; other systems offer no such call)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Deletes a file if it is there and can be deleted; a leftover does no harm."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def write_failure(path: Path, problem: OSError, *, intact: bool = False) -> RunError:
    """The one line for a failed write: what, why, what is left, how to mend it."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason, remedy = f"no room ({problem.strerror})", "Free disk space (or raise the quota)"
    else:
        reason, remedy = str(problem.strerror or problem), f"Make {path.parent} a folder that can be written"
    left = f"the last good {path.name} is intact. {remedy} and resume." if intact else f"nothing was kept. {remedy}."
    return RunError(f"{path}: could not be written, got {reason}; {left}")
