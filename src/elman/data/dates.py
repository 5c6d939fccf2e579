"""A time column as timestamps, or one line that says which row is no date.

Rows are counted from 1, the header not counted.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np

from elman.data.columns import first, shown
from elman.data.frequency import DAY
from elman.errors import DataError

# Formats other than ISO 8601. A column must fit one of them whole: guessing row by row swaps days and months.
_DATE_FORMATS = (
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%Y/%m",
    "%m/%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %Y",
    "%B %Y",
    "%b-%Y",
)
_CLOCK_FORMATS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_ZONED = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d.*?)\s*(?:Z|[+-]\d\d(?::?\d\d)?)")
_QUARTER = re.compile(r"(\d{4})[- ]?[Qq]([1-4])")


def read_times(values: nw.Series[Any], where: str, daily: bool | None = None) -> np.ndarray:
    """Timestamps: (rows,) datetime64[ns], or int64 when the column holds whole numbers.

    With a time zone: the clock on the wall where the step is whole days (`daily`; None: where every row has the same
    time of day), else UTC, because the wall clock skips an hour each spring and repeats one each autumn.

    Raises DataError for a null, something that is no date, a date outside 1678–2261, and dates that read both as
    day/month and as month/day.
    """
    name, dtype = values.name, values.dtype
    if isinstance(dtype, nw.Boolean) or (dtype.is_numeric() and not _whole(values)):
        kind = "booleans" if isinstance(dtype, nw.Boolean) else "fractions"
        raise DataError(
            f"{where}: time column {name!r} must hold dates or whole numbers, got {kind}. Name another one."
        )
    _refuse_nulls(values, "time", where)
    if dtype.is_numeric():
        return values.cast(nw.Int64).to_numpy().astype(np.int64)
    if isinstance(dtype, nw.Date):
        return _nanoseconds(values.to_numpy(), name, where)
    if isinstance(dtype, nw.Datetime):
        return _from_datetimes(values, where, daily)
    return _from_objects(values.to_list(), name, where, daily)


def _whole(values: nw.Series[Any]) -> bool:
    if values.dtype.is_integer():
        return True
    numbers = values.cast(nw.Float64).to_numpy()
    numbers = numbers[~np.isnan(numbers)]  # nulls have a line of their own
    return bool((np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)).all())


def _refuse_nulls(values: nw.Series[Any], role: str, where: str) -> None:
    if values.dtype.is_float():
        holes = np.isnan(values.cast(nw.Float64).to_numpy())
    else:
        holes = values.is_null().to_numpy().astype(bool)
    if holes.any():
        raise DataError(
            f"{where}: {role} column {values.name!r} must have a value in every row, row {first(holes) + 1} is empty "
            f"({int(holes.sum())} of {len(holes)} are). Drop those rows or fill them in."
        )


def _nanoseconds(times: np.ndarray, name: str, where: str) -> np.ndarray:
    """datetime64 of any unit as nanoseconds, which reach from 1678 to 2261."""
    years = times.astype("datetime64[Y]").astype(np.int64) + 1970
    far = (years < 1678) | (years > 2261)
    if far.any():
        row = first(far)
        mend = "Correct it, or number the steps with whole numbers."
        raise DataError(
            f"{where}: time column {name!r} must lie in 1678–2261, got year {years[row]} in row {row + 1}. {mend}"
        )
    return times.astype("datetime64[ns]")


def _from_datetimes(values: nw.Series[Any], where: str, daily: bool | None) -> np.ndarray:
    dtype = values.dtype
    if not isinstance(dtype, nw.Datetime) or dtype.time_zone is None:
        return _nanoseconds(values.to_numpy(), values.name, where)
    wall = _nanoseconds(values.dt.replace_time_zone(None).to_numpy(), values.name, where)
    utc = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return wall if _keeps_wall(wall, daily) else _nanoseconds(utc.to_numpy(), values.name, where)


def _keeps_wall(wall: np.ndarray, daily: bool | None) -> bool:
    return len(np.unique(wall.astype(np.int64) % DAY)) == 1 if daily is None else daily


def _from_objects(values: list[Any], name: str, where: str, daily: bool | None) -> np.ndarray:
    """Strings, Python dates and pandas periods; the distinct ones only are parsed, as series share their times."""
    import pandas as pd

    kinds = {_time_kind(v) for v in values}
    if len(kinds) > 1 or None in kinds:
        common = max(kinds, key=lambda k: sum(_time_kind(v) == k for v in values))
        row = next((i for i, v in enumerate(values) if _time_kind(v) is None or _time_kind(v) != common))
        raise DataError(
            f"{where}: time column {name!r} must hold dates of one type, got {shown(values[row])} "
            f"({type(values[row]).__name__}) in row {row + 1}. Write all of them like '2024-01-31'."
        )
    kind = kinds.pop()
    if kind == "period":
        return pd.PeriodIndex(values).to_timestamp().to_numpy().astype("datetime64[ns]")
    texts = [v if kind == "text" else v.isoformat() for v in values]
    codes, distinct = pd.factorize(np.array(texts, dtype=object))
    rows = np.zeros(len(distinct), dtype=np.int64)
    rows[codes[::-1]] = np.arange(len(codes))[::-1]  # the first row of each
    return _parse(list(distinct), rows, name, where, daily)[codes]


def _time_kind(value: object) -> str | None:
    if isinstance(value, str):
        return "text"
    if type(value).__name__ == "Period":
        return "period"
    return "date" if hasattr(value, "isoformat") and hasattr(value, "year") else None


def _parse(texts: Sequence[str], rows: np.ndarray, name: str, where: str, daily: bool | None) -> np.ndarray:
    import pandas as pd

    walls = [match[1] for match in map(_ZONED.fullmatch, texts) if match]
    if len(walls) == len(texts):
        wall = _parse(walls, rows, name, where, daily)
        if _keeps_wall(wall, daily):
            return wall
        utc = pd.to_datetime(pd.Series(texts), format="ISO8601", utc=True, errors="coerce")
        texts = [str(t) for t in utc.dt.tz_localize(None).dt.strftime("%Y-%m-%dT%H:%M:%S.%f")]
    readings = _readings(texts)
    whole = [r for r in readings if not np.isnat(r).any()]
    if not whole:
        best = min(readings, key=lambda r: int(np.isnat(r).sum()))
        worst = int(min(np.flatnonzero(np.isnat(best)), key=lambda i: rows[i]))
        raise DataError(
            f"{where}: time column {name!r} must hold dates, got {shown(texts[worst])} in row {rows[worst] + 1}. "
            "Write all of them like '2024-01-31' or '2024-01-31 13:00'."
        )
    for other in whole[1:]:
        if (other != whole[0]).any():
            i = first(other != whole[0])
            raise DataError(
                f"{where}: time column {name!r} reads both as day/month and as month/day, {shown(texts[i])} in row "
                f"{rows[i] + 1} is {shown(whole[0][i])} or {shown(other[i])}. Write dates like '2024-01-31'."
            )
    order = np.argsort(rows, kind="stable")  # so that a date out of range is named by its first row
    _nanoseconds(whole[0][order], name, where)
    return whole[0].astype("datetime64[ns]")


def _readings(texts: Sequence[str]) -> list[np.ndarray]:
    """Every way to read the texts, NaT where one fails: ISO 8601, quarters, then each format that reads any."""
    import pandas as pd

    def read(strings: Sequence[str], form: str) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas would say that it coerced
            try:
                times = pd.to_datetime(pd.Series(strings, dtype=object), format=form, errors="coerce").to_numpy()
            except ValueError:  # some have a time zone, some have none
                times = np.array(None)
            return times if times.dtype.kind == "M" else np.full(len(strings), "NaT", dtype="datetime64[ns]")

    quarters = [_QUARTER.fullmatch(t.strip()) for t in texts]
    if all(quarters):
        return [read([f"{q[1]}-{3 * int(q[2]) - 2:02d}" for q in quarters if q], "ISO8601")]
    iso = read(texts, "ISO8601")
    if not np.isnat(iso).any():
        return [iso]
    out = [iso]
    for form in (date + clock for date in _DATE_FORMATS for clock in _CLOCK_FORMATS):
        sample = read(texts[:50], form)
        if not np.isnat(sample).all():
            out.append(read(texts, form))
    return out
