"""Every picture by name: a cell in one layer, in several, in both directions, and in each shape of problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from elman.cells import Cell, find_cell
from elman.errors import OptionError, suggest
from elman.evidence.explain import shapes
from elman.evidence.explain.canvas import BOX, PILL, QUIET, Canvas
from elman.evidence.explain.unroll import COLUMNS, HALF_BOX, HALF_PILL, HALF_WIDTH, MORE, TIMES, Parts, chain, rows, up
from elman.graph import trace


def unrolled(cell: str | type[Cell] | Cell, shape: str = "cell", num_layers: int = 2) -> str:
    """An SVG of the cell unrolled through time, 900 wide, its colours those of the page around it.

    shape: "cell", "stacked", of `num_layers` layers, of which three are drawn at most, "bidirectional", or a verb of
    `elman` for its kind of problem: `DIAGRAMS` names them. Raises `OptionError`, `UnknownNameError`, `CellError`.

    >>> svg = unrolled("gru", "tag")
    >>> svg.count(">GRU<"), "<text" in svg, "var(--ink)" in svg
    (4, True, True)
    """
    if shape not in DIAGRAMS:
        raise OptionError(f"explain: unknown shape {shape!r}, {suggest(shape, DIAGRAMS)}")
    if num_layers < 1:
        raise OptionError(f"explain: layers must be 1 or more, got {num_layers}.")
    parts = Parts(trace(find_cell(cell, "explain")))
    diagram = DIAGRAMS[shape]
    canvas = diagram.draw(parts, min(num_layers, 3)) if shape == "stacked" else diagram.draw(parts)
    return canvas.to_svg(f"{parts.name}, {diagram.title}: {diagram.words}")


def _states(parts: Parts) -> list[str]:
    return [parts.state(t) for t in ("0", "1", "2", "T-1", "T")]


def _layers(parts: Parts, layers: int) -> Canvas:
    """Layers above each other, each reading the outputs of the one below."""
    gap = 122
    canvas = Canvas(height=200 + gap * layers)
    bottom = canvas.height - 90
    for layer in range(1, layers + 1):
        y = bottom - 100 - gap * (layer - 1)
        index = str(layer) if layers > 1 else ""
        chain(canvas, parts, y, COLUMNS, states=_states(parts), layer=index, skip=2)
        for x, t in zip(COLUMNS, TIMES, strict=True):
            if t != MORE:
                below = bottom - HALF_PILL if layer == 1 else y + gap - HALF_BOX
                up(canvas, x, below, y + HALF_BOX, f"W_{index}" if index else "W")
    own = "; each layer has its own" if layers > 1 else ""
    top = bottom - 100 - gap * (layers - 1)
    for x, t in zip(COLUMNS, TIMES, strict=True):
        if t != MORE:
            up(canvas, x, top - HALF_BOX, top - 100 + HALF_PILL)
            canvas.pill((x, top - 100), f"{parts.traced.cell.states[0]}_{t}")
            canvas.pill((x, bottom), f"x_{t}")
    rows(canvas, outputs=top - 100, inputs=bottom)
    canvas.span(COLUMNS[0] - HALF_WIDTH, COLUMNS[-1] + HALF_WIDTH, bottom + 40, parts.shared() + parts.legend() + own)
    return canvas


def _both_ways(parts: Parts) -> Canvas:
    """A net that runs to the right, one that runs to the left, and their outputs side by side."""
    canvas = Canvas(height=460)
    inputs, right, left, outputs = 375, 260, 150, 45
    aside, rim = 30, 62
    h = parts.traced.cell.states[0]
    chain(canvas, parts, right, [x - aside for x in COLUMNS], skip=2)
    chain(canvas, parts, left, [x + aside for x in COLUMNS], back=True, skip=2)
    for x, t in zip(COLUMNS, TIMES, strict=True):
        if t == MORE:
            continue
        output = f"→{h}_{t} ←{h}_{t}" if len(h) < 2 else "→ ←"
        up(canvas, x - 14, inputs - HALF_PILL + 4, right + HALF_BOX, "W")
        canvas.arrow((x, inputs), (x + rim, inputs), (x + rim, left + HALF_BOX))
        canvas.text((x + rim + 9, (inputs + right) / 2), "W", anchor="start", size=16, colour=QUIET)
        canvas.arrow((x - rim, right - HALF_BOX), (x - rim, outputs), (x - HALF_WIDTH, outputs))
        canvas.arrow((x + aside, left - HALF_BOX), (x + aside, outputs + HALF_PILL))
        canvas.box((x, outputs), output, size=(BOX[0], PILL[1]), colour="--win", round_by=PILL[1] / 2)
        canvas.pill((x, inputs), f"x_{t}")
    rows(canvas, outputs=outputs, inputs=inputs, forward=right, backward=left)
    canvas.span(COLUMNS[0] - 76, COLUMNS[-1] + 76, inputs + 40, f"{parts.shared()}; each direction has its own")
    return canvas


@dataclass(frozen=True)
class Diagram:
    """A picture, its heading, and a sentence on what it shows."""

    title: str
    words: str
    draw: Callable[..., Canvas]


DIAGRAMS: dict[str, Diagram] = {
    "cell": Diagram(
        "unrolled", "The same cell at every step; its state goes from each to the next.", lambda p: _layers(p, 1)
    ),
    "stacked": Diagram("stacked", "Each layer reads the outputs of the one below, with weights of its own.", _layers),
    "bidirectional": Diagram(
        "bidirectional", "One net reads forward, one backward; their outputs stand side by side.", _both_ways
    ),
    "classify": Diagram(
        "sequence to label", "The last state is the whole sequence; a softmax names it.",
        shapes.read_last("softmax", "label"),
    ),
    "regress": Diagram(
        "sequence to number", "The last state is the whole sequence; a linear layer reads a number from it.",
        shapes.read_last("linear", "number"),
    ),
    "tag": Diagram("a label for each step", "Each state is read by the same softmax, as it comes.", shapes.read_each),
    "translate": Diagram(
        "sequence to sequence", "One net reads; another writes, looks back at what was read, and reads what it wrote.",
        shapes.write_looking("sequence"),
    ),
    "transcribe": Diagram(
        "transcription without alignment", "Each frame gives a letter or a blank (CTC).", shapes.read_frames
    ),
    "caption": Diagram(
        "image to sequence", "A convolutional net sees; a recurrent one writes, and looks where it needs to.",
        shapes.write_looking("image"),
    ),
    "generate": Diagram("generation", "What is drawn at a step is the input of the next.", shapes.feed_back),
    "forecast": Diagram("forecast", "From the history's last state, every step ahead at once.", shapes.look_ahead),
    "watch": Diagram(
        "anomalies", "Each step foretells the next; a step that comes otherwise is an anomaly.", shapes.foretell
    ),
}  # fmt: skip
"""every picture by the name it is asked for"""
