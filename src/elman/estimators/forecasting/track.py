"""What is known of many series, laid out so that a window can read it at any step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


class Track:
    """N series on a common index, each from its own step 0, on the net's scale; missing and not yet known are NaN.

    z       (N, L)  values
    last    (N, L)  the last value seen at or before each step
    gap     (N, L)  steps since then
    season  lag → (N, L): the value at each step or, if missing, as many whole lags before it as needed

    `put` adds one more step, so that a forecast can feed on itself.
    """

    def __init__(self, z: Array, lags: Sequence[int]) -> None:
        self.z = z
        seen = ~np.isnan(z)
        index = np.where(seen, np.arange(z.shape[1]), -1)
        at = np.maximum.accumulate(index, axis=1)
        self.last = np.where(at >= 0, np.take_along_axis(z, np.maximum(at, 0), 1), np.nan)
        self.gap = (np.arange(z.shape[1]) - at).astype(float)
        self.season = {lag: fill_by_season(z, lag) for lag in lags}

    def put(self, step: Array, values: Array) -> None:
        """Writes one value (N,) per series, each at its own step (N,), right after what it knows."""
        rows = np.arange(len(self.z))
        for array, written in ((self.z, values), (self.last, values), (self.gap, 0.0)):
            array[rows, step] = written
        for filled in self.season.values():
            filled[rows, step] = values

    def take(self, rows: Array) -> Track:
        """A copy of some series, a series as often as `rows` names it."""
        copy = object.__new__(Track)
        copy.z, copy.last, copy.gap = self.z[rows], self.last[rows], self.gap[rows]
        copy.season = {lag: filled[rows] for lag, filled in self.season.items()}
        return copy


def fill_by_season(z: Array, lag: int) -> Array:
    """Missing values replaced by the nearest earlier one a whole number of lags before; NaN where there is none.

    >>> fill_by_season(np.array([[1.0, 2.0, np.nan, 4.0, np.nan]]), 2)
    array([[1., 2., 1., 4., 1.]])
    """
    filled = z.copy()
    for start in range(lag, z.shape[1], lag):
        block = filled[:, start : start + lag]
        before = filled[:, start - lag : start][:, : block.shape[1]]
        np.copyto(block, before, where=np.isnan(block))
    return filled


def side_by_side(series: Sequence[Array], extra: int = 0) -> Array:
    """Series of unequal length as one (N, max + extra) array from step 0, NaN after each end.

    >>> side_by_side([np.array([1.0]), np.array([2.0, 3.0])], extra=1)
    array([[ 1., nan, nan],
           [ 2.,  3., nan]])
    """
    longest = max((len(s) for s in series), default=0)
    out = np.full((len(series), longest + extra), np.nan)
    for row, values in zip(out, series, strict=True):
        row[: len(values)] = values
    return out
