"""The forecasts that a recurrent network has to beat, from the simplest up, one method per file.

`BASELINES` is the one list: scoreboard, tests, documentation and command read it. Its order is that of simplicity:
of two baselines with equal errors the first is preferred.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numpy.typing import ArrayLike

from elman.errors import UnknownNameError, suggest
from elman.evidence.baselines.base import Baseline, Forecast, LocalBaseline, Task
from elman.evidence.baselines.convolution import Convolution
from elman.evidence.baselines.ets import ETS
from elman.evidence.baselines.feed_forward import FeedForward
from elman.evidence.baselines.last_value import LastValue
from elman.evidence.baselines.linear import LinearAutoregression
from elman.evidence.baselines.seasonal_naive import SeasonalNaive
from elman.evidence.baselines.structural import Structural

BASELINES: dict[str, type[Baseline]] = {
    cls.label: cls
    for cls in (LastValue, SeasonalNaive, ETS, Structural, LinearAutoregression, FeedForward, Convolution)
}

__all__ = [
    "BASELINES",
    "ETS",
    "Baseline",
    "Convolution",
    "FeedForward",
    "Forecast",
    "LastValue",
    "LinearAutoregression",
    "LocalBaseline",
    "SeasonalNaive",
    "Structural",
    "Task",
    "run_baselines",
]


def run_baselines(
    histories: Sequence[ArrayLike],
    horizon: int,
    season: int,
    levels: Sequence[float] = (0.025, 0.1, 0.5, 0.9, 0.975),
    *,
    series: Sequence[object] | None = None,
    names: Iterable[str] | None = None,
) -> dict[str, Forecast]:
    """Every baseline's forecast of the same windows: {label: Forecast}, in the order of `BASELINES`.

    histories: N vectors up to the cutoff, NaN = missing; horizon H and season m in steps; levels (Q,) ascending.
    series: (N,) which series each window belongs to. With several cutoffs a series it must be given: the pooled
    methods learn from each series' shortest history only, else a late window would show them an early one's truth.
    names: labels to run, None = all. Raises UnknownNameError, and what `Task` raises for bad windows.

    >>> found = run_baselines([[1.0, 2.0, 3.0, 4.0]], 2, 1, (0.1, 0.5, 0.9), names=["last value"])
    >>> found["last value"].quantiles.round(2).tolist()
    [[[2.72, 4.0, 5.28], [2.19, 4.0, 5.81]]]
    """
    wanted = list(BASELINES) if names is None else list(names)
    for name in wanted:
        if name not in BASELINES:
            raise UnknownNameError(f"run_baselines: unknown baseline {name!r}, {suggest(name, BASELINES)}")
    task = Task.build(histories, horizon, season, levels, series)
    return {name: cls().forecast(task) for name, cls in BASELINES.items() if name in wanted}
