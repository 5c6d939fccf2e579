"""The step of a time grid: its alias, the place of a time on it, and the times that follow.

Four kinds cover pandas' aliases and integer time. Each answers two questions with array arithmetic:
`steps` (how many steps from the first time to each time?) and `walk` (which times are that many steps away?).

Times are datetime64[ns] or int64 arrays, (T,).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from elman.errors import OptionError

DAY = 86_400_000_000_000  # nanoseconds
_UNITS = (("D", DAY), ("h", DAY // 24), ("min", DAY // 1440), ("s", 10**9), ("ms", 10**6), ("us", 1000), ("ns", 1))
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# pandas' class of offset → (months in one step, does it mark the end of the month?)
_MONTHLY = {
    "MonthBegin": (1, False),
    "MonthEnd": (1, True),
    "QuarterBegin": (3, False),
    "QuarterEnd": (3, True),
    "YearBegin": (12, False),
    "YearEnd": (12, True),
}


class Frequency(Protocol):
    """A step between times."""

    @property
    def alias(self) -> str | int:
        """pandas' name of the step, or the step itself for integer time."""
        ...

    @property
    def daily(self) -> bool:
        """Whether every step is a whole number of days."""
        ...

    def steps(self, times: np.ndarray) -> np.ndarray:
        """Steps from times[0] to each of `times`, (T,) float64; NaN for a time that is not on the grid."""
        ...

    def walk(self, first: Any, start: int, count: int) -> np.ndarray:
        """The times `start`, `start` + 1, … (`count` of them) steps after `first`, itself on the grid."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A constant step: nanoseconds, or units of integer time. The phase is that of the first time."""

    alias: str | int
    step: int
    weekday: int | None = None  # Monday = 0, when the alias names one

    @property
    def daily(self) -> bool:
        return isinstance(self.alias, str) and self.step % DAY == 0

    def steps(self, times: np.ndarray) -> np.ndarray:
        if self.weekday is not None and weekday(times[:1])[0] != self.weekday:
            return np.full(len(times), np.nan)
        gone = times.astype(np.int64) - times[:1].astype(np.int64)
        return np.where(gone % self.step == 0, gone // self.step, np.nan)

    def walk(self, first: Any, start: int, count: int) -> np.ndarray:
        gone = self.step * np.arange(start, start + count, dtype=np.int64)
        return first + (gone.astype("timedelta64[ns]") if isinstance(first, np.datetime64) else gone)


@dataclass(frozen=True)
class Months:
    """`n` calendar months: on the last day of the month (`end`), else on the day of the first time (1 to 28).

    `anchor` and `cycle`: months since 1970-01 must be `anchor` modulo `cycle` ("QS-JAN": 0 modulo 3).
    """

    alias: str
    n: int
    end: bool
    anchor: int = 0
    cycle: int = 1
    daily = True

    def steps(self, times: np.ndarray) -> np.ndarray:
        month = times.astype("datetime64[M]")
        within = times - self._mark(month)  # time of day, or since the month began
        limit = np.timedelta64(1 if self.end else 28, "D")
        on_grid = (within >= np.timedelta64(0, "ns")) & (within < limit) & (within == within[0])
        gone = (month - month[0]).astype(np.int64)
        on_grid &= (gone % self.n == 0) & ((month[0].astype(np.int64) - self.anchor) % self.cycle == 0)
        return np.where(on_grid, gone // self.n, np.nan)

    def walk(self, first: Any, start: int, count: int) -> np.ndarray:
        month = np.array([first]).astype("datetime64[M]")
        within = first - self._mark(month)
        return self._mark(month + self.n * np.arange(start, start + count)) + within

    def _mark(self, month: np.ndarray) -> np.ndarray:
        """The first, or the last, midnight of each month, datetime64[ns]."""
        if self.end:
            return ((month + 1).astype("datetime64[D]") - 1).astype("datetime64[ns]")
        return month.astype("datetime64[ns]")


@dataclass(frozen=True)
class BusinessDays:
    """`n` days of Monday to Friday. Holidays are not known: they are gaps."""

    alias: str
    n: int
    daily = True

    def steps(self, times: np.ndarray) -> np.ndarray:
        day = times.astype("datetime64[D]")
        gone = np.busday_count(day[0], day)
        on_grid = np.is_busday(day) & (times - day == times[0] - day[0]) & (gone % self.n == 0)
        return np.where(on_grid, gone // self.n, np.nan)

    def walk(self, first: Any, start: int, count: int) -> np.ndarray:
        day = first.astype("datetime64[D]")
        days = np.busday_offset(day, self.n * np.arange(start, start + count))
        return days.astype("datetime64[ns]") + (first - day)


@dataclass(frozen=True)
class Listed:
    """Any other step that pandas knows ("BME", "WOM-3FRI", …), by listing its times. Slower than arithmetic."""

    alias: str
    daily = True

    def steps(self, times: np.ndarray) -> np.ndarray:
        grid = _list_times(self.alias, times[0], times[-1], None)
        if not len(grid) or grid[0] != times[0]:
            return np.full(len(times), np.nan)
        place = np.searchsorted(grid, times).clip(max=len(grid) - 1)
        return np.where(grid[place] == times, place, np.nan)

    def walk(self, first: Any, start: int, count: int) -> np.ndarray:
        return _list_times(self.alias, first, None, start + count)[start:].copy()


def frequency(freq: str | int, where: str = "freq") -> Frequency:
    """The step that `freq` names: a pandas alias, or a whole number for integer time.

    Raises OptionError when pandas does not know the alias or the step does not go forward.
    Source: pandas, "Time series / date functionality", offset aliases.

    >>> import numpy as np
    >>> frequency("ME").walk(np.datetime64("2024-01-31", "ns"), 1, 2).astype("datetime64[D]").tolist()
    [datetime.date(2024, 2, 29), datetime.date(2024, 3, 31)]
    """
    if isinstance(freq, str) and re.fullmatch(r"\d+", freq):
        freq = int(freq)  # the command line knows only strings
    if isinstance(freq, (int, np.integer)) and not isinstance(freq, bool):
        if freq < 1:
            raise OptionError(f"{where}: freq must be a step of at least 1, got {freq}. Leave it out to find it.")
        return Fixed(int(freq), int(freq))
    if not isinstance(freq, str):
        raise OptionError(f"{where}: freq must be a pandas alias such as 'h' or a whole number, got {freq!r}.")
    from pandas.tseries.offsets import Tick

    offset = _offset(freq, where)
    if offset.n < 1:
        raise OptionError(f"{where}: freq must step forward, got {freq!r}. Write a positive multiple such as '2D'.")
    kind, alias = type(offset).__name__, offset.freqstr
    if kind == "Day":
        return Fixed(alias, offset.n * DAY)
    if kind == "Week":
        return Fixed(alias, offset.n * 7 * DAY, offset.weekday)
    if isinstance(offset, Tick):
        return Fixed(alias, offset.nanos)
    if kind in _MONTHLY:
        cycle, end = _MONTHLY[kind]
        marked = getattr(offset, "startingMonth", None) or getattr(offset, "month", None) or 1
        return Months(alias, offset.n * cycle, end, (marked - 1) % cycle, cycle)
    return BusinessDays(alias, offset.n) if kind == "BusinessDay" else Listed(alias)


def infer_frequency(times: Sequence[np.ndarray]) -> Frequency | None:
    """The step of a set of series: the most common spacing between their times.

    Raises nothing: None when no series has two times; and a step that does not fit all of them is still returned
    when none fits, for the caller to say where it breaks.

    >>> import numpy as np
    >>> infer_frequency([np.array(["2024-01-01", "2024-02-01", "2024-04-01"], "datetime64[ns]")]).alias
    'MS'
    """
    series = [t for t in times if len(t) > 1]
    if not series:
        return None
    spacing = _most_common(series)
    if np.issubdtype(series[0].dtype, np.integer):
        return Fixed(spacing, spacing)
    guesses: list[Frequency] = []
    if spacing >= 28 * DAY:
        guesses += _monthly_guesses(series)
    if spacing == DAY and any((np.diff(t).astype(np.int64) == 3 * DAY).any() for t in series):
        guesses.append(BusinessDays("B", 1))
    fixed = _fixed(spacing, series)
    for guess in (*guesses, fixed):
        if _fits(guess, series):
            return guess
    rare = _pandas_guess(max(series, key=len))
    return rare if rare is not None and _fits(rare, series) else fixed


def weekday(times: np.ndarray) -> np.ndarray:
    """Monday = 0 … Sunday = 6, int64 (1970-01-01 was a Thursday)."""
    return (times.astype("datetime64[D]").astype(np.int64) + 3) % 7


def spacing_name(spacing: int, integer: bool = False) -> str:
    """A spacing in words that are an alias too: 90 minutes is '90min'; `integer`: a step of integer time.

    >>> spacing_name(3 * DAY), spacing_name(5, integer=True)
    ('3D', '5')
    """
    if integer:
        return str(spacing)
    unit, size = next((u, s) for u, s in _UNITS if spacing % s == 0)
    count = spacing // size
    return unit if count == 1 else f"{count}{unit}"


def _offset(freq: str, where: str) -> Any:
    from pandas.tseries.frequencies import to_offset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated spellings still say what they mean
        try:
            return to_offset(freq)
        except ValueError as error:
            hint = re.search(r"(?:Did you mean|use) '?(\w+)'?", str(error))
            mend = f", did you mean {hint[1]!r}?" if hint else ". Use a pandas alias: 'h', 'D', 'W-SUN', 'MS', …"
            raise OptionError(f"{where}: unknown freq {freq!r}{mend}") from None


@lru_cache(maxsize=64)  # series of one panel mostly share their grid
def _list_times(alias: str, first: Any, last: Any, count: int | None) -> np.ndarray:
    import pandas as pd

    return pd.date_range(first, last, periods=count, freq=alias).to_numpy().astype("datetime64[ns]")


def _most_common(series: Sequence[np.ndarray]) -> int:
    """The most common difference of neighbours over all series; of several as common, the smallest."""
    values, counts = np.unique(np.concatenate([np.diff(t).astype(np.int64) for t in series]), return_counts=True)
    return int(values[np.argmax(counts)])


def _monthly_guesses(series: Sequence[np.ndarray]) -> list[Frequency]:
    n = _most_common([t.astype("datetime64[M]") for t in series])
    if n < 1:
        return []
    month = int(series[0][0].astype("datetime64[M]").astype(np.int64))
    guesses: list[Frequency] = []
    for end, letter in ((True, "E"), (False, "S")):  # month ends first: 28 February is a month end
        if n == 12:
            alias, anchor, cycle = f"Y{letter}-{_MONTH_NAMES[month % 12]}", month % 12, 12
        elif n == 3:
            # pandas names a quarter start by its first month of the year, an end by the last
            alias = f"Q{letter}-{_MONTH_NAMES[month % 3 + (9 if end else 0)]}"
            anchor, cycle = month % 3, 3
        else:
            alias, anchor, cycle = ("" if n == 1 else str(n)) + f"M{letter}", 0, 1
        guesses.append(Months(alias, n, end, anchor, cycle))
        if cycle > 1:  # series that start in different months of the cycle
            guesses.append(Months(f"{n}M{letter}", n, end))
    # the last and first working day, as in finance
    return [*guesses, Listed("BME"), Listed("BMS")] if n == 1 else guesses


def _fixed(spacing: int, series: Sequence[np.ndarray]) -> Frequency:
    """A constant step; whole weeks are named by their weekday when all times share one."""
    if spacing % (7 * DAY) == 0:
        days = np.unique(np.concatenate([weekday(t) for t in series]))
        if len(days) == 1:
            weeks = spacing // (7 * DAY)
            return Fixed(f"{'' if weeks == 1 else weeks}W-{_WEEKDAYS[days[0]]}", spacing, int(days[0]))
    return Fixed(spacing_name(spacing), spacing)


def _fits(guess: Frequency, series: Sequence[np.ndarray]) -> bool:
    return all(not np.isnan(guess.steps(t)).any() for t in series)


def _pandas_guess(times: np.ndarray) -> Frequency | None:
    import pandas as pd

    if len(times) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas 4 returns the offset itself
        found = pd.infer_freq(pd.DatetimeIndex(times))
    return None if found is None else frequency(str(getattr(found, "freqstr", found)))
