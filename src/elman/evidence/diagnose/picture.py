"""A diagnosis as pictures: gradients by lag, what the data need, gates."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from elman.evidence.diagnose.diagnosis import COLUMNS, Diagnosis
from elman.evidence.diagnose.flow import LEFT
from elman.evidence.plots import FORECAST, GRID, HISTORY, INK, QUIET, STYLE, TRUTH, dress, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 1e-8
"""share of a gradient below which nothing is drawn"""
LOOKS = ("-", "--", ":", "-.")
COURSE = 4
"""records of the training below which they are told, not drawn: a line through two points shows nothing"""


def plot_gradients(found: Diagnosis) -> Figure:
    """What is left of the gradient by lag, of each layer; the hundredth below which it counts as gone; the data's need.

    >>> import elman, torch
    >>> from elman.evidence.diagnose import diagnose
    >>> figure = plot_gradients(diagnose(elman.Recurrent("gru", 1, 4), torch.zeros(2, 20, 1)))
    >>> figure.axes[0].get_yscale()
    'log'
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        for flow in found.flows:
            for values, colour in ((flow.memory, FORECAST), (flow.loss, TRUTH)):
                shares = values / values.max() if values.max(initial=0) > 0 else values
                drawn = np.where(shares > LEAST, shares, np.nan)
                axes.plot(drawn, LOOKS[flow.layer % len(LOOKS)], color=colour, lw=0.8 if flow.reverse else 1.6)
        axes.plot([], color=FORECAST, lw=1.6, label="∂h_T/∂s, memory")
        axes.plot([], color=TRUTH, lw=1.6, label="∂L/∂h, of the loss")
        layers = {flow.layer for flow in found.flows}
        for layer in layers if len(layers) > 1 else ():
            axes.plot([], LOOKS[layer % len(LOOKS)], color=QUIET, lw=1.6, label=f"layer {layer + 1}")
        if any(flow.reverse for flow in found.flows):
            axes.plot([], color=QUIET, lw=0.8, label="from the end")
        axes.set_yscale("log")
        axes.axhline(LEFT, color=QUIET, lw=1, ls=":")
        _mark_need(axes, found)
        dress(axes, "What is left of the gradient", "steps back from the last one", "share")
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def plot_need(found: Diagnosis) -> Figure | None:
    """R² of a reading by how many steps it sees; None where nothing could be explained."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if found.need is None or not len(found.need.lags):
        return None
    need = found.need
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        edges = np.concatenate([[0], need.lags])
        density = need.used.clip(0, 1)
        axes.bar(edges[:-1], density, np.diff(edges), align="edge", color=GRID, label="lost by shuffling these steps")
        axes.plot(
            need.lags, need.by_lag, color=FORECAST, marker="o", ms=3.5, lw=1.5, label="explained by the last steps"
        )
        if found.explained is not None:
            axes.axhline(max(found.explained, 0), color=TRUTH, lw=1.3, ls="--", label="explained by the net")
        _mark_need(axes, found)
        axes.set_ylim(0, 1.02)
        dress(
            axes,
            f"What the data need, by {need.reading.removesuffix(' of them')}",
            "steps back from the last one",
            "R²",
        )
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def plot_norms(found: Diagnosis) -> Figure | None:
    """The gradient's norm over training, before and after clipping; None where there is no course of it to be seen."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    norms = np.array([norm if np.isfinite(norm) else np.nan for norm in found.norms])
    if np.isfinite(norms).sum() < COURSE:
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        at = np.arange(1, len(norms) + 1)
        axes.plot(at, norms, color=TRUTH, lw=1.3, marker="o", ms=3, label="before clipping")
        if found.limit is not None:
            axes.plot(at, np.minimum(norms, found.limit), color=FORECAST, lw=1.6, label="after")
            axes.axhline(found.limit, color=QUIET, lw=1, ls=":", label="the limit")
        axes.set_yscale("log")
        share = "" if found.clipped is None else f", {found.clipped:.0%} clipped"
        dress(axes, f"Norm of the gradient{share}", "record of the training", "norm")
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def to_html(found: Diagnosis, on: str = "") -> str:
    """The section of a report: the verdict, its remedies, pictures, a table of the layers; on: which data, in words."""
    remedies = "".join(f"<li><code>{escape(r.flags)}</code>: {escape(r.why)}</li>" for r in found.verdict.remedies)
    pictures = [to_svg(plot_gradients(found), "What is left of the gradient by lag")]
    need = plot_need(found)
    if need is not None:
        pictures.append(to_svg(need, "How much is explained by how many of the last steps"))
    norms, few = plot_norms(found), ""
    if norms is not None:
        pictures.append(to_svg(norms, "The gradient's norm over training, before and after clipping"))
    elif found.norms:
        few = f"<p>The training was so short that it left {_records(found)}: too few for a picture.</p>"
    measured = f'<p class="quiet">Measured on {escape(on)}: on other data it may be otherwise.</p>' if on else ""
    figures = "".join(f"<figure>{svg}</figure>" for svg in pictures)
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    rows = "".join(f'<tr><th scope="row">{name}</th>{_cells(cells)}</tr>' for name, *cells in found.rows())
    return (
        f"<p>{escape(found.verdict.sentence)}</p>{measured}{f'<ul>{remedies}</ul>' if remedies else ''}"
        f'<div class="plots">{figures}</div>{few or "<p></p>"}'
        f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'
    )


def _records(found: Diagnosis) -> str:
    """The gradient's norms, where they are few, in words."""
    count, limit = len(found.norms), "" if found.limit is None else f", the limit is {found.limit:g}"
    noun = "one record" if count == 1 else f"{count} records"
    return f"{noun} of the gradient's norm ({', '.join(f'{norm:.3g}' for norm in found.norms)}{limit})"


def _cells(cells: Sequence[str]) -> str:
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells)


def _mark_need(axes: Axes, found: Diagnosis) -> None:
    if found.need is not None and found.need.steps:
        axes.axvline(found.need.steps, color=HISTORY, lw=1.2, label="the data need")
