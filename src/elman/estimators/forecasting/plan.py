"""What follows from a forecaster's options and its data before anything is learned; wrong ones are refused here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from elman.data import Panel, seasons
from elman.errors import DataError, OptionError
from elman.estimators.base import one_of, whole
from elman.estimators.forecasting.outputs import OUTPUTS
from elman.estimators.forecasting.windows import Shape, enough_steps

WHERE = "Forecaster"
CONTEXT = 24
"""steps of context at least: fewer give no idea of a series' level and spread"""


@dataclass(frozen=True)
class Plan:
    """The windows' shape, the scale that is forecast on, and how long to train.

    log      forecasts are of the logarithm
    floor    forecasts are never below it: 0 where no value was ever negative; None: no floor
    least    the least spread of a window, as a share of its level
    steps    of training
    held     last steps of each series that only early stopping sees
    """

    shape: Shape
    log: bool
    floor: float | None
    least: float
    steps: int
    held: int

    @classmethod
    def make(cls, options: Any, panel: Panel, n_windows: int = 0) -> Plan:
        """The plan of a forecaster with these options for this panel, of which `n_windows` windows are for testing.

        Raises `OptionError`, `DataError`, and what `Recurrent` and `TrainingSettings` raise.
        """
        check_options(options)
        held = options.horizon if options.patience is not None else 0
        _check_lengths(panel, options.horizon, held, n_windows)
        low, high = (float(f([f(y) for y in panel.y])) for f in (np.nanmin, np.nanmax))
        if low == high:
            raise DataError(
                f"{WHERE}: the target {panel.target!r} must vary, every value is {low:g}. Its forecast is {low:g}; "
                "no model is needed."
            )
        varying = [np.nanstd(y) / (np.nanmean(np.abs(y)) or 1.0) for y in panel.y if np.nanstd(y)]
        variation = float(np.median(varying or [1.0]))
        lengths = panel.lengths - held - n_windows * options.horizon
        return cls(
            _shape(options, panel),
            _use_log(options, panel, low, variation),
            0.0 if low >= 0 else None,
            min(0.01, variation),
            options.max_steps or enough_steps(lengths, options.horizon),
            held,
        )

    def to_scale(self, panel: Panel) -> Sequence[np.ndarray]:
        """The values on the scale that is forecast on; raises `DataError` where they have no logarithm."""
        if not self.log:
            return panel.y
        low = min((float(np.nanmin(y)) for y in panel.y if np.isfinite(y).any()), default=1.0)
        if low <= 0:
            raise DataError(
                f"{WHERE}: values must be positive as in training, where the logarithm was taken, got {low:g}. "
                "Train with target_transform='none'."
            )
        return [np.log(y) for y in panel.y]

    def from_scale(self, q: Any) -> Any:
        """Forecasts back in the data's units; of a tensor with its gradient."""
        kind: Any = torch if isinstance(q, torch.Tensor) else np
        q = kind.exp(q) if self.log else q
        return q if self.floor is None else kind.clip(q, self.floor, None)

    def to_json(self) -> dict[str, Any]:
        """What the run's configuration keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Plan:
        """The plan whose `to_json` gave this."""
        shape = kept["shape"]
        return cls(**{**kept, "shape": Shape(**{**shape, "seasons": tuple(shape["seasons"])})})


def check_options(options: Any) -> None:
    """Raises `OptionError` or `UnknownNameError` for a value that cannot be used, whatever the data."""
    whole(WHERE, "horizon", options.horizon)
    whole(WHERE, "paths", options.paths, 2)
    if options.context is not None:
        whole(WHERE, "context", options.context)
    one_of(WHERE, "strategy", options.strategy, ("direct", "recursive"))
    one_of(WHERE, "output", options.output, tuple(OUTPUTS))
    one_of(WHERE, "target_transform", options.target_transform, ("auto", "log", "none"))
    options.check_common()


def _shape(options: Any, panel: Panel) -> Shape:
    given = options.season_length
    if given == "auto":
        found = seasons(panel.freq)
    elif isinstance(given, str):
        raise OptionError(f"{WHERE}: season_length must be a number of steps or several, got {given!r}.")
    else:
        several = () if given is None else given if isinstance(given, Sequence) else (given,)
        found = tuple(whole(WHERE, "season_length", s, 2) for s in several)
    context = options.context or max(CONTEXT, 2 * options.horizon, min(found, default=0) + options.horizon)
    # A season of which no series holds two cannot be learned; it would only be noise.
    longest = int(panel.lengths.max())
    seen = tuple(s for s in found if 2 * s <= longest)
    return Shape(context, options.horizon, seen, options.strategy == "recursive")


def _check_lengths(panel: Panel, horizon: int, held: int, n_windows: int) -> None:
    least = horizon * (1 + n_windows) + held + 1
    short = panel.lengths < least
    if short.any():
        first = int(np.argmax(short))
        more = f" (and {int(short.sum()) - 1} more)" if short.sum() > 1 else ""
        tested = f" and {n_windows} test window{'s' * (n_windows > 1)}" if n_windows else ""
        raise DataError(
            f"{WHERE}: every series must have at least {least} steps for a horizon of {horizon}{tested}, got "
            f"{panel.lengths[first]} in {panel.ids[first]!r}{more}. Shorten the horizon or leave such series out."
        )


def _use_log(options: Any, panel: Panel, low: float, variation: float) -> bool:
    """Where values vary by less than a hundredth, the logarithm is a straight line and would only cost digits."""
    if options.target_transform == "log" and low <= 0:
        raise DataError(
            f"{WHERE}: target_transform='log' needs positive values, got {low:g}. Use target_transform='none'."
        )
    if options.output == "negative-binomial":
        counts = all(np.nanmax(np.abs(y - np.round(y))) == 0 for y in panel.y)
        if low < 0 or not counts or options.target_transform == "log":
            raise DataError(
                f"{WHERE}: output='negative-binomial' needs counts 0, 1, 2 … and no log, got other values. "
                "Use output='student-t' or 'quantile'."
            )
        return False
    return options.target_transform == "log" or (options.target_transform == "auto" and low > 0 and variation > 0.01)
