"""What a step knows about the calendar: how long its seasons are, and where in them a time lies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from elman.data.frequency import DAY, BusinessDays, Fixed, Frequency, Listed, Months, frequency, weekday


def seasons(freq: str | int) -> tuple[int, ...]:
    """Season lengths in steps, the shortest first: whole days and weeks, then years of at most 60 steps.

    A season counts only if it holds a whole number of steps, at least two. The year of daily data does not: 365.25
    steps are no lag. Integer time has none: nothing says what a step is.

    Raises OptionError for an unknown `freq`.

    >>> seasons("h"), seasons("D"), seasons("MS"), seasons(1)
    ((24, 168), (7,), (12,), ())
    """
    step = frequency(freq)
    if isinstance(step, Months):
        return (12 // step.n,) if 12 % step.n == 0 and step.n < 12 else ()
    if isinstance(step, BusinessDays):
        return (5,) if step.n == 1 else ()
    if isinstance(step, Listed):
        year = _steps_in_a_year(step)
        return (year,) if 2 <= year <= 60 else ()
    if isinstance(step.alias, int) or not isinstance(step, Fixed):
        return ()
    week = 7 * DAY
    if step.step % week == 0:
        return (52 // (step.step // week),) if 52 * week % step.step == 0 and 52 * week > step.step else ()
    return tuple(cycle // step.step for cycle in (DAY, week) if cycle % step.step == 0 and cycle > step.step)


def default_season(freq: str | int) -> int:
    """The first season, the one that the seasonal naive forecast and MASE use; 1 where there is none.

    >>> default_season("15min"), default_season("YS")
    (96, 1)
    """
    return next(iter(seasons(freq)), 1)


def calendar_names(freq: str | int) -> tuple[str, ...]:
    """Names of the columns of `calendar_features`, C of them.

    >>> calendar_names("D")
    ('day_of_week_sin', 'day_of_week_cos', 'day_of_month_sin', 'day_of_month_cos', 'year_sin', 'year_cos')
    """
    return tuple(f"{name}_{wave}" for name in _cycles(frequency(freq)) for wave in ("sin", "cos"))


def calendar_features(times: np.ndarray, freq: str | int) -> np.ndarray:
    """The place of each time in the day, week, month and year, (T, C) float32 in [-1, 1].

    A place p in [0, 1) becomes sin 2πp and cos 2πp, so that the end of a cycle lies beside its start. A cycle that
    every step completes, or that integer time does not have, is left out: C may be 0.

    times: (T,) datetime64 or int64. Raises OptionError for an unknown `freq`.

    >>> calendar_features(np.array(["2024-01-01T06:00"], "datetime64[ns]"), "6h")[0, :2].round(3).tolist()
    [1.0, 0.0]
    """
    cycles = _cycles(frequency(freq))
    if not cycles:
        return np.zeros((len(times), 0), dtype=np.float32)
    places = _places(times)
    waves = [wave(2 * np.pi * getattr(places, name)) for name in cycles for wave in (np.sin, np.cos)]
    return np.stack(waves, axis=1).astype(np.float32)


class _Places(NamedTuple):
    """How far into each cycle a time is, each (T,) in [0, 1)."""

    time_of_day: np.ndarray
    day_of_week: np.ndarray
    day_of_month: np.ndarray
    year: np.ndarray


def _places(times: np.ndarray) -> _Places:
    day, month, year = (times.astype(f"datetime64[{unit}]") for unit in "DMY")
    month_length = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)
    day_of_month = (day - month.astype("datetime64[D]")).astype(np.int64) / month_length
    return _Places(
        time_of_day=(times - day).astype("timedelta64[ns]").astype(np.int64) / DAY,
        day_of_week=weekday(times) / 7,
        day_of_month=day_of_month,
        # by months, not days, so that the first of each month is at the same place every year
        year=((month - year.astype("datetime64[M]")).astype(np.int64) + day_of_month) / 12,
    )


def _cycles(step: Frequency) -> tuple[str, ...]:
    """The cycles within which steps of this length fall at different places."""
    if isinstance(step.alias, int):
        return ()
    if isinstance(step, Months):
        return () if step.n % 12 == 0 else ("year",)
    if isinstance(step, Listed):
        many = _steps_in_a_year(step) > 60
        return ("day_of_week", "day_of_month", "year") if many else ("year",)
    if isinstance(step, BusinessDays) or not isinstance(step, Fixed):
        return ("day_of_week", "day_of_month", "year")
    week = () if step.step % (7 * DAY) == 0 else ("day_of_week",)
    return (*(() if step.daily else ("time_of_day",)), *week, "day_of_month", "year")


def _steps_in_a_year(step: Listed) -> int:
    import pandas as pd

    return len(pd.date_range("2001-01-01", "2001-12-31 23:59:59", freq=step.alias))
