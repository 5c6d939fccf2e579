"""What a run remembers of itself: one JSON line per epoch or validation, on disk and in memory."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elman.errors import RunError
from elman.files import write_failure


@dataclass
class History:
    """The records of a run, in order, and which weights were kept.

    Each record has `step` (updates done), `epoch` (from 1), `loss` (mean since the record before), `grad_norm` (mean L2
    norm before clipping), `lr`, `items_per_s` (valid time steps per second), `val_loss` (or None), `seconds` (training
    so far, a resumed run's parts added up).
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    best_loss: float | None = None
    """lowest validation loss; None without validation"""
    best_step: int | None = None
    """updates behind the weights that were kept; None without validation"""
    stopped: str | None = None
    """"steps": the run went to its end; "patience": it stopped early"""

    @classmethod
    def read(cls, folder: Path) -> History:
        """What `metrics.jsonl` tells of a run that is over; RunError when it is not what a run writes."""
        log = MetricsLog(folder)
        log.rewind(log.size)
        return cls(log.records)

    def column(self, name: str) -> list[Any]:
        """One quantity over the run, without the records that lack it.

        >>> History([{"loss": 2.0, "val_loss": None}, {"loss": 1.0, "val_loss": 3.0}]).column("val_loss")
        [3.0]
        """
        return [record[name] for record in self.records if record.get(name) is not None]


class MetricsLog:
    """`metrics.jsonl`, which a checkpoint refers to by its length; what a killed run wrote past that is cut off."""

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / "metrics.jsonl"
        self.records: list[dict[str, Any]] = []
        self.length = 0

    def append(self, record: dict[str, Any]) -> None:
        """Adds one line."""
        self.records.append(record)
        line = (json.dumps(record) + "\n").encode()
        self.length += len(line)
        if self.path is not None:
            try:
                with self.path.open("ab") as file:
                    file.write(line)
            except OSError as problem:
                raise write_failure(self.path, problem, intact=True) from problem

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self.path.stat().st_size if self.path is not None and self.path.is_file() else 0

    def sync(self) -> int:
        """Forces what was written to the disk, before a checkpoint counts on it; returns the length in bytes."""
        if self.path is not None and self.path.is_file():
            try:
                with self.path.open("rb+") as file:
                    os.fsync(file.fileno())
            except OSError as problem:
                raise write_failure(self.path, problem, intact=True) from problem
        return self.length

    def rewind(self, length: int) -> None:
        """Cuts the file back to `length` bytes and reads the records that remain; RunError when it is shorter."""
        self.length, self.records = length, []
        if self.path is None:
            return
        content = self.path.read_bytes() if self.path.is_file() else b""
        if len(content) < length:
            raise RunError(
                f"{self.path}: the checkpoint expects {length} bytes, found {len(content)}; the file was cut or "
                "replaced. Put the original back, or train anew in another folder."
            )
        try:
            self.records = [json.loads(line) for line in content[:length].splitlines()]
        except ValueError as problem:
            raise RunError(
                f"{self.path}: not the lines this run wrote ({problem}). Put the original back, or train anew in "
                "another folder."
            ) from problem
        if len(content) > length:
            os.truncate(self.path, length)
