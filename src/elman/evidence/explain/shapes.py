"""The shapes of problems: which inputs are read, which states are used, what goes back in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from elman.evidence.explain.canvas import QUIET, Canvas, spread
from elman.evidence.explain.unroll import (
    COLUMNS,
    HALF_BOX,
    HALF_PILL,
    HALF_WIDTH,
    MORE,
    TIMES,
    Parts,
    chain,
    inputs,
    rows,
    up,
)


def read_last(head: str, output: str) -> Callable[[Parts], Canvas]:
    """Only the last state is read."""

    def draw(parts: Parts) -> Canvas:
        canvas = Canvas(height=430)
        chain(canvas, parts, 230, COLUMNS, skip=2)
        inputs(canvas, 345, 230, COLUMNS, [f"x_{t}" for t in TIMES])
        last = COLUMNS[-1]
        up(canvas, last, 230 - HALF_BOX, 135 + 20, f"{parts.traced.cell.states[0]}_T")
        canvas.box((last, 135), head, size=(130, 40), colour=QUIET)
        up(canvas, last, 135 - 20, 45 + HALF_PILL)
        canvas.pill((last, 45), output)
        rows(canvas, inputs=345, output=45)
        canvas.span(COLUMNS[0] - HALF_WIDTH, last + HALF_WIDTH, 385, parts.shared())
        return canvas

    return draw


def read_each(parts: Parts) -> Canvas:
    """An output at every step."""
    xs = spread(5, 180, 780)
    times = ("1", "2", "3", MORE, "T")
    canvas = Canvas(height=400)
    chain(canvas, parts, 195, xs, skip=3)
    inputs(canvas, 315, 195, xs, [f"x_{t}" for t in times])
    for x, t in zip(xs, times, strict=True):
        if t != MORE:
            up(canvas, x, 195 - HALF_BOX, 60 + HALF_PILL, "softmax")
            canvas.pill((x, 60), f"y_{t}")
    rows(canvas, inputs=315, labels=60)
    canvas.span(xs[0] - HALF_WIDTH, xs[-1] + HALF_WIDTH, 355, parts.shared())
    return canvas


def read_frames(parts: Parts) -> Canvas:
    """A letter or a blank at every step; repeats are merged, blanks left out."""
    xs = spread(6, 150, 800)
    canvas = Canvas(height=500)
    chain(canvas, parts, 290, xs)
    inputs(canvas, 410, 290, xs, [f"x_{n}" for n in range(1, 7)])
    for x, letter in zip(xs, "cc-aat", strict=True):
        up(canvas, x, 290 - HALF_BOX, 200 + HALF_PILL)
        canvas.pill((x, 200), "blank" if letter == "-" else letter)
        up(canvas, x, 200 - HALF_PILL, 125 + 20)
    middle = (xs[0] + xs[-1]) / 2
    canvas.box((middle, 125), "merge repeats, drop blanks", size=(xs[-1] - xs[0] + 60, 40), colour=QUIET)
    up(canvas, middle, 125 - 20, 40 + HALF_PILL)
    canvas.pill((middle, 40), "cat")
    rows(canvas, frames=410, letters=200, text=40)
    canvas.span(xs[0] - HALF_WIDTH, xs[-1] + HALF_WIDTH, 450, parts.shared())
    return canvas


def write_looking(source: str) -> Callable[[Parts], Canvas]:
    """A decoder that looks at what an encoder made, and reads its own last output."""

    def draw(parts: Parts) -> Canvas:
        canvas = Canvas(height=600)
        below = spread(4, 230, 780)
        words = ("y_1", "y_2", "y_3", "end")
        if source == "sequence":
            chain(canvas, parts, 400, below, skip=2)
            inputs(canvas, 505, 400, below, [f"x_{t}" for t in ("1", "2", MORE, "S")])
            for n, x in enumerate(below):
                if n != 2:
                    up(canvas, x, 400 - HALF_BOX, 300 + 20)
            rows(canvas, inputs=505, encoder=400)
            apart = " of the encoder; the decoder has its own"
        else:
            _picture(canvas, below)
            rows(canvas, image=505, encoder=400)
            apart = " of the decoder"
        middle = (below[0] + below[-1]) / 2
        canvas.box((middle, 300), "attention: which parts to look at", size=(700, 40), colour=QUIET)
        chain(canvas, parts, 190, below)
        for n, (x, word) in enumerate(zip(below, words, strict=True)):
            up(canvas, x, 300 - 20, 190 + HALF_BOX)
            up(canvas, x, 190 - HALF_BOX, 60 + HALF_PILL)
            width = canvas.pill((x, 60), word)
            if n + 1 < len(below):
                turn = below[n + 1] - 38
                canvas.arrow((x + width / 2, 60), (turn, 60), (turn, 190 - HALF_BOX), dashed=True)
        canvas.arrow((below[0] - 38, 110), (below[0] - 38, 190 - HALF_BOX), dashed=True)
        canvas.text((below[0] - HALF_WIDTH, 112), "start", anchor="end", size=16)
        rows(canvas, decoder=190, outputs=60)
        canvas.span(below[0] - HALF_WIDTH, below[-1] + HALF_WIDTH, 550, f"{parts.shared()}{apart}")
        return canvas

    return draw


def _picture(canvas: Canvas, xs: Sequence[float]) -> None:
    """An image, and a convolutional net that makes regions of it."""
    middle = (xs[0] + xs[-1]) / 2
    canvas.box((middle, 505), "image", size=(130, 44), colour="--win", round_by=3)
    up(canvas, middle, 505 - 22, 400 + 22)
    canvas.box((middle, 400), "convolutional net: one vector per region", size=(420, 44))
    for x in spread(3, middle - 140, middle + 140):
        up(canvas, x, 400 - 22, 300 + 20)


def feed_back(parts: Parts) -> Canvas:
    """What comes out at a step goes in at the next."""
    xs = spread(5, 160, 790)
    canvas = Canvas(height=470)
    chain(canvas, parts, 200, xs)
    inputs(canvas, 320, 200, xs, [f"x_{n}" for n in range(1, 6)])
    for n, x in enumerate(xs):
        if n:
            up(canvas, x, 200 - HALF_BOX, 60 + HALF_PILL, "draw")
            width = canvas.pill((x, 60), f"x_{n + 2}")
            if n + 1 < len(xs):
                turn = (x + xs[n + 1]) / 2 + 14
                canvas.arrow((x + width / 2, 60), (turn, 60), (turn, 320), (xs[n + 1] - 30, 320), dashed=True)
    rows(canvas, inputs=320, outputs=60)
    canvas.span(xs[0] - HALF_WIDTH, xs[1] + HALF_WIDTH, 362, "the prompt")
    canvas.span(xs[2] - HALF_WIDTH, xs[-1] + HALF_WIDTH, 362, "what was drawn, read again")
    canvas.span(xs[0] - HALF_WIDTH, xs[-1] + HALF_WIDTH, 418, parts.shared())
    return canvas


def look_ahead(parts: Parts) -> Canvas:
    """From the state after the history every step ahead at once."""
    xs = spread(4, 130, 520)
    canvas = Canvas(height=400)
    chain(canvas, parts, 195, xs, skip=2)
    inputs(canvas, 315, 195, xs, [f"y_{t}" for t in TIMES])
    canvas.arrow((xs[-1] + HALF_WIDTH, 195), (620, 195))
    canvas.box((690, 195), "quantiles of\neach step", size=(140, 64), colour=QUIET)
    for x, text in zip(spread(3, 600, 810), ("y_{T+1}", MORE, "y_{T+H}"), strict=True):
        if text == MORE:
            canvas.text((x, 60), MORE, size=26)
        else:
            turn = 690 + (22 if x > 690 else -22)
            canvas.arrow((turn, 195 - 32), (turn, 115), (x, 115), (x, 60 + HALF_PILL))
            canvas.pill((x, 60), text)
    rows(canvas, history=315, forecast=60)
    canvas.span(xs[0] - HALF_WIDTH, xs[-1] + HALF_WIDTH, 355, parts.shared())
    return canvas


def foretell(parts: Parts) -> Canvas:
    """Each step foretells the next; where that fails is an anomaly."""
    xs = spread(4, 150, 720)
    canvas = Canvas(height=480)
    below, cells, guesses, errors = 400, 280, 165, 50
    chain(canvas, parts, cells, xs)
    inputs(canvas, below, cells, xs, [f"x_{n}" for n in range(1, 5)])
    for n, x in enumerate(xs):
        up(canvas, x, cells - HALF_BOX, guesses + HALF_PILL)
        canvas.pill((x, guesses), f"x̂_{n + 2}")
        if n + 1 < len(xs):
            middle = (x + xs[n + 1]) / 2
            canvas.arrow((x, guesses - HALF_PILL), (x, errors), (middle - 48, errors))
            canvas.arrow((xs[n + 1] - 29, below), (middle, below), (middle, errors + HALF_PILL), dashed=True)
            canvas.pill((middle, errors), f"x_{n + 2} - x̂_{n + 2}", colour="--truth")
    rows(canvas, inputs=below, foretold=guesses, errors=errors)
    canvas.span(xs[0] - HALF_WIDTH, xs[-1] + HALF_WIDTH, below + 38, parts.shared())
    return canvas
