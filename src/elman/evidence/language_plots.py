"""Pictures of language models: piano rolls given and generated, tunes, and how surprising each token of a text was."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from elman.data.abc import MIDDLE_C, Tune
from elman.evidence.plots import FORECAST, HISTORY, QUIET, STYLE, TRUTH, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SURPRISE = 8.0
"""nats at which a token is marked as darkly as can be"""
ROW = 8
"""bars of a tune side by side"""


def plot_rolls(given: np.ndarray, generated: np.ndarray, truth: np.ndarray) -> Figure:
    """What was generated after the given frames, and under it what came in truth; each (T_i, notes) of 0 and 1.

    >>> silence = np.zeros((4, 3))
    >>> [axes.get_title(loc="left") for axes in plot_rolls(silence, silence, silence).axes]
    ['Generated after the line', 'What came in truth']
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sounding = np.flatnonzero(np.concatenate([given, generated, truth]).any(0))
    low, high = (sounding[0], sounding[-1]) if len(sounding) else (0, given.shape[1] - 1)
    parts = (("Generated after the line", generated, FORECAST), ("What came in truth", truth, TRUTH))
    with rc_context(STYLE):
        figure = Figure(figsize=(8.0, 5.2), layout="constrained")
        for axes, (title, roll, colour) in zip(figure.subplots(2, 1, sharex=True), parts, strict=True):
            _draw(axes, given, 0, HISTORY)
            _draw(axes, roll, len(given), colour)
            axes.axvline(len(given), color=QUIET, linewidth=0.8, linestyle=":")
            dress(axes, title, "frame" if roll is truth else "", "note")
            axes.set_xlim(0, len(given) + max(len(generated), len(truth)))
            axes.set_ylim(low - 1.5, high + 1.5)
    return figure


def _draw(axes: Axes, roll: np.ndarray, start: int, colour: str) -> None:
    """Each stretch of frames in which a note sounds as one bar; a note struck anew cannot be told from one held."""
    edges = np.diff(np.pad(roll.astype(int), ((1, 1), (0, 0))), axis=0).T
    for note, edge in enumerate(edges):
        begins, ends = np.flatnonzero(edge > 0), np.flatnonzero(edge < 0)
        bars = [(start + begin, end - begin) for begin, end in zip(begins, ends, strict=True)]
        axes.broken_barh(bars, (note - 0.4, 0.8), facecolors=colour, linewidth=0)


def plot_tune(title: str, tune: Tune, colour: str = FORECAST) -> Figure:
    """A tune as a piano roll, row after row as in a book of music; lines stand where bars begin and at each C and G.

    >>> from elman.data.abc import read_tune
    >>> figure = plot_tune("Scale", read_tune("X:1\\nM:2/4\\nL:1/8\\nK:C\\n" + "CDEF|GABc|" * 5))
    >>> len(figure.axes), [text.get_text() for text in figure.axes[1].get_xticklabels()]
    (2, ['9', '10'])
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    pitches = [note.pitch for note in tune.notes]
    low, high = min(pitches), max(pitches)
    first = range(0, len(tune.bars) - 1, ROW)
    width = max(float(tune.bars[min(bar + ROW, len(tune.bars) - 1)] - tune.bars[bar]) for bar in first)
    with rc_context(STYLE):
        figure = Figure(figsize=(8.0, 0.5 + 1.25 * len(first)), layout="constrained")
        for bar, axes in zip(first, figure.subplots(len(first), 1, squeeze=False)[:, 0], strict=True):
            edges = tune.bars[bar : bar + ROW + 1]
            for note in tune.notes:
                if edges[0] <= note.start < edges[-1]:
                    span = float(note.start - edges[0]), 0.92 * float(note.length)
                    axes.broken_barh([span], (note.pitch - 0.45, 0.9), facecolors=colour, linewidth=0)
            dress(axes, title if bar == 0 else "", "bar" if bar == first[-1] else "", "")
            places = [float(edge - edges[0]) for edge in edges]
            axes.vlines(places, low - 1, high + 1, color=QUIET, linewidth=0.6)
            wide = [i for i, (left, right) in enumerate(pairwise(places)) if right - left > width / 40]
            axes.set_xticks([places[i] for i in wide], [str(bar + i + 1) for i in wide], ha="left")
            lines = [pitch for pitch in range(low, high + 1) if pitch % 12 in (0, 7)]
            octave = MIDDLE_C // 12 - 4
            axes.set_yticks(lines, [f"{'G' if pitch % 12 else 'C'}{pitch // 12 - octave}" for pitch in lines])
            axes.set_xlim(-0.01 * width, 1.01 * width)
            axes.set_ylim(low - 1.5, high + 1.5)
            axes.spines["bottom"].set_visible(False)
    return figure


def surprise_html(pieces: Sequence[str], losses: Sequence[float]) -> str:
    """A text with each piece as dark as it was surprising; losses in nats.

    >>> surprise_html(["<"], [4.0])
    '<pre class="text"><span style="background:color-mix(in srgb,var(--truth) 40%,transparent)">&lt;</span></pre>'
    """
    shades = [f"color-mix(in srgb,var(--truth) {min(80 * loss / SURPRISE, 80):.0f}%,transparent)" for loss in losses]
    spans = [
        f'<span style="background:{shade}">{escape(piece)}</span>' for piece, shade in zip(pieces, shades, strict=True)
    ]
    return f'<pre class="text">{"".join(spans)}</pre>'


def sample_html(prompt: str, generated: str) -> str:
    """A prompt, quiet, and what a model wrote after it."""
    return f'<pre class="text"><span class="quiet">{escape(prompt)}</span>{escape(generated)}</pre>'
