"""Files that are either wholly there or not there: written aside, synced, renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from elman.errors import RunError


def write_atomic(path: Path, content: bytes) -> None:
    """Puts `content` at `path` so that a kill at any instant leaves the old file or the new one, never a part.

    Raises RunError when the disk is full or the folder cannot be written; the old file is then intact.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomic(Path(folder, "a.txt"), b"whole")
    ...     Path(folder, "a.txt").read_bytes()
    b'whole'
    """
    aside = path.with_name(
        f".{path.name}.partial"
    )  # one fixed name: a killed run's leftover is overwritten, not piled up
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


def pack(tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> bytes:
    """Tensors by name, and JSON beside them, as the bytes of one safetensors file that carries its own checksum."""
    # A clone each: tied weights share memory, which the format refuses, and the GPU's must come over anyway.
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    # Through bytes and not `save_file`: that one maps the file, and a full disk would then be a SIGBUS, not an error.
    # One entry, since safetensors writes several in random order, and equal weights should be equal files.
    return save(plain, {"elman": json.dumps({"notes": notes, "checksum": checksum(plain)})})


def unpack(path: Path, content: bytes, remedy: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the notes of `pack`; RunError when the bytes are truncated, altered or something else."""
    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        beside = json.loads(header["__metadata__"]["elman"])
        notes, expected = beside["notes"], beside["checksum"]
    except (SafetensorError, ValueError, KeyError, TypeError) as problem:
        raise RunError(f"{path}: not a whole elman safetensors file ({problem}). {remedy}") from problem
    if checksum(tensors) != expected:
        raise RunError(f"{path}: its tensors do not match their checksum; the file was altered or damaged. {remedy}")
    return tensors, notes


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
