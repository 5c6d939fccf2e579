"""The rows of a long table grouped by series and laid on one time grid, or the line that says why they cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from elman.data.columns import column, first, read_categories, refuse_missing, shown
from elman.data.dates import read_times
from elman.data.frequency import Frequency, frequency, infer_frequency, spacing_name
from elman.errors import DataError, OptionError


@dataclass(frozen=True)
class Rows:
    """Which rows of the table are which series: `rows[i]` in order of time, at `times[i]`."""

    ids: tuple[str, ...]
    rows: tuple[np.ndarray, ...]
    times: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Grid:
    """Where those rows go: row rows[i][k] of the table is step places[i][k] of series i, which has len(times[i])."""

    rows: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]
    times: tuple[np.ndarray, ...]

    def spread(self, values: np.ndarray, fill: float | None) -> tuple[np.ndarray, ...]:
        """A column of the table as one array per series, `fill` where the table has no row."""
        out = []
        for rows, places, times in zip(self.rows, self.places, self.times, strict=True):
            laid = np.full(len(times), fill, dtype=values.dtype)
            laid[places] = values[rows]
            out.append(laid)
        return tuple(out)


def group_rows(
    table: nw.DataFrame[Any], time: str, series: str | None, target: str, where: str, daily: bool | None = None
) -> Rows:
    """Rows by series, in order of first appearance, each sorted by time."""
    import pandas as pd

    times = read_times(column(table, time, "time", where), where, daily)
    if series is None:
        codes, ids = np.zeros(len(times), dtype=np.int64), (target,)
    else:
        names = read_categories(column(table, series, "series", where), "series", where)
        refuse_missing(names, series, "series", where)
        codes, distinct = pd.factorize(names)
        ids = tuple(str(name) for name in distinct)
    order = np.lexsort((times, codes))
    codes, sorted_times = codes[order], times[order]
    again = (codes[1:] == codes[:-1]) & (sorted_times[1:] == sorted_times[:-1])
    if again.any():
        i = first(again)
        pair = sorted((int(order[i]) + 1, int(order[i + 1]) + 1))
        mend = "Keep one row" + (", or name the column that tells series apart (series=…)." if series is None else ".")
        raise DataError(
            f"{where}: times must be distinct in a series, series {shown(ids[codes[i]])} has {shown(sorted_times[i])} "
            f"twice, in rows {pair[0]} and {pair[1]} ({int(again.sum())} repeated in all). {mend}"
        )
    cuts = np.flatnonzero(np.diff(codes)) + 1
    return Rows(ids, tuple(np.split(order, cuts)), tuple(np.split(sorted_times, cuts)))


def find_step(rows: Rows, freq: str | int | None, where: str) -> Frequency:
    """The step that `freq` names, else the most common one of all series.

    Raises DataError when no series has two times to tell it, OptionError when `freq` is not of the times' kind.
    """
    integer = rows.times[0].dtype.kind == "i"
    if freq is None:
        step = infer_frequency(rows.times)
        if step is None:
            example = "freq=1" if integer else "freq='D'"
            raise DataError(
                f"{where}: at least one series needs two times to find the step, got one row in series "
                f"{shown(rows.ids[0])}. Name the step: {example}."
            )
        return step
    step = frequency(freq, where)
    if isinstance(step.alias, int) != integer:
        kind, mend = ("whole numbers", "a whole number") if integer else ("dates", "an alias such as 'D'")
        raise OptionError(f"{where}: freq {freq!r} does not fit a time column of {kind}. Give {mend}, or leave it out.")
    return step


def lay(rows: Rows, step: Frequency, gaps: str, given: bool, where: str) -> Grid:
    """Each series' rows on its own grid, from its first time to its last (gaps "zero": to the last of all).

    given: the user named the step, so that a series of another step is told to be irregular.
    Raises DataError for a time off the grid, for gaps unless they are allowed, and for a grid out of all proportion.
    """
    end = max(t[-1] for t in rows.times)
    room = 5_000_000 + 100 * sum(map(len, rows.times))  # one wrong year would otherwise fill the memory
    places, times, gappy = [], [], []
    for i, seen in enumerate(rows.times):
        place = step.steps(seen)
        if np.isnan(place).any():
            raise DataError(_off_grid(rows, i, step, place, given, where))
        count = int(place[-1]) + 1
        if gaps == "zero":
            reach = step.steps(np.array([seen[0], end]))[-1]
            count = max(count, 0 if np.isnan(reach) else int(reach) + 1)
        if count > len(seen):
            gappy.append(i)
        room -= count
        if room < 0:
            raise DataError(
                f"{where}: series {shown(rows.ids[i])} must be denser, got {len(seen)} rows on {count} steps of "
                f"{step.alias!r} from {shown(seen[0])} on. Check its first and last time, or name a longer step: freq=…"
            )
        places.append(place.astype(np.int64))
        times.append(step.walk(seen[0], 0, count))
    if gappy and gaps == "error":
        raise DataError(_has_gaps(rows, gappy, step, places, where))
    return Grid(rows.rows, tuple(places), tuple(times))


def _off_grid(rows: Rows, i: int, step: Frequency, place: np.ndarray, given: bool, where: str) -> str:
    """The line for a series that does not step by `step`: of another step of its own, or irregular."""
    seen, name = rows.times[i], shown(rows.ids[i])
    own = infer_frequency([seen])
    if own is not None and np.isnan(own.steps(seen)).any():
        own = None  # irregular
    if own is not None and not given:
        return _disagrees(rows, i, step, own, where)
    values, counts = np.unique(np.diff(seen).astype(np.int64), return_counts=True)
    common = np.argsort(-counts, kind="stable")[:3]
    spacings = ", ".join(f"{spacing_name(int(values[j]), seen.dtype.kind == 'i')} ({counts[j]}×)" for j in common)
    more = ", …" if len(values) > 3 else ""
    mend = "Resample it, or name the step: freq=…" if own is None else f"Its times fit freq={own.alias!r}."
    return (
        f"{where}: series {name} must step by {step.alias!r}, {shown(seen[first(np.isnan(place))])} is not on that "
        f"grid; spacings seen: {spacings or 'none'}{more}. {_like_dates(seen) or mend}"
    )


def _disagrees(rows: Rows, i: int, step: Frequency, own: Frequency, where: str) -> str:
    """The line for a series that is regular, but by a step of its own."""
    return (
        f"{where}: all series must share one step, got {own.alias!r} in series {shown(rows.ids[i])} and {step.alias!r} "
        "elsewhere. Resample them alike, or train one model for each step."
    )


def _has_gaps(rows: Rows, gappy: Sequence[int], step: Frequency, places: Sequence[np.ndarray], where: str) -> str:
    """The line for times without a row; a series with its own, longer step is told apart from one with holes."""
    for i in gappy:
        own = infer_frequency([rows.times[i]])
        jumps = np.diff(places[i])
        if own is not None and len(jumps) > 1 and (jumps > 1).all() and not np.isnan(own.steps(rows.times[i])).any():
            return _disagrees(rows, i, step, own, where)
    i = gappy[0]
    jump = first(np.diff(places[i]) > 1)
    absent = step.walk(rows.times[i][0], int(places[i][jump]) + 1, 1)[0]
    count = int(places[i][-1]) + 1 - len(places[i])
    more = f" (and {len(gappy) - 1} more series have gaps)" if len(gappy) > 1 else ""
    mend = (
        "Pass gaps='missing' to mask them or gaps='zero' where no row means no demand "
        "(command: --gaps missing or --gaps zero)."
    )
    return (
        f"{where}: series {shown(rows.ids[i])} must have a row for every step of {step.alias!r}, {count} are absent, "
        f"the first at {shown(absent)}{more}. {_like_dates(rows.times[i]) or mend}"
    )


def _like_dates(times: np.ndarray) -> str:
    """A remedy when whole numbers look like 202401 or 20240131: their spacing jumps at the end of each year."""
    if times.dtype.kind != "i":
        return ""
    months = times if times[0] < 10**6 else times // 100
    dates = (months >= 180001) & (months <= 219912) & (months % 100 >= 1) & (months % 100 <= 12)
    return "They look like dates: write them as text such as '2024-01'." if dates.all() else ""


def places_of(rows: Rows, by_id: dict[str, int], name: str, wanted: np.ndarray, where: str) -> np.ndarray:
    """The rows of the table that hold series `name` at the times wanted."""
    if name not in by_id:
        raise DataError(f"{where}: the future table must hold every series, {shown(name)} is absent. Add its rows.")
    i = by_id[name]
    place = np.searchsorted(rows.times[i], wanted).clip(max=len(rows.times[i]) - 1)
    absent = rows.times[i][place] != wanted
    if absent.any():
        raise DataError(
            f"{where}: the future table must hold {len(wanted)} steps after the end of series {shown(name)}, "
            f"{int(absent.sum())} are absent, the first at {shown(wanted[first(absent)])}. Add those rows."
        )
    return rows.rows[i][place]
