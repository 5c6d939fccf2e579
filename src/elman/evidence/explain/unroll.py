"""Cells side by side in time, with what goes in, on and out: what every picture is made of."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from elman.evidence.explain.canvas import BOX, PILL, QUIET, Canvas, width_of
from elman.evidence.explain.names import parameter_symbol
from elman.evidence.explain.notation import PLAIN
from elman.graph import Traced

HALF_WIDTH, HALF_BOX, HALF_PILL = BOX[0] / 2, BOX[1] / 2, PILL[1] / 2
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
        cell = self.traced.cell
        own = [PLAIN.symbol(parameter_symbol(cell, name)) for name in cell.params]
        kinds = ", ".join(["W", *["R"] * self.recurrent, "b", *own])
        return f"the same {kinds if len(kinds) < 40 else 'weights'} at every step"

    def legend(self) -> str:
        """What s is, where it is drawn."""
        return "" if self._fits else f"; s is ({', '.join(self.traced.cell.states)})"


def chain(
    canvas: Canvas, parts: Parts, y: float, xs: Sequence[float], *, states: Sequence[str] = (), layer: str = "",
    back: bool = False, skip: int | None = None,
) -> None:  # fmt: skip
    """Cells side by side, and the state that goes from each to the next; `states` names it on each edge.

    skip: the place where there are more of them.
    """
    half = HALF_WIDTH
    for n, x in enumerate(xs):
        if n == skip:
            canvas.text((x, y), MORE, size=26)
        else:
            canvas.box((x, y), parts.name)
    ends = [xs[0] - half - 54, *xs, xs[-1] + half + 54] if states else list(xs)
    for n, (x, after) in enumerate(itertools.pairwise(ends)):
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


def up(canvas: Canvas, x: float, low: float, high: float, label: str = "") -> None:
    """An arrow up, its label to the right."""
    canvas.arrow((x, low), (x, high))
    if label:
        canvas.text((x + 9, (low + high) / 2), label, anchor="start", size=16, colour=QUIET)


def rows(canvas: Canvas, **rows: float) -> None:
    """Says at the left what stands in a row."""
    for name, y in rows.items():
        canvas.text((12, y), name, anchor="start", colour=QUIET, size=16)


def inputs(canvas: Canvas, y: float, cells: float, xs: Sequence[float], texts: Sequence[str]) -> None:
    """A row of inputs below cells; none where there are more."""
    for x, text in zip(xs, texts, strict=True):
        if MORE not in text:
            up(canvas, x, y - HALF_PILL, cells + HALF_BOX, "W")
            canvas.pill((x, y), text)
