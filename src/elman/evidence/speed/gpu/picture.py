"""How many times faster a GPU is, over H, a line for each B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elman.evidence.plots import INK, PALETTE, QUIET, STYLE, dress
from elman.evidence.speed.point import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE: Any = STYLE | {"font.size": 9}


def curve(points: Sequence[Point], title: str, *, claim: float) -> Figure:
    """A panel for each number of cores; the claim and "as fast" are lines across.

    >>> point = Point("gpu-vs-cpu", "lstm", "2 cores", "training", 2, 64, 4, 64, 64, {"peer": [9.0], "ours": [1.0]})
    >>> figure = curve([point], "ratio", claim=250.0)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['against 2 cores']
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    threads = sorted({p.threads for p in points})
    measured = [p for p in points if p.ratio is not None]
    with rc_context(_STYLE):
        figure = Figure(figsize=(1.2 + 3.9 * len(threads), 4.0), layout="constrained")
        grid = figure.subplots(1, len(threads), squeeze=False, sharey=True)[0]
        for axes, count in zip(grid, threads, strict=True):
            _panel(axes, [p for p in measured if p.threads == count], claim, named=count == threads[-1])
            dress(axes, f"against {count} core{'s' * (count > 1)}", "H", "times as fast" if count == threads[0] else "")
        ratios = [p.ratio or 1.0 for p in measured] or [1.0]
        grid[0].set_ylim(min(0.7 * min(ratios), 0.5), max(1.5 * max(ratios), 2 * claim))
        for axes in grid:
            handles, labels = axes.get_legend_handles_labels()
            if labels:
                figure.legend(
                    handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, labelcolor=INK
                )
                break
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=10.5)
    return figure


def _panel(axes: Axes, points: Sequence[Point], claim: float, *, named: bool) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for number, B in enumerate(sorted({p.B for p in points})):
        mine = sorted((p.H, p.ratio or 0.0) for p in points if p.B == B)
        look: Any = {"color": PALETTE[number % len(PALETTE)], "linewidth": 1.6, "marker": "o", "markersize": 4}
        axes.plot([h for h, _ in mine], [r for _, r in mine], label=f"B = {B}", **look)
    for level, words in ((claim, f"{claim:.0f} ×"), (1.0, "as fast")):
        axes.axhline(level, color=QUIET, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        if named:  # beside the last panel, where no curve runs through the words
            place: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
            axes.annotate(words, (1.0, level), (4, 0), color=QUIET, annotation_clip=False, **place)
    axes.margins(x=0.08)
    if sizes := sorted({p.H for p in points}):
        axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.yaxis.set_major_locator(LogLocator())
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        side.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)
