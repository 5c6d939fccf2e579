"""Long tables to panels: what is taken, how it is laid on the grid, what comes from the future table."""

from __future__ import annotations

import decimal
import subprocess
import sys

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import future_from_frame, panel_from_frame
from elman.errors import DataError, OptionError, UnknownNameError

FREQS = ("h", "15min", "D", "3D", "B", "W-WED", "MS", "ME", "QS-JAN", "YE-DEC")


@st.composite
def good_frames(draw):
    """A shuffled long table and what it must become: ids, freq and the values by id."""
    freq = draw(st.sampled_from(FREQS))
    start = draw(st.sampled_from(["1999-12-31", "2024-02-27"]))
    ids = draw(st.lists(st.text("abcé ", min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
    number = st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))
    values = {name: [draw(st.floats(-9, 9)), *draw(st.lists(number, min_size=9, max_size=14))] for name in ids}
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range(start, periods=len(v), freq=freq), "y": v})
        for name, v in values.items()
    ]
    frame = pd.concat(parts).sample(frac=1, random_state=draw(st.integers(0, 99)))
    return frame.reset_index(drop=True), freq, values


@settings(max_examples=60, deadline=None)
@given(good=good_frames(), backend=st.sampled_from(["pandas", "polars", "pyarrow", "text"]))
def test_any_good_frame_becomes_its_panel(good, backend):
    frame, freq, values = good
    if backend == "text":
        frame = frame.assign(ds=frame["ds"].astype(str))
    elif backend != "pandas":
        frame = nw.from_dict({c: frame[c].to_list() for c in frame}, backend=backend).to_native()
    panel = panel_from_frame(frame)
    assert panel.freq == freq
    assert set(panel.ids) == set(values)
    for name, y, times in zip(panel.ids, panel.y, panel.times, strict=True):
        np.testing.assert_array_equal(y, values[name])
        assert times.dtype == "datetime64[ns]" and (np.diff(times) > np.timedelta64(0, "ns")).all()


def long(**columns):
    return pd.DataFrame({"ds": pd.date_range("2024", periods=4), "y": [1.0, 2, 3, 4], **columns})


def test_one_series():
    assert panel_from_frame(long()).ids == ("y",)
    assert panel_from_frame(long(unique_id="a")).ids == ("a",)
    panel = panel_from_frame(long(unique_id="a"), series=None)
    assert panel.ids == ("y",) and panel.series is None
    assert list(panel.to_frame().columns) == ["ds", "y"]
    with pytest.raises(UnknownNameError, match="no series column 'store'"):
        panel_from_frame(long(), series="store")


@pytest.mark.parametrize(
    "y",
    [[1, None, 3, 4], ["1", "2.5", None, "4"], [decimal.Decimal(1), 2.5, None, 4], pd.array([1, None, 3, 4], "Int64")],
)
def test_targets_that_are_numbers_after_all(y):
    panel = panel_from_frame(pd.DataFrame({"ds": [1, 2, 3, 4], "y": y}))
    assert panel.freq == 1 and panel.y[0].dtype == np.float64 and np.isnan(panel.y[0]).sum() == 1


