"""A search drawn: the best so far, what each trial lost while it trained, each argument against the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.evidence.plots import FORECAST, HISTORY, INK, QUIET, STYLE, TRUTH, dress, to_svg
from elman.evidence.tune.search import Trial
from elman.evidence.tune.space import Choice, Domain
from elman.evidence.tune.tuning import Tuned, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
"""arguments side by side"""
SHOWN = 10
"""trials in the table, the best ones"""
STEEP = 10
"""ratio of the highest to the lowest loss from which on the axis is logarithmic"""
_POINT: Any = {"linestyle": "", "clip_on": False, "in_layout": False}  # one at the end of a range is seen whole
DOT: Any = {**_POINT, "marker": "o", "markersize": 4.5, "markeredgewidth": 0}
CROSS: Any = {**_POINT, "marker": "x", "markersize": 4.5, "color": QUIET}
RING: Any = {**_POINT, "marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.4}


def plot_progress(tuned: Tuned) -> Figure:
    """Each trial's loss by its number, and the best so far; crosses were given up."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.1), layout="constrained")
        axes = figure.add_subplot()
        complete, pruned = _split(tuned.trials)
        axes.plot([t.number + 1 for t in pruned], _losses(pruned), label="given up", **CROSS)
        axes.plot([t.number + 1 for t in complete], _losses(complete), color=FORECAST, label="trial", **DOT)
        best = np.minimum.accumulate([math.inf if t.loss is None else t.loss for t in tuned.trials])
        known = np.isfinite(best)
        numbers = np.arange(1, len(best) + 1)
        axes.step(numbers[known], best[known], where="post", color=FORECAST, linewidth=1.5, label="best so far")
        _mark_default(axes, tuned)
        _scale(axes, tuned)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        dress(axes, "The search", "trial", "validation loss")
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def plot_curves(tuned: Tuned) -> Figure:
    """Validation loss of every trial while it trained: those that were given up end early."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.1), layout="constrained")
        axes = figure.add_subplot()
        complete, pruned = _split(tuned.trials)
        to_the_end: Any = {"color": HISTORY, "linewidth": 0.9, "alpha": 0.45}
        for trials, look in ((pruned, {"color": QUIET, "linewidth": 0.8, "linestyle": ":"}), (complete, to_the_end)):
            for trial in trials:
                axes.plot(list(trial.losses), list(trial.losses.values()), **look)
        ends = [(max(trial.losses), trial.losses[max(trial.losses)]) for trial in pruned if trial.losses]
        if ends:
            axes.plot(*zip(*ends, strict=True), label="given up", **CROSS)
        axes.plot([], label="trained to the end", **to_the_end)
        for trial, colour, label in ((tuned.first, TRUTH, "defaults"), (tuned.best, FORECAST, "best")):
            if trial is tuned.first or trial.number:
                axes.plot(list(trial.losses), list(trial.losses.values()), color=colour, linewidth=1.8, label=label)
        _scale(axes, tuned)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        dress(axes, "Each trial while it trained", "validation", "validation loss")
        _cut(axes, tuned)
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def plot_arguments(tuned: Tuned) -> Figure:
    """A panel for each argument: its value across, the validation loss up."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = sorted(tuned.space, key=lambda name: -tuned.importances.get(name, 0.0))
    across = min(COLUMNS, len(names))
    down = -(-len(names) // across)
    with rc_context(STYLE):
        figure = Figure(figsize=(1.0 + 3.1 * across, 0.5 + 2.4 * down))
        figure.set_layout_engine("constrained", w_pad=0.12)  # else the ticks at two ends meet
        grid = figure.subplots(down, across, squeeze=False, sharey=True)
        for number, axes in enumerate(grid.flat):
            if number >= len(names):
                axes.set_visible(False)
                continue
            _panel(axes, tuned, names[number], tuned.space[names[number]], first=number == 0)
            dress(axes, names[number].replace("_", " "), "", "validation loss" if number % across == 0 else "")
            axes.margins(x=0.05)
            axes.tick_params(which="minor", length=0)
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def plot_importances(importances: Mapping[str, float]) -> Figure:
    """A bar for each argument.

    >>> figure = plot_importances({"learning_rate": 0.75, "cell": 0.25})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['75 %', '25 %']
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(importances)
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 0.9 + 0.3 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(range(len(names)), list(importances.values()), color=FORECAST, alpha=0.75, height=0.62)
        for place, share in enumerate(importances.values()):
            axes.text(share + 0.01, place, f"{share:.0%}".replace("%", " %"), va="center", color=INK, fontsize=8.5)
        axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        axes.invert_yaxis()
        dress(axes, "What the loss depends on", "", "")
        axes.set_xlim(0, 1.1 * max(importances.values(), default=1.0) + 0.05)
        axes.set_xticks([])
        axes.grid(visible=False)
    return figure


def to_html(tuned: Tuned) -> str:
    """The section of a report: all pictures, and a table of the best trials beside the defaults."""
    pictures = [
        to_svg(plot_progress(tuned), "Validation loss of each trial, and the best so far"),
        to_svg(plot_curves(tuned), "Validation loss of each trial while it trained"),
    ]
    if tuned.importances:
        pictures.append(to_svg(plot_importances(tuned.importances), "Share of the loss that each argument explains"))
    figures = "".join(f"<figure>{svg}</figure>" for svg in pictures)
    panels = to_svg(plot_arguments(tuned), "Each argument against the validation loss")
    return (
        f'<div class="plots">{figures}</div><p></p><div class="plots wide"><figure>{panels}</figure></div><p></p>'
        f'<div class="scroll">{_table(tuned)}</div><p class="quiet">{escape(_amount(tuned))}</p>'
    )


def _table(tuned: Tuned) -> str:
    complete, _ = _split(tuned.trials)
    best = sorted(complete, key=lambda trial: (trial.loss or 0.0, trial.number))[:SHOWN]
    rows = best if tuned.first in best else [*best, tuned.first]
    has = tuned.given._params()
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("trial", "loss", "seconds", *tuned.space))
    lines = []
    for trial in rows:
        values = has if trial.number == 0 else trial.params
        loss = "–" if trial.loss is None else f"{trial.loss:.4f}"
        seconds = "–" if trial.seconds is None else f"{trial.seconds:.1f}"
        cells = [loss, seconds, *(shorten(values[name]) for name in tuned.space)]
        name = "defaults" if trial.number == 0 else str(trial.number + 1)
        mark = ' class="network"' if trial is tuned.best else ""
        lines.append(
            f'<tr{mark}><th scope="row">{name}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        )
    return f'<table class="scores"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _amount(tuned: Tuned) -> str:
    states = [trial.state for trial in tuned.trials]
    failed = [trial.reason for trial in tuned.trials if trial.state == "failed"]
    pruned = states.count("pruned")
    were = "was given up because it was" if pruned == 1 else "were given up because they were"
    text = (
        f"{len(states)} trials, of which {pruned} {were} behind the median of "
        "the others. They learned from a part of the training data and were validated on the rest; nothing of the test "
        "data was seen."
    )
    return text + (f" {len(failed)} failed, the first one: {failed[0]}" if failed else "")


def _split(trials: Sequence[Trial]) -> tuple[list[Trial], list[Trial]]:
    """Those that were trained to their end, and those that were not but have a loss to be drawn."""
    complete = [trial for trial in trials if trial.loss is not None]
    return complete, [trial for trial in trials if trial.loss is None and trial.last is not None]


def _losses(trials: Sequence[Trial]) -> np.ndarray:
    """What is drawn of each."""
    return np.array([trial.last for trial in trials], dtype=float)


def _panel(axes: Axes, tuned: Tuned, name: str, domain: Domain, *, first: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    has = tuned.given._params()[name]
    complete, pruned = _split(tuned.trials)
    values = list(domain.values) if isinstance(domain, Choice) else None

    def place(trial: Trial) -> Any:
        value = has if trial.number == 0 else trial.params[name]
        if values is None:
            return value
        # Side by side, lest trials of one value hide each other: by their number, not at random.
        return values.index(value) + 0.3 * math.sin(2.4 * trial.number) if value in values else math.nan

    shown = [trial for trial in complete if trial.number]
    axes.plot([place(t) for t in pruned], _losses(pruned), label="given up" if first else None, **CROSS)
    axes.plot([place(t) for t in shown], _losses(shown), color=FORECAST, label="trial" if first else None, **DOT)
    if tuned.first.last is not None:
        marked: Any = {"color": TRUTH, "label": "defaults" if first else None}
        axes.plot([place(tuned.first)], _losses([tuned.first]), **marked, **DOT)
    best: Any = {"markeredgecolor": HISTORY, "label": "best" if first else None}
    axes.plot([place(tuned.best)], _losses([tuned.best]), **best, **RING)
    _scale(axes, tuned)
    if values is not None:
        axes.set_xticks(range(len(values)), [str(v) for v in values], rotation=35 if len(values) > 3 else 0)
        axes.set_xlim(-0.5, len(values) - 0.5)
    elif not isinstance(domain, Choice) and domain.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if domain.high < 30 * domain.low else (1.0, 3.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        whole = not isinstance(domain, Choice) and domain.whole
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=whole))


def _mark_default(axes: Axes, tuned: Tuned) -> None:
    if tuned.first.loss is not None:
        axes.axhline(tuned.first.loss, color=TRUTH, linewidth=1, linestyle="--", label="defaults")


def _cut(axes: Axes, tuned: Tuned) -> None:
    """Where curves begin, high up, is left out: all that matters is where they end, the defaults' beginning besides."""
    ends = [*_losses([t for t in tuned.trials if t.last is not None]), *list(tuned.first.losses.values())[:1]]
    low = min((min(t.losses.values()) for t in tuned.trials if t.losses), default=math.nan)
    high = max(ends, default=math.nan)
    if math.isfinite(low) and math.isfinite(high) and low < high:
        margin = 0.06 * (high - low)
        axes.set_ylim(low - (margin if axes.get_yscale() == "linear" else 0), high + margin)


def _scale(axes: Axes, tuned: Tuned) -> None:
    """A loss that ran away must not press the others flat."""
    losses = [loss for trial in tuned.trials for loss in (trial.last,) if loss is not None and math.isfinite(loss)]
    if losses and min(losses) > 0 and max(losses) > STEEP * min(losses):
        axes.set_yscale("log")
