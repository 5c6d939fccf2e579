"""A long table (`unique_id, ds, y`, covariates) as a panel: rows are sorted, checked and laid on a time grid.

Source: the long format is Nixtla's. Rows are counted from 1, the header not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np

from elman.data.columns import (
    as_frame,
    column,
    first,
    read_categories,
    read_covariate,
    read_numbers,
    refuse_missing,
    shown,
)
from elman.data.grid import Grid, Rows, find_step, group_rows, lay, places_of
from elman.data.panel import Panel
from elman.errors import DataError, OptionError, suggest

GAPS = ("error", "missing", "zero")


def panel_from_frame(
    frame: Any,
    *,
    time: str = "ds",
    target: str = "y",
    series: str | None = "unique_id",
    freq: str | int | None = None,
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
    gaps: str = "error",
    where: str = "Forecaster",
) -> Panel:
    """The series of a long table, one row per series and time, in any order.

    frame    pandas, polars, pyarrow or narwhals, not lazy
    series   the column that names the series. None: the table holds one series, called like its target; so does a
             table without a column "unique_id" when `series` is left at its default
    freq     a pandas alias, or the step of integer time; None: the most common spacing of all series
    past, future, static   covariate columns: known up to now, known in advance, constant in a series
    gaps     times without a row: "error"; "missing": the target is masked there; "zero": no row means no demand, also
             from a series' last row to the end of the table. Covariates are missing in such rows either way

    An empty target or past covariate is missing; a future or static one must be known in every row.
    Time zones: see `elman.data.dates.read_times`.

    Raises UnknownNameError for a column that is not there; OptionError for options that exclude each other;
    DataError for data that cannot be forecast as they are, in one line that says where and how to mend it.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"ds": ["2024-03", "2024-01", "2024-02"], "y": [3, 1, 2]})
    >>> panel = panel_from_frame(frame)
    >>> panel.freq, panel.y[0].tolist()
    ('MS', [1.0, 2.0, 3.0])
    """
    table = as_frame(frame, where)
    if series == "unique_id" and series not in table.columns:
        series = None
    _check_options(time, target, series, past, future, static, gaps, where)
    y = read_numbers(column(table, target, "target", where), "target", where)
    rows = group_rows(table, time, series, target, where)
    step = find_step(rows, freq, where)
    grid = lay(rows, step, gaps, freq is not None, where)
    spread_y = grid.spread(y, 0.0 if gaps == "zero" else np.nan)
    for name, values in zip(rows.ids, spread_y, strict=True):
        if np.isnan(values).all():
            mend = "Leave this series out, or name another target."
            raise DataError(f"{where}: target {target!r} must have a value, series {shown(name)} has none. {mend}")
    return Panel(
        ids=rows.ids,
        freq=step.alias,
        times=grid.times,
        y=spread_y,
        past={name: _read_moving(table, name, "past", grid, where) for name in past},
        future={name: _read_moving(table, name, "future", grid, where) for name in future},
        static={name: _read_static(table, name, rows, where) for name in static},
        time=time,
        target=target,
        series=series,
    )


def future_from_frame(panel: Panel, frame: Any, horizon: int, *, where: str = "Forecaster") -> Panel:
    """The panel with its future covariates known for `horizon` steps past the end of every series.

    frame: a long table with the panel's series and time columns and its future covariates; it must hold the `horizon`
    times after each series' end, other rows are not read. A panel without future covariates comes back as it is.

    Raises UnknownNameError for a missing column, DataError for missing times or values, OptionError for horizon < 1.

    >>> import pandas as pd
    >>> past = pd.DataFrame({"ds": pd.date_range("2024", periods=3), "y": [1, 2, 3], "promo": [0, 1, 0]})
    >>> panel = panel_from_frame(past, future=["promo"])
    >>> ahead = pd.DataFrame({"ds": pd.date_range("2024-01-04", periods=2), "promo": [1, 1]})
    >>> future_from_frame(panel, ahead, 2).future["promo"][0].tolist()
    [0.0, 1.0, 0.0, 1.0, 1.0]
    """
    wanted = panel.future_times(horizon)
    if not panel.future:
        return panel
    table = as_frame(frame, where)
    rows = group_rows(table, panel.time, panel.series, panel.target, where, panel.step.daily)
    if rows.times[0].dtype != wanted.dtype:
        kinds = ("dates", "whole numbers") if wanted.dtype.kind == "M" else ("whole numbers", "dates")
        raise DataError(
            f"{where}: time column {panel.time!r} of the future table must hold {kinds[0]} as in the history, "
            f"got {kinds[1]}. Write both alike."
        )
    by_id = dict(zip(rows.ids, range(len(rows.ids)), strict=True))
    places = [places_of(rows, by_id, name, times, where) for name, times in zip(panel.ids, wanted, strict=True)]
    extended = {}
    for name, known in panel.future.items():
        values = _read_like(table, name, known[0], where)
        ahead = [values[place] for place in places]
        for series, part, times in zip(panel.ids, ahead, wanted, strict=True):
            holes = np.isnan(part) if part.dtype.kind == "f" else np.array([v is None for v in part])
            if holes.any():
                raise DataError(
                    f"{where}: future covariate {name!r} must be known for the whole horizon, series {shown(series)} "
                    f"has none at {shown(times[first(holes)])}. Fill it in."
                )
        joined = zip(known, panel.lengths, ahead, strict=True)
        extended[name] = tuple(np.concatenate([old[:length], new]) for old, length, new in joined)
    return replace(panel, future=extended)


def _check_options(
    time: str,
    target: str,
    series: str | None,
    past: Sequence[str],
    future: Sequence[str],
    static: Sequence[str],
    gaps: str,
    where: str,
) -> None:
    for role, names in (("past", past), ("future", future), ("static", static)):
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise OptionError(f"{where}: {role} must be a list of columns, got {names!r}. Write [{names!r}].")
    for role, name in (("time", time), ("target", target)):
        if not isinstance(name, str):
            raise OptionError(f"{where}: {role} must be the name of a column, got {name!r}.")
    if gaps not in GAPS:
        raise OptionError(f"{where}: unknown gaps {gaps!r}, {suggest(str(gaps), GAPS)}")
    roles: dict[str, str] = {}
    named = [("time", time), ("target", target), *([("series", series)] if series is not None else [])]
    named += [(role, n) for role, names in (("past", past), ("future", future), ("static", static)) for n in names]
    for role, name in named:
        if name in roles:
            raise OptionError(
                f"{where}: a column has one role, got {name!r} as {roles[name]} and as {role}. Name another column."
            )
        roles[name] = role


def _read_moving(table: nw.DataFrame[Any], name: str, role: str, grid: Grid, where: str) -> tuple[np.ndarray, ...]:
    """A past or future covariate laid on the grid."""
    values = read_covariate(column(table, name, role, where), role, where)
    if role == "future":
        refuse_missing(values, name, role, where)
    return grid.spread(values, np.nan if values.dtype.kind == "f" else None)


def _read_static(table: nw.DataFrame[Any], name: str, rows: Rows, where: str) -> np.ndarray:
    values = read_covariate(column(table, name, "static", where), "static", where)
    refuse_missing(values, name, "static", where)
    for series, mine in zip(rows.ids, rows.rows, strict=True):
        others = values[mine] != values[mine[0]]
        if others.any():
            got = f"{shown(values[mine[0]])} and {shown(values[mine[first(others)]])} in series {shown(series)}"
            mend = "Pass it as past or future instead."
            raise DataError(f"{where}: static column {name!r} must be constant in a series, got {got}. {mend}")
    return values[[mine[0] for mine in rows.rows]]


def _read_like(table: nw.DataFrame[Any], name: str, known: np.ndarray, where: str) -> np.ndarray:
    """A future covariate read as numbers or as categories, whichever the history holds."""
    values = column(table, name, "future", where)
    if known.dtype.kind == "f":
        return read_numbers(values, "future", where)
    return read_categories(values, "future", where)
