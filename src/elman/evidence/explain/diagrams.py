"""A cell unrolled through time: one layer, several, both directions, and each shape of problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from elman.cells import Cell, find_cell
from elman.errors import OptionError, suggest
from elman.evidence.explain.canvas import BOX, PILL, QUIET, Canvas, spread, width_of
from elman.evidence.explain.notation import PLAIN, Symbol
from elman.graph import Traced, trace

HALF_BOX, HALF_PILL = BOX[1] / 2, PILL[1] / 2
MORE = "⋯"
COLUMNS = (200.0, 380.0, 535.0, 720.0)
TIMES = ("1", "2", MORE, "T")
_WIDEST_STATE = 84


@dataclass(frozen=True)
class Parts:
    """What the pictures say about a cell."""

    traced: Traced

    @property
    def name(self) -> str:
        """On the box, in two lines where one is too narrow."""
        name = self.traced.name
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+", name)
        if width_of(name, 16) < BOX[0] - 8 or len(words) < 2:
            return name
        cut = len(words) // 2
        return "".join(words[:cut]) + "\n" + "".join(words[cut:])

    @property
    def recurrent(self) -> bool:
        """Whether there is an R on the edge from step to step."""
        return bool(self.traced.recurrent)

    def state(self, index: str) -> str:
        """What goes from step to step, all states by name, or s where they are too long for the edge."""
        names = ", ".join(f"{s}_{{{index}}}" for s in self.traced.cell.states)
        return names if self._fits else f"s_{{{index}}}"

    @property
    def _fits(self) -> bool:
        return width_of(", ".join(f"{s}_T" for s in self.traced.cell.states)) <= _WIDEST_STATE

    def shared(self) -> str:
        """The weights, which every step has in common."""
        own = [PLAIN.symbol(Symbol(name)) for name in self.traced.cell.params]
        kinds = ", ".join(["W", *["R"] * self.recurrent, "b", *own])
        return f"the same {kinds if len(kinds) < 40 else 'weights'} at every step"

    def legend(self) -> str:
        """What s is, where it is drawn."""
        return "" if self._fits else f"; s is ({', '.join(self.traced.cell.states)})"


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


def _chain(
    canvas: Canvas, parts: Parts, y: float, xs: Sequence[float], *, states: Sequence[str] = (), layer: str = "",
    back: bool = False, skip: int | None = None,
) -> None:  # fmt: skip
    """Cells side by side, and the state that goes from each to the next; `states` names it on each edge.

    skip: the place where there are more of them.
    """
    half = BOX[0] / 2
    for n, x in enumerate(xs):
        if n == skip:
            canvas.text((x, y), MORE, size=26)
        else:
            canvas.box((x, y), parts.name)
    ends = [xs[0] - half - 54, *xs, xs[-1] + half + 54] if states else list(xs)
    for n, (x, after) in enumerate(zip(ends, ends[1:], strict=False)):
        is_first, is_last = bool(states) and n == 0, bool(states) and n == len(ends) - 2
        left = x if is_first else x + (half if _place(xs, x) != skip else 18)
        right = after if is_last else after - (half if _place(xs, after) != skip else 18)
        canvas.arrow(*([(right, y), (left, y)] if back else [(left, y), (right, y)]))
        middle = (left + right) / 2
        if states and not (is_first or is_last):
            canvas.text((middle, y - 16), states[n], size=16)
        if not is_last and parts.recurrent:
            place = middle if states else left + 0.3 * (right - left)  # where other lines cross in the middle
            canvas.text((place, y + 17), f"R_{layer}" if layer else "R", size=16, colour=QUIET)
    if states:
        canvas.text((ends[0] - 6, y), states[0], anchor="end", size=16)
        canvas.text((ends[-1] + 6, y), states[-1], anchor="start", size=16)


def _place(xs: Sequence[float], x: float) -> int | None:
    return xs.index(x) if x in xs else None


def _up(canvas: Canvas, x: float, low: float, high: float, label: str = "") -> None:
    """An arrow up, its label to the right."""
    canvas.arrow((x, low), (x, high))
    if label:
        canvas.text((x + 9, (low + high) / 2), label, anchor="start", size=16, colour=QUIET)


def _rows(canvas: Canvas, **rows: float) -> None:
    """Says at the left what stands in a row."""
    for name, y in rows.items():
        canvas.text((12, y), name, anchor="start", colour=QUIET, size=16)


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
        _chain(canvas, parts, y, COLUMNS, states=_states(parts), layer=index, skip=2)
        for x, t in zip(COLUMNS, TIMES, strict=True):
            if t != MORE:
                below = bottom - HALF_PILL if layer == 1 else y + gap - HALF_BOX
                _up(canvas, x, below, y + HALF_BOX, f"W_{index}" if index else "W")
    own = "; each layer has its own" if layers > 1 else ""
    top = bottom - 100 - gap * (layers - 1)
    for x, t in zip(COLUMNS, TIMES, strict=True):
        if t != MORE:
            _up(canvas, x, top - HALF_BOX, top - 100 + HALF_PILL)
            canvas.pill((x, top - 100), f"{parts.traced.cell.states[0]}_{t}")
            canvas.pill((x, bottom), f"x_{t}")
    _rows(canvas, outputs=top - 100, inputs=bottom)
    canvas.span(COLUMNS[0] - 46, COLUMNS[-1] + 46, bottom + 40, parts.shared() + parts.legend() + own)
    return canvas


def _both_ways(parts: Parts) -> Canvas:
    """A net that runs to the right, one that runs to the left, and their outputs side by side."""
    canvas = Canvas(height=460)
    inputs, right, left, outputs = 375, 260, 150, 45
    aside, rim = 30, 62
    _chain(canvas, parts, right, [x - aside for x in COLUMNS], skip=2)
    _chain(canvas, parts, left, [x + aside for x in COLUMNS], back=True, skip=2)
    for x, t in zip(COLUMNS, TIMES, strict=True):
        if t == MORE:
            continue
        h = parts.traced.cell.states[0]
        _up(canvas, x - 14, inputs - HALF_PILL + 4, right + HALF_BOX, "W")
        canvas.arrow((x, inputs), (x + rim, inputs), (x + rim, left + HALF_BOX))
        canvas.arrow((x - rim, right - HALF_BOX), (x - rim, outputs), (x - 46, outputs))
        canvas.arrow((x + aside, left - HALF_BOX), (x + aside, outputs + HALF_PILL))
        canvas.box((x, outputs), f"→{h}_{t} ←{h}_{t}", size=(92, PILL[1]), colour="--win", round_by=PILL[1] / 2)
        canvas.pill((x, inputs), f"x_{t}")
    _rows(canvas, outputs=outputs, inputs=inputs, forward=right, backward=left)
    canvas.span(COLUMNS[0] - 76, COLUMNS[-1] + 76, inputs + 40, f"{parts.shared()}; each direction has its own")
    return canvas


def _to_one(head: str, output: str) -> Callable[[Parts], Canvas]:
    """Only the last state is read."""

    def draw(parts: Parts) -> Canvas:
        canvas = Canvas(height=430)
        _chain(canvas, parts, 230, COLUMNS, skip=2)
        _inputs(canvas, 345, 230, COLUMNS, [f"x_{t}" for t in TIMES])
        last = COLUMNS[-1]
        _up(canvas, last, 230 - HALF_BOX, 135 + 20, f"{parts.traced.cell.states[0]}_T")
        canvas.box((last, 135), head, size=(130, 40), colour=QUIET)
        _up(canvas, last, 135 - 20, 45 + HALF_PILL)
        canvas.pill((last, 45), output)
        _rows(canvas, inputs=345, output=45)
        canvas.span(COLUMNS[0] - 46, last + 46, 385, parts.shared())
        return canvas

    return draw


def _inputs(canvas: Canvas, y: float, cells: float, xs: Sequence[float], texts: Sequence[str]) -> None:
    """A row of inputs below cells; none where there are more."""
    for x, text in zip(xs, texts, strict=True):
        if MORE not in text:
            _up(canvas, x, y - HALF_PILL, cells + HALF_BOX, "W")
            canvas.pill((x, y), text)


def _each_step(parts: Parts) -> Canvas:
    """An output at every step."""
    xs = spread(5, 180, 780)
    times = ("1", "2", "3", MORE, "T")
    canvas = Canvas(height=400)
    _chain(canvas, parts, 195, xs, skip=3)
    _inputs(canvas, 315, 195, xs, [f"x_{t}" for t in times])
    for x, t in zip(xs, times, strict=True):
        if t != MORE:
            _up(canvas, x, 195 - HALF_BOX, 60 + HALF_PILL, "softmax")
            canvas.pill((x, 60), f"y_{t}")
    _rows(canvas, inputs=315, labels=60)
    canvas.span(xs[0] - 46, xs[-1] + 46, 355, parts.shared())
    return canvas


def _frames(parts: Parts) -> Canvas:
    """A letter or a blank at every step; repeats are merged, blanks left out."""
    xs = spread(6, 150, 800)
    canvas = Canvas(height=500)
    _chain(canvas, parts, 290, xs)
    _inputs(canvas, 410, 290, xs, [f"x_{n}" for n in range(1, 7)])
    for x, letter in zip(xs, "cc-aat", strict=True):
        _up(canvas, x, 290 - HALF_BOX, 200 + HALF_PILL)
        canvas.pill((x, 200), "blank" if letter == "-" else letter)
        _up(canvas, x, 200 - HALF_PILL, 125 + 20)
    middle = (xs[0] + xs[-1]) / 2
    canvas.box((middle, 125), "merge repeats, drop blanks", size=(xs[-1] - xs[0] + 60, 40), colour=QUIET)
    _up(canvas, middle, 125 - 20, 40 + HALF_PILL)
    canvas.pill((middle, 40), "cat")
    _rows(canvas, frames=410, letters=200, text=40)
    canvas.span(xs[0] - 46, xs[-1] + 46, 450, parts.shared())
    return canvas


def _attended(source: str) -> Callable[[Parts], Canvas]:
    """A decoder that looks at what an encoder made, and reads its own last output."""

    def draw(parts: Parts) -> Canvas:
        canvas = Canvas(height=600)
        below = spread(4, 230, 780)
        words = ("y_1", "y_2", "y_3", "end")
        if source == "sequence":
            _chain(canvas, parts, 400, below, skip=2)
            _inputs(canvas, 505, 400, below, [f"x_{t}" for t in ("1", "2", MORE, "S")])
            for n, x in enumerate(below):
                if n != 2:
                    _up(canvas, x, 400 - HALF_BOX, 300 + 20)
            _rows(canvas, inputs=505, encoder=400)
            apart = " of the encoder; the decoder has its own"
        else:
            _picture(canvas, below)
            _rows(canvas, image=505, encoder=400)
            apart = " of the decoder"
        middle = (below[0] + below[-1]) / 2
        canvas.box((middle, 300), "attention: which parts to look at", size=(700, 40), colour=QUIET)
        _chain(canvas, parts, 190, below)
        for n, (x, word) in enumerate(zip(below, words, strict=True)):
            _up(canvas, x, 300 - 20, 190 + HALF_BOX)
            _up(canvas, x, 190 - HALF_BOX, 60 + HALF_PILL)
            width = canvas.pill((x, 60), word)
            if n + 1 < len(below):
                turn = below[n + 1] - 38
                canvas.arrow((x + width / 2, 60), (turn, 60), (turn, 190 - HALF_BOX), dashed=True)
        canvas.arrow((below[0] - 38, 110), (below[0] - 38, 190 - HALF_BOX), dashed=True)
        canvas.text((below[0] - 46, 112), "start", anchor="end", size=16)
        _rows(canvas, decoder=190, outputs=60)
        canvas.span(below[0] - 46, below[-1] + 46, 550, f"{parts.shared()}{apart}")
        return canvas

    return draw


def _picture(canvas: Canvas, xs: Sequence[float]) -> None:
    """An image, and a convolutional net that makes regions of it."""
    middle = (xs[0] + xs[-1]) / 2
    canvas.box((middle, 505), "image", size=(130, 44), colour="--win", round_by=3)
    _up(canvas, middle, 505 - 22, 400 + 22)
    canvas.box((middle, 400), "convolutional net: one vector per region", size=(420, 44))
    for x in spread(3, middle - 140, middle + 140):
        _up(canvas, x, 400 - 22, 300 + 20)


def _fed_back(parts: Parts) -> Canvas:
    """What comes out at a step goes in at the next."""
    xs = spread(5, 160, 790)
    canvas = Canvas(height=420)
    _chain(canvas, parts, 200, xs)
    _inputs(canvas, 320, 200, xs, [f"x_{n}" for n in range(1, 6)])
    for n, x in enumerate(xs):
        if n:
            _up(canvas, x, 200 - HALF_BOX, 60 + HALF_PILL, "draw")
            width = canvas.pill((x, 60), f"x_{n + 2}")
            if n + 1 < len(xs):
                turn = (x + xs[n + 1]) / 2 + 14
                canvas.arrow((x + width / 2, 60), (turn, 60), (turn, 320), (xs[n + 1] - 30, 320), dashed=True)
    _rows(canvas, inputs=320, outputs=60)
    canvas.span(xs[0] - 46, xs[1] + 46, 362, "the prompt")
    canvas.span(xs[2] - 46, xs[-1] + 46, 362, "what was drawn, read again")
    return canvas


def _ahead(parts: Parts) -> Canvas:
    """From the state after the history every step ahead at once."""
    xs = spread(4, 130, 520)
    canvas = Canvas(height=400)
    _chain(canvas, parts, 195, xs, skip=2)
    _inputs(canvas, 315, 195, xs, [f"y_{t}" for t in TIMES])
    canvas.arrow((xs[-1] + BOX[0] / 2, 195), (620, 195))
    canvas.box((690, 195), "quantiles of\neach step", size=(140, 64), colour=QUIET)
    for x, text in zip(spread(3, 600, 810), ("y_{T+1}", MORE, "y_{T+H}"), strict=True):
        if text == MORE:
            canvas.text((x, 60), MORE, size=26)
        else:
            turn = 690 + (22 if x > 690 else -22)
            canvas.arrow((turn, 195 - 32), (turn, 115), (x, 115), (x, 60 + HALF_PILL))
            canvas.pill((x, 60), text)
    _rows(canvas, history=315, forecast=60)
    canvas.span(xs[0] - 46, xs[-1] + 46, 355, parts.shared())
    return canvas


def _surprised(parts: Parts) -> Canvas:
    """Each step foretells the next; where that fails is an anomaly."""
    xs = spread(4, 150, 720)
    canvas = Canvas(height=480)
    inputs, cells, guesses, errors = 400, 280, 165, 50
    _chain(canvas, parts, cells, xs)
    _inputs(canvas, inputs, cells, xs, [f"x_{n}" for n in range(1, 5)])
    for n, x in enumerate(xs):
        _up(canvas, x, cells - HALF_BOX, guesses + HALF_PILL)
        canvas.pill((x, guesses), f"x̂_{n + 2}")
        if n + 1 < len(xs):
            middle = (x + xs[n + 1]) / 2
            canvas.arrow((x, guesses - HALF_PILL), (x, errors), (middle - 48, errors))
            canvas.arrow((xs[n + 1] - 29, inputs), (middle, inputs), (middle, errors + HALF_PILL), dashed=True)
            canvas.pill((middle, errors), f"x_{n + 2} - x̂_{n + 2}", colour="--truth")
    _rows(canvas, inputs=inputs, foretold=guesses, errors=errors)
    canvas.span(xs[0] - 46, xs[-1] + 46, inputs + 38, parts.shared())
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
        "sequence to label", "The last state is the whole sequence; a softmax names it.", _to_one("softmax", "label")
    ),
    "regress": Diagram(
        "sequence to number", "The last state is the whole sequence; a linear layer reads a number from it.",
        _to_one("linear", "number"),
    ),
    "tag": Diagram("a label for each step", "Each state is read by the same softmax, as it comes.", _each_step),
    "translate": Diagram(
        "sequence to sequence", "One net reads; another writes, looks back at what was read, and reads what it wrote.",
        _attended("sequence"),
    ),
    "transcribe": Diagram(
        "transcription without alignment", "Each frame gives a letter or a blank (CTC).", _frames
    ),
    "caption": Diagram(
        "image to sequence", "A convolutional net sees; a recurrent one writes, and looks where it needs to.",
        _attended("image"),
    ),
    "generate": Diagram("generation", "What is drawn at a step is the input of the next.", _fed_back),
    "forecast": Diagram("forecast", "From the history's last state, every step ahead at once.", _ahead),
    "watch": Diagram(
        "anomalies", "Each step foretells the next; a step that comes otherwise is an anomaly.", _surprised
    ),
}  # fmt: skip
"""every picture by the name it is asked for"""
