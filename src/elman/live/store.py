"""Where the states of sequences are kept between processes: a small interface, and SQLite behind it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

from elman.errors import RunError


@dataclass(frozen=True)
class Kept:
    """A sequence as it was after its last step.

    steps   how many there were
    state   its numbers, float32
    answer  what was said last, float32; empty before the first step
    """

    steps: int
    state: bytes
    answer: bytes


class Store(Protocol):
    """Sequences by key. What `write` took is there after a crash of the process, all of it or none."""

    def read(self, keys: Iterable[str]) -> dict[str, Kept]:
        """Those that are there."""
        ...

    def write(self, kept: Mapping[str, Kept]) -> None:
        """All of them at once."""
        ...

    def delete(self, key: str) -> bool:
        """Whether it was there."""
        ...

    def keys(self) -> Iterator[str]:
        """All keys, sorted."""
        ...

    def __len__(self) -> int: ...

    def close(self) -> None:
        """Lets go of files and connections."""
        ...


class MovedError(RunError):
    """A sequence was not where it was thought to be: another process has pushed to it."""


@runtime_checkable
class SharedStore(Store, Protocol):
    """A store that other processes write, too: `Sessions` then holds nothing between two pushes."""

    def exchange(self, kept: Mapping[str, Kept], before: Mapping[str, int]) -> None:
        """Writes all at once if each has as many steps there as `before` says; raises `MovedError` otherwise."""
        ...


class SQLiteStore:
    """Sequences in one SQLite file, or in memory.

    path   the file; None: in memory, gone with the process
    model  fingerprint of the model: a state belongs to the one that made it

    It is written by write-ahead logging: a process may be killed at any instant, and readers do not wait. Raises
    `RunError` for a file that is no such store, is another model's, or cannot be written.

    >>> with SQLiteStore(None, "m") as store:
    ...     store.write({"pump 7": Kept(3, b"state", b"")})
    ...     store.read(["pump 7", "pump 8"])["pump 7"].steps, len(store)
    (3, 1)
    """

    def __init__(self, path: Path | str | None, model: str) -> None:
        self.model = model
        self.path = ":memory:" if path is None else str(path)
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(self.path, check_same_thread=False, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            with self._db:
                self._db.execute("CREATE TABLE IF NOT EXISTS model (fingerprint TEXT)")
                self._db.execute(
                    "CREATE TABLE IF NOT EXISTS sessions "
                    "(key TEXT PRIMARY KEY, steps INTEGER, state BLOB, answer BLOB) WITHOUT ROWID"
                )
                known = self._db.execute("SELECT fingerprint FROM model").fetchone()
                if known is None:
                    self._db.execute("INSERT INTO model VALUES (?)", (model,))
        except sqlite3.Error as problem:
            raise RunError(f"{self.path}: not a store of sessions ({problem}). Name another file.") from None
        if known is not None and known[0] != model:
            self._db.close()
            raise RunError(f"{self.path}: holds sessions of another model. Name another file.")

    def read(self, keys: Iterable[str]) -> dict[str, Kept]:
        """Those that are there."""
        found, wanted = {}, list(keys)
        with self._lock:
            for i in range(0, len(wanted), 500):
                some = wanted[i : i + 500]
                marks = ",".join("?" * len(some))
                rows = self._db.execute(f"SELECT key, steps, state, answer FROM sessions WHERE key IN ({marks})", some)
                found |= {key: Kept(*rest) for key, *rest in rows}
        return found

    def write(self, kept: Mapping[str, Kept]) -> None:
        """All of them at once."""
        rows = [(key, one.steps, one.state, one.answer) for key, one in kept.items()]
        try:
            with self._lock, self._db:
                self._db.executemany("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as problem:
            raise RunError(f"{self.path}: could not be written ({problem}). Make room, and push again.") from None

    def delete(self, key: str) -> bool:
        """Whether it was there."""
        with self._lock, self._db:
            return self._db.execute("DELETE FROM sessions WHERE key = ?", (key,)).rowcount > 0

    def keys(self) -> Iterator[str]:
        """All keys, sorted."""
        with self._lock:
            rows = self._db.execute("SELECT key FROM sessions ORDER BY key").fetchall()
        return (key for (key,) in rows)

    def __len__(self) -> int:
        with self._lock:
            return self._db.execute("SELECT COUNT(*) FROM sessions").fetchone()[0]

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> SQLiteStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
