"""Labelled sequences from a file or a frame: texts with a label, tables of steps, tagged sentences, the UCR archive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.columns import as_frame, missing, shown
from elman.data.npz_file import read_npz
from elman.data.on_disk import LINES, ROWS, OnDisk, is_large, spill, spill_values
from elman.data.table import TABLES, read_table, stream_table
from elman.data.text_file import check_there, file_kind, lines_of
from elman.data.ts_file import read_ts
from elman.errors import DataError, OptionError, UnknownNameError, suggest

Table = dict[str, list[Any]]
"""columns by name"""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what.

    inputs    what the net reads: one column of text, or the features of a step; (): all that is left
    label     what it is to say; None where there is none
    sequence  names the sequence that a row is a step of; None: each row is a sequence
    time      orders the steps; None: as they stand
    """

    inputs: tuple[str, ...] = ()
    label: str | None = None
    sequence: str | None = None
    time: str | None = None


def read_examples(
    source: Any, columns: Columns, *, each_step: bool = False, one: bool = False, on_disk: bool | None = None
) -> tuple[Sequence[Any], Any, Columns]:
    """Sequences X, their targets y, and the columns that were read: those given, with a table's inputs named.

    source  a table (pandas, polars, pyarrow or narwhals), or the path of a file:

    .csv, .tsv, .parquet, .jsonl   a table by `columns`
    .ts                            series of the UCR and UEA archives
    .npz                           arrays X (N, T, F) or (N, T), and y; where sequences differ in length, X (ΣT, F) is
                                   all of them, one after the other, and an array named lengths (N,) says where to cut
    .conll, .conllu, .col          a name and its label in each line, an empty line between sentences

    All but .npz may be gzipped, with .gz at the end.

    y: one target of each sequence or, with `each_step`, of each step; None without a label. By the columns that come
    back, another table is read alike even where it has more. With `one`, and with `each_step` where they are of
    numbers, the rows of a table are the steps of one sequence where no column names it.

    on_disk  whether the sequences of a file that is a table stay on disk, in a temporary file that goes when X does,
             and each is read when it is asked for; None: where the file would fill the memory. Of each sequence or, of
             a long table, of each step, the label, the time and the place are kept in memory.

    Raises `DataError`, `UnknownNameError`, `OptionError`, each with the file, and the line where there is one.

    >>> import pandas as pd
    >>> steps = pd.DataFrame({"id": [7, 7, 9], "t": [1, 0, 0], "x": [2.0, 1.0, 3.0], "kind": ["up", "up", "down"]})
    >>> X, y, _ = read_examples(steps, Columns(label="kind", sequence="id", time="t"))
    >>> [x.tolist() for x in X], y.tolist()
    ([[[1.0], [2.0]], [[3.0]]], ['up', 'down'])
    """
    if not isinstance(source, (str, Path)):
        tables = iter([_as_lists(as_frame(source, "read_examples"))])
        return _from_tables(tables, columns, each_step, one, False, "read_examples")
    path = Path(source)
    kind = file_kind(path)
    where = f"read_examples({str(path)!r})"
    if kind == ".ts":
        return *read_ts(path), columns
    if kind == ".npz":
        return *_read_npz(path, where), columns
    if kind in (".conll", ".conllu", ".col"):
        return *read_columns(path, on_disk=on_disk), columns
    if kind not in (*TABLES, ".jsonl"):
        check_there(path, where)
        known = ", ".join((*TABLES, ".jsonl", ".ts", ".npz", ".conll"))
        raise DataError(f"{where}: expected {known}, got {kind or 'no suffix'!r}.")
    if on_disk is None:
        on_disk = is_large(path)
    return _from_tables(_tables(path, on_disk, where), columns, each_step, one, on_disk, where)


def read_names(path: Path | str, columns: Columns) -> list[Any] | None:
    """The names of the sequences in a file, in the order of `read_examples`; None where no column names them.

    Raises `DataError`, `UnknownNameError`.
    """
    path, name = Path(path), columns.sequence
    if name is None or file_kind(path) not in (*TABLES, ".jsonl"):
        return None
    where = f"read_names({str(path)!r})"
    tables = _tables(path, is_large(path), where)
    return list(dict.fromkeys(chain.from_iterable(_column(table, name, where) for table in tables)))


