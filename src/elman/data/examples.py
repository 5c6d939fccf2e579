"""Labelled sequences from a file or a frame: texts with a label, tables of steps, tagged sentences, the UCR archive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.columns import as_frame, missing
from elman.data.npz_file import read_npz
from elman.data.table import TABLES, read_table
from elman.data.text_file import file_kind, read_lines
from elman.data.ts_file import read_ts
from elman.errors import DataError, OptionError, UnknownNameError, suggest


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
    source: Any, columns: Columns, *, each_step: bool = False, one: bool = False
) -> tuple[list[Any], Any, Columns]:
    """Sequences X, their targets y, and the columns that were read: those given, with a table's inputs named.

    source  a table (pandas, polars, pyarrow or narwhals), or the path of a file:

    .csv, .tsv, .parquet, .jsonl   a table by `columns`
    .ts                            series of the UCR and UEA archives
    .npz                           arrays X (N, T, F) or (N, T), and y; where sequences differ in length, X (ΣT, F) is
                                   all of them, one after the other, and an array named lengths (N,) says where to cut
    .conll, .conllu, .col          a name and its label in each line, an empty line between sentences

    All but .npz may be gzipped, with .gz at the end.

    y: one target of each sequence or, with `each_step`, of each step; None without a label. By the columns that come
    back, another table is read alike even where it has more. With `one`, the rows of a table are the steps of one
    sequence where no column names it. Raises `DataError`, `UnknownNameError`, `OptionError`, each with the file, and
    the line where there is one.

    >>> import pandas as pd
    >>> steps = pd.DataFrame({"id": [7, 7, 9], "t": [1, 0, 0], "x": [2.0, 1.0, 3.0], "kind": ["up", "up", "down"]})
    >>> X, y, _ = read_examples(steps, Columns(label="kind", sequence="id", time="t"))
    >>> [x.tolist() for x in X], y.tolist()
    ([[[1.0], [2.0]], [[3.0]]], ['up', 'down'])
    """
    if not isinstance(source, (str, Path)):
        table = _as_lists(as_frame(source, "read_examples"))
        return _from_table(table, columns, each_step, one, "read_examples")
    path = Path(source)
    kind = file_kind(path)
    where = f"read_examples({str(path)!r})"
    if kind == ".ts":
        return *read_ts(path), columns
    if kind == ".npz":
        return *_read_npz(path, where), columns
    if kind in (".conll", ".conllu", ".col"):
        return *read_columns(path), columns
    if kind not in (*TABLES, ".jsonl"):
        known = ", ".join((*TABLES, ".jsonl", ".ts", ".npz", ".conll"))
        raise DataError(f"{where}: expected {known}, got {kind or 'no suffix'!r}.")
    table = _read_jsonl(path, where) if kind == ".jsonl" else _as_lists(read_table(path))
    return _from_table(table, columns, each_step, one, where)


def _from_table(
    table: dict[str, list[Any]], columns: Columns, each_step: bool, one: bool, where: str
) -> tuple[list[Any], Any, Columns]:
    columns = _with_inputs(columns, table)
    rows_are_steps = one or columns.sequence is not None
    X, y = _by_sequence(table, columns, each_step, where) if rows_are_steps else _by_row(table, columns, where)
    return X, y, columns


def read_columns(path: Path | str, word: int = 0, label: int = 1) -> tuple[list[list[str]], list[list[str]]]:
    """Sentences, each a list of words, and the label of each word: CoNLL's columns, numbered from 0.

    Columns are separated by tabs, or by spaces where a line has no tab; lines that begin with "# " are skipped, and so
    are CoNLL-U's ranges ("3-4") and empty nodes ("5.1"). Raises `DataError` with the line.
    """
    path = Path(path)
    where = f"read_columns({str(path)!r})"
    X: list[list[str]] = [[]]
    y: list[list[str]] = [[]]
    for number, line in enumerate(read_lines(path, where), 1):
        if not line.strip():
            if X[-1]:
                X.append([])
                y.append([])
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
        X[-1].append(cells[word])
        y[-1].append(cells[label])
    if not X[-1]:
        del X[-1], y[-1]
    return X, y


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


def _as_lists(frame: Any) -> dict[str, list[Any]]:
    # by way of NumPy, numbers that are missing are NaN in a column of any package
    return {
        n: frame[n].to_numpy().tolist() if frame[n].dtype.is_numeric() else frame[n].to_list() for n in frame.columns
    }


def _read_jsonl(path: Path, where: str) -> dict[str, list[Any]]:
    rows = []
    for number, line in enumerate(read_lines(path, where), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise DataError(f"{where}: line {number} is not JSON ({problem}).") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: line {number} must be an object with names and values, got {line[:40]!r}.")
        if rows and row.keys() != rows[0].keys():
            odd = sorted(row.keys() ^ rows[0].keys())[0]
            raise DataError(f"{where}: line {number}: all objects must have the same names; {odd!r} is not in all.")
        rows.append(row)
    return {name: [row[name] for row in rows] for name in rows[0]}


def _column(table: dict[str, list[Any]], name: str, where: str) -> list[Any]:
    if name not in table:
        raise UnknownNameError(f"{where}: no column {name!r}, {suggest(name, table)}")
    return table[name]


def _with_inputs(columns: Columns, table: Iterable[str]) -> Columns:
    """The same columns, with the inputs named that the table has."""
    known = {columns.label, columns.sequence, columns.time}
    return replace(columns, inputs=columns.inputs or tuple(name for name in table if name not in known))


def _by_row(table: dict[str, list[Any]], columns: Columns, where: str) -> tuple[list[Any], Any]:
    y = None if columns.label is None else _labels(_column(table, columns.label, where), columns.label, where)
    names = columns.inputs
    parts = [_column(table, name, where) for name in names]
    if len(names) == 1:
        texts = parts[0]
        for row, text in enumerate(texts):
            if missing(text) or (isinstance(text, str) and not text.strip()):
                raise DataError(f"{where}: row {row + 1}: {names[0]!r} is empty. Leave the row out.")
        return list(texts), y
    if any(isinstance(part[0], str) for part in parts):
        raise OptionError(
            f"{where}: a row is one sequence, and its columns are {', '.join(names[:4])}. Name the one with the text "
            "(--input), or the one that names the sequence where a row is a step (--sequence)."
        )
    return list(np.array(parts, dtype=np.float64).T), y  # one feature, a step in each column


def _by_sequence(table: dict[str, list[Any]], columns: Columns, each_step: bool, where: str) -> tuple[list[Any], Any]:
    steps = len(next(iter(table.values())))
    keys = [""] * steps if columns.sequence is None else _column(table, columns.sequence, where)
    order: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        order.setdefault(key, []).append(row)
    if columns.time is not None:
        times = _column(table, columns.time, where)
        order = {key: sorted(rows, key=times.__getitem__) for key, rows in order.items()}
    names = columns.inputs
    parts = [_column(table, name, where) for name in names]
    if len(parts) == 1 and isinstance(parts[0][0], str):
        X: list[Any] = [[parts[0][row] for row in rows] for rows in order.values()]
    else:
        try:
            values = np.array(parts, dtype=np.float64).T
        except (TypeError, ValueError) as problem:
            raise DataError(f"{where}: the columns {', '.join(names[:4])} must be numbers ({problem}).") from None
        X = [values[rows] for rows in order.values()]
    if columns.label is None:
        return X, None
    labels = _labels(_column(table, columns.label, where), columns.label, where)
    if each_step:
        return X, [labels[rows] for rows in order.values()]
    for key, rows in order.items():
        if len(set(labels[rows].tolist())) > 1:
            raise DataError(
                f"{where}: {columns.label!r} must be the same in all rows of sequence {key!r}. Use `elman tag`."
            )
    return X, np.array([labels[rows[0]] for rows in order.values()])


def _labels(values: Sequence[Any], name: str, where: str) -> np.ndarray:
    for row, value in enumerate(values):
        if missing(value):
            raise DataError(f"{where}: row {row + 1} has no {name!r}. Leave the row out.")
    return np.array(values)
