"""What was measured, as JSON that is whole after every row; and a guard for the row that never ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import elman.backends
from elman.evidence.speed import bench
from elman.evidence.speed.gpu.marks import marked
from elman.evidence.speed.gpu.rows import key_of
from elman.evidence.speed.point import Point


def code() -> str:
    """A short hash of all that makes the kernels: numbers of other kernels are not gone on with."""
    root = Path(str(elman.backends.__file__)).parent
    files = sorted(path for path in root.rglob("*") if path.suffix in (".py", ".in"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Record:
    """The file: its parts as those of `bench.write`, each row with its key and its marks.

    What an earlier run left there of the same code on the same card stays, and is not measured again.
    """

    def __init__(self, file: Path, machine: dict[str, Any], *, dry: bool) -> None:
        self.file, self.machine = file, machine
        self.about = {"code": code(), "gpu": machine.get("gpu"), "dry": dry}
        kept = bench.read(file) if file.exists() else {"parts": {}}
        same = {n: p for n, p in kept["parts"].items() if {k: p.get(k) for k in self.about} == self.about}
        self.kept: dict[str, Any] = {"parts": same}
        self._lock = threading.Lock()
        bench.write(file, self.kept)  # now, so that a folder that cannot be written costs no measurement

    def done(self, key: str) -> bool:
        """Whether a row of that key is there."""
        return any(row["key"] == key for part in self.kept["parts"].values() for row in part["points"])

    def add(self, point: Point, key: str) -> dict[str, Any]:
        """A row; the file is replaced."""
        row = point.to_json() | {"key": key, "marks": marked(point)}
        with self._lock:
            rows = self._part(point.part)["points"]
            rows[:] = [other for other in rows if other["key"] != key] + [row]
            bench.write(self.file, self.kept)
        return row

    def note(self, name: str, found: dict[str, Any]) -> None:
        """What is no row."""
        with self._lock:
            self._part(name).update(found)
            bench.write(self.file, self.kept)

    def rows(self) -> list[dict[str, Any]]:
        """All of them."""
        return [row for part in self.kept["parts"].values() for row in part["points"]]

    def _part(self, name: str) -> dict[str, Any]:
        new = {"machine": self.machine, **self.about, "threads": [], "points": []}
        return self.kept["parts"].setdefault(name, new)


@contextlib.contextmanager
def guarded(record: Record, point: Point, seconds: float) -> Iterator[None]:
    """A row that takes longer is a kernel that waits for ever: it is written down as such and the process ends.

    Nothing else helps: while Python waits for the GPU, no signal comes through.
    """

    def give_up() -> None:
        point.problem, point.rounds = f"did not end within {seconds:.0f} s", {}
        record.add(point, key_of(point))
        print(f"{key_of(point)}: {point.problem}. Start again to go on behind it.", flush=True)
        os._exit(3)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
