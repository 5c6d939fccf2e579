"""A panel cut into windows and turned back into frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import Panel, panel_from_frame
from elman.errors import DataError, OptionError, ShapeError


def counters(lengths=(10, 7), freq="D", ahead=3):
    """Series whose value at step t is t, so that an off-by-one shows."""
    times = tuple(pd.date_range("2024", periods=n, freq=freq).to_numpy().astype("datetime64[ns]") for n in lengths)
    count = tuple(np.arange(float(n)) for n in lengths)
    return Panel(
        ids=tuple("abcdefgh"[: len(lengths)]),
        freq=freq,
        times=times,
        y=count,
        past={"p": tuple(-c for c in count)},
        future={"f": tuple(np.arange(float(n + ahead)) for n in lengths)},
        static={"s": np.arange(float(len(lengths)))},
    )


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(9, 30), min_size=1, max_size=4), back=st.integers(1, 8), data=st.data())
def test_step_h_of_the_truth_is_h_steps_after_the_history(lengths, back, data):
    horizon = data.draw(st.integers(1, back))
    panel = counters(lengths)
    history, truth = panel.window(back, horizon)
    assert truth.shape == (len(lengths), horizon)
    later = history.future_times(horizon)
    for i, n in enumerate(lengths):
        assert len(history.y[i]) == n - back == len(history.past["p"][i])
        np.testing.assert_array_equal(truth[i], history.y[i][-1] + np.arange(1, horizon + 1))
        np.testing.assert_array_equal(later[i], panel.times[i][n - back : n - back + horizon])
        # known in advance: what comes after the cutoff is still there, at the right step
        np.testing.assert_array_equal(history.future["f"][i][n - back :][:horizon], truth[i])
    assert panel.known_ahead() == 3 and history.known_ahead() == 3 + back


def test_tail_and_select():
    panel = counters((10, 7))
    short = panel.tail(8)
    assert short.lengths.tolist() == [8, 7]
    assert short.y[0][0] == short.future["f"][0][0] == -short.past["p"][0][0] == 2
    assert short.known_ahead() == 3
    for keep in ([1], np.array([False, True])):
        one = panel.select(keep)
        assert one.ids == ("b",) and one.static["s"].tolist() == [1.0] and len(one) == 1
    assert panel.tail(3).tail(2).y[0].tolist() == [8, 9]


@pytest.mark.parametrize("freq", ["D", "MS", "ME", "W-SUN", "B", "15min", "QE-NOV"])
def test_future_times_go_on(freq):
    panel = counters((20, 12), freq)
    np.testing.assert_array_equal(panel.cut(5).future_times(5)[0], panel.times[0][-5:])
    assert panel.future_times(4).shape == (2, 4)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda p: p.cut(7), DataError),
        (lambda p: p.cut(-1), OptionError),
        (lambda p: p.tail(0), OptionError),
        (lambda p: p.window(2, 3), OptionError),
        (lambda p: p.window(2, 0), OptionError),
        (lambda p: p.future_times(0), OptionError),
        (lambda p: p.forecast_frame({}), ShapeError),
        (lambda p: p.forecast_frame({"m": np.zeros((3, 2))}), ShapeError),
        (lambda p: Panel(p.ids, "D", p.times[:1], p.y), ShapeError),
        (lambda p: Panel(p.ids, "D", p.times, (p.y[0], p.y[1][:-1])), ShapeError),
        (lambda p: Panel(p.ids, "D", p.times, p.y, static={"s": np.zeros(3)}), ShapeError),
    ],
)
def test_impossible_requests_are_one_line(call, kind):
    with pytest.raises(kind) as caught:
        call(counters())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_to_frame_and_back(backend):
    panel = counters()
    again = panel_from_frame(panel.to_frame(backend), past=["p"], future=["f"], static=["s"])
    assert again.ids == panel.ids and again.freq == "D"
    for mine, theirs in zip(
        (*again.y, *again.times, *again.past["p"]), (*panel.y, *panel.times, *panel.past["p"]), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert again.static["s"].tolist() == [0, 1]


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_forecast_frame_has_one_row_per_series_and_time(backend):
    frame = counters().forecast_frame({"Elman": np.array([[10.0, 11], [7, 8]])}, backend)
    assert list(frame.columns) == ["unique_id", "ds", "Elman"]
    assert frame["unique_id"].to_list() == ["a", "a", "b", "b"]
    assert [str(t)[:10] for t in frame["ds"].to_list()] == ["2024-01-11", "2024-01-12", "2024-01-08", "2024-01-09"]
    assert frame["Elman"].to_list() == [10, 11, 7, 8]
