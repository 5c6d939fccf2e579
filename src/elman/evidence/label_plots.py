"""Pictures of labels: which classes are taken for which, numbers beside the truth, where a net looked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.evidence.plots import FORECAST, GRID, INK, QUIET, STYLE, TRUTH, dress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 20
"""classes in a picture: of more, those with the most confusions"""
LETTERS = 10
"""of a label that have room in an inch"""


def plot_confusion(truth: np.ndarray, found: np.ndarray) -> Figure:
    """Rows: the true class; columns: what was said; a cell: the share of its row, in percent.

    >>> figure = plot_confusion(np.array(["a", "b", "b"]), np.array(["a", "b", "a"]))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['100', '0', '50', '50']
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    classes = np.unique(np.concatenate([truth, found]))
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (np.searchsorted(classes, truth), np.searchsorted(classes, found)), 1)
    if len(classes) > MOST_CLASSES:
        wrong = table.sum(0) + table.sum(1) - 2 * table.diagonal()
        kept = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
        classes, table = classes[kept], table[np.ix_(kept, kept)]
    share = 100 * table / np.maximum(table.sum(1, keepdims=True), 1)
    names = [str(c) for c in classes]
    size = max(3.0, min(6.4, 1.6 + 0.42 * len(classes)))
    with rc_context(STYLE):
        figure = Figure(figsize=(size + 0.6, size), layout="constrained")
        axes = figure.add_subplot()
        for i, row in enumerate(share):
            for k, value in enumerate(row):
                colour = FORECAST if i == k else TRUTH
                axes.add_patch(_cell(k, i, colour, value / 100))
                if value or len(classes) <= 8:
                    axes.text(k, i, f"{value:.0f}", ha="center", va="center", color=INK, fontsize=8.5)
        axes.set_xlim(-0.5, len(classes) - 0.5)
        axes.set_ylim(len(classes) - 0.5, -0.5)
        room = LETTERS * size / len(classes)
        axes.set_xticks(range(len(classes)), names, rotation=0 if max(map(len, names)) < room else 60, fontsize=8.5)
        axes.set_yticks(range(len(classes)), names, fontsize=8.5)
        dress(axes, "Taken for what, %", "said", "true")
        axes.grid(visible=False)
    return figure


def _cell(x: float, y: float, colour: str, share: float) -> Any:
    from matplotlib.patches import Rectangle

    alpha = 0.75 * share
    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=colour, alpha=alpha, edgecolor=GRID, linewidth=0.5)


def plot_numbers(truth: np.ndarray, found: np.ndarray) -> Figure:
    """What was said against the truth; on the line it is right."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        ends = [float(np.min([truth, found])), float(np.max([truth, found]))]
        axes.plot(ends, ends, color=QUIET, linewidth=0.8, linestyle=":")
        axes.scatter(truth, found, s=9, color=FORECAST, alpha=0.6, linewidths=0)
        dress(axes, "Said against true", "true", "said")
    return figure


def tagged_html(sentences: Sequence[tuple[Sequence[str], Sequence[Any], Sequence[Any]]]) -> str:
    """Sentences with the label under each word; a wrong one is marked and the right one stands beside it."""
    lines = []
    for words, truth, found in sentences:
        cells = []
        for word, right, said in zip(words, truth, found, strict=True):
            good = str(right) == str(said)
            label = escape(str(said)) if good else f"{escape(str(said))} ≠ {escape(str(right))}"
            mark = "" if good else ' class="wrong"'
            cells.append(f"<ruby>{escape(str(word))}<rt{mark}>{label}</rt></ruby>")
        lines.append(f'<p class="tagged">{" ".join(cells)}</p>')
    return "\n".join(lines)


def attention_html(examples: Sequence[tuple[Sequence[str], Sequence[float], str]]) -> str:
    """Texts with each word as dark as the attention that it got, and what the net said of them."""
    lines = []
    for words, weights, note in examples:
        top = max(weights, default=1.0) or 1.0
        shades = [f"color-mix(in srgb,var(--forecast) {60 * w / top:.0f}%,transparent)" for w in weights]
        spans = [
            f'<span style="background:{shade}">{escape(word)}</span>' for word, shade in zip(words, shades, strict=True)
        ]
        lines.append(f'<p class="attended">{" ".join(spans)} <small class="quiet">{escape(note)}</small></p>')
    return "\n".join(lines)