@pytest.mark.parametrize(
    ("ds", "freq", "first"),
    [
        (["1949-01", "1949-02", "1949-03"], "MS", "1949-01-01"),
        (["2020Q1", "2020Q2", "2020Q4"], "QS-JAN", "2020-01-01"),
        (["2020-01-01", "2020-01-01 12:00", "2020-01-02T00:00:00"], "12h", "2020-01-01"),
        (["12/02/2020", "13/02/2020", "14/02/2020"], "D", "2020-02-12"),
        (["02/12/2020", "02/13/2020", "02/14/2020"], "D", "2020-02-12"),
        (["29.02.2020 13:00", "29.02.2020 14:00", "29.02.2020 15:00"], "h", "2020-02-29T13"),
        (["Jan 2020", "Feb 2020", "Mar 2020"], "MS", "2020-01-01"),
        (["2020-01-01T00:00Z", "2020-01-01T01:00Z", "2020-01-01T02:00Z"], "h", "2020-01-01"),
        (["2024-03-30T00:00+01:00", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00"], "D", "2024-03-30"),
        (list(pd.date_range("2024-03-30", periods=3, tz="Europe/Berlin")), "D", "2024-03-30"),
        (list(pd.date_range("2024-03-31", periods=3, freq="h", tz="Europe/Berlin")), "h", "2024-03-30T23"),
        ([d.date() for d in pd.date_range("2024", periods=3)], "D", "2024-01-01"),
        (list(pd.period_range("2020-01", periods=3, freq="M")), "MS", "2020-01-01"),
        ([np.datetime64("2020-01-15"), np.datetime64("2020-02-15"), np.datetime64("2020-03-15")], "MS", "2020-01-15"),
    ],
)
def test_dates_as_people_write_them(ds, freq, first):
    panel = panel_from_frame(pd.DataFrame({"ds": ds, "y": [1, 2, 3]}), gaps="missing")
    assert panel.freq == freq
    assert panel.times[0][0] == np.datetime64(first)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_polars_time_zones(zone):
    days = pl.datetime_range(pd.Timestamp("2024-03-01"), pd.Timestamp("2024-04-09"), "1d", time_zone=zone, eager=True)
    panel = panel_from_frame(pl.DataFrame({"ds": days, "y": range(len(days))}))
    assert panel.freq == "D" and panel.times[0][0] == np.datetime64("2024-03-01")


def test_years_are_integer_time():
    panel = panel_from_frame(pd.DataFrame({"ds": [2002.0, 2000.0, 2001.0], "y": [3, 1, 2]}))
    assert panel.freq == 1 and panel.y[0].tolist() == [1, 2, 3] and panel.future_times(1).tolist() == [[2003]]


def two_series():
    """ "a" lacks the third day, "b" ends two days early."""
    days = pd.date_range("2024", periods=6)
    a = pd.DataFrame({"unique_id": "a", "ds": days, "y": 1.0, "p": 1.0, "q": "x"}).drop(2)
    b = pd.DataFrame({"unique_id": "b", "ds": days[1:4], "y": 2.0, "p": 2.0, "q": "y"})
    return pd.concat([a, b])


def test_gaps():
    nan = np.nan
    with pytest.raises(DataError, match=r"series 'a'.*1 are absent, the first at 2024-01-03.*--gaps missing"):
        panel_from_frame(two_series())
    masked = panel_from_frame(two_series(), gaps="missing", past=["p", "q"])
    np.testing.assert_array_equal(masked.y[0], [1, 1, nan, 1, 1, 1])
    np.testing.assert_array_equal(masked.past["p"][0], [1, 1, nan, 1, 1, 1])
    assert masked.past["q"][0].tolist() == ["x", "x", None, "x", "x", "x"]
    assert masked.y[1].tolist() == [2, 2, 2]
    zero = panel_from_frame(two_series(), gaps="zero")
    assert zero.y[0].tolist() == [1, 1, 0, 1, 1, 1]
    assert zero.y[1].tolist() == [2, 2, 2, 0, 0]  # not sold in the last two days; not on sale before its first


def test_sparse_demand_over_years_is_no_mistake():
    hours = pd.date_range("2020", periods=30_000, freq="h")
    frame = pd.DataFrame({"unique_id": "busy", "ds": hours, "y": 1.0})
    rare = pd.DataFrame({"unique_id": "rare", "ds": hours[[5]], "y": 1.0})
    assert panel_from_frame(pd.concat([frame, rare]), gaps="zero").lengths.tolist() == [30_000, 29_995]


@pytest.mark.parametrize("build", [pd.DataFrame, pl.DataFrame])
def test_future_table(build):
    history = build(
        {"ds": [1, 2, 3] * 2, "y": [1.0] * 6, "unique_id": [1, 1, 1, 2, 2, 2], "f": range(6), "g": list("abcabc")}
    )
    panel = panel_from_frame(history, future=["f", "g"])
    ahead = {"ds": [5, 4, 4, 5, 6], "unique_id": [1, 1, 2, 2, 2], "f": [11, 10, 20, 21, 22], "g": list("vwxyz")}
    longer = future_from_frame(panel, build(ahead), 2)
    assert longer.known_ahead() == 2 and panel.known_ahead() == 0
    assert longer.future["f"][0].tolist() == [0, 1, 2, 10, 11]
    assert longer.future["g"][1].tolist() == ["a", "b", "c", "x", "y"]
    assert future_from_frame(longer, build(ahead), 1).known_ahead() == 1
    with pytest.raises(DataError, match=r"3 steps after the end of series '1', 1 are absent, the first at 6"):
        future_from_frame(panel, build(ahead), 3)
    with pytest.raises(UnknownNameError, match="no future column 'g'"):
        future_from_frame(panel, build({k: v for k, v in ahead.items() if k != "g"}), 2)
    with pytest.raises(DataError, match="series '1' has none at 4"):
        future_from_frame(panel, build(ahead | {"f": [11, None, 20, 21, 22]}), 2)
    with pytest.raises(DataError, match="'2' is absent"):
        future_from_frame(panel, build({k: v[:2] for k, v in ahead.items()}), 2)
    with pytest.raises(DataError, match="must hold whole numbers"):
        future_from_frame(
            panel, build(ahead | {"ds": ["2024-01-01"] * 3 + ["2024-01-02"] * 2, "unique_id": [1, 2, 3, 1, 2]}), 2
        )
    with pytest.raises(OptionError, match="horizon"):
        future_from_frame(panel, build(ahead), 0)


def test_the_future_table_keeps_the_clock_of_the_history():
    hours = pd.date_range("2024-06-01", periods=30, freq="h", tz="Europe/Berlin")
    panel = panel_from_frame(pd.DataFrame({"ds": hours[:-1], "y": 1.0, "f": 0.0}), future=["f"])
    one_row = pd.DataFrame({"ds": hours[-1:], "f": 5.0})  # one row has one time of day, as daily data have
    assert future_from_frame(panel, one_row, 1).future["f"][0][-1] == 5


def test_booleans_and_enumerations_are_categories():
    frame = long(b=[True, False, True, None], c=pd.Categorical(["u", "v", "u", "v"]), s="shop")
    panel = panel_from_frame(frame, past=["b"], future=["c"], static=["s"])
    assert panel.past["b"][0].tolist() == ["True", "False", "True", None]
    assert panel.future["c"][0].tolist() == ["u", "v", "u", "v"]
    assert panel.static["s"].tolist() == ["shop"]


def test_importing_the_floor_is_light():
    code = "import elman.data, sys; assert not {'pandas', 'polars', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pyarrow_table():
    table = pa.table({"ds": pa.array([1, 2, 3]), "y": pa.array([1, None, 3])})
    assert np.isnan(panel_from_frame(table).y[0]).tolist() == [False, True, False]
