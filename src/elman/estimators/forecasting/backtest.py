"""Forecasts of the past: rolling windows whose truth is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.data import Panel
from elman.errors import OptionError

Array = np.ndarray


@dataclass(frozen=True)
class Window:
    """All series cut `back` steps before their end, and what came in the `horizon` steps after; truth (N, H)."""

    back: int
    history: Panel
    truth: Array


@dataclass
class Backtest:
    """Windows of all series, one cutoff after the other, and the forecasts made for them.

    quantiles  a list, filled window by window, of (N, H, Q)
    seconds    spent on fitting and on predicting
    model      the forecaster that was fitted first
    """

    panel: Panel
    windows: tuple[Window, ...]
    levels: tuple[float, ...]
    quantiles: list[Array] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"fit": 0.0, "predict": 0.0})
    model: Any = None
    _since: float = field(default_factory=time.perf_counter)

    @classmethod
    def plan(
        cls, panel: Panel, horizon: int, n_windows: int, step_size: int | None, levels: Sequence[float]
    ) -> Backtest:
        """The last `n_windows` windows, the oldest first; raises `DataError` where a series is too short for them."""
        step = horizon if step_size is None else step_size
        for name, value in (("n_windows", n_windows), ("step_size", step)):
            if not isinstance(value, int) or value < 1:
                raise OptionError(f"cross_validation: {name} must be a whole number ≥ 1, got {value!r}.")
        backs = [horizon + k * step for k in reversed(range(n_windows))]
        windows = [Window(back, *panel.window(back, horizon)) for back in backs]
        return cls(panel, tuple(windows), tuple(levels))

    def fitted(self, model: Any) -> None:
        """Notes that a model was just fitted."""
        self.seconds["fit"] += time.perf_counter() - self._since
        self._since = time.perf_counter()
        self.model = self.model or model

    def add(self, window: Window, quantiles: Array) -> None:
        """Notes the forecasts (N, H, Q) that were just made for a window."""
        self.seconds["predict"] += time.perf_counter() - self._since
        self._since = time.perf_counter()
        self.quantiles.append(quantiles)

    @property
    def truth(self) -> Array:
        """(W·N, H), all series of the first window first."""
        return np.concatenate([w.truth for w in self.windows])

    @property
    def histories(self) -> list[Array]:
        """W·N arrays: each series up to the cutoff."""
        return [y for w in self.windows for y in w.history.y]

    @property
    def series(self) -> list[str]:
        """W·N names."""
        return [name for w in self.windows for name in w.history.ids]

    @property
    def forecasts(self) -> Array:
        """(W·N, H, Q)."""
        return np.concatenate(self.quantiles)

    def to_frame(self, names: Sequence[str], backend: Any = "pandas") -> Any:
        """A long table: series, time, `cutoff` (the last time known), the truth, and a column for each level."""
        import narwhals as nw

        parts = []
        for window, q in zip(self.windows, self.quantiles, strict=True):
            history = window.history
            cutoffs = np.repeat([t[-1] for t in history.times], window.truth.shape[1])
            columns = {self.panel.target: window.truth, **{name: q[..., k] for k, name in enumerate(names)}}
            frame: Any = nw.from_native(history.forecast_frame(columns, backend), eager_only=True)
            cutoff = nw.new_series("cutoff", cutoffs, backend=backend)
            at = frame.columns.index(self.panel.time) + 1
            ordered = [*frame.columns[:at], "cutoff", *frame.columns[at:]]
            parts.append(frame.with_columns(cutoff).select(ordered))
        return nw.concat(parts).to_native()


def intervals(level: Any) -> dict[str, float]:
    """Column names and the quantiles they hold: the median, then the bounds of each interval in percent.

    >>> intervals([80])
    {'median': 0.5, 'lo-80': 0.1, 'hi-80': 0.9}
    """
    columns = {"median": 0.5}
    for percent in level if isinstance(level, Sequence) else [level]:
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent < 100:
            raise OptionError(f"Forecaster.predict: level must be percentages between 0 and 100, got {percent!r}.")
        if percent < 1:
            raise OptionError(f"Forecaster.predict: level is in percent, got {percent:g}. Write {100 * percent:g}?")
        tail = round((100 - percent) / 200, 12)
        columns |= {f"lo-{percent:g}": tail, f"hi-{percent:g}": round(1 - tail, 12)}
    return columns


def backend_of(frame: Any) -> str:
    """The library that made a table, so that forecasts come back in it."""
    if frame is None or isinstance(frame, Panel):
        return "pandas"
    import narwhals as nw

    return str(nw.from_native(frame, eager_only=True).implementation.value)
