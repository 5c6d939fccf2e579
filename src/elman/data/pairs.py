"""Pairs of something and a text: lines of two files, rows of a table, sounds and pictures that a table names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.audio import log_mel, read_wav
from elman.data.examples import Columns, read_examples
from elman.data.on_disk import OnDisk, each, is_large, spill_values
from elman.data.pictures import read_picture
from elman.data.table import TABLES
from elman.data.text_file import file_kind, lines_of
from elman.errors import DataError


@dataclass(frozen=True)
class Pairs:
    """Sequences X and a text y for each of them; y is None where none is given.

    columns  of the table that they were read from
    """

    X: Sequence[Any]
    y: Sequence[str] | None
    columns: Columns = field(default_factory=Columns)


def read_pairs(path: Path | str, target: Path | str | None, columns: Columns) -> Pairs:
    """The pairs in a table, by `columns.inputs` and `columns.label`, or in the lines of two files.

    A cell that names a sound (.wav, .flac, .ogg) or a picture (.png, .jpg, …), from the table's folder on, is read from
    there: a sound as `log_mel`, a picture as (H, W, 3). An .npz file has its own arrays X and y.

    Raises `DataError` with the file and the row of what is missing, broken or alone, and what `read_examples` raises.
    """
    path = Path(path)
    where = f"read_pairs({str(path)!r})"
    if file_kind(path) in (*TABLES, ".jsonl", ".npz") and target is None:
        X, y, found = read_examples(path, columns)
        if len(X) and not isinstance(X[0], str) and np.ndim(X[0]) == 0:
            which = " and ".join(map(repr, found.inputs)) or "X"
            raise DataError(
                f"{where}: {which} must hold texts, sequences or names of sounds or pictures, got the number {X[0]}. "
                "Name another column."
            )
        named = [path.parent / cell for cell in X if _reader(cell) is not None]
        X = OnDisk(X.__getitem__, len(X)) if is_large(*named) else X  # pictures and sounds, each read when asked for
        X = each(lambda row, cell: _read(cell, path, row + 1, where), X)
        return Pairs(X, None if y is None else [str(text) for text in y], found)
    X = _lines(path, where)
    if target is None:
        return Pairs(X, None)
    y = _lines(Path(target), f"read_pairs({str(target)!r})")
    if len(X) != len(y):
        raise DataError(
            f"{where}: expected a line for each of the {len(y)} in {target}, got {len(X)}. Align the files."
        )
    for number, (a, b) in enumerate(zip(X, y, strict=True), 1):
        if not a.strip() or not b.strip():
            raise DataError(f"{path if not a.strip() else target}: line {number} is empty. Leave the pair out of both.")
    return Pairs(X, y)


def _lines(path: Path, where: str) -> Sequence[str]:
    on_disk = is_large(path)
    lines = lines_of(path, where, on_disk=on_disk)
    kept = spill_values(lines) if on_disk else list(lines)
    return kept if kept[-1].strip() else kept[: len(kept) - 1]


def _sound(path: Path) -> Any:
    return log_mel(*read_wav(path))


READERS: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys((".wav", ".flac", ".ogg"), _sound),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"), read_picture),
}
"""by suffix, how a file is read that a table's cell names"""


def _reader(cell: Any) -> Callable[[Path], Any] | None:
    return READERS.get(Path(cell).suffix.lower()) if isinstance(cell, str) and len(cell) < 4096 else None


def read_one(path: Path) -> Any:
    """What a file holds that is one sound or one picture; None for any other file."""
    reader = READERS.get(path.suffix.lower())
    return None if reader is None else reader(path)


def _read(cell: Any, table: Path, row: int, where: str) -> Any:
    """What a cell names, or the cell."""
    reader = _reader(cell)
    if reader is None:
        return cell
    try:
        return reader(table.parent / cell)
    except DataError as problem:
        raise DataError(f"{where}: row {row}: {problem}") from None
