"""An explained example as a page: which steps mattered, states and gates over time, attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from elman.evidence.anomaly_plots import draw_score, in_thresholds
from elman.evidence.explain.example import Example, Inside, Looked
from elman.evidence.plots import FORECAST, HISTORY, INK, QUIET, STYLE, TRUTH, dress, to_svg
from elman.evidence.report import Report
from elman.evidence.text_plots import plot_attention as plot_looked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = 48
"""units of a heat-map at most: those that move most"""
CURVES = 6
"""features whose curves are drawn at most: those that most is owed to"""
FEATURES = 24
"""features that are named at most: likewise"""
TICKS = 24
"""steps that are named below a heat-map at most"""
TIMES = 6, 3
"""times that are named at most below a curve, and below a heat-map"""
COLUMNS = 12
"""words of a source up to which it is drawn as small as a heat-map"""
DARK = 0.15
"""of a picture's light is left where the net did not look"""
SEEN = 24
"""words for which it is drawn where in a picture the net looked, at most"""


def to_html(found: Example, title: str) -> str:
    """`explanation.html`: self-contained, no script; follows the reader's light or dark theme."""
    parts = [_section_of_steps(found)]
    if found.by_feature:
        parts.append(("Which features mattered", _features_html(found.by_feature)))
    if found.looked is not None:
        where = (
            "Where in the picture it looked for each word" if found.looked.picture is not None else "Where it looked"
        )
        plot = plot_regions(found.looked) if found.looked.picture is not None else _plot_looked(found.looked)
        few = found.looked.picture is None and len(found.looked.sources) <= COLUMNS  # drawn wide, they would be huge
        parts.append(
            (where, f'<div class="plots{"" if few else " wide"}"><figure>{to_svg(plot, where)}</figure></div>')
        )
    if found.attention is not None:
        weights = to_svg(plot_attention(found, found.attention), "How much attention each step got")
        parts.append(("Attention", f'<div class="plots wide"><figure>{weights}</figure></div>'))
    for inside in found.inside:
        maps = "".join(
            f"<figure>{to_svg(plot_inside(found, inside, name), f'{name} of each unit at each step')}</figure>"
            for name in inside.values
        )
        where = f"{inside.part}: layer {inside.layer + 1}" if inside.part else f"Layer {inside.layer + 1}"
        where += ", from the end" if inside.reverse else ""
        parts.append((where, f'<div class="plots">{maps}</div>'))
    return Report(title, notes=[found.check], sections=dict(parts)).to_html()


def _section_of_steps(found: Example) -> tuple[str, str]:
    said = (
        f"<p>The model says {escape(found.said)}. {escape(found.of)}: what each step adds to it, in blue, or takes "
        "from it, in vermilion.</p>"
    )
    if found.x is None:
        return "Which steps mattered", said + signed_html(found.steps, found.attribution.steps.tolist())
    svg = to_svg(plot_parts(found, found.x), "The sequence, and what each step adds to the answer")
    return "Which steps mattered", f'{said}<div class="plots wide"><figure>{svg}</figure></div>'


def _features_html(by_feature: Mapping[str, float]) -> str:
    """Those that most is owed to, in their order; what the others add together."""
    names, values = list(by_feature), np.array(list(by_feature.values()))
    chosen = np.sort(np.argsort(-np.abs(values), kind="stable")[:FEATURES])
    shown = signed_html([names[k].replace(" ", "\u00a0") for k in chosen], values[chosen].tolist())
    left = len(names) - len(chosen)
    rest = float(values.sum() - values[chosen].sum())
    added = "nothing" if abs(rest) < 5e-4 else f"{rest:+.3f} together"
    return shown + (f'<p class="quiet">The {left} others add {added}.</p>' if left else "")


def signed_html(names: Sequence[str], parts: Sequence[float]) -> str:
    """Names as blue as they speak for the answer, as vermilion as they speak against it."""
    top = max(map(abs, parts), default=0.0) or 1.0
    spans = []
    for name, part in zip(names, parts, strict=True):
        colour = "--forecast" if part >= 0 else "--truth"
        shade = f"color-mix(in srgb,var({colour}) {60 * abs(part) / top:.0f}%,transparent)"
        spans.append(f'<span style="background:{shade}" title="{part:+.3f}">{escape(name)}</span>')
    joined = "" if all(len(name) == 1 for name in names) else " "
    return f'<p class="attended">{joined.join(spans)}</p>'


