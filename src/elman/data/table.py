"""Tables on disk: CSV and Parquet in, CSV out, and one line that says what is wrong with a file."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import os
import re
import warnings
from pathlib import Path
from typing import Any

import narwhals as nw

from elman.data.text_file import decode, file_kind, read_bytes
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
        got = f"the suffix {kind!r}" if kind else "no suffix"
        raise DataError(f"{where}: expected .csv, .csv.gz, .tsv or .parquet, got {got}. Rename or convert the file.")
    data = read_bytes(path, where)
    table = _parse_csv(_as_text(data, path, where), _TEXT[kind], where) if kind in _TEXT else _read_parquet(data, where)
    if table.is_empty():
        raise DataError(f"{where}: expected rows, got only a header. Check what wrote the file.")
    return table


def write_csv(frame: Any, path: str | os.PathLike[str]) -> None:
    """Writes a table as UTF-8 CSV (gzip where the name ends in .gz): whole, or not at all.

    frame: pandas, polars, pyarrow or narwhals. Raises RunError, one line, when the place cannot be written.
    """
    path = Path(path)
    text = nw.from_native(frame, eager_only=True).write_csv().encode()
    data = gzip.compress(text, mtime=0) if path.suffix.lower() == ".gz" else text
    write_atomic(path, data)


def _as_text(data: bytes, path: Path, where: str) -> str:
    for magic, kind, mend in _MAGIC:
        if data.startswith(magic):
            raise DataError(f"{where}: expected CSV text, got {kind}. {mend.format(name=path.name)}")
    return decode(data, path, where)


def _parse_csv(text: str, separator: str, where: str) -> nw.DataFrame[Any]:
    import pandas as pd

    header = text.lstrip().split("\n", 1)[0]
    if separator == "," and "," not in header:
        separator = next((s for s in ";\t" if s in header), ",")
    _check_shape(text, separator, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # it says that pandas dropped cells
            # index_col=False: without it pandas takes a column that the header lacks as the index
            frame = pd.read_csv(io.StringIO(text), sep=separator, index_col=False, low_memory=False)
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{where}: this is not CSV ({reason}). Check its quotes and commas.") from None
    return nw.from_native(frame, eager_only=True)


def _check_shape(text: str, separator: str, where: str) -> None:
    """Every line must have as many cells as the header, which names each column once; pandas would fill in silently."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
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
