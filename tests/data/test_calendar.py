"""Seasons and calendar features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from elman.data import calendar_features, calendar_names, default_season, seasons
from elman.errors import OptionError


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("h", (24, 168)),
        ("15min", (96, 672)),
        ("30min", (48, 336)),
        ("2h", (12, 84)),
        ("5h", ()),
        ("D", (7,)),
        ("3D", ()),
        ("B", (5,)),
        ("W-SUN", (52,)),
        ("7D", (52,)),
        ("2W-MON", (26,)),
        ("MS", (12,)),
        ("ME", (12,)),
        ("2MS", (6,)),
        ("QS-FEB", (4,)),
        ("BME", (12,)),
        ("YE-DEC", ()),
        (1, ()),
    ],
)
def test_seasons(freq, expected):
    assert seasons(freq) == expected
    assert default_season(freq) == (expected or (1,))[0]


@pytest.mark.parametrize("freq", ["h", "15min", "D", "B", "W-SUN", "MS", "ME", "QE-DEC", "BME", "YS", "7D", 1])
def test_features_are_bounded_and_each_varies(freq):
    times = np.arange(2000) if freq == 1 else pd.date_range("1990", periods=300, freq=freq).to_numpy()
    features = calendar_features(times, freq)
    assert features.dtype == np.float32
    assert features.shape == (len(times), len(calendar_names(freq)))
    assert (np.abs(features) <= 1).all()
    assert (features.std(axis=0) > 0).all()
    expected = {"YS": 0, 1: 0, "MS": 2, "W-SUN": 4, "D": 6, "h": 8}.get(freq)
    assert expected is None or features.shape[1] == expected


def test_features_repeat_with_their_cycle():
    hours = calendar_features(pd.date_range("2024", periods=400, freq="h").to_numpy(), "h")
    np.testing.assert_allclose(hours[:200, :2], hours[24:224, :2], atol=1e-6)
    np.testing.assert_allclose(hours[:200, 2:4], hours[168:368, 2:4], atol=1e-6)
    months = calendar_features(pd.date_range("1949", periods=48, freq="MS").to_numpy(), "MS")
    np.testing.assert_allclose(months[:36], months[12:], atol=1e-6)


def test_monday_noon():
    features = calendar_features(np.array(["2024-01-01T12:00"], "datetime64[ns]"), "h")
    names = calendar_names("h")
    place = dict(zip(names, features[0], strict=True))
    assert place["time_of_day_cos"] == pytest.approx(-1) and place["day_of_week_cos"] == pytest.approx(1)


def test_unknown_freq():
    with pytest.raises(OptionError, match="unknown freq"):
        seasons("hourly")
