"""What is known besides the target: calendar, covariates, what a series is. Learned once, then read as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.data import Panel, Vocabulary, calendar_features, calendar_names
from elman.errors import DataError

Array = np.ndarray
# Days in each cycle of the calendar.
DAYS = {"time_of_day": 1.0, "day_of_week": 7.0, "day_of_month": 30.4, "year": 365.25}


@dataclass(frozen=True)
class Covariate:
    """One covariate's reading: numbers are standardised, with a flag for missing; categories become codes."""

    name: str
    role: str  # "future", "past" or "static"
    mean: float = 0.0
    scale: float = 1.0
    vocabulary: Vocabulary | None = None

    @classmethod
    def fit(cls, name: str, role: str, values: Array) -> Covariate:
        """Reads mean and spread, or the categories, off the training data."""
        if values.dtype == object:
            return cls(name, role, vocabulary=Vocabulary.fit(values))
        known = values[~np.isnan(values)]
        scale = float(known.std()) if len(known) else 1.0
        return cls(name, role, float(known.mean()) if len(known) else 0.0, scale or 1.0)

    def read(self, values: Array, where: str) -> Array:
        """(T,) to (T, 2), value and missing flag, or to (T, 1), the code."""
        if self.vocabulary is not None:
            return self.vocabulary.encode(values)[:, None].astype(np.float32)
        if values.dtype == object:
            raise DataError(f"{where}: {self.role} covariate {self.name!r} must be numbers as in training, got text.")
        missing = np.isnan(values)
        z = np.where(missing, 0.0, (values - self.mean) / self.scale)
        return np.stack([z, missing], 1).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """What the run's configuration keeps."""
        names = None if self.vocabulary is None else self.vocabulary.to_json()
        return {"name": self.name, "role": self.role, "mean": self.mean, "scale": self.scale, "names": names}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Covariate:
        """The covariate whose `to_json` gave this."""
        names = kept["names"]
        vocabulary = None if names is None else Vocabulary.from_json(names)
        return cls(kept["name"], kept["role"], kept["mean"], kept["scale"], vocabulary)


@dataclass(frozen=True)
class Exogenous:
    """All covariates of a forecaster, and the columns of `calendar_features` that are read too.

    Columns come in four groups, in this order: known ahead and past, numbers; known ahead and past, codes.
    """

    covariates: tuple[Covariate, ...]
    calendar: tuple[str, ...]

    @classmethod
    def fit(cls, panel: Panel, calendar: bool) -> Exogenous:
        """Learns every covariate of the panel, and which cycles of the calendar its series are long enough for."""
        found = [Covariate.fit(name, "future", _joined(arrays)) for name, arrays in panel.future.items()]
        found += [Covariate.fit(name, "static", values) for name, values in panel.static.items()]
        found += [Covariate.fit(name, "past", _joined(arrays)) for name, arrays in panel.past.items()]
        return cls(tuple(found), _repeated_cycles(panel) if calendar else ())

    @property
    def cardinalities(self) -> list[int]:
        """Codes of each categorical covariate, in the order of the columns."""
        ordered = [*self._of(True, known=True), *self._of(True, known=False)]
        return [len(c.vocabulary) for c in ordered if c.vocabulary is not None]

    @property
    def columns(self) -> tuple[list[str], list[str]]:
        """What each column of numbers, and each of codes, tells, in their order; those of the past come last."""
        ahead, behind = (self._of(False, known=known) for known in (True, False))
        twice = [
            [c.name for c in group for _ in range(2)] for group in (ahead, behind)
        ]  # the value, and if it is there
        codes = [c.name for known in (True, False) for c in self._of(True, known=known)]
        return [*twice[0], *self.calendar, *twice[1]], codes

    @property
    def behind(self) -> tuple[int, int]:
        """How many of these columns, of numbers and of codes, are known up to now only."""
        return 2 * len(self._of(False, known=False)), len(self._of(True, known=False))

    def _of(self, categorical: bool, known: bool) -> list[Covariate]:
        return [c for c in self.covariates if (c.vocabulary is not None) == categorical and (c.role != "past") == known]

    def numbers(self, panel: Panel, horizon: int, where: str) -> tuple[Array, Array]:
        """Known ahead (N, L + horizon, ·) and past (N, L, ·), as standardised numbers."""
        known = self._table(panel, self._of(False, known=True), horizon, where)
        if self.calendar:
            ahead = panel.future_times(horizon) if horizon else [t[:0] for t in panel.times]
            times = [np.concatenate([t, more]) for t, more in zip(panel.times, ahead, strict=True)]
            columns = [calendar_names(panel.freq).index(name) for name in self.calendar]
            features = [calendar_features(t, panel.freq)[:, columns] for t in times]
            known = np.concatenate([known, _stack(features, known.shape[1])], -1)
        return known, self._table(panel, self._of(False, known=False), 0, where)

    def codes(self, panel: Panel, horizon: int, where: str) -> tuple[Array, Array]:
        """Known ahead (N, L + horizon, ·) and past (N, L, ·), as codes of categories."""
        known = self._table(panel, self._of(True, known=True), horizon, where)
        return known, self._table(panel, self._of(True, known=False), 0, where)

    def _table(self, panel: Panel, covariates: Sequence[Covariate], horizon: int, where: str) -> Array:
        steps = int(panel.lengths.max()) + horizon
        columns = [np.zeros((len(panel), steps, 0), np.float32)]
        for c in covariates:
            columns.append(_stack([c.read(v, where) for v in self._values(panel, c, horizon, where)], steps))
        return np.concatenate(columns, -1)

    def _values(self, panel: Panel, c: Covariate, horizon: int, where: str) -> Iterable[Array]:
        """One array (T_i + horizon,) per series."""
        lengths = panel.lengths + horizon
        if c.role == "static":
            return [
                np.full(n, v, panel.static[c.name].dtype) for n, v in zip(lengths, panel.static[c.name], strict=True)
            ]
        arrays = getattr(panel, c.role)[c.name]
        for name, values, n in zip(panel.ids, arrays, lengths, strict=True):
            if len(values) < n:
                raise DataError(
                    f"{where}: future covariate {c.name!r} must be known for {horizon} steps after series {name!r} "
                    f"ends, got {len(values) - n + horizon}. Pass a table with these rows as `future`."
                )
        return [values[:n] for values, n in zip(arrays, lengths, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """What the run's configuration keeps."""
        return {"covariates": [c.to_json() for c in self.covariates], "calendar": list(self.calendar)}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Exogenous:
        """The set whose `to_json` gave this."""
        return cls(tuple(Covariate.from_json(c) for c in kept["covariates"]), tuple(kept["calendar"]))


def _repeated_cycles(panel: Panel) -> tuple[str, ...]:
    """Calendar columns whose cycle the longest series goes through twice.

    What comes round only once cannot be told from chance: the net would learn each part of it by heart.
    """
    if isinstance(panel.freq, int):
        return ()
    days = max((t[-1] - t[0]) / np.timedelta64(1, "D") for t in panel.times)
    return tuple(name for name in calendar_names(panel.freq) if days >= 2 * DAYS[name.rpartition("_")[0]])


def _joined(arrays: Iterable[Array]) -> Array:
    return np.concatenate(list(arrays))


def _stack(parts: Sequence[Array], steps: int) -> Array:
    """Arrays (T_i, C) as one (N, steps, C), zero past their ends."""
    out = np.zeros((len(parts), steps, parts[0].shape[1]), np.float32)
    for row, values in zip(out, parts, strict=True):
        row[: len(values)] = values
    return out
