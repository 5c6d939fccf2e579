"""Pictures of anomalies: the signal above, its score with threshold and alarms below, on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.evidence.plots import FORECAST, HISTORY, INK, QUIET, STYLE, TRUTH, dress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray

MOST_FEATURES = 3
"""features in a picture: of more, those that vary most while there is an alarm"""
MOST_STEPS = 2500
"""steps that are drawn one by one: of more, the least and the greatest of each bin"""
FEW_STEPS = 500
"""steps up to which what was expected can be told from what came"""


@dataclass(frozen=True)
class WatchPlot:
    """One sequence of T steps.

    signal    (T, F), NaN where missing
    scores    (T,), calm that of a usual step, limit the threshold
    truth     (T,) of bool, true where anomalous; None where unknown
    expected  (T, F), drawn where steps are few enough; or None
    names     of the features, as far as they are known
    begin     the first step's number
    """

    title: str
    signal: Array
    scores: Array
    calm: float
    limit: float
    truth: Array | None = None
    expected: Array | None = None
    names: Sequence[str] = ()
    begin: int = 0

    def stretch(self, begin: int, end: int) -> WatchPlot:
        """A closer look at some steps."""
        whole = {name: getattr(self, name) for name in ("signal", "scores", "truth", "expected")}
        cut = {name: None if values is None else values[begin:end] for name, values in whole.items()}
        return replace(self, title=f"{self.title}, closer", begin=self.begin + begin, **cut)


def plot_watch(plot: WatchPlot) -> Figure:
    """The signal, a row for each feature, and below it the score, drawn so that 0 is usual and 1 the threshold.

    What is above it is filled, and marked above the signal; true anomalies are shaded.

    >>> scores = np.array([2.0, 2.0, 5.0, 2.0])
    >>> figure = plot_watch(WatchPlot("pump", np.zeros((4, 1)), scores, 2.0, 3.0, scores > 3))
    >>> [axes.get_ylabel() for axes in figure.axes], figure.axes[1].lines[0].get_ydata().tolist()
    (['signal', 'score / threshold'], [0.0, 0.0, 3.0, 0.0])
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    steps = np.arange(plot.begin, plot.begin + len(plot.scores))
    scores = in_thresholds(plot.scores, plot.calm, plot.limit)
    features = _features(plot)
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.6 + 1.3 * len(features)), layout="constrained")
        heights = [3 if len(features) == 1 else 2] * len(features) + [2]
        *above, below = figure.subplots(len(features) + 1, 1, sharex=True, height_ratios=heights)
        for axes, feature in zip(above, features, strict=True):
            _draw_signal(axes, steps, plot, feature)
            dress(axes, plot.title if axes is above[0] else "", "", _name(plot, feature))
            axes.spines["bottom"].set_visible(False)
        above[0].margins(y=0.16)
        _mark_alarms(above[0], steps, scores > 1)
        draw_score(below, steps, scores)
        below.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        if plot.truth is not None:
            for axes in (*above, below):
                _shade(axes, steps, plot.truth)
        figure.align_ylabels()
        known: dict[Any, Any] = {}
        for axes in (above[0], below):
            known |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(
            known.values(), known, loc="outside lower center", ncols=5, frameon=False, fontsize=8.5, labelcolor=INK
        )
    return figure


def _draw_signal(axes: Any, steps: Array, plot: WatchPlot, feature: int) -> None:
    if plot.expected is not None and len(steps) <= FEW_STEPS:
        expected = plot.expected[:, feature]
        axes.plot(steps, expected, color=FORECAST, linewidth=1.0, linestyle=(0, (3, 1.5)), label="expected")
    _line(axes, steps, plot.signal[:, feature], color=HISTORY, linewidth=0.9)


def in_thresholds(scores: Array, calm: float, limit: float) -> Array:
    """Scores so that 0 is that of a usual step, and 1 the threshold."""
    width = limit - calm
    return (scores - calm) / (width if width > 0 else 1.0)


def draw_score(axes: Any, steps: Array, scores: Array) -> None:
    """The scores, as `in_thresholds` gives them; what is above the threshold is filled."""
    _line(axes, steps, scores, color=HISTORY, linewidth=1.0)
    axes.axhline(1.0, color=QUIET, linewidth=1.0, linestyle=(0, (4, 2)), label="threshold")
    places, _, high = _bins(steps, scores)
    if (high > 1).any():
        filled = {"color": FORECAST, "alpha": 0.75, "linewidth": 0, "label": "alarm", "interpolate": True}
        axes.fill_between(places, 1.0, high, where=high > 1, **filled)
    dress(axes, "", "step", "score / threshold")
    _scale(axes, scores)


def _name(plot: WatchPlot, feature: int) -> str:
    if feature < len(plot.names):
        return plot.names[feature]
    return "signal" if plot.signal.shape[1] == 1 else f"feature {feature}"


def _line(axes: Any, steps: Array, values: Array, **style: Any) -> None:
    """A line, or of many steps the band between the least and the greatest of each bin."""
    if len(steps) <= MOST_STEPS:
        axes.plot(steps, values, **style)
        return
    places, low, high = _bins(steps, values)
    axes.fill_between(places, low, high, color=style["color"], linewidth=0.6)


def _bins(steps: Array, values: Array) -> tuple[Array, Array, Array]:
    """Where each bin is, its least and its greatest value; NaN where it has none."""
    if len(steps) <= MOST_STEPS:
        return steps, values, values
    parts = np.array_split(np.arange(len(steps)), MOST_STEPS // 2)
    first = [part[0] for part in parts]
    low = np.fmin.reduceat(values, first)
    return steps[[part[len(part) // 2] for part in parts]], low, np.fmax.reduceat(values, first)


def _mark_alarms(axes: Any, steps: Array, alarms: Array) -> None:
    """A bar along the top of the signal while the alarm is on; one too short to be seen is given some width."""
    least = len(steps) / 200
    for begin, end in _runs(alarms):
        middle, half = (steps[begin] + steps[end - 1]) / 2, max(least, end - begin) / 2
        axes.axvspan(middle - half, middle + half, ymin=0.965, ymax=1.0, color=FORECAST, alpha=0.9, linewidth=0)


def _shade(axes: Any, steps: Array, truth: Array) -> None:
    for begin, end in _runs(truth):
        label = "true anomaly"
        axes.axvspan(steps[begin] - 0.5, steps[end - 1] + 0.5, color=TRUTH, alpha=0.16, linewidth=0, label=label)


def _runs(on: Array) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _scale(axes: Any, scores: Array) -> None:
    """Logarithmic above the threshold where the scores go far beyond it: what is normal stays legible."""
    from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

    if scores.max() > 8:
        axes.set_yscale("symlog", linthresh=2.0)
        axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1.0))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(bottom=min(0.0, float(scores.min())) - 0.2)


def _features(plot: WatchPlot) -> list[int]:
    strange = plot.scores > plot.limit
    part = plot.signal[strange] if strange.sum() > 1 else plot.signal
    spread = np.nan_to_num(np.nanstd(plot.signal, 0)) + 1e-12
    order = np.argsort(-np.nan_to_num(np.nanstd(part, 0)) / spread, kind="stable")
    return sorted(order[:MOST_FEATURES].tolist())
