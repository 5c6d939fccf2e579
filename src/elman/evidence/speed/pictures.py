"""Pictures of a benchmark: the ratio by shape as a heat map, growth on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elman.evidence.plots import FORECAST, GRID, HISTORY, INK, QUIET, STYLE, TRUTH, dress
from elman.evidence.speed.bench import shorten
from elman.evidence.speed.parts.growth import AXES, WHO, curves, exponents
from elman.evidence.speed.point import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPAN = 8.0  # ratios from 1/8 to 8 have a colour of their own
_STYLE: Any = STYLE | {"font.size": 9}  # many panels in one picture
_RED = "no ratio"


def heat_map(points: Sequence[Point], title: str) -> Figure:
    """The peer's time ÷ ours: a panel per cell × mode × threads, T × B down, H across; blue where we are ahead.

    A shape without a ratio is grey: "–" was not run, "no ratio" was a red check.

    >>> point = Point("grid", "gru", "nn.GRU", "inference", 1, 20, 4, 64, 64, {"peer": [2.0], "ours": [1.0]})
    >>> [text.get_text() for text in heat_map([point], "ratio").axes[0].texts]
    ['2.00']
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    down = list(dict.fromkeys((p.cell, p.against) for p in points))
    across = sorted({(p.mode, p.threads) for p in points}, key=lambda key: (key[0] != "inference", key))
    wide, high = len({p.H for p in points}), len({(p.T, p.B) for p in points})
    with rc_context(_STYLE):
        size = len(across) * max(2.0, 0.6 + 0.45 * wide) + 0.9, len(down) * (0.7 + 0.23 * high) + 1.1
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(down), len(across), squeeze=False)
        for row, (cell, against) in enumerate(down):
            for column, (mode, threads) in enumerate(across):
                axes = grid[row][column]
                kept = [p for p in points if (p.cell, p.against, p.mode, p.threads) == (cell, against, mode, threads)]
                _panel(axes, kept, labelled=(column == 0, row == len(down) - 1))
                name = against if against.startswith("nn.") else cell
                _title(axes, name, f"{mode}, {threads} thread" + "s" * (threads > 1))
        _bar(figure, grid)
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=10.5)
    return figure


def growth(points: Sequence[Point], title: str) -> Figure:
    """Time and peak memory along T, B and H, each with the fitted power."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes_shown = [axis for axis in AXES if curves(points, axis)] or ["T"]
    powers = exponents(points)
    looks = dict(zip(WHO.values(), ((FORECAST, "-", "o"), (HISTORY, "--", "s"), (TRUTH, "-", "^")), strict=True))
    with rc_context(_STYLE):
        figure = Figure(figsize=(1.2 + 3.3 * len(axes_shown), 5.8), layout="constrained")
        grid = figure.subplots(2, len(axes_shown), squeeze=False)
        for column, axis in enumerate(axes_shown):
            for row, (what, scale) in enumerate((("milliseconds", 1e3), ("MiB at the peak", 2.0**-20))):
                axes = grid[row][column]
                for name, curve in curves(points, axis).items():
                    colour, line, marker = looks[name]
                    x, y = [p[0] for p in curve], [p[1 + row] * scale for p in curve]
                    label = f"{name}: {axis}$^{{{powers[name, axis][row]:.2f}}}$"
                    style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 4, "linewidth": 1.5}
                    axes.plot(x, y, label=label, **style)
                axes.set_xscale("log")
                axes.set_yscale("log")
                for side in (axes.xaxis, axes.yaxis):
                    side.set_major_locator(LogLocator(subs=(1.0, 3.0) if side is axes.yaxis else (1.0,)))
                    side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
                    side.set_minor_formatter(NullFormatter())
                dress(axes, "", axis, what)
                axes.grid(axis="x", color=GRID, linewidth=0.7)  # a power is read off both axes
                axes.tick_params(which="minor", length=0)
                axes.legend(frameon=False, fontsize=7.5, labelcolor=INK)
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=10.5)
    return figure


def _panel(axes: Axes, points: Sequence[Point], *, labelled: tuple[bool, bool]) -> None:
    import numpy as np

    sizes = sorted({p.H for p in points})
    rows = list(dict.fromkeys((p.T, p.B) for p in points))
    colours = np.full((len(rows), len(sizes)), np.nan)
    for point in points:
        place = rows.index((point.T, point.B)), sizes.index(point.H)
        if point.ratio is not None:
            colours[place] = math.log2(point.ratio)
        deep = point.ratio is not None and abs(math.log2(point.ratio)) > 0.7 * math.log2(SPAN)
        text = shorten(point.ratio) if point.ratio is not None else _RED if point.error is not None else "–"
        axes.text(
            place[1],
            place[0],
            text,
            ha="center",
            va="center",
            fontsize=7.5 if text != _RED else 5.5,
            color="white" if deep else INK,
        )
    limit = math.log2(SPAN)
    axes.imshow(np.ma.masked_invalid(colours), cmap=_colours(), vmin=-limit, vmax=limit, aspect="auto")
    axes.set_facecolor(GRID)
    axes.set_xticks(range(len(sizes)), [str(H) for H in sizes] if labelled[1] else [""] * len(sizes))
    axes.set_yticks(range(len(rows)), [f"{T} × {B}" for T, B in rows] if labelled[0] else [""] * len(rows))
    if labelled[1]:
        axes.set_xlabel("H", color=QUIET)
    if labelled[0]:
        axes.set_ylabel("T × B", color=QUIET)
    axes.tick_params(colors=QUIET, length=0)
    for at in range(1, len(rows)):
        if rows[at][0] != rows[at - 1][0]:
            axes.axhline(at - 0.5, color="white", linewidth=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _bar(figure: Figure, grid: Any) -> None:
    """The scale of colours, in ratios."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    limit = math.log2(SPAN)
    ticks = [-3, -2, -1, 0, 1, 2, 3]
    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), _colours()), ax=grid, fraction=0.02, pad=0.01)
    bar.set_ticks(ticks, labels=["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    bar.ax.tick_params(colors=QUIET, length=0)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ratio", [TRUTH, "#f7f7f5", FORECAST])


def _title(axes: Axes, text: str, aside: str) -> None:
    axes.set_title(f"{text}\n{aside}", loc="left", color=INK, fontsize=8.5)
