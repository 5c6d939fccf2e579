"""One column of a table as an array of numbers or categories, or one line that says which row is wrong.

Rows are counted from 1, the header not counted.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np

from elman.errors import DataError, UnknownNameError, suggest

_TRUTH = (bool, np.bool_)


def as_frame(frame: Any, where: str) -> nw.DataFrame[Any]:
    """Any eager table (pandas, polars, pyarrow, narwhals) as a narwhals frame with rows and distinct columns.

    Raises DataError for anything else, for two columns of one name, and for a table without rows.
    """
    try:
        table = nw.from_native(frame, eager_only=True)
    except nw.exceptions.DuplicateError as error:
        twice = " and ".join(re.findall(r"'.*?'(?= \d+ times)", str(error)))
        raise DataError(f"{where}: column names must be distinct, got {twice} more than once. Rename one.") from None
    except TypeError:
        kind = type(frame).__name__
        mend = "Call its .collect() first." if hasattr(frame, "collect") else "Read files with elman.data.read_table."
        raise DataError(f"{where}: expected a pandas, polars or pyarrow table, got {kind}. {mend}") from None
    if table.is_empty():
        raise DataError(f"{where}: expected rows, got a table without any. Check what was read or selected.")
    return table


def column(table: nw.DataFrame[Any], name: str, role: str, where: str) -> nw.Series[Any]:
    """The column called `name`.

    Raises UnknownNameError, with the nearest name, when there is none.
    """
    if name in table.columns:
        return table[name]
    index = getattr(nw.to_native(table), "index", None)
    if name in (getattr(index, "names", None) or ()):
        mend = "it is the index: call frame.reset_index() first."
    else:
        mend = suggest(name, (" ".join(str(known).split()) for known in table.columns))
    raise UnknownNameError(f"{where}: no {role} column {name!r}, {mend}")


def shown(value: object) -> str:
    """A value as an error line quotes it: on one line, not too long."""
    if isinstance(value, np.datetime64):
        text = str(np.datetime_as_string(value, unit="auto" if not np.isnat(value) else "s"))
    else:
        text = repr(value.item() if isinstance(value, np.generic) else value)
        text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "…"


def first(wrong: np.ndarray) -> int:
    """The index of the first true entry."""
    return int(np.argmax(wrong))


def read_numbers(values: nw.Series[Any], role: str, where: str) -> np.ndarray:
    """Numbers: (rows,) float64, null as NaN.

    Raises DataError for booleans, text that is no number, and infinities.
    """
    name, dtype = values.name, values.dtype
    if isinstance(dtype, nw.Boolean):
        raise DataError(f"{where}: {role} column {name!r} must hold numbers, got booleans. Cast it to 0 and 1 first.")
    if dtype.is_numeric():
        numbers = values.cast(nw.Float64).to_numpy().astype(np.float64)
    elif dtype.is_temporal() or dtype.is_nested():
        raise DataError(f"{where}: {role} column {name!r} must hold numbers, got {dtype}. Name another one.")
    else:
        numbers = np.array([_number(v, row, name, role, where) for row, v in enumerate(values.to_list(), start=1)])
    if np.isinf(numbers).any():
        row = first(np.isinf(numbers))
        mend = "Leave the cell empty if the value is missing."
        raise DataError(f"{where}: {role} column {name!r} must be finite, got {numbers[row]} in row {row + 1}. {mend}")
    return numbers.astype(np.float64)


def read_categories(values: nw.Series[Any], role: str, where: str) -> np.ndarray:
    """Categories: (rows,) objects, each a str, or None where null.

    Raises DataError when numbers and text are mixed, which makes 1 and "1" two categories.
    """
    found = [None if missing(v) else v for v in values.to_list()]
    kinds = sorted({type(v).__name__ for v in found if v is not None})
    if len(kinds) > 1:
        mend = f"Cast the column: frame[{values.name!r}].astype(str)."
        raise DataError(f"{where}: {role} column {values.name!r} must hold one type, got {' and '.join(kinds)}. {mend}")
    out = np.empty(len(found), dtype=object)
    out[:] = [None if v is None else str(v) for v in found]
    return out


def read_covariate(values: nw.Series[Any], role: str, where: str) -> np.ndarray:
    """A covariate as numbers where its column holds numbers, else as categories (text, booleans, enumerations).

    Raises DataError as `read_numbers` and `read_categories`, and for dates and nested values.
    """
    dtype = values.dtype
    if dtype.is_temporal() or dtype.is_nested():
        mend = "Turn it into numbers or text first."
        raise DataError(f"{where}: {role} column {values.name!r} must hold numbers or text, got {dtype}. {mend}")
    if dtype.is_numeric():
        return read_numbers(values, role, where)
    held = [v for v in values.to_list() if not missing(v)]
    if isinstance(dtype, (nw.Object, nw.Unknown)) and all(_is_number(v) for v in held):
        return read_numbers(values, role, where)
    return read_categories(values, role, where)


def missing(value: object) -> bool:
    """None, NaN, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def refuse_missing(values: np.ndarray, name: str, role: str, where: str) -> None:
    """Raises DataError when a column that must be known everywhere holds a NaN or None."""
    holes = np.isnan(values) if values.dtype.kind == "f" else np.array([v is None for v in values])
    if holes.any():
        raise DataError(
            f"{where}: {role} column {name!r} must have a value in every row, row {first(holes) + 1} is empty "
            f"({int(holes.sum())} of {len(holes)} are). Fill it in first, or drop those rows."
        )


def _number(value: Any, row: int, name: str, role: str, where: str) -> float:
    if missing(value):
        return np.nan
    try:
        if isinstance(value, _TRUTH):
            raise ValueError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        mend = "Write numbers like 1234.5 and leave the cell empty where there is none."
        raise DataError(
            f"{where}: {role} column {name!r} must hold numbers, got {shown(value)} in row {row}. {mend}"
        ) from None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Decimal, np.number)) and not isinstance(value, _TRUTH)
