"""One file from which a killed run goes on as if nothing had happened: `checkpoint.safetensors`."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from elman.data.batch import Batch, Batches
from elman.errors import RunError
from elman.files import write_atomic
from elman.training.settings import TrainingSettings
from elman.training.tensors import checksum, pack, unpack

NAME = "checkpoint.safetensors"
FORMAT = "elman-checkpoint"
VERSION = 1
REMEDY = "Delete it and train anew, or use another folder."


@dataclass
class Checkpoint:
    """Tensors in named groups, JSON notes, and the identity of the run they belong to.

    A group is a dict of tensors: "model", "optimizer", "average", "best", "carried", "random".
    """

    groups: dict[str, dict[str, Tensor]]
    notes: dict[str, Any]
    identity: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Replaces the folder's checkpoint by this one in one instant; RunError when it cannot be written."""
        tensors = {f"{group}/{name}": t for group, members in self.groups.items() for name, t in members.items()}
        notes = {"format": FORMAT, "version": VERSION, "identity": self.identity, "groups": list(self.groups)}
        write_atomic(folder / NAME, pack(tensors, notes | {"notes": self.notes}))

    @classmethod
    def load(cls, folder: Path) -> Checkpoint | None:
        """The folder's checkpoint, None when there is none; RunError when it is damaged, foreign or too new."""
        path = folder / NAME
        if not path.is_file():
            return None
        tensors, notes = unpack(path, path.read_bytes(), REMEDY)
        if not isinstance(notes, dict) or notes.get("format") != FORMAT:
            raise RunError(f"{path}: not an elman checkpoint. {REMEDY}")
        if notes["version"] > VERSION:
            raise RunError(
                f"{path}: checkpoint version {notes['version']}, this elman reads up to {VERSION}. "
                "Upgrade it: pip install --upgrade elman."
            )
        groups: dict[str, dict[str, Tensor]] = {group: {} for group in notes["groups"]}
        for name, tensor in tensors.items():
            group, _, member = name.partition("/")
            groups[group][member] = tensor
        return cls(groups, notes["notes"], notes["identity"])

    def check(self, identity: dict[str, Any], path: Path) -> None:
        """RunError, naming what differs, unless this checkpoint is of a run with that identity."""
        found = differences(self.identity, identity)
        if found:
            raise RunError(
                f"{path / NAME}: cannot resume, this is another run: {'; '.join(found)}. "
                "Resume with what it was begun with, or train anew in another folder."
            )


def identity_of(
    model: nn.Module, train: Batches, validation: Batches | None, settings: TrainingSettings
) -> dict[str, Any]:
    """What a checkpoint must have in common with the run that resumes from it, as JSON."""
    fixed = settings.model_dump(mode="json", exclude=settings.harmless())
    anonymous = re.sub(r" at 0x[0-9a-f]+", "", repr(model))  # an address is another one in every process
    shapes = {name: [str(t.dtype), *t.shape] for name, t in model.state_dict().items()}
    data = {
        "training data": fingerprint(train),
        "validation data": None if validation is None else fingerprint(validation),
    }
    # Through JSON once, so that both sides of the comparison are of the same types.
    return json.loads(json.dumps({"settings": fixed, "model": {"": anonymous} | shapes, "data": data}))


def fingerprint(batches: Batches) -> str:
    """SHA-256 of what a source delivers: its own `fingerprint()` where it has one, else of all of its epoch 0."""
    own = getattr(batches, "fingerprint", None)
    if callable(own):
        return str(own())
    digest = hashlib.sha256()
    for batch in batches.epoch(0):
        parts = {f.name: getattr(batch, f.name) for f in fields_of(Batch)}
        digest.update(checksum({name: t for name, t in parts.items() if t is not None}).encode())
    return digest.hexdigest()


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In words, where two identities differ: first settings, then data, then the model.

    >>> same = {"data": {}, "model": {}}
    >>> differences({"settings": {"seed": 0}, **same}, {"settings": {"seed": 1}, **same})
    ['seed was 0, is 1']
    """
    found = [
        f"{name} was {then['settings'].get(name)!r}, is {now['settings'].get(name)!r}"
        for name in sorted(then["settings"].keys() | now["settings"].keys())
        if then["settings"].get(name) != now["settings"].get(name)
    ]
    found += [f"other {name}" for name in now["data"] if then["data"].get(name) != now["data"][name]]
    names = [n for n in (now["model"] | then["model"]) if now["model"].get(n) != then["model"].get(n)]
    tensors = [name for name in names if name]
    if tensors:
        was, now_is = then["model"].get(tensors[0]), now["model"].get(tensors[0])
        found.append(f"another model ({tensors[0]} was {was or 'absent'}, is {now_is or 'absent'})")
    elif names:
        found.append("another model (same shapes, other layers or options)")
    return found
