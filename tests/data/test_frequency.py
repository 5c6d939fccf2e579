"""Steps of time against pandas' own date ranges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data.frequency import frequency, infer_frequency
from elman.errors import OptionError

ALIASES = [
    "h",
    "2h",
    "15min",
    "30min",
    "90min",
    "s",
    "30s",
    "ms",
    "D",
    "3D",
    "7D",
    "W-SUN",
    "W-MON",
    "2W-WED",
    "4W-FRI",
    "B",
    "MS",
    "ME",
    "2MS",
    "6ME",
    "QS",
    "QS-FEB",
    "QE",
    "QE-NOV",
    "YS",
    "YE-JUN",
    "YS-MAR",
    "BME",
    "BMS",
    "BQE-DEC",
    "WOM-3FRI",
]


def stamps(alias, periods=40, start="2019-01-30"):
    return pd.date_range(start, periods=periods, freq=alias).to_numpy().astype("datetime64[ns]")


@pytest.mark.parametrize("alias", ALIASES)
def test_steps_and_walk_are_pandas(alias):
    times, step = stamps(alias), frequency(alias)
    np.testing.assert_array_equal(step.steps(times), np.arange(40))
    np.testing.assert_array_equal(step.walk(times[0], 0, 40), times)
    np.testing.assert_array_equal(step.walk(times[5], 1, 10), times[6:16])


@pytest.mark.parametrize("alias", ALIASES)
def test_the_step_is_found_again_even_with_holes(alias):
    times = stamps(alias)
    whole = alias in ("BQE-DEC", "WOM-3FRI")  # rare ones are found where nothing is missing
    found = infer_frequency([times if whole else np.delete(times, [7, 20, 21]), times[10:]])
    assert found is not None
    np.testing.assert_array_equal(found.walk(times[0], 0, 40), times)
    # what was found has a name that gives it back
    np.testing.assert_array_equal(frequency(found.alias).walk(times[0], 0, 40), times)


@settings(max_examples=60, deadline=None)
@given(
    alias=st.sampled_from(ALIASES),
    start=st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01")),
    skip=st.integers(0, 30),
)
def test_walk_agrees_with_pandas_from_any_start(alias, start, skip):
    times = stamps(alias, 40, pd.Timestamp(start).floor("s"))
    np.testing.assert_array_equal(frequency(alias).walk(times[0], skip, 5), times[skip : skip + 5])


def test_month_ends_meet_the_leap_day():
    january = np.datetime64("2024-01-31", "ns")
    ends = frequency("ME").walk(january, 1, 3).astype("datetime64[D]").astype(str)
    assert ends.tolist() == ["2024-02-29", "2024-03-31", "2024-04-30"]


def test_any_day_of_the_month_and_time_of_day_is_kept():
    times = np.array(["2023-11-15T06:00", "2023-12-15T06:00", "2024-01-15T06:00"], "datetime64[ns]")
    step = infer_frequency([times])
    assert step is not None and step.alias == "MS"
    assert step.walk(times[-1], 1, 1)[0] == np.datetime64("2024-02-15T06:00")


def test_series_that_start_in_different_quarters():
    step = infer_frequency([stamps("QS-JAN"), stamps("QS-FEB")])
    assert step is not None and step.alias == "3MS"


def test_integer_time():
    step = infer_frequency([np.array([2000, 2005, 2015]), np.array([1, 6])])
    assert step is not None and step.alias == 5
    assert step.walk(2015, 1, 2).tolist() == [2020, 2025]
    assert frequency("5") == step


def test_one_time_tells_no_step():
    assert infer_frequency([np.array([3]), np.array([4])]) is None


@pytest.mark.parametrize(
    ("alias", "mend"),
    [("foo", "pandas alias"), ("M", "'ME'"), ("", "pandas alias"), ("-1D", "forward"), (0, "at least 1")],
)
def test_bad_aliases(alias, mend):
    with pytest.raises(OptionError, match=mend) as caught:
        frequency(alias)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alias", [True, 1.5, None, ["D"]])
def test_no_alias_at_all(alias):
    with pytest.raises(OptionError, match="alias"):
        frequency(alias)
