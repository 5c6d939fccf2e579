"""Pictures for the report: one forecast with its bands, and the loss while training. Figures in, inline SVG out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, ShapeError
from elman.evidence.metrics import level_index, median

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, GRID = "#1f2430", "#5b6270", "#d9dce3"
HISTORY, FORECAST, TRUTH = "#4a4f5c", "#0072b2", "#d55e00"
"""Okabe & Ito's blue and vermilion: told apart with every kind of colour blindness, and in grey by their lightness."""

PALETTE = (FORECAST, TRUTH, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito's six, where there is more to tell apart"""

THEME = {INK: "--ink", QUIET: "--quiet", GRID: "--grid", HISTORY: "--history", FORECAST: "--forecast", TRUTH: "--truth"}
"""Colour in a figure → CSS variable of the page: the same picture follows the reader's light or dark theme."""

STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "elman", "font.family": "sans-serif", "font.size": 9.5}
"""Matplotlib's settings of every picture: text stays text, and the same figure gives the same bytes."""


@dataclass(frozen=True)
class ForecastPlot:
    """One series' last window. history (T,), quantiles (H, Q) at levels (Q,), truth (H,) or None; NaN = missing.

    times: (T + H,) datetime64 for the axis; None = steps from the cutoff. unit: of the values, for the axis' label.
    """

    title: str
    history: ArrayLike
    quantiles: ArrayLike
    levels: Sequence[float]
    truth: ArrayLike | None = None
    times: ArrayLike | None = None
    unit: str = "value"


