"""Labelled sequences from a file: texts with a label, tables of steps, tagged sentences, series of the UCR archive."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.table import read_table
from elman.data.text_file import read_lines
from elman.data.ts_file import read_ts
from elman.errors import DataError, OptionError, UnknownNameError, suggest

TABLES = (".csv", ".tsv", ".parquet", ".pq", ".jsonl")


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


def read_examples(path: Path | str, columns: Columns, *, each_step: bool = False) -> tuple[list[Any], Any]:
    """Sequences X and targets y, None without a label: one of each sequence or, with `each_step`, of each step.

    .csv, .tsv (each also .gz), .parquet, .jsonl   a table by `columns`
    .ts                                            series of the UCR and UEA archives
    .npz                                           arrays X (N, T, F) or (N, T), and y
    .conll, .conllu, .col (each also .gz)          a name and its label in each line, an empty line between sentences

    Raises `DataError`, `UnknownNameError`, `OptionError`, each with the file, and the line where there is one.
    """
    path = Path(path)
    kind = _kind(path)
    where = f"read_examples({str(path)!r})"
    if kind == ".ts":
        return read_ts(path)
    if kind == ".npz":
        return _read_npz(path, where)
    if kind in (".conll", ".conllu", ".col"):
        return read_columns(path)
    if kind not in TABLES:
        raise DataError(
            f"{where}: expected {', '.join((*TABLES, '.ts', '.npz', '.conll'))}, got {kind or 'no suffix'!r}."
        )
    table = _table(path, where)
    return _by_sequence(table, columns, each_step, where) if columns.sequence else _by_row(table, columns, where)


def with_inputs(path: Path | str, columns: Columns) -> Columns:
    """The same columns with the inputs named that a table has, so that another table may have more."""
    path = Path(path)
    if columns.inputs or _kind(path) not in TABLES:
        return columns
    names = _table(path, f"with_inputs({str(path)!r})")
    known = {columns.label, columns.sequence, columns.time}
    return replace(columns, inputs=tuple(name for name in names if name not in known))


def _kind(path: Path) -> str:
    """The suffix that tells what a file holds, in front of .gz if it ends so."""
    suffixes = [s.lower() for s in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]


def _table(path: Path, where: str) -> dict[str, list[Any]]:
    return _read_jsonl(path, where) if _kind(path) == ".jsonl" else _as_lists(read_table(path))


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
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except FileNotFoundError:
        raise DataError(f"{where}: no such file. Check the path; it starts from {str(Path.cwd())!r}.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
        raise DataError(f"{where}: not a readable .npz of plain arrays ({problem}). Write it with np.savez.") from None
    if "X" not in arrays:
        raise DataError(f"{where}: expected arrays named X and y, got {', '.join(arrays) or 'none'}. Rename them.")
    y = arrays.get("y")
    if y is not None and len(y) != len(arrays["X"]):
        raise DataError(f"{where}: X and y must be of one length, got {len(arrays['X'])} and {len(y)}.")
    return list(arrays["X"]), y


def _as_lists(frame: Any) -> dict[str, list[Any]]:
    return {name: frame[name].to_list() for name in frame.columns}


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


def _by_row(table: dict[str, list[Any]], columns: Columns, where: str) -> tuple[list[Any], Any]:
    y = None if columns.label is None else _labels(_column(table, columns.label, where), columns.label, where)
    names = columns.inputs or tuple(name for name in table if name != columns.label)
    parts = [_column(table, name, where) for name in names]
    if len(names) == 1:
        texts = parts[0]
        for row, text in enumerate(texts):
            if text is None or text != text or (isinstance(text, str) and not text.strip()):
                raise DataError(f"{where}: row {row + 1}: {names[0]!r} is empty. Leave the row out.")
        return list(texts), y
    if any(isinstance(part[0], str) for part in parts):
        raise OptionError(
            f"{where}: a row is one sequence, and its columns are {', '.join(names[:4])}. Name the one with the text "
            "(--input), or the one that names the sequence where a row is a step (--sequence)."
        )
    return list(np.array(parts, dtype=np.float64).T), y  # one feature, a step in each column


def _by_sequence(table: dict[str, list[Any]], columns: Columns, each_step: bool, where: str) -> tuple[list[Any], Any]:
    keys = _column(table, str(columns.sequence), where)
    order: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        order.setdefault(key, []).append(row)
    if columns.time is not None:
        times = _column(table, columns.time, where)
        order = {key: sorted(rows, key=times.__getitem__) for key, rows in order.items()}
    known = {columns.label, columns.sequence, columns.time}
    names = columns.inputs or tuple(name for name in table if name not in known)
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
        if value is None or value != value:
            raise DataError(f"{where}: row {row + 1} has no {name!r}. Leave the row out.")
    return np.array(values)
