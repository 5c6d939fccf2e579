"""Why a forecaster forecasts what it does: owed to each past value, to covariates and to the calendar."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data import Panel
from elman.errors import DataError
from elman.estimators import Forecaster
from elman.estimators.forecasting.track import Track
from elman.estimators.forecasting.windows import Windows
from elman.evidence.explain.attribution import Attribution, integrated_gradients
from elman.evidence.explain.example import Example, Inside
from elman.evidence.explain.passes import copied, inside, joined, read_as, step_of, within_reason

Array = np.ndarray
AT_ONCE = 64
"""values whose way into the net is followed side by side"""


def of_forecast(model: Forecaster, x: Any, step: int | None) -> Example:
    """The median at a step of the horizon, the first unless one is named, owed to past values and to what else is read.

    x  None or the name of a series: the history that the model keeps; or a table, or a `Panel`, with one series

    Level and spread of the window, by which it is standardised, are kept; its values begin at that level. With
    covariates that are known ahead the last horizon of the series is explained, for only there are they known. A
    recursive forecaster feeds the median of each step to the next. Of counts the mean is divided.
    """
    at = step_of(step, model.horizon, 0)
    panel, cutoff = _series(model, x)
    view = View.of(model, panel, cutoff, at)
    within_reason(view.values)
    found = integrated_gradients(view.answer, view.given, torch.zeros_like(view.given))
    features, parts = view.by_step(found.parts)
    seen = np.flatnonzero(np.abs(parts).sum(1))
    begin = min(int(seen[0]) if len(seen) else len(parts), max(0, cutoff - model.plan_.shape.context))
    times = _times(panel, cutoff, at)
    value = np.full(len(parts), np.nan)
    value[:cutoff] = panel.y[0][:cutoff]
    where = f"of {panel.ids[0]!r}, step {at} of the {model.horizon} ahead"
    middle = "mean" if model.output == "negative-binomial" else "median"
    return Example(
        times[begin:],
        features,
        value[begin:, None],
        f"{found.end:.4g} for {times[-1]} {where}",
        f"The {middle} for {times[-1]}",
        Attribution(parts[begin:], found.begin, found.end, found.points),
        view.layers(times),
    )


def _series(model: Forecaster, x: Any) -> tuple[Panel, int]:
    """One series, and how many of its steps are the past."""
    if x is None or isinstance(x, str):
        panel = model.panel_.one(x, "explain")
    else:
        panel = model.read(x, model.panel_.freq)
        if len(panel) > 1:
            raise DataError(f"explain: a table must hold one series, got {len(panel)}. Choose one.")
    panel = panel.tail(model.plan_.shape.memory + (model.horizon if panel.future else 0))
    cutoff = len(panel.y[0]) - (model.horizon if panel.future else 0)
    if np.isfinite(panel.y[0][max(0, cutoff - model.plan_.shape.context) : max(0, cutoff)]).sum() < 2:
        raise DataError(f"explain: {panel.ids[0]!r} must have 2 values in the window that is read. Give more history.")
    return panel, cutoff


def _times(panel: Panel, cutoff: int, ahead: int) -> list[str]:
    """Every step up to the one that is forecast, as it is written."""
    past = panel.times[0][:cutoff]
    times = np.concatenate([past, panel.step.walk(past[-1], 1, ahead + 1)])
    if times.dtype.kind != "M":
        return [str(t) for t in times]
    for unit in ("D", "m", "s", "ns"):
        if (times == times.astype(f"datetime64[{unit}]")).all():
            return [str(t).replace("T", " ") for t in times.astype(f"datetime64[{unit}]")]
    return [str(t) for t in times]


@dataclass(frozen=True)
class View:
    """What a forecaster reads of a series up to a step ahead, as a function of what it was made from.

    With level and spread kept, what `Windows.read` gives is linear in the values of the series:
    x = ways · z + rest, found by reading with one value at a time moved by one spread. So the values that are read are
    those of training, and no formula is written twice.

    values   (K,) z of the values that can be read, at the steps `places` of the series
    ways     (K', S, ·) what each of them adds to the columns made of values; those that are fed back come last, a step
             each, for a recursive forecaster
    rest     (S, ·) these columns where all values are at the level
    numbers, codes   (S, E) covariates and calendar; (S, C) vectors of categories, side by side
    """

    model: Forecaster
    net: Any
    cutoff: int
    ahead: int
    center: float
    spread: float
    places: Array
    values: Tensor
    ways: Tensor
    rest: Tensor
    numbers: Tensor
    codes: Tensor

    @classmethod
    def of(cls, model: Forecaster, panel: Panel, cutoff: int, ahead: int) -> View:
        """The view of the step that is so far ahead after the cutoff."""
        net = copied(model.network_)
        known = max(0, cutoff + ahead + 1 - len(panel.y[0]))
        hidden = replace(panel, y=(np.where(np.arange(len(panel.y[0])) < cutoff, panel.y[0], np.nan),))
        windows = model.windows(hidden, known)
        shape, row, end = windows.shape, np.array([0]), np.array([cutoff])
        scale = windows.scale(row, end)
        center, spread = float(scale.center[0, 0]), float(scale.spread[0, 0])
        steps = np.arange(shape.context + ahead + 1)
        seen = cutoff + ahead if shape.recursive else cutoff
        x = torch.from_numpy(windows.read(row, end, scale, steps, end)[0]).double()
        size = net.columns.numbers - shape.features
        _, numbers, tail = x.split([shape.features, size, x.shape[1] - shape.features - size], 1)
        columns = tail[:, shape.candidates + 3 :].long()
        codes = [embed(columns[:, k]).detach() for k, embed in enumerate(net.embeddings)]
        z = windows.track.z[0]
        past = np.flatnonzero(np.isfinite(z[:cutoff]))
        moved = np.concatenate([past, np.arange(cutoff, seen)])
        ways, rest = _ways(windows, z, moved, center, spread, steps, cutoff, seen)
        values = torch.from_numpy((z[past] - center) / spread)
        blank = torch.zeros(len(steps), 0, dtype=torch.float64)
        return cls(
            model, net, cutoff, ahead, center, spread, past, values, ways, rest, numbers, torch.cat([blank, *codes], 1)
        )

    @property
    def first(self) -> int:
        """The step of the series at which the net begins to read; below 0 where that is before its beginning."""
        return self.cutoff - self.model.plan_.shape.context

    @property
    def given(self) -> Tensor:
        """All that is read on one axis of time: values, then covariates, each row a step from the earliest on."""
        v = torch.zeros(self._rows, 1 + self.numbers.shape[1] + self.codes.shape[1], dtype=torch.float64)
        v[self.places - self._begin, 0] = self.values
        v[self._read, 1:] = torch.cat([self.numbers, self.codes], 1)
        return v

    @property
    def _begin(self) -> int:
        return min(self.first, 0)

    @property
    def _rows(self) -> int:
        return self.cutoff + self.ahead + 1 - self._begin

    @property
    def _read(self) -> slice:
        return slice(self.first - self._begin, self._rows)

    def answer(self, v: Tensor) -> Tensor:
        """The median, in the data's units, of many of what `given` is, (M, T, ·) to (M,)."""
        middle = self.center + self.spread * self._medians(v)[-1]
        return self.model.plan_.from_scale(middle)

    def _medians(self, v: Tensor) -> list[Tensor]:
        """z of the medians that are asked for: of the last step, or of each that feeds the next."""
        z = v[:, self.places - self._begin, 0]
        if len(self.ways) == len(self.places):
            return [self._said(v, z, slice(0, None), None)[0][:, -1]]
        context, state, medians = len(self.rest) - self.ahead - 1, None, []
        for start, end in [(0, context + 1), *((k, k + 1) for k in range(context + 1, len(self.rest)))]:
            said, state = self._said(v, torch.cat([z, *(m[:, None] for m in medians)], 1), slice(start, end), state)
            medians.append(said[:, -1])
        return medians

    def _said(self, v: Tensor, z: Tensor, part: slice, state: Any) -> tuple[Tensor, Any]:
        """Medians (M, S) of a stretch of steps, and the state after it."""
        shape, net = self.model.plan_.shape, self.net
        made = torch.einsum("mk,ksf->msf", z, self.ways[: z.shape[1], part]) + self.rest[part]
        features, tail = made.split([shape.features, made.shape[2] - shape.features], 2)
        numbers, codes = v[:, self._read, 1:][:, part].split([self.numbers.shape[1], self.codes.shape[1]], 2)
        blank = torch.zeros(*made.shape[:2], net.columns.codes, dtype=made.dtype)
        x = torch.cat([features, numbers, tail, blank], 2)
        vectors = codes.split([embed.embedding_dim for embed in net.embeddings], 2)
        with ExitStack() as stack:
            for embed, vector in zip(net.embeddings, vectors, strict=True):
                stack.enter_context(read_as(embed, vector))
            said, state = net(x, state)
        return net.output.middle(*said), state

    def by_step(self, parts: Array) -> tuple[tuple[str, ...], Array]:
        """Names of the value, covariates and cycles of the calendar, and what each adds at each step of the series.

        A covariate that is known up to now only is read one step later.
        """
        numbers, codes = self.model.exogenous_.columns
        late_numbers, late_codes = self.model.exogenous_.behind
        wide = [
            name for name, embed in zip(codes, self.net.embeddings, strict=True) for _ in range(embed.embedding_dim)
        ]
        named = [self.model.target, *numbers, *wide]
        late = [False] + [k >= len(numbers) - late_numbers for k in range(len(numbers))]
        late += [name in codes[len(codes) - late_codes :] for name in wide]
        features = tuple(dict.fromkeys(_shown(name) for name in named))
        found = np.zeros((self.cutoff + self.ahead + 1, len(features)))
        steps = np.arange(self._begin, self.cutoff + self.ahead + 1)
        for k, name in enumerate(named):
            own = np.minimum(steps - 1, self.cutoff - 1) if late[k] else steps
            np.add.at(found[:, features.index(_shown(name))], np.maximum(own, 0), parts[:, k])
        return features, found

    def layers(self, times: list[str]) -> list[Inside]:
        """States and gates at each step that the net reads."""
        names = [times[t] if t >= 0 else "before" for t in range(self.first, self.cutoff + self.ahead + 1)]
        found = inside(self.net.recurrent, lambda: self._medians(self.given[None]), steps=names)
        count = len(list(self.net.recurrent.layers))
        return joined([found[i : i + count] for i in range(0, len(found), count)])


def _shown(column: str) -> str:
    """A cycle of the calendar is told by two columns, of which one is its sine."""
    return column.removesuffix("_sin").removesuffix("_cos")


def _ways(
    windows: Windows, z: Array, moved: Array, center: float, spread: float, steps: Array, cutoff: int, seen: int
) -> tuple[Tensor, Tensor]:
    """What each moved value adds to the columns that are made of values, (K, S, ·), and what these hold without."""
    level = np.where(np.isfinite(z), center, np.nan)
    level = np.concatenate([level, np.full(max(0, seen - len(level)), np.nan)])
    level[cutoff:seen] = center
    scale = windows.scale(np.array([0]), np.array([cutoff]))

    def read(rows: Array) -> Array:
        count = len(rows)
        none = np.zeros((count, len(level) + 1, 0), np.float32)
        track, options = Track(rows, windows.shape.seasons), (windows.log, windows.level, windows.least)
        probe = Windows(track, (none, none), (none, none), windows.shape, *options)
        at, ends = np.arange(count), np.full(count, cutoff)
        return probe.read(at, ends, scale.repeat(count), steps, np.full(count, seen)).astype(np.float64)

    rest, found = read(level[None])[0], []
    for start in range(0, len(moved), AT_ONCE):
        some = moved[start : start + AT_ONCE]
        rows = np.tile(level, (len(some), 1))
        rows[np.arange(len(some)), some] += spread
        found.append(read(rows) - rest)
    return torch.from_numpy(np.concatenate(found)), torch.from_numpy(rest)
