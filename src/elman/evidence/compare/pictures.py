"""A comparison as pictures: what a score costs in training and in answering, and which differences are real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elman.evidence.board import ALPHA
from elman.evidence.compare.comparison import Comparison, Line
from elman.evidence.plots import FORECAST, GRID, HISTORY, INK, PALETTE, QUIET, STYLE, TRUTH, dress, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = "osD^vP*X"
"""of depths, and of baselines"""
LEAST = 1e-6
"""seconds below which a time is not told apart"""


def plot_cost(found: Comparison, cost: str) -> Figure:
    """Score against seconds, logarithmic: cost is "fit_seconds" or "answer_seconds"; bars: one deviation of seeds."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    title = {"fit_seconds": "What it takes to train", "answer_seconds": "What an answer takes"}[cost]
    axis = {"fit_seconds": "seconds to train", "answer_seconds": "seconds from one more step to the answer"}[cost]
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 1.9 + 0.24 * len(found.rows)), layout="constrained")
        axes = figure.add_subplot()
        for row, (colour, mark) in zip(found.rows, _looks(found), strict=True):
            style: dict[str, Any] = {"color": colour, "marker": mark, "markersize": 7, "linestyle": "none"}
            style |= {"markerfacecolor": colour if row.is_network else "white", "label": row.model, "elinewidth": 1}
            axes.errorbar(max(getattr(row, cost), LEAST), row.score, yerr=row.spread or None, **style)
        axes.set_xscale("log")
        dress(axes, title, axis, found.error)
        axes.margins(x=0.08, y=0.1)
        figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=8, labelcolor=INK)
    return figure


def _looks(found: Comparison) -> list[tuple[str, str]]:
    """Of each line a colour, by its cell, and a mark, by its depth; baselines have a mark each."""
    cells = list(dict.fromkeys(row.group for row in found.rows if row.is_network))
    depths = sorted({row.depth for row in found.rows if row.is_network})
    simple = [row.model for row in found.rows if not row.is_network]

    def look(row: Line) -> tuple[str, str]:
        if row.is_network:
            return PALETTE[cells.index(row.group) % len(PALETTE)], MARKS[depths.index(row.depth) % len(MARKS)]
        return QUIET, MARKS[simple.index(row.model) % len(MARKS)]

    return [look(row) for row in found.rows]


def plot_pairs(found: Comparison) -> Figure:
    """Which differences are real: blue where the row is better than the column, vermilion where it is worse."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    names = [row.model for row in found.rows]
    size = 0.3 * len(names)
    with rc_context(STYLE):
        figure = Figure(figsize=(1.9 + size, 1.7 + size), layout="constrained")
        axes = figure.add_subplot()
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                better, worse = found.pairs.beats(a, b, ALPHA), found.pairs.beats(b, a, ALPHA)
                colour = FORECAST if better else TRUTH if worse else GRID
                if i != j:
                    axes.add_patch(Rectangle((j - 0.45, i - 0.45), 0.9, 0.9, color=colour, linewidth=0))
                    axes.text(
                        j,
                        i,
                        "+" if better else "−" if worse else "?",
                        ha="center",
                        va="center",
                        fontsize=9,
                        color="white" if better or worse else HISTORY,
                    )
        dress(axes, "Which differences are real", "", "")
        axes.grid(visible=False)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_aspect("equal")
        axes.spines["bottom"].set_visible(False)
    return figure


def sections(found: Comparison) -> dict[str, str]:
    """Heading and HTML of the pictures, for a report."""
    costs = [
        to_svg(plot_cost(found, "fit_seconds"), f"{found.error} against seconds of training"),
        to_svg(plot_cost(found, "answer_seconds"), f"{found.error} against seconds of an answer"),
    ]
    pairs = to_svg(plot_pairs(found), "Each model against each: +, better; −, worse; ?, not told apart")
    words = (
        "<p>+: the model of the row is better than that of the column; −: it is worse; ?: nothing tells them apart. "
        f"All pairs were tested at once, so that the chance of one false mark is {ALPHA:.0%} at most.</p>"
    )
    drawn = "".join(f"<figure>{svg}</figure>" for svg in costs)
    return {
        "What a score costs": f'<div class="plots">{drawn}</div>',
        "Which differences are real": f'{words}<div class="plots"><figure>{pairs}</figure></div>',
    }