def plot_forecast(plot: ForecastPlot, *, horizons_shown: float = 2.5) -> Figure:
    """History, median, 80 % and 95 % bands and what really came, around the cutoff.

    Shows the last `horizons_shown`·H steps of the history (at least 30), so that H steps ahead stay legible. A band
    whose two levels were not forecast is left out. Raises ShapeError for arrays that don't fit each other, DataError
    for an empty history.

    >>> q = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]] * 3)
    >>> figure = plot_forecast(ForecastPlot("shop 1", np.ones(40), q, (0.025, 0.1, 0.5, 0.9, 0.975), [3.0, 3.0, 3.0]))
    >>> figure.axes[0].get_title(loc="left"), len(figure.axes[0].lines) >= 3
    ('shop 1', True)
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    history, q, truth, axis = _checked(plot)
    shown = min(len(history), max(30, round(horizons_shown * len(q))))
    past, future = axis[len(history) - shown : len(history)], axis[len(history) :]
    if np.isfinite(history[-1]):  # bands and median grow out of the last known value, which has no uncertainty
        future = axis[len(history) - 1 :]
        q = np.concatenate([np.full((1, q.shape[1]), history[-1]), q])
        truth = None if truth is None else np.concatenate([history[-1:], truth])
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.1), layout="constrained")
        axes = figure.add_subplot()
        for interval, alpha in ((0.95, 0.16), (0.8, 0.3)):
            low, high = (level_index(plot.levels, (1 + sign * interval) / 2) for sign in (-1, 1))
            if low is not None and high is not None:
                band = {"color": FORECAST, "alpha": alpha, "linewidth": 0, "label": f"{interval:.0%} interval"}
                axes.fill_between(future, q[:, low], q[:, high], **band)
        axes.plot(past, history[-shown:], color=HISTORY, linewidth=1.2, label="history", **_dots(history[-shown:]))
        axes.plot(future, median(q, plot.levels), color=FORECAST, linewidth=1.8, label="median forecast", **_dots(q))
        if truth is not None:
            style = {"color": TRUTH, "linewidth": 1.4, "linestyle": (0, (3, 1.5)), "label": "what came"}
            axes.plot(future, truth, marker="o", markersize=2.6 if len(q) < 60 else 0, **style)
        axes.axvline(past[-1], color=QUIET, linewidth=0.8, linestyle=":")
        dress(axes, plot.title, "steps from the last known value" if plot.times is None else "", plot.unit)
        if plot.times is not None:
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

            locator = AutoDateLocator(minticks=3, maxticks=7)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def plot_training(records: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Every loss in the training records against the epoch (else the step): None where none has two points.

    records: the lines of `metrics.jsonl`; a column is a loss when its name says so, numbers that aren't finite are
    skipped. The best value of each curve is marked. The axis is logarithmic when a loss falls more than twentyfold.

    >>> figure = plot_training([{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}])
    >>> figure.axes[0].get_xlabel(), plot_training([{"epoch": 1}])
    ('epoch', None)
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = [name for name in dict.fromkeys(key for record in records for key in record) if "loss" in name.lower()]
    over = next((name for name in ("epoch", "step") if any(name in record for record in records)), "record")
    curves: dict[str, NDArray[np.float64]] = {}
    for name in names:
        points = [(record.get(over, n), record.get(name)) for n, record in enumerate(records)]
        known = [(x, y) for x, y in points if isinstance(x, (int, float)) and isinstance(y, (int, float))]
        curve = np.array(known, dtype=float).reshape(-1, 2)
        if np.isfinite(curve).all(axis=1).any():
            curves[name] = curve[np.isfinite(curve).all(axis=1)]
    if all(len(curve) < 2 for curve in curves.values()):
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 2.9), layout="constrained")
        axes = figure.add_subplot()
        looks = [(HISTORY, "-"), (FORECAST, "-"), (TRUTH, "--"), (QUIET, ":")]
        for number, (name, curve) in enumerate(curves.items()):
            colour, line = looks[number % len(looks)]
            x, y = curve.T
            axes.plot(x, y, color=colour, linestyle=line, linewidth=1.5, label=_plain(name), **_dots(y))
            axes.plot(x[y.argmin()], y.min(), color=colour, marker="o", markersize=5)
        values = np.concatenate([curve[:, 1] for curve in curves.values()])
        if values.min() > 0 and values.max() > 20 * values.min():
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        dress(axes, "Loss while training (dot: lowest)", over, "loss")
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def dress(axes: Axes, title: str, x: str, y: str) -> None:
    """Gives axes their title and labels, a long one cut, a quiet grid, and no frame but the line at the bottom."""
    import textwrap

    axes.set_title(
        textwrap.shorten(title, 60).replace("$", r"\$"), loc="left", color=INK, fontsize=10.5, fontweight="bold"
    )
    axes.set_xlabel(x, color=QUIET)
    axes.set_ylabel(textwrap.shorten(y, 40).replace("$", r"\$"), color=QUIET)
    axes.tick_params(which="both", colors=QUIET, length=0)
    axes.xaxis.get_offset_text().set_color(QUIET)
    axes.yaxis.get_offset_text().set_color(QUIET)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.02, y=0.06)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)


def to_svg(figure: Figure, description: str) -> str:
    """A figure as inline SVG that scales, follows the page's theme and reads out `description`; no outside resource.

    >>> svg = to_svg(plot_training([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]), "loss & more")
    >>> svg.startswith("<svg"), 'aria-label="loss &amp; more"' in svg, "var(--ink)" in svg, "DOCTYPE" in svg
    (True, True, True, False)
    """
    import io
    from html import escape

    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Of the ids only those referred to are needed; the rest would repeat from picture to picture.
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    for colour, variable in THEME.items():
        rest = rest.replace(colour, f"var({variable})")
    # Matplotlib names its own fonts; the reader's system font is there without a download.
    rest = re.sub(r"(font: [^'\";]*?px) [^;\"]*", r"\1 system-ui, sans-serif", rest)
    return f'{head} role="img" aria-label="{escape(description, quote=True)}">{rest}'


def _checked(plot: ForecastPlot) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None, Any]:
    history, q = np.asarray(plot.history, dtype=float), np.asarray(plot.quantiles, dtype=float)
    truth = None if plot.truth is None else np.asarray(plot.truth, dtype=float)
    if history.ndim != 1 or not history.size:
        raise DataError(
            f"plot_forecast({plot.title}): history must be (T,), T ≥ 1, got {history.shape}. Give its values."
        )
    if q.ndim != 2 or q.shape[1] != len(plot.levels) or (truth is not None and truth.shape != (len(q),)):
        got = f"{q.shape} and {None if truth is None else truth.shape}"
        raise ShapeError(
            f"plot_forecast({plot.title}): quantiles must be (H, {len(plot.levels)}) and truth (H,), got {got}. "
            "Take one window of each."
        )
    count = len(history) + len(q)
    axis = np.arange(count) - len(history) + 1 if plot.times is None else np.asarray(plot.times)
    if axis.shape != (count,):
        raise ShapeError(
            f"plot_forecast({plot.title}): times must be (T + H,) = ({count},), got {axis.shape}. "
            "Give the history's times and the forecast's."
        )
    return history, q, truth, axis


def _dots(values: NDArray[np.float64]) -> dict[str, Any]:
    """A line through one point draws nothing, nor does a lone value between gaps: such get a marker."""
    first = values if values.ndim == 1 else values[:, 0]
    padded = np.concatenate([[True], np.isnan(first), [True]])
    lone = (~padded[1:-1] & padded[:-2] & padded[2:]).any()
    return {"marker": "o", "markersize": 2.5} if lone else {}


def _plain(name: str) -> str:
    # A leading underscore would hide the curve from the legend; a dollar would start a formula.
    return name.replace("_", " ").replace("$", r"\$").strip()
