"""Frames with one fault each: always a typed error, on one line, that names what is wrong."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import panel_from_frame
from elman.errors import DataError, ElmanError, OptionError, UnknownNameError


def days(n, start="2024-01-01", freq="D"):
    return list(pd.date_range(start, periods=n, freq=freq))


def base(n):
    return {
        "unique_id": ["a"] * n + ["b"] * n,
        "ds": days(n) * 2,
        "y": [float(i) for i in range(2 * n)],
        "x": [1.0] * 2 * n,
    }


def put(columns, name, row, value):
    changed = list(columns[name])
    changed[row] = value
    return columns | {name: changed}


def drop(columns, row):
    return {name: values[:row] + values[row + 1 :] for name, values in columns.items()}


def append(columns, **rows):
    n = len(rows["ds"])
    return {name: [*values, *rows.get(name, [1.0] * n)] for name, values in columns.items()}


def repeated(columns, row):
    return append(columns, unique_id=[columns["unique_id"][row]], ds=[columns["ds"][row]])


def with_wrong_year(columns, row):
    return append(columns, unique_id=["s"] * 9, ds=[*days(8, freq="s"), pd.Timestamp("2204-01-01")])


def with_series(freq, n=4, y=1.0):
    return lambda columns, row: append(columns, unique_id=["c"] * n, ds=days(n, freq=freq), y=[y] * n)


def with_cell(name, value):
    return lambda columns, row: put(columns, name, row, value)


def with_date_text(text):
    return lambda columns, row: put(columns | {"ds": [str(t) for t in columns["ds"]]}, "ds", row, text)


def with_column(name, make):
    """Replaces column `name`; make: (its values, row) → values."""
    return lambda columns, row: columns | {name: make(columns["y"], row)}


def unchanged(columns, row):
    return columns


# fault: (change of a good table at a row, options, kind of error, what its line says; {row} counts from 1)
FAULTS = {
    "misspelt target": (with_column("sales", lambda y, r: y), {"target": "sale"}, UnknownNameError, "you mean 'sales'"),
    "missing time": (unchanged, {"time": "zzz"}, UnknownNameError, "choose from"),
    "missing covariate": (unchanged, {"past": ["xx"]}, UnknownNameError, "no past column 'xx', did you mean 'x'"),
    "column used twice": (unchanged, {"past": ["y"]}, OptionError, "as target and as past"),
    "covariates as text": (unchanged, {"past": "x"}, OptionError, r"Write \['x'\]"),
    "unknown gaps": (unchanged, {"gaps": "zeros"}, OptionError, "did you mean 'zero'"),
    "unknown freq": (unchanged, {"freq": "monthly"}, OptionError, "unknown freq 'monthly'"),
    "integer freq for dates": (unchanged, {"freq": 1}, OptionError, "does not fit a time column of dates"),
    "wrong freq": (unchanged, {"freq": "ME"}, DataError, "Its times fit freq='D'"),
    "unparsable date": (with_date_text("x\ny"), {}, DataError, "got 'x.*y' in row {row}"),
    "no such day": (with_date_text("2024-02-31"), {}, DataError, "'2024-02-31' in row {row}"),
    "far date": (with_date_text("9999-12-31"), {}, DataError, "year 9999 in row {row}"),
    "empty date": (with_cell("ds", None), {}, DataError, "row {row} is empty"),
    "duplicate": (repeated, {}, DataError, "twice, in rows {row} and"),
    "several series as one": (unchanged, {"series": None}, DataError, "tells series apart"),
    "gap": (drop, {}, DataError, "1 are absent.*gaps='missing'.*gaps='zero'"),
    "irregular": (with_cell("ds", pd.Timestamp("2024-01-01 05:00")), {}, DataError, "spacings seen: D .*Resample"),
    "another frequency": (with_series("h"), {}, DataError, "share one step, got 'h' in series 'c'"),
    "a longer frequency": (with_series("3D"), {}, DataError, "share one step, got '3D' in series 'c'"),
    "all missing": (with_series("D", y=None), {}, DataError, "series 'c' has none"),
    "a wrong year": (with_wrong_year, {"freq": "s", "gaps": "missing"}, DataError, "must be denser"),
    "text in target": (
        with_column("y", lambda y, r: [*map(str, y[:r]), "n/a?", *map(str, y[r + 1 :])]),
        {},
        DataError,
        r"got 'n/a\?' in row {row}",
    ),
    "boolean target": (with_column("y", lambda y, r: [True] * len(y)), {}, DataError, "got booleans"),
    "dates as target": (with_column("y", lambda y, r: days(len(y))), {}, DataError, "numbers, got Datetime"),
    "infinity": (with_cell("y", -np.inf), {}, DataError, "got -inf in row {row}"),
    "infinite covariate": (with_cell("x", np.inf), {"past": ["x"]}, DataError, "got inf in row {row}"),
    "unknown future": (with_cell("x", None), {"future": ["x"]}, DataError, "row {row} is empty"),
    "varying static": (with_cell("x", 2.0), {"static": ["x"]}, DataError, "must be constant in a series"),
    "empty id": (with_cell("unique_id", None), {}, DataError, "row {row} is empty"),
    "no rows": (lambda columns, row: {name: [] for name in columns}, {}, DataError, "without any"),
    "one row": (lambda columns, row: {name: v[:1] for name, v in columns.items()}, {}, DataError, "freq='D'"),
    "fractions as time": (with_column("ds", lambda y, r: [v + 0.5 for v in y]), {}, DataError, "got fractions"),
    "booleans as time": (with_column("ds", lambda y, r: [True] * len(y)), {}, DataError, "got booleans"),
}


@pytest.mark.parametrize("build", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
@pytest.mark.parametrize("fault", FAULTS)
@settings(max_examples=6, deadline=None)
@given(n=st.integers(8, 20), data=st.data())
def test_each_fault_has_its_line(fault, build, n, data):
    row = data.draw(st.integers(2, n - 3))  # inside the first series
    change, options, kind, says = FAULTS[fault]
    with pytest.raises(kind) as caught:
        panel_from_frame(build(change(base(n), row)), where="forecast", **options)
    line = str(caught.value)
    assert isinstance(caught.value, ElmanError) and "\n" not in line
    assert line.startswith("forecast: ")
    assert re.search(says.replace("{row}", str(row + 1)), line), line


def test_ambiguous_dates():
    frame = pd.DataFrame({"ds": ["01/02/2020", "02/02/2020", "03/02/2020"], "y": [1, 2, 3]})
    with pytest.raises(DataError, match=r"both as day/month and as month/day.*row 1 is 2020-02-01 or 2020-01-02"):
        panel_from_frame(frame)


def test_mixed_types_of_dates_and_ids():
    frame = pd.DataFrame({"ds": [*days(3), "2024-01-04"], "y": [1, 2, 3, 4]})
    with pytest.raises(DataError, match=r"got '2024-01-04' \(str\) in row 4"):
        panel_from_frame(frame)
    frame = pd.DataFrame({"ds": days(4), "y": [1, 2, 3, 4], "unique_id": [1, 1, "1", "1"]})
    with pytest.raises(DataError, match="one type, got int and str"):
        panel_from_frame(frame)


def test_months_as_numbers():
    frame = pd.DataFrame({"ds": [202311, 202312, 202401], "y": [1, 2, 3]})
    with pytest.raises(DataError, match="look like dates"):
        panel_from_frame(frame)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ([1, 2], "got list"),
        (None, "got NoneType"),
        ("sales.csv", "read_table"),
        (pl.LazyFrame({"ds": [1]}), "collect"),
        (pd.Series([1]), "got Series"),
        (pd.DataFrame([[1, 2]], columns=["y", "y"]), "'y' more than once"),
        (pd.DataFrame({"y": [1, 2]}, index=pd.date_range("2024", periods=2, name="ds")), "reset_index"),
    ],
)
def test_what_is_no_table(frame, says):
    with pytest.raises(ElmanError, match=says) as caught:
        panel_from_frame(frame)
    assert "\n" not in str(caught.value)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(anything, anything, anything, anything), max_size=6),
    gaps=st.sampled_from(["error", "missing", "zero"]),
)
def test_any_cells_are_a_panel_or_one_line(rows, gaps):
    frame = pd.DataFrame(rows, columns=["unique_id", "ds", "y", "x"], dtype=object)
    try:
        panel = panel_from_frame(frame, past=["x"], gaps=gaps)
    except ElmanError as error:
        assert "\n" not in str(error)
    else:
        assert len(panel) > 0 and not any(np.isinf(y).any() for y in panel.y)
