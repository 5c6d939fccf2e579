"""Many sequences over one model, each with a state of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from elman.errors import DataError, OptionError
from elman.live.redis_store import open_store
from elman.live.store import Kept, MovedError, SharedStore, Store
from elman.steps import Causal, Stream
from elman.steps.causal import refused
from elman.steps.engine import Engine
from elman.steps.stream import fingerprint, views

LONGEST = 200
"""characters of a key"""
TRIES = 20
"""times that a push is done again, another process having been quicker each time"""


class OutOfTurnError(DataError):
    """An input whose number is not the next one of its sequence.

    expected  the number of the input that is
    """

    def __init__(self, message: str, expected: int) -> None:
        super().__init__(message)
        self.expected = expected


class BegunError(DataError):
    """A new sequence was to have a key that one has already."""


class Sessions:
    """Streams by key: each key's steps are its own sequence, and those that come together run in one call.

    model    a fitted estimator that can stream, or its `causal()`
    store    file of a `SQLiteStore`, address of a `RedisStore` (redis://…), or any `Store`; None: in memory, gone with
             the process
    most     sequences held ready; of more, those that were idle longest are in the store until their next step
    every    steps of a sequence after which it is written to the store: with 1 no answer is given before that
    seconds  after which all that has changed is written, at the next push; None: by steps alone
    threads  that many steps at once are shared between

    A step may carry its number, 1 for the first of its sequence. The next one is counted; the last one again, as after
    an answer that was lost, gets its answer again and is not counted twice; any other is refused, and the error names
    the number that is expected: after a crash it is the one after the last that was written. `close` writes all.

    With a store that is shared, such as Redis, any number of processes may push to the same sequences: each step is
    read from there and written there, and of two at once one is done again after the other.

    A sequence's answers do not depend, in any bit, on which others run beside it.

    >>> import elman
    >>> sessions = Sessions(elman.steps.StackStep("net", elman.Recurrent("gru", 1, 2)))
    >>> sessions.push_many(["a", "b", "a"], [[0.5], [0.1], [0.2]]).shape, sessions.steps("a")
    ((3, 2), 2)
    """

    def __init__(
        self,
        model: Any,
        store: Store | Path | str | None = None,
        *,
        most: int = 10_000,
        every: int = 1,
        seconds: float | None = None,
        threads: int = 1,
    ) -> None:
        for name, value in (("most", most), ("every", every), ("threads", threads)):
            if not isinstance(value, int) or value < 1:
                raise OptionError(f"Sessions: {name} must be a whole number ≥ 1, got {value!r}.")
        step = model if isinstance(model, Causal) else model.causal()
        self.engine = Engine(step, crowd=True)
        self.store = open_store(store, fingerprint(step))
        self.shared = isinstance(self.store, SharedStore)
        if self.shared and (every, seconds) != (1, None):
            raise OptionError("Sessions: a shared store is written at every step. Leave every and seconds out.")
        self.most, self.every, self.seconds, self.threads = most, every, seconds, threads
        self._lock = threading.RLock()
        self._rows: dict[str, int] = {}
        self._keys: list[str | None] = [None] * most
        self._free = list(range(most - 1, -1, -1))
        self._states = np.empty((most, len(self.engine.first)), np.float32)
        self._answers = np.zeros((most, step.outputs), np.float32)
        self._steps = np.zeros(most, np.int64)
        self._written = np.zeros(most, np.int64)
        self._used, self._place = np.zeros(most, np.int64), np.zeros(most, np.int64)
        self._turn, self._last_written = 0, time.monotonic()

    # -- pushing ---------------------------------------------------------------------------------------------------

    def push(self, key: str, x: Any, number: int | None = None) -> np.ndarray:
        """The answer (K,) after one more step of a sequence. Raises as `push_many`."""
        return self.push_many([key], [x], None if number is None else [number])[0]

    def push_many(self, keys: Sequence[str], X: Any, numbers: Sequence[int] | None = None) -> np.ndarray:
        """The answers (n, K) after one more step of each key, in the order given; a key may come several times.

        X        n steps, or an array (n, F)
        numbers  of the steps within their sequences

        Raises `DataError` for what is no step, `OutOfTurnError` for a number out of turn; then nothing has changed.
        """
        return self.push_counted(keys, X, numbers)[0]

    def push_counted(
        self, keys: Sequence[str], X: Any, numbers: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, and which step of its sequence each was, (n,)."""
        x = self.encode(keys, X)
        with self._lock:
            if len(keys) > self.most:
                return self._by_parts(keys, x, numbers)
            for _ in range(TRIES if self.shared else 0):
                with contextlib.suppress(MovedError):
                    return self._push(keys, x, numbers)
            return self._push(keys, x, numbers)

    def _push(self, keys: Sequence[str], x: np.ndarray, numbers: Sequence[int] | None) -> tuple[np.ndarray, np.ndarray]:
        with self._current():
            rows = self._rows_of(keys)
            again = self._check_numbers(keys, rows, numbers)
            if again is None and self._distinct(rows):
                found = self._run(rows, x), self._steps[rows]
            else:
                found = self._run_in_turns(rows, x, again)
            self._keep(rows)
            return found

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        """A turn in which sequences are as they are in the store, if others write to it."""
        with self._lock:
            self._turn += 1
            if self.shared:
                self._let_go(np.array(list(self._rows.values()), np.int64))
            yield

    def _by_parts(
        self, keys: Sequence[str], x: np.ndarray, numbers: Sequence[int] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        parts = [slice(i, i + self.most) for i in range(0, len(keys), self.most)]
        found = [self.push_counted(keys[p], x[p], numbers and numbers[p]) for p in parts]
        answers, steps = (np.concatenate(each) for each in zip(*found, strict=True))
        return answers, steps

    def encode(self, keys: Sequence[str], X: Any) -> np.ndarray:
        """The steps as the engine reads them, (n, I); all of them are checked before any is run."""
        step = self.engine.step
        if len(keys) != len(X):
            raise DataError(f"{step.where}: keys and steps must be as many, got {len(keys)} and {len(X)}.")
        if isinstance(X, np.ndarray) and X.shape == (len(keys), step.inputs) and X.dtype.kind == "f":
            x = np.ascontiguousarray(X, np.float64)
        else:
            x = np.array([step.encode(one) for one in X], np.float64).reshape(len(keys), step.inputs)
        if (wrong := self.engine.wrong(x)) is not None:
            raise refused(step.where, x[wrong], f" for {keys[wrong]!r}")
        return x

    def _check_numbers(self, keys: Sequence[str], rows: np.ndarray, numbers: Sequence[int] | None) -> np.ndarray | None:
        """Which steps were counted before, (n,) of bool; None: none was."""
        if numbers is None:
            return None
        again = np.zeros(len(keys), bool)
        steps = dict(zip(rows.tolist(), self._steps[rows].tolist(), strict=True))
        for i, (row, number) in enumerate(zip(rows.tolist(), numbers, strict=True)):
            if number == steps[row] and number > 0:
                again[i] = True
            elif number == steps[row] + 1:
                steps[row] = number
            else:
                expected = steps[row] + 1
                raise OutOfTurnError(
                    f"{self.engine.step.where}: the next step of {keys[i]!r} is number {expected}, got {number}. "
                    f"Push from {expected} on.",
                    expected,
                )
        return again

    def _distinct(self, rows: np.ndarray) -> bool:
        """Whether no sequence comes twice."""
        places = np.arange(len(rows))
        self._place[rows] = places
        return bool((self._place[rows] == places).all())

    def _run_in_turns(self, rows: np.ndarray, x: np.ndarray, again: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The steps of a sequence one after another, but those that were counted before."""
        answers, steps = np.empty((len(rows), self._answers.shape[1]), np.float32), np.empty(len(rows), np.int64)
        for turn in _turns(rows):
            new = turn if again is None else turn[~again[turn]]
            self._run(rows[new], x[new])
            answers[turn], steps[turn] = self._answers[rows[turn]], self._steps[rows[turn]]
        return answers, steps

    def _run(self, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
        """One step of each of these rows, which are distinct."""
        y = np.empty((len(rows), self._answers.shape[1]), np.float32)
        if len(rows):
            self.engine.many(self._states, rows, x, y, threads=self.threads)
            self._answers[rows] = y
            self._steps[rows] += 1
        return y

    # -- rows of memory --------------------------------------------------------------------------------------------

    def _rows_of(self, keys: Sequence[str]) -> np.ndarray:
        """Where each key's state lies; those that were idle come back from the store, new ones begin."""
        try:  # all are held, most often, and this is the quickest way to find them
            rows = np.fromiter(map(self._rows.__getitem__, keys), np.int64, len(keys))
            self._used[rows] = self._turn
            return rows
        except (KeyError, TypeError):  # some are new or idle, or no keys at all
            _check_keys(keys)
        found = list(map(self._rows.get, keys))
        self._used[np.array([row for row in found if row is not None], np.int64)] = self._turn
        absent = list(dict.fromkeys(key for key, row in zip(keys, found, strict=True) if row is None))
        if len(absent) > len(self._free):
            self._spill(len(absent) - len(self._free))
        kept = self.store.read(absent)
        for key in absent:
            row = self._free.pop()
            self._rows[key], self._keys[row], self._used[row] = row, key, self._turn
            self._put(row, kept.get(key))
        return np.array([self._rows[key] for key in keys], np.int64)

    def _put(self, row: int, kept: Kept | None) -> None:
        """A sequence as it was kept, or at its beginning."""
        if kept is None:
            self._states[row], self._answers[row] = self.engine.first, 0
            self._steps[row] = self._written[row] = 0
            return
        self._states[row] = np.frombuffer(kept.state, np.float32)
        self._answers[row] = np.frombuffer(kept.answer, np.float32)
        self._steps[row] = self._written[row] = kept.steps

    def _spill(self, count: int) -> None:
        """Makes room for so many sequences: those that were used longest ago go to the store."""
        held = np.flatnonzero([key is not None for key in self._keys])
        held = held[self._used[held] < self._turn]
        spilled = held[np.argsort(self._used[held], kind="stable")[: max(count, self.most // 10)]]
        self._write(spilled)
        self._let_go(spilled)

    def _let_go(self, rows: np.ndarray) -> None:
        for row in rows.tolist():
            self._rows.pop(self._keys[row])  # pyright: ignore[reportArgumentType]
            self._keys[row] = None
            self._free.append(row)

    def _keep(self, rows: np.ndarray) -> None:
        """Writes what is due after a push."""
        if self.seconds is not None and time.monotonic() - self._last_written > self.seconds:
            self.save()
            return
        due = self._steps[rows] - self._written[rows] >= self.every
        if due.any():
            self._write(np.unique(rows[due]))

    def _write(self, rows: np.ndarray) -> None:
        """What has changed of these rows, into the store."""
        changed = rows[self._steps[rows] != self._written[rows]]
        if len(changed):
            kept = {str(self._keys[row]): self._kept(row) for row in changed.tolist()}
            if isinstance(self.store, SharedStore):
                self.store.exchange(kept, dict(zip(kept, np.maximum(self._written[changed], 0).tolist(), strict=True)))
            else:
                self.store.write(kept)
            self._written[changed] = self._steps[changed]

    def _kept(self, row: int) -> Kept:
        return Kept(int(self._steps[row]), self._states[row].tobytes(), self._answers[row].tobytes())

    # -- one sequence ----------------------------------------------------------------------------------------------

    def steps(self, key: str) -> int:
        """How many steps of it were counted; 0 for one that has not begun."""
        with self._current():
            row = self._rows.get(key)
            if row is not None:
                return int(self._steps[row])
            kept = self.store.read([key]).get(key)
            return 0 if kept is None else kept.steps

    def state(self, key: str) -> dict[str, np.ndarray]:
        """A copy of its state by parts, as `Stream.state` has it: the beginning's for one that has not begun."""
        with self._current():
            row = self._rows.get(key)
            kept = self.store.read([key]).get(key) if row is None else self._kept(row)
        numbers = self.engine.first if kept is None else np.frombuffer(kept.state, np.float32)
        return views(self.engine.step, numbers.copy())

    def put(self, key: str, state: Mapping[str, Any], steps: int) -> None:
        """Begins a sequence where another one was: with the state of a `Stream`, after so many steps.

        Raises `BegunError` where it has begun, `ShapeError` for a state that does not fit.
        """
        kept = Stream(self.engine, state).state
        numbers = np.concatenate([part.reshape(-1) for part in kept.values()])
        answer = np.zeros(self._answers.shape[1], np.float32)
        with self._lock:
            self._begin(key, Kept(steps, numbers.tobytes(), answer.tobytes()))

    def fork(self, key: str, new: str) -> None:
        """Another sequence that goes on from where this one is. Raises `BegunError`."""
        with self._current():
            self._begin(new, self._kept(int(self._rows_of([key])[0])))

    def _begin(self, key: str, kept: Kept) -> None:
        """A new sequence that goes on from there, written at once."""
        begun = BegunError(f"Sessions: {key!r} has begun already. Choose another key, or delete it.")
        if self.steps(key):
            raise begun
        row = int(self._rows_of([key])[0])
        self._put(row, kept)
        self._written[row] = -1
        try:
            self._write(np.array([row]))
        except MovedError:
            raise begun from None

    def delete(self, key: str) -> bool:
        """Forgets a sequence; whether there was one."""
        with self._current():
            row = self._rows.pop(key, None)
            if row is not None:
                self._keys[row] = None
                self._free.append(row)
            return self.store.delete(key) or (row is not None and self._steps[row] > 0)

    def held(self, key: str) -> bool:
        """Whether a sequence is held ready."""
        return key in self._rows

    def keys(self) -> list[str]:
        """All that have begun, held or not, sorted."""
        with self._lock:
            begun = (key for key, row in self._rows.items() if self._steps[row])
            return sorted({*self.store.keys(), *begun})

    def __contains__(self, key: str) -> bool:
        return self.steps(key) > 0

    def __len__(self) -> int:
        """How many sequences are held ready."""
        return len(self._rows)

    def save(self) -> None:
        """Writes all that has changed."""
        with self._lock:
            self._write(np.array(sorted(self._rows.values()), np.int64))
            self._last_written = time.monotonic()

    def close(self) -> None:
        """Writes all that has changed and lets go of the store."""
        with self._lock:
            self.save()
            self.store.close()

    def __enter__(self) -> Sessions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_keys(keys: Sequence[Any]) -> None:
    for key in keys:
        if not isinstance(key, str) or not 0 < len(key) <= LONGEST:
            raise DataError(f"Sessions: a key must be text of 1 to {LONGEST} characters, got {str(key)[:40]!r}.")


def _turns(rows: np.ndarray) -> list[np.ndarray]:
    """Places in `rows`, so that none of a turn has a row twice."""
    seen: dict[int, int] = {}
    turns: list[list[int]] = []
    for i, row in enumerate(rows.tolist()):
        turn = seen.get(row, 0)
        seen[row] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(i)
    return [np.array(turn) for turn in turns]
