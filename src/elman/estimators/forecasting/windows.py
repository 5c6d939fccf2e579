"""Windows over series: what the net sees at each step of context and horizon, and what it should have said.

A window of series i with cutoff c covers the steps c - C … c + H - 1: C of context, H to forecast. At step t the net
forecasts y_t from what was known before t. `seen` says where knowledge ends: at c when forecasting all H steps at once,
at t when each step is fed to the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from elman.data.batch import Batch
from elman.estimators.forecasting.track import Track

Array = np.ndarray
# Whole seasons that are averaged into one feature and one candidate: enough to tame noise, few enough to follow change.
CYCLES = 4


@dataclass(frozen=True)
class Shape:
    """context C and horizon H in steps, season lengths in steps, and whether a forecast is fed back step by step."""

    context: int
    horizon: int
    seasons: tuple[int, ...]
    recursive: bool

    @property
    def candidates(self) -> int:
        """Values the net starts from: the last one and, per season, one season ago and the mean of four."""
        return 1 + 2 * len(self.seasons)

    @property
    def features(self) -> int:
        """Features made from the target alone."""
        return 7 + 4 * len(self.seasons)

    @property
    def memory(self) -> int:
        """Steps before the cutoff that a window can read."""
        return self.context + CYCLES * max(self.seasons, default=0)


@dataclass(frozen=True)
class Scale:
    """How windows are standardised, (n, 1) each: value = center + spread · z; `relative` is spread over level."""

    center: Array
    spread: Array
    relative: Array
    level: Array

    def z(self, values: Array, missing: Array | float) -> Array:
        """Values (n, ·) standardised, `missing` where they are NaN."""
        return np.where(np.isnan(values), missing, (values - self.center) / self.spread)

    def repeat(self, times: int) -> Scale:
        """Each row `times` times in a row."""
        return Scale(*(np.repeat(a, times, 0) for a in (self.center, self.spread, self.relative, self.level)))


class Windows:
    """All windows of a set of series.

    known (N, L', ·), past (N, L, ·) are numbers, known_codes and past_codes categories, as `Exogenous` gives them.
    `level` (mean, spread) standardises the size of a series among all series; `least` is the least spread of a window,
    as a share of its level.
    """

    def __init__(
        self,
        track: Track,
        numbers: tuple[Array, Array],
        codes: tuple[Array, Array],
        shape: Shape,
        log: bool,
        level: tuple[float, float] = (0.0, 1.0),
        least: float = 0.01,
    ) -> None:
        self.track, self.numbers, self.codes, self.shape = track, numbers, codes, shape
        self.log, self.level, self.least = log, level, least

    def scale(self, rows: Array, cutoff: Array) -> Scale:
        """Mean and spread of what is observed in each window's context."""
        k = cutoff[:, None] - self.shape.context + np.arange(self.shape.context)
        x = np.where(k >= 0, self.track.z[rows[:, None], np.maximum(k, 0)], np.nan)
        seen = ~np.isnan(x)
        x, n = np.where(seen, x, 0.0), np.maximum(seen.sum(1, keepdims=True), 1)
        center = x.sum(1, keepdims=True) / n
        center = np.where(seen.any(1, keepdims=True), center, self._last(rows, cutoff[:, None] - 1))
        size = np.abs(x).sum(1, keepdims=True) / n
        # A logarithm is already relative. An all-zero context has no level; 1 keeps its window harmless.
        level = np.ones_like(size) if self.log else np.where(size > 0, size, 1.0)
        deviation = np.sqrt((np.where(seen, x - center, 0.0) ** 2).sum(1, keepdims=True) / n)
        spread = deviation + self.least * level
        return Scale(center, spread, spread / level, (center if self.log else np.log(level)))

    def read(self, rows: Array, cutoff: Array, scale: Scale, steps: Array, seen: Array) -> Array:
        """The net's input (n, S, ·) at `steps` (S,), counted from the start of the windows.

        No value at or after `seen` is read. Columns: features, numbers, candidates, center, spread, relative, codes.
        """
        t = cutoff[:, None] - self.shape.context + steps
        latest = np.minimum(t, seen[:, None]) - 1  # the last step whose value may be read
        z = scale.z
        last = z(self._last(rows, latest), 0.0)
        direct = (t <= seen[:, None]) & (t >= 1)
        before = z(self._at(self.track.z, rows, t - 1, np.nan), np.nan)
        observed = direct & ~np.isnan(before)
        gap = self._at(self.track.gap, rows, latest, 0.0) + (t - 1 - latest)
        features, candidates = [np.where(observed, before, 0.0), observed, np.log1p(gap) / 4], [last]
        for lag in self.shape.seasons:
            back = np.maximum(0, t - lag - latest)
            k = t - lag - (back + lag - 1) // lag * lag
            ago = [self._at(self.track.season[lag], rows, k - j * lag, np.nan) for j in range(CYCLES)]
            ago[0] = z(ago[0], last)
            ago[1:] = [z(a, ago[0]) for a in ago[1:]]
            mean = np.mean(ago, 0)
            features += [ago[0], k >= 0, ago[1], mean]
            candidates += [ago[0], mean]
        ahead = np.zeros_like(t) if self.shape.recursive else np.maximum(0, t - cutoff[:, None] + 1)
        size = (scale.level - self.level[0]) / self.level[1]
        wide = [ahead / self.shape.horizon, ahead > 0, np.log(scale.relative) + 0 * t, size + 0 * t]
        columns = np.stack([*features, *wide], -1)
        tail = [np.stack(candidates, -1), *(np.broadcast_to(s[..., None], (*t.shape, 1)) for s in self._units(scale))]
        numbers, codes = (
            self._exogenous(group, rows, t, np.minimum(latest, cutoff[:, None] - 1))
            for group in (self.numbers, self.codes)
        )
        return np.concatenate([columns, numbers, *tail, codes], -1).astype(np.float32)

    def target(self, rows: Array, cutoff: Array, scale: Scale) -> tuple[Array, Array]:
        """What is to be forecast, (n, C + H) standardised, 0 where missing, and its weight, 0 except in the horizon."""
        t = cutoff[:, None] - self.shape.context + np.arange(self.shape.context + self.shape.horizon)
        y = scale.z(self._at(self.track.z, rows, t, np.nan), np.nan)
        k = t[:, : self.shape.context]
        told = (~np.isnan(self._at(self.track.z, rows, k, np.nan))).sum(1, keepdims=True) >= 2
        counts = ~np.isnan(y) & (t >= cutoff[:, None]) & told  # of an empty context nothing can be learned
        return np.nan_to_num(y).astype(np.float32), counts.astype(np.float32)

    def batch(self, rows: Array, cutoff: Array) -> Batch:
        """Whole windows for training."""
        scale = self.scale(rows, cutoff)
        steps = np.arange(self.shape.context + self.shape.horizon)
        seen = cutoff + self.shape.horizon if self.shape.recursive else cutoff
        x = self.read(rows, cutoff, scale, steps, seen)
        y, weight = self.target(rows, cutoff, scale)
        return Batch(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(weight))

    @staticmethod
    def _units(scale: Scale) -> tuple[Array, Array, Array]:
        return scale.center, scale.spread, scale.relative

    def _last(self, rows: Array, step: Array) -> Array:
        return np.nan_to_num(self._at(self.track.last, rows, step, 0.0))

    def _at(self, values: Array, rows: Array, step: Array, outside: float) -> Array:
        """values[row, step], and `outside` before the first and after the last step; step (n, S)."""
        inside = (step >= 0) & (step < values.shape[1])
        return np.where(inside, values[rows[:, None], np.clip(step, 0, values.shape[1] - 1)], outside)

    @staticmethod
    def _exogenous(group: tuple[Array, Array], rows: Array, t: Array, latest: Array) -> Array:
        """Known ahead at t itself, past at the last step before the cutoff, even where the target is fed back."""
        known, past = group
        ahead = known[rows[:, None], np.clip(t, 0, known.shape[1] - 1)]
        behind = past[rows[:, None], np.clip(latest, 0, past.shape[1] - 1)]
        return np.concatenate([ahead * (t >= 0)[..., None], behind * (latest >= 0)[..., None]], -1)


def enough_steps(lengths: Array, horizon: int) -> int:
    """Training steps for this much data: 1000 (n / 7000)^⅔, n = Σ_i T_i / H horizons side by side; from 50 to 1000.

    A net that is shown few horizons too often remembers their noise: its errors grow and its intervals shrink. The rule
    was fitted by backtests on data from 5 horizons (a short monthly series) to 7000 (M4 Hourly). Early stopping on each
    series' last horizon had the same error there and narrower, less honest intervals.

    >>> [enough_steps(np.array([length] * series), 14) for series, length in ((1, 140), (9, 456), (1000, 456))]
    [50, 120, 1000]
    """
    return int(np.clip(1000 * (lengths.sum() / horizon / 7000) ** (2 / 3), 50, 1000))


class SampledWindows:
    """Random windows as training batches: a series at random, then a cutoff at random, so that short series count too.

    An epoch is `batches` of them; which ones depends on seed, epoch and number alone.
    """

    def __init__(self, windows: Windows, lengths: Array, batch_size: int, batches: int, seed: int) -> None:
        self.windows, self.lengths = windows, lengths
        self.batch_size, self.batches, self.seed = batch_size, batches, seed

    def __len__(self) -> int:
        return self.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from number `start` on."""
        horizon = self.windows.shape.horizon
        for number in range(start, self.batches):
            rng = np.random.default_rng([self.seed, epoch, number])
            rows = rng.integers(0, len(self.lengths), self.batch_size)
            latest = np.maximum(self.lengths[rows] - horizon, 1)
            # A window should have a horizon of history before it, where the series is long enough for that.
            cutoff = rng.integers(np.minimum(latest, horizon), latest + 1)
            yield self.windows.batch(rows, cutoff)

    def fingerprint(self) -> str:
        """A hash of everything that decides the batches."""
        return fingerprint([self.windows.track.z, *self.windows.numbers, *self.windows.codes, self.lengths], self)


class LastWindows:
    """The last horizon of every series, once: what early stopping watches."""

    def __init__(self, windows: Windows, lengths: Array, batch_size: int) -> None:
        self.windows, self.lengths, self.batch_size = windows, lengths, batch_size

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches from number `start` on, the same in every epoch."""
        for number in range(start, len(self)):
            rows = np.arange(number * self.batch_size, min((number + 1) * self.batch_size, len(self.lengths)))
            yield self.windows.batch(rows, self.lengths[rows] - self.windows.shape.horizon)

    def fingerprint(self) -> str:
        """A hash of everything that decides the batches."""
        return fingerprint([self.windows.track.z, self.lengths], self)


def fingerprint(arrays: Sequence[Array], source: SampledWindows | LastWindows) -> str:
    """SHA-256 of arrays and of the settings that decide how batches are drawn from them."""
    digest = hashlib.sha256(repr((source.windows.shape, source.windows.log, source.batch_size, len(source))).encode())
    digest.update(repr(getattr(source, "seed", None)).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