def _tables(path: Path, on_disk: bool, where: str) -> Iterator[Table]:
    """The table in a file: at once, or some rows at a time."""
    if file_kind(path) == ".jsonl":
        return _read_jsonl(lines_of(path, where, on_disk=on_disk), where, on_disk)
    return map(_as_lists, stream_table(path) if on_disk else [read_table(path)])


def _from_tables(
    tables: Iterator[Table], columns: Columns, each_step: bool, one: bool, on_disk: bool, where: str
) -> tuple[Sequence[Any], Any, Columns]:
    """The same from the pieces of a table."""
    first = next(tables)
    tables, columns = chain([first], tables), _with_inputs(columns, first)
    if one or columns.sequence is not None or (each_step and _of_numbers(first, columns, where)):
        return *_by_sequence(tables, columns, each_step, on_disk, where), columns
    return *_by_row(tables, columns, on_disk, where), columns


def _of_numbers(table: Table, columns: Columns, where: str) -> bool:
    """Whether a row is a step: of numbers, and not a whole sequence of names with a list of labels."""
    whole = (str, list, tuple, np.ndarray)
    if not any(isinstance(_column(table, name, where)[0], whole) for name in columns.inputs):
        return True
    if columns.label is not None and not isinstance(_column(table, columns.label, where)[0], whole[1:]):
        raise OptionError(
            f"{where}: a row is one sequence, and {columns.label!r} must be a list with a label for each of its steps. "
            "Write the words as .conll, or use `elman classify` for one label of the whole."
        )
    return False


def read_columns(
    path: Path | str, word: int = 0, label: int = 1, *, on_disk: bool | None = None
) -> tuple[Sequence[list[str]], list[list[str]]]:
    """Sentences, each a list of words, and the label of each word: CoNLL's columns, numbered from 0.

    Columns are separated by tabs, or by spaces where a line has no tab; lines that begin with "# " are skipped, and so
    are CoNLL-U's ranges ("3-4") and empty nodes ("5.1"). on_disk as in `read_examples`. Raises `DataError` with the
    line.
    """
    path = Path(path)
    where = f"read_columns({str(path)!r})"
    on_disk = is_large(path) if on_disk is None else on_disk
    y: list[list[str]] = []

    def sentences() -> Iterator[list[str]]:
        rows = _rows_of_columns(lines_of(path, where, on_disk=on_disk), word, label, where)
        for full, sentence in groupby(rows, key=bool):
            if full:
                names, labels = zip(*sentence, strict=True)
                y.append(list(labels))
                yield list(names)

    return spill_values(sentences()) if on_disk else list(sentences()), y


