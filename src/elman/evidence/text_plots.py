"""What a net wrote beside what it should have, and where it looked."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from elman.evidence.plots import FORECAST, STYLE, dress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_attention(source: Sequence[str], words: Sequence[str], looked: np.ndarray) -> Figure:
    """How much each written word (a row) looked at each word of the source (a column); looked (T, S), rows sum to 1.

    >>> plot_attention(["ein", "Hund"], ["a", "dog"], np.eye(2)).axes[0].get_xticklabels()[1].get_text()
    'Hund'
    """
    from matplotlib import rc_context
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    height, width = looked.shape
    with rc_context(STYLE):
        figure = Figure(figsize=(max(4.8, 1.8 + 0.34 * width), 1.4 + 0.28 * height), layout="constrained")
        axes = figure.add_subplot()
        shades = LinearSegmentedColormap.from_list("looked", [(0, "#ffffff00"), (1, FORECAST)])
        axes.imshow(looked, cmap=shades, vmin=0, vmax=1, aspect="auto")
        dress(axes, "Where each word looked: a row sums to 1", "", "")
        axes.set_xticks(range(width), source, rotation=60, ha="right", rotation_mode="anchor", fontsize=8.5)
        axes.set_yticks(range(height), [word.replace("▁", "") for word in words], fontsize=8.5)
        axes.grid(visible=False)
    return figure


def compared_html(sources: Sequence[str], truth: Sequence[str], found: Sequence[str]) -> str:
    """What was read, what was written with the words marked that are not in the truth, and the truth.

    >>> '<mark class="wrong">cat</mark>' in compared_html([""], ["a dog"], ["a cat"])
    True
    """
    blocks = []
    for source, right, said in zip(sources, truth, found, strict=True):
        read = f'<div class="quiet">{escape(source)}</div>' if source else ""
        same = "" if right == said else f'<div class="quiet">in truth: {escape(right)}</div>'
        blocks.append(f'<div class="compared">{read}<div>{_marked(right, said)}</div>{same}</div>')
    return "\n".join(blocks)


def captioned_html(pictures: Sequence[np.ndarray], truth: Sequence[str], found: Sequence[str]) -> str:
    """Pictures with what was written of them, and what is true where it is something else."""
    blocks = []
    for picture, right, said in zip(pictures, truth, found, strict=True):
        same = "" if right == said else f'<br><small class="quiet">in truth: {escape(right)}</small>'
        caption = f"<figcaption>{_marked(right, said)}{same}</figcaption>"
        blocks.append(f'<figure><img src="{_png(picture)}" alt="{escape(right)}">{caption}</figure>')
    return f'<div class="pictures">{"".join(blocks)}</div>'


def _marked(truth: str, found: str) -> str:
    """The found text, with words marked that the truth does not have at that place; characters where it is one word."""
    one = " " not in truth.strip()
    a, b = (list(text) if one else text.split() for text in (truth, found))
    parts = []
    for kind, _, _, start, end in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        words = escape(("" if one else " ").join(b[start:end]))
        if words:
            parts.append(words if kind == "equal" else f'<mark class="wrong">{words}</mark>')
    return ("" if one else " ").join(parts) or "–"


def _png(picture: np.ndarray) -> str:
    """A picture as a data address."""
    from matplotlib.image import imsave

    a = np.asarray(picture, dtype=float)
    a = a / 255 if a.max() > 1 else a
    out = io.BytesIO()
    imsave(out, np.repeat(a, 3, 2) if a.shape[2] == 1 else a[..., :3], format="png")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
