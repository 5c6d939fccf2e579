"""Sequences that lie on disk and are read when they are asked for, so that there may be more than memory holds."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elman.errors import DataError

Array = np.ndarray

ROWS = 1 << 10
"""rows of a table that are read at once"""
LINES = 1 << 6
"""lines that are read at once, each of which may be long"""
CHARACTERS = 1 << 16
"""characters that are read at once"""
SHARE = 16
"""a file is large from this part of the memory on: read at once, it takes several times its size"""


class OnDisk(Sequence[Any]):
    """N values, each of which is read, or made of another, when it is asked for.

    read   number → value

    >>> squares = OnDisk(lambda i: i * i, 5)
    >>> list(squares), squares[-1], list(squares[1:3])
    ([0, 1, 4, 9, 16], 16, [1, 4])
    """

    def __init__(self, read: Callable[[int], Any], count: int) -> None:
        self.read, self.size = read, count

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return self[np.arange(self.size)[i]]
        if isinstance(i, Array):
            return OnDisk(lambda place: self.read(int(i[place])), len(i))
        return self.read(range(self.size)[i])


def each(make: Callable[[int, Any], Any], values: Any) -> Sequence[Any]:
    """make(number, value) of each: at once in a list, or, of values on disk, whenever it is asked for."""
    if isinstance(values, OnDisk):
        return OnDisk(lambda i: make(i, values.read(i)), len(values))
    return [make(i, value) for i, value in enumerate(values)]


def take(values: Any, chosen: Array) -> Any:
    """Those of the values that have these numbers."""
    return [values[i] for i in chosen] if isinstance(values, (list, tuple)) else values[chosen]


def is_large(*paths: Path) -> bool:
    """Whether files would fill the memory, were they read at once; a gzipped one counts four times."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        sizes = (path.stat().st_size * (4 if path.suffix.lower() == ".gz" else 1) for path in paths)
        return sum(sizes) > memory // SHARE
    except (AttributeError, OSError, ValueError):  # not every system tells; a missing file is told by who reads it
        return False


def spill(parts: Iterable[Array]) -> Array:
    """Arrays (n_i, …) one after another as one (Σ n_i, …), in a temporary file that goes when the array does.

    The file lies where TMPDIR says. Raises `DataError` when there is no room.

    >>> spill(np.full((n, 2), n) for n in (1, 2)).tolist()
    [[1, 1], [2, 2], [2, 2]]
    """
    count, like = 0, np.empty(0)
    with tempfile.TemporaryFile(prefix="elman-") as file:
        try:
            for part in parts:
                like, count = part[:0], count + len(part)
                file.write(np.ascontiguousarray(part).data)
            file.flush()
        except OSError as problem:
            mend = "Set TMPDIR to a folder with more."
            raise DataError(f"{tempfile.gettempdir()}: no room for the data ({problem.strerror}). {mend}") from None
        if not count:
            return like
        # shared with the file and not private, so that no page of it counts as the process's own memory
        return np.asarray(np.memmap(file, like.dtype, "r+", shape=(count, *like.shape[1:])))


def spill_values(values: Iterable[Any]) -> OnDisk:
    """Values of any kind that JSON has, likewise; arrays come back as lists.

    >>> kept = spill_values(["so it goes", [1.5, None]])
    >>> kept[1], len(kept)
    ([1.5, None], 2)
    """
    ends = [0]

    def lines() -> Iterator[Array]:
        for value in values:
            text = json.dumps(value, ensure_ascii=False, default=lambda array: array.tolist())
            line = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
            ends.append(ends[-1] + len(line))
            yield line

    held = spill(lines())
    places = np.array(ends)

    def read(i: int) -> Any:
        return json.loads(held[places[i] : places[i + 1]].tobytes().decode("utf-8", "surrogatepass"))

    return OnDisk(read, len(places) - 1)


class Text:
    """A text on disk: its characters' numbers, (T,) uint32.

    >>> text = Text.of(["so it ", "goes"])
    >>> len(text), str(text[3:8]), list(text.pieces(at_once=4))
    (10, 'it go', ['so it', ' goes'])
    """

    def __init__(self, characters: Array) -> None:
        self.characters = characters

    @classmethod
    def of(cls, parts: Iterable[str]) -> Text:
        """The parts one after another."""
        return cls(spill(np.frombuffer(part.encode("utf-32-le"), np.uint32) for part in parts))

    def __len__(self) -> int:
        return len(self.characters)

    def __getitem__(self, i: slice) -> Text:
        return Text(self.characters[i])

    def __str__(self) -> str:
        return self.characters.tobytes().decode("utf-32-le")

    def pieces(self, at_once: int = CHARACTERS) -> Iterator[str]:
        """The text in pieces that end in front of white space, so that no word is cut."""
        begin = 0
        while begin < len(self):
            piece = str(self[begin : begin + at_once])
            begin += len(piece)
            while begin < len(self) and not (rest := str(self[begin : begin + 80]))[0].isspace():
                word = rest.split(maxsplit=1)[0]
                piece, begin = piece + word, begin + len(word)
            yield piece