def _rows_of_columns(lines: Iterable[str], word: int, label: int, where: str) -> Iterator[tuple[str, ...]]:
    """Word and label of each line; nothing of an empty one."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            yield ()
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if line.startswith("# ") or (
            "\t" in line and ("-" in cells[0] or "." in cells[0]) and cells[0][0].isdigit() and word
        ):
            continue
        if max(word, label) >= len(cells):
            wanted = max(word, label) + 1
            raise DataError(
                f"{where}: line {number} must have {wanted} columns or more, got {len(cells)}: {line[:40]!r}."
            )
        yield cells[word], cells[label]


def _read_npz(path: Path, where: str) -> tuple[list[Any], Any]:
    arrays = read_npz(path, where)
    if "X" not in arrays:
        raise DataError(f"{where}: expected arrays named X and y, got {', '.join(arrays) or 'none'}. Rename them.")
    y, lengths = arrays.get("y"), arrays.get("lengths")
    X = list(arrays["X"]) if lengths is None else _cut(arrays["X"], lengths, where)
    if y is not None and len(y) != len(X):
        raise DataError(f"{where}: X and y must be of one length, got {len(X)} and {len(y)}.")
    return X, y


def _cut(steps: np.ndarray, lengths: np.ndarray, where: str) -> list[np.ndarray]:
    """The sequences that follow one another in an array of steps."""
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 1).any() or lengths.sum() != len(steps):
        raise DataError(
            f"{where}: lengths must be whole numbers of at least 1 whose sum is that of X's steps, {len(steps)}, got "
            f"{lengths.dtype} {lengths.shape} with the sum {lengths.sum()}. Give the steps of each sequence."
        )
    return np.split(steps, np.cumsum(lengths, dtype=int)[:-1])


def _as_lists(frame: Any) -> Table:
    # by way of NumPy, numbers that are missing are NaN in a column of any package
    return {
        n: frame[n].to_numpy().tolist() if frame[n].dtype.is_numeric() else frame[n].to_list() for n in frame.columns
    }


def _read_jsonl(lines: Iterable[str], where: str, on_disk: bool) -> Iterator[Table]:
    """All rows at once, or some at a time."""
    rows = _rows_of_jsonl(lines, where)
    while some := list(islice(rows, LINES if on_disk else None)):
        yield {name: [row[name] for row in some] for name in some[0]}


def _rows_of_jsonl(lines: Iterable[str], where: str) -> Iterator[dict[str, Any]]:
    names = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise DataError(f"{where}: line {number} is not JSON ({problem}).") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{where}: line {number} must be an object with names and values, got {line.strip()[:40]!r}."
            )
        names = row.keys() if names is None else names
        if row.keys() != names:
            odd = sorted(row.keys() ^ names)[0]
            raise DataError(f"{where}: line {number}: all objects must have the same names; {odd!r} is not in all.")
        yield row


def _column(table: Table, name: str, where: str) -> list[Any]:
    if name not in table:
        raise UnknownNameError(f"{where}: no column {name!r}, {suggest(name, table)}")
    return table[name]


def _with_inputs(columns: Columns, table: Iterable[str]) -> Columns:
    """The same columns, with the inputs named that the table has."""
    known = {columns.label, columns.sequence, columns.time}
    return replace(columns, inputs=columns.inputs or tuple(name for name in table if name not in known))


def _by_row(
    tables: Iterable[Table], columns: Columns, on_disk: bool, where: str
) -> tuple[Sequence[Any], np.ndarray | None]:
    labels: list[np.ndarray] = []

    def sequences() -> Iterator[Any]:
        before = 0
        for table in tables:
            if columns.label is not None:
                labels.append(_labels(_column(table, columns.label, where), columns.label, before, where))
            yield from _rows(table, columns.inputs, before, where)
            before += len(next(iter(table.values())))

    X = spill_values(sequences()) if on_disk else list(sequences())
    return X, np.concatenate(labels) if labels else None


def _rows(table: Table, names: tuple[str, ...], before: int, where: str) -> Iterable[Any]:
    """Each row's sequence; before: how many rows are in the pieces before this one."""
    parts = [_column(table, name, where) for name in names]
    if len(names) == 1:
        for row, text in enumerate(parts[0], before + 1):
            if missing(text) or (isinstance(text, str) and not text.strip()):
                raise DataError(f"{where}: row {row}: {names[0]!r} is empty. Leave the row out.")
        return parts[0]
    if any(isinstance(part[0], str) for part in parts):
        raise OptionError(
            f"{where}: a row is one sequence, and its columns are {', '.join(names[:4])}. Name the one with the text "
            "(--input), or the one that names the sequence where a row is a step (--sequence)."
        )
    return np.array(parts, dtype=np.float64).T  # one feature, a step in each column


