"""Many series on one regular time grid: what a forecaster learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from elman.data.frequency import Frequency, frequency
from elman.errors import DataError, OptionError, ShapeError

Columns = dict[str, tuple[np.ndarray, ...]]


@dataclass(frozen=True, eq=False)
class Panel:
    """N series that step by `freq`; series i has T_i times without a gap.

    ids      N names
    freq     a pandas alias ("h", "D", "W-SUN", "MS", …), or the step of integer time
    times    N arrays (T_i,), datetime64[ns] or int64
    y        N arrays (T_i,), float64; NaN: not observed
    past     name → N arrays (T_i,): covariates known only up to now
    future   name → N arrays (T_i + h_i,), h_i ≥ 0: covariates known in advance, as far as they are known
    static   name → (N,): one value per series
    time, target, series   the columns that it came from; series None: the table held one series

    Covariates are float64 (NaN: missing), or objects (str, None: missing) where they are categories.

    Raises ShapeError when the arrays do not match in number or length.

    >>> import numpy as np
    >>> days = np.arange("2024-02-27", "2024-03-01", dtype="datetime64[D]").astype("datetime64[ns]")
    >>> panel = Panel(ids=("a",), freq="D", times=(days,), y=(np.array([1.0, 2.0, 3.0]),))
    >>> panel.future_times(2)[0].astype("datetime64[D]").tolist()
    [datetime.date(2024, 3, 1), datetime.date(2024, 3, 2)]
    >>> history, truth = panel.window(cutoff_back=2, horizon=1)
    >>> history.y[0].tolist(), truth.tolist()
    ([1.0], [[2.0]])
    """

    ids: tuple[str, ...]
    freq: str | int
    times: tuple[np.ndarray, ...]
    y: tuple[np.ndarray, ...]
    past: Columns = field(default_factory=dict)
    future: Columns = field(default_factory=dict)
    static: dict[str, np.ndarray] = field(default_factory=dict)
    time: str = "ds"
    target: str = "y"
    series: str | None = "unique_id"

    def __post_init__(self) -> None:
        n = len(self.ids)
        whole = {"times": self.times, "y": self.y, **self.past, **self.future}
        for name, arrays in whole.items():
            if len(arrays) != n:
                raise ShapeError(f"Panel: {name} must hold {n} series, got {len(arrays)}. Give one array per id.")
            for i, array in enumerate(arrays):
                steps, known = len(self.times[i]), name in self.future
                if len(array) < steps or (len(array) > steps and not known):
                    least = "at least " if known else ""
                    raise ShapeError(
                        f"Panel: {name} of series {self.ids[i]!r} must be {least}{steps} long, got {len(array)}. "
                        "Give one value per time."
                    )
        for name, values in self.static.items():
            if len(values) != n:
                raise ShapeError(f"Panel: static {name} must be ({n},), got ({len(values)},). Give one value per id.")

    def __len__(self) -> int:
        """The number of series, N."""
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each series, (N,) int64."""
        return np.array([len(t) for t in self.times], dtype=np.int64)

    @cached_property
    def step(self) -> Frequency:
        """The arithmetic of `freq`."""
        return frequency(self.freq, "Panel")

    def select(self, keep: Sequence[int] | np.ndarray) -> Panel:
        """The series numbered in `keep` (or where a boolean `keep` is true), in that order."""
        rows = np.arange(len(self))[np.asarray(keep)]

        def chosen(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
            return tuple(arrays[i] for i in rows)

        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            times=chosen(self.times),
            y=chosen(self.y),
            past={name: chosen(arrays) for name, arrays in self.past.items()},
            future={name: chosen(arrays) for name, arrays in self.future.items()},
            static={name: values[rows] for name, values in self.static.items()},
        )

    def one(self, series: str | None, where: str) -> Panel:
        """The series of this name; None: the only one. Raises `OptionError` where it is not there, or not the only."""
        if series is None and len(self) > 1:
            raise OptionError(f"{where}: the model knows {len(self)} series, name one: series={self.ids[0]!r}.")
        if series is not None and series not in self.ids:
            shown = ", ".join(self.ids[:5])
            raise OptionError(f"{where}: no series {series!r} in the model, it has {shown}{', …' * (len(self) > 5)}.")
        return self.select([0 if series is None else self.ids.index(series)])

    def cut(self, steps: int) -> Panel:
        """All series without their last `steps` steps. `future` stays whole: it was known in advance.

        Raises DataError, naming the series, when one has no more than `steps` steps.
        """
        if steps < 0:
            raise OptionError(f"Panel.cut: steps must be 0 or more, got {steps}. Count back from the end.")
        lengths = self.lengths
        if (short := lengths <= steps).any():
            i, others = int(np.argmax(short)), int(short.sum()) - 1
            more = f" (and {others} more)" if others else ""
            raise DataError(
                f"Panel.cut: series must be longer than the {steps} steps cut off, got {lengths[i]} in {self.ids[i]!r}"
                f"{more}. Leave these series out, or shorten the horizon or the number of windows."
            )
        return self._between(np.zeros_like(lengths), lengths - steps)

    def tail(self, steps: int) -> Panel:
        """The last `steps` steps of each series; a shorter one stays whole.

        Raises OptionError when `steps` is less than 1.
        """
        if steps < 1:
            raise OptionError(f"Panel.tail: steps must be at least 1, got {steps}. Ask for the last steps, or use cut.")
        lengths = self.lengths
        return self._between(np.maximum(lengths - steps, 0), lengths)

    def window(self, cutoff_back: int, horizon: int) -> tuple[Panel, np.ndarray]:
        """History up to `cutoff_back` steps before the end, and the truth of the `horizon` steps after it.

        Returns the history and (N, horizon) float64: column h - 1 is what came h steps after the cutoff.
        Raises OptionError unless 1 ≤ horizon ≤ cutoff_back, DataError when a series has no history left.
        """
        if not 1 <= horizon <= cutoff_back:
            raise OptionError(
                f"Panel.window: horizon must be between 1 and cutoff_back = {cutoff_back}, got {horizon}. "
                "Step further back from the end."
            )
        history = self.cut(cutoff_back)
        truth = [y[len(y) - cutoff_back :][:horizon] for y in self.y]
        return history, np.stack(truth)

    def future_times(self, horizon: int) -> np.ndarray:
        """The `horizon` times after the end of each series, (N, horizon), datetime64[ns] or int64."""
        if horizon < 1:
            raise OptionError(f"Panel.future_times: horizon must be at least 1, got {horizon}. Ask for steps ahead.")
        return np.stack([self.step.walk(t[-1], 1, horizon) for t in self.times])

    def known_ahead(self) -> int | None:
        """For how many steps after its end the future covariates of every series are known; None: there are none."""
        if not self.future:
            return None
        return min(len(a) - len(t) for arrays in self.future.values() for a, t in zip(arrays, self.times, strict=True))

    def to_frame(self, backend: Any = "pandas") -> Any:
        """Everything observed, as a long native frame: one row per series and time.

        backend: "pandas", "polars" or "pyarrow"; `narwhals.from_native(frame).implementation` names that of a table.
        """
        lengths = self.lengths
        columns = {self.target: np.concatenate(self.y)}
        for name, arrays in {**self.past, **self.future}.items():
            columns[name] = np.concatenate([a[:n] for a, n in zip(arrays, lengths, strict=True)])
        columns |= {name: np.repeat(values, lengths) for name, values in self.static.items()}
        return self._long(self.times, columns, backend)

    def forecast_frame(self, forecasts: Mapping[str, np.ndarray], backend: Any = "pandas") -> Any:
        """Forecasts as a long native frame: one row per series and future time, one column per entry.

        forecasts: column → (N, horizon), step 1 after the end of each series first.
        Raises ShapeError when an array is not (N, horizon).
        """
        shapes = {np.shape(values) for values in forecasts.values()}
        if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or shape[0] != len(self):
            got = ", ".join(f"{name} {np.shape(values)}" for name, values in forecasts.items())
            raise ShapeError(f"Panel.forecast_frame: each column must be ({len(self)}, horizon), got {got or 'none'}.")
        columns = {name: np.asarray(values).reshape(-1) for name, values in forecasts.items()}
        return self._long(tuple(self.future_times(shape[1])), columns, backend)

    def _between(self, start: np.ndarray, stop: np.ndarray) -> Panel:
        """Steps [start_i, stop_i) of series i, and what is known in advance beyond."""

        def part(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
            return tuple(a[i:j] for a, i, j in zip(arrays, start, stop, strict=True))

        return replace(
            self,
            times=part(self.times),
            y=part(self.y),
            past={name: part(arrays) for name, arrays in self.past.items()},
            future={
                name: tuple(a[i:] for a, i in zip(arrays, start, strict=True)) for name, arrays in self.future.items()
            },
        )

    def _long(self, times: Sequence[np.ndarray], columns: Mapping[str, np.ndarray], backend: Any) -> Any:
        import narwhals as nw

        data: dict[str, Any] = {}
        if self.series is not None:
            data[self.series] = [name for name, t in zip(self.ids, times, strict=True) for _ in t]
        data[self.time] = np.concatenate(times)
        # lists, because not every backend takes an object array for text
        data |= {name: values.tolist() if values.dtype == object else values for name, values in columns.items()}
        return nw.from_dict(data, backend=backend).to_native()
