"""Tensors as the bytes of one file that carries its own checksum, and back. No pickle: nothing is ever executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from elman.errors import RunError


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