def _by_sequence(
    tables: Iterable[Table], columns: Columns, each_step: bool, on_disk: bool, where: str
) -> tuple[Sequence[Any], Any]:
    numbers: dict[Any, int] = {}  # of each sequence, in the order in which they come
    owners, times, labels = [], [], []

    def pieces() -> Iterator[np.ndarray]:
        before = 0
        for table in tables:
            rows = len(next(iter(table.values())))
            keys = [""] * rows if columns.sequence is None else _column(table, columns.sequence, where)
            owners.append(np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int32))
            if columns.time is not None:
                times.append(_times(_column(table, columns.time, where), columns.time, before, where))
            if columns.label is not None:
                labels.append(_labels(_column(table, columns.label, where), columns.label, before, where))
            yield _features(table, columns.inputs, before, where)
            before += rows

    X, order, ends = _grouped(pieces(), owners, times, on_disk)
    if columns.label is None:
        return X, None
    found = np.concatenate(labels)[order]
    if each_step:
        return X, np.split(found, ends[:-1])
    sizes = np.diff(ends, prepend=0)
    y = found[ends - sizes]
    odd = found != np.repeat(y, sizes)
    if odd.any():
        key = list(numbers)[int(np.searchsorted(ends, odd.argmax(), side="right"))]
        raise DataError(
            f"{where}: {columns.label!r} must be the same in all rows of sequence {key!r}. Use `elman tag`."
        )
    return X, y


def _grouped(
    pieces: Iterator[np.ndarray], owners: list[np.ndarray], times: list[np.ndarray], on_disk: bool
) -> tuple[Sequence[Any], np.ndarray, np.ndarray]:
    """Steps by sequence and time: the sequences, the rows in that order, and where in it each sequence ends.

    owners, times   of each step, the number of its sequence and its time; they are there once the pieces have come
    """
    first = next(pieces)
    pieces, named = chain([first], pieces), first.dtype == object
    steps = spill(pieces) if on_disk and not named else np.concatenate(list(pieces))
    owner = np.concatenate(owners)
    order = np.argsort(np.concatenate(times), kind="stable") if times else np.arange(len(owner))
    order = order[np.argsort(owner[order], kind="stable")]
    ends = np.cumsum(np.bincount(owner))
    if named or not on_disk:
        X = np.split(steps[order], ends[:-1])
        return ([x.tolist() for x in X] if named else X), order, ends
    if (np.diff(order) < 0).any():
        steps = spill(steps[order[i : i + ROWS]] for i in range(0, len(order), ROWS))
    begins = np.concatenate([[0], ends])
    return OnDisk(lambda i: steps[begins[i] : begins[i + 1]], len(ends)), order, ends


def _features(table: Table, names: tuple[str, ...], before: int, where: str) -> np.ndarray:
    """What is read at each step: numbers (n, F), or one name each, (n,)."""
    parts = [_column(table, name, where) for name in names]
    if len(parts) == 1 and isinstance(parts[0][0], str):
        _check_no_stray(parts[0], names[0], before, where)
        return np.array(parts[0], dtype=object)
    try:
        return np.array(parts, dtype=np.float64).T
    except (TypeError, ValueError):
        cells = ((row, name, value) for name, part in zip(names, parts, strict=True) for row, value in enumerate(part))
        for row, name, value in cells:
            if not _is_number(value):
                raise DataError(
                    f"{where}: row {before + row + 1}: {name!r} must be a number, got {shown(value)}. Mend or leave it "
                    "out."
                ) from None
        return np.array([[np.nan if missing(value) else value for value in part] for part in parts], dtype=float).T


def _times(values: list[Any], name: str, before: int, where: str) -> np.ndarray:
    """What orders the steps: numbers, or text such as dates."""
    if isinstance(values[0], str):
        _check_no_stray(values, name, before, where)
    return np.array(values)


def _check_no_stray(values: list[Any], name: str, before: int, where: str) -> None:
    """Refuses a few words among numbers: one would turn them all into names."""
    few = len(values) // 10
    words = list(islice((row for row, value in enumerate(values) if not _is_number(value)), few + 1))
    if 0 < len(words) <= few:
        raise DataError(
            f"{where}: row {before + words[0] + 1}: {name!r} must be a number as in most rows, got "
            f"{shown(values[words[0]])}. Mend it; where all are names, let each begin with a letter."
        )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return missing(value)
    return True


def _labels(values: Sequence[Any], name: str, before: int, where: str) -> np.ndarray:
    for row, value in enumerate(values, before + 1):
        if missing(value):
            raise DataError(f"{where}: row {row} has no {name!r}. Leave the row out.")
    return np.array(values)