def plot_parts(found: Example, x: np.ndarray) -> Figure:
    """The sequence; of a detector its score; below, what each step adds: blue for the answer, else vermilion."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = 2 if found.watched is None else 3
    with rc_context(STYLE):
        figure = Figure(figsize=(8.6, 1.2 + 1.2 * rows), layout="constrained")
        above, *middle, below = figure.subplots(rows, 1, sharex=True)
        if x.shape[1] > CURVES and np.isin(x, (0, 1)).all():
            _draw_roll(above, found, x)
        else:
            _draw_curves(above, found, x)
        steps = found.attribution.steps
        if found.watched is not None:
            draw_score(middle[0], np.arange(len(steps)), in_thresholds(*found.watched))
            middle[0].set_xlabel("")
            middle[0].legend(frameon=False, fontsize=8, ncols=2, labelcolor=INK, loc="upper left")
        below.bar(np.arange(len(steps)), steps, width=0.9, color=[FORECAST if v >= 0 else TRUTH for v in steps])
        below.axhline(0, color=QUIET, linewidth=0.8)
        dress(below, f"What each step adds: {found.of}", "step", "")
        _name_times(below, found.steps, TIMES[0])
        figure.align_ylabels()
    return figure


def _draw_curves(axes: Any, found: Example, x: np.ndarray) -> None:
    """The features that most is owed to."""
    owed = np.sort(np.argsort(-np.abs(found.attribution.parts[:, : x.shape[1]]).sum(0), kind="stable")[:CURVES])
    for rank, k in enumerate(owed):
        look = {"color": HISTORY, "linewidth": 1.2, "alpha": 1 - 0.12 * rank, "linestyle": "-" if rank < 1 else "--"}
        axes.plot(x[:, k], label=found.features[k], **look)
    alone = found.features[owed[0]] if len(owed) == 1 else ""
    dress(axes, "The sequence", "", "value" if alone in ("", "feature 0") else alone)
    if len(owed) > 1:  # beside the title, where no curve is
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
        axes.legend(frameon=False, fontsize=8, ncols=CURVES, labelcolor=INK, **place)


def _draw_roll(axes: Any, found: Example, x: np.ndarray) -> None:
    """What is on or off: a row for each feature, between the first and the last that ever is on."""
    from matplotlib.colors import LinearSegmentedColormap

    on = np.flatnonzero(x.any(0))
    low, high = (int(on[0]), int(on[-1])) if len(on) else (0, x.shape[1] - 1)
    ends, shades = (
        (-0.5, len(x) - 0.5, low - 0.5, high + 0.5),
        LinearSegmentedColormap.from_list("on", ["#fff", HISTORY]),
    )
    how: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "vmin": 0, "vmax": 1}
    axes.imshow(x[:, low : high + 1].T, cmap=shades, origin="lower", extent=ends, **how)
    dress(axes, "The sequence", "", found.features[0].rpartition(" ")[0] or "feature")
    axes.grid(visible=False)


def _plot_looked(looked: Looked) -> Figure:
    return plot_looked(looked.sources, looked.words, looked.weights)


def plot_regions(looked: Looked) -> Figure:
    """The picture once for each word, as light as the net looked there."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    words, given = looked.words[:SEEN], np.asarray(looked.picture)
    picture = np.clip(given / 255.0 if given.dtype.kind in "iu" else given.astype(float), 0, 1)
    picture = picture[..., None] if picture.ndim == 2 else picture
    picture = np.repeat(picture, 3, 2) if picture.shape[2] == 1 else picture[..., :3]
    columns = min(6, len(words))
    rows = -(-len(words) // columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(8.6, 0.3 + 1.75 * rows * 6 / max(columns, 4)), layout="constrained")
        for place, axes in enumerate(np.atleast_1d(figure.subplots(rows, columns)).flat):
            axes.set_axis_off()
            if place >= len(words):
                continue
            light = torch.from_numpy(looked.weights[place].reshape(1, 1, *looked.shape))
            light = F.interpolate(light / light.max().clamp(min=1e-9), picture.shape[:2], mode="bilinear")[0, 0].numpy()
            axes.imshow(picture * (DARK + (1 - DARK) * light[..., None]))
            axes.set_title(words[place], fontsize=9, color=INK)
    return figure


def plot_attention(found: Example, weights: np.ndarray) -> Figure:
    """The weight of each step."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(8.6, 2.2), layout="constrained")
        axes = figure.add_subplot()
        axes.bar(np.arange(len(weights)), weights, width=0.9, color=FORECAST)
        dress(axes, "Attention", "step", "weight")
        _name_steps(axes, found.steps if found.x is None else [])
    return figure


def plot_inside(found: Example, inside: Inside, name: str) -> Figure:
    """The units that move most, over time: blue above 0, vermilion below; a gate from white, 0, to blue, 1."""
    from matplotlib import rc_context
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    values = inside.values[name]
    chosen = np.sort(np.argsort(-values.std(0), kind="stable")[:UNITS])
    shown, gate = values[:, chosen].T, values.min() >= 0 and values.max() <= 1
    scale = 1.0 if gate else max(float(np.abs(shown).max()), 1e-9)
    colours = ["#ffffff", FORECAST] if gate else [TRUTH, "#ffffff", FORECAST]
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.0), layout="constrained")
        axes = figure.add_subplot()
        drawn = axes.imshow(
            shown,
            aspect="auto",
            interpolation="nearest",
            cmap=LinearSegmentedColormap.from_list("signed", colours),
            vmin=0.0 if gate else -scale,
            vmax=scale,
        )
        bar = figure.colorbar(drawn, ax=axes, pad=0.02)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.ax.tick_params(colors=QUIET, length=0)
        most = "" if len(chosen) == values.shape[1] else f", the {len(chosen)} of {values.shape[1]} that move most"
        dress(axes, f"{name.capitalize()}{most}", "step", "unit")
        axes.margins(0)
        axes.grid(visible=False)
        _name_steps(axes, inside.steps or ([] if found.x is not None else found.steps))
    return figure


def _name_steps(axes: Any, steps: Sequence[str]) -> None:
    if steps and not any(name.isdecimal() for name in steps) and len(steps) <= TICKS:
        turned = 0 if all(len(name) == 1 for name in steps) else 60
        axes.set_xticks(range(len(steps)), steps, rotation=turned)
        axes.set_xlabel("")
    elif steps:
        _name_times(axes, steps, TIMES[1])


def _name_times(axes: Any, steps: Sequence[str], most: int) -> None:
    """A few of many steps, by name, where these are not their numbers."""
    if steps[0] != "0" and len(steps) > 1:
        few = np.unique(np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int))
        axes.set_xticks(few, [steps[k] for k in few])
        if not steps[-1].isdecimal():
            axes.set_xlabel("")
