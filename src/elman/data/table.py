"""Tables on disk: CSV and Parquet in, CSV out, and one line that says what is wrong with a file."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import narwhals as nw

from elman.data.on_disk import ROWS
from elman.data.text_file import check_there, decode, file_kind, read_bytes, read_failure, stream_lines
from elman.errors import DataError, MissingExtraError
from elman.files import write_atomic

_TEXT = {".csv": ",", ".tsv": "\t"}
TABLES = (*_TEXT, ".parquet", ".pq")
"""kinds of files that are tables"""
_MAGIC = (
    (b"\x1f\x8b", "gzip", "Name it {name}.gz."),
    (b"PAR1", "Parquet", "Name it .parquet."),
    (b"PK\x03\x04", "a spreadsheet or zip archive", "Save it as CSV."),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet", "Save it as CSV."),
    (b"%PDF", "PDF", "Save the table as CSV."),
)


def read_table(path: str | os.PathLike[str]) -> nw.DataFrame[Any]:
    """The table in a CSV (.csv, .tsv) or Parquet (.parquet, .pq) file, each also .gz.

    CSV is UTF-8, with or without a byte order mark, and has a header; columns are separated by commas, in .tsv by tabs;
    a .csv without a comma in its header may use semicolons or tabs. Empty cells, NA and NaN are missing.

    Raises DataError, one line, when the file is missing, empty, not such a table or damaged; MissingExtraError when no
    installed package reads Parquet.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "sales.csv")
    >>> _ = path.write_text("ds,y\\n2024-01,1\\n2024-02,2\\n", encoding="utf-8")
    >>> read_table(path).shape
    (2, 2)
    """
    path = Path(path)
    where = f"read_table({str(path)!r})"
    kind = file_kind(path)
    if path.is_dir():
        raise DataError(f"{where}: expected a file, got a folder. Name the file in it.")
    if kind not in TABLES:
        check_there(path, where)
        got = f"the suffix {kind!r}" if kind else "no suffix"
        raise DataError(f"{where}: expected .csv, .csv.gz, .tsv or .parquet, got {got}. Rename or convert the file.")
    data = read_bytes(path, where)
    table = _parse_csv(_as_text(data, path, where), _TEXT[kind], where) if kind in _TEXT else _read_parquet(data, where)
    if table.is_empty():
        raise _only_a_header(where)
    return table


def stream_table(path: Path) -> Iterator[nw.DataFrame[Any]]:
    """The same table in pieces of some rows, each column of one kind in all: for a file that memory cannot hold.

    A CSV file is read three times: to check it, to learn what its columns hold, for its values. Raises what
    `read_table` raises.
    """
    where = f"read_table({str(path)!r})"
    if path.suffix.lower() == ".gz" and file_kind(path) not in _TEXT:
        raise DataError(f"{where}: a large Parquet file is read in pieces, and a gzipped one cannot be. Unpack it.")
    pieces = _stream_csv(path, where) if file_kind(path) in _TEXT else _stream_parquet(path, where)
    first = next(pieces, None)
    if first is None or first.is_empty():
        raise _only_a_header(where)
    return chain([first], pieces)


def write_csv(frame: Any, path: str | os.PathLike[str]) -> None:
    """Writes a table as UTF-8 CSV (gzip where the name ends in .gz): whole, or not at all.

    frame: pandas, polars, pyarrow or narwhals. Raises RunError, one line, when the place cannot be written.
    """
    path = Path(path)
    text = nw.from_native(frame, eager_only=True).write_csv().encode()
    data = gzip.compress(text, mtime=0) if path.suffix.lower() == ".gz" else text
    write_atomic(path, data)


def _only_a_header(where: str) -> DataError:
    return DataError(f"{where}: expected rows, got only a header. Check what wrote the file.")


def _as_text(data: bytes, path: Path, where: str) -> str:
    for magic, kind, mend in _MAGIC:
        if data.startswith(magic):
            raise DataError(f"{where}: expected CSV text, got {kind}. {mend.format(name=path.name)}")
    return decode(data, path, where)


def _parse_csv(text: str, separator: str, where: str) -> nw.DataFrame[Any]:
    import pandas as pd

    separator = _separator(text.lstrip().split("\n", 1)[0], separator)
    _check_shape(io.StringIO(text, newline=""), separator, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # it says that pandas dropped cells
            # index_col=False: without it pandas takes a column that the header lacks as the index
            frame = pd.read_csv(io.StringIO(text), sep=separator, index_col=False, low_memory=False)
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{where}: this is not CSV ({reason}). Check its quotes and commas.") from None
    return nw.from_native(frame, eager_only=True)


def _separator(header: str, separator: str) -> str:
    """What separates the columns, by the header."""
    if separator == "," and "," not in header:
        return next((s for s in ";\t" if s in header), ",")
    return separator


def _stream_csv(path: Path, where: str) -> Iterator[nw.DataFrame[Any]]:
    import pandas as pd

    header = next((line for line in stream_lines(path, where) if line.strip()), "")
    separator = _separator(header, _TEXT[file_kind(path)])
    _check_shape(stream_lines(path, where), separator, where)
    options: Any = {"sep": separator, "index_col": False, "low_memory": False, "encoding": "utf-8-sig"}
    kinds: dict[str, set[str]] = {}
    for piece in pd.read_csv(path, chunksize=ROWS, **options):
        for name in piece.columns:
            kinds.setdefault(name, set()).add(piece[name].dtype.kind)
    text = {name for name, found in kinds.items() if not (found <= set("iuf") or found == {"b"})}
    types = {name: "str" if name in text else "float64" for name, found in kinds.items() if len(found) > 1}
    for piece in pd.read_csv(path, chunksize=ROWS, dtype=types, **options):
        yield nw.from_native(piece, eager_only=True)


def _stream_parquet(path: Path, where: str) -> Iterator[nw.DataFrame[Any]]:
    try:
        from pyarrow import ArrowException, Table
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise MissingExtraError(f"{where}: large Parquet needs pyarrow. Install it: pip install pyarrow") from None
    import pandas as pd

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS):
                piece = Table.from_batches([batch]).to_pandas()
                yield nw.from_native(piece if isinstance(piece.index, pd.RangeIndex) else piece.reset_index())
    except FileNotFoundError as problem:
        raise read_failure(path, problem, where) from None
    except (ArrowException, OSError) as error:
        reason = re.split(r"[\n.:]", str(error).strip())[0]
        raise DataError(f"{where}: the Parquet data are damaged ({reason}). Fetch or write the file again.") from None


def _check_shape(lines: Iterable[str], separator: str, where: str) -> None:
    """Every line must have as many cells as the header, which names each column once; pandas would fill in silently."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            if not cells:
                continue  # a blank line
            if not header:
                header = cells
                if twice := sorted({name for name in header if header.count(name) > 1}):
                    raise DataError(f"{where}: column names must be distinct, got {twice[0]!r} twice. Rename one.")
            elif len(cells) != len(header):
                got = f"got {len(cells)} in line {reader.line_num}"
                mend = "The file may be cut short, or a text with commas lacks its quotes."
                raise DataError(f"{where}: expected {len(header)} cells as in the header, {got}. {mend}")
    except csv.Error as error:
        raise DataError(
            f"{where}: line {reader.line_num} is not CSV ({error}). Check its quotes and line ends."
        ) from None


def _read_parquet(data: bytes, where: str) -> nw.DataFrame[Any]:
    if not (data.startswith(b"PAR1") and data.endswith(b"PAR1")):
        state = "cut short" if data.startswith(b"PAR1") else "not Parquet"
        raise DataError(f"{where}: expected a whole Parquet file, got one that is {state}. Fetch or write it again.")
    try:
        if importlib.util.find_spec("pyarrow"):
            import pandas as pd

            frame = pd.read_parquet(io.BytesIO(data))
            # a frame saved with its times as the index
            return nw.from_native(frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index())
        if importlib.util.find_spec("polars"):
            import polars as pl

            return nw.from_native(pl.read_parquet(io.BytesIO(data)))
    except Exception as error:  # each reader has error classes of its own, without a common root
        reason = re.split(r"[\n.:]", str(error).strip())[0]
        raise DataError(f"{where}: the Parquet data are damaged ({reason}). Fetch or write the file again.") from None
    raise MissingExtraError(f"{where}: Parquet needs pyarrow or polars. Install one: pip install pyarrow")
