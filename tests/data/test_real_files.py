"""Real series from file to panel; skipped where the shared data folder is not beside the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from elman.data import panel_from_frame, read_table, seasons

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "forecasting"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real data: {FOLDER} is absent")


@pytest.mark.parametrize(
    ("name", "time", "target", "freq", "length"),
    [
        ("airline-passengers.csv", "Month", "Passengers", "MS", 144),
        ("monthly-car-sales.csv", "Month", "Sales", "MS", 108),
        ("bitcoin_3day_river.csv", "date", "price", "3D", None),
    ],
)
def test_small_files(name, time, target, freq, length):
    panel = panel_from_frame(read_table(FOLDER / name), time=time, target=target)
    assert panel.freq == freq and panel.ids == (target,)
    assert length is None or panel.lengths.tolist() == [length]
    assert not np.isnan(panel.y[0]).any()


def test_daily_temperatures_lack_two_leap_days():
    table = read_table(FOLDER / "daily-min-temperatures.csv")
    with pytest.raises(ValueError, match="2 are absent, the first at 1984-12-31"):
        panel_from_frame(table, time="Date", target="Temp")
    panel = panel_from_frame(table, time="Date", target="Temp", gaps="missing")
    assert panel.freq == "D" and np.isnan(panel.y[0]).sum() == 2


def test_hourly_pollution_with_covariates():
    frame = read_table(FOLDER / "beijing_pm25_pollution.csv.gz").to_native()
    frame["ds"] = pd.to_datetime(frame[["year", "month", "day", "hour"]])
    panel = panel_from_frame(frame, target="pm2.5", past=["TEMP", "cbwd"])
    assert panel.freq == "h" and seasons(panel.freq) == (24, 168)
    assert np.isnan(panel.y[0]).sum() == frame["pm2.5"].isna().sum() > 0
    assert set(panel.past["cbwd"][0]) == {"NW", "cv", "NE", "SE"}


def test_m4_weekly_as_integer_time():
    wide = read_table(FOLDER / "m4" / "Weekly-train.csv.gz").to_native()
    frame = wide.melt(id_vars="V1", var_name="ds", value_name="y").dropna()
    frame["ds"] = frame["ds"].str[1:].astype(int)
    panel = panel_from_frame(frame, series="V1")
    assert len(panel) == 359 and panel.freq == 1 and panel.lengths.min() == 80
    assert panel.y[0][0] == wide["V2"][0]
