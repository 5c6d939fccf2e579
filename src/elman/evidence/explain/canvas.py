"""A drawing of boxes, arrows and labels as SVG: real text, colours by the page's variables, so that it follows its
theme."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from elman.evidence.explain.notation import split_indices

WIDTH = 900
TEXT, INDEX = 18, 14
"""sizes of letters and of indices, at a width of 900"""
GLYPH = 0.56
"""mean width of a letter as a share of its size"""
BOX, PILL = (92, 54), (58, 38)
"""width and height of a cell, and of an input or output"""
INK, QUIET, CELL, DATA, MARKED, PAPER = "--ink", "--quiet", "--forecast", "--win", "--mark", "--card"
Point = tuple[float, float]


def width_of(text: str, size: float = TEXT) -> float:
    """About how wide a text is."""
    return sum(len(part) * GLYPH * (min(size, INDEX) if index else size) for part, index in split_indices(text))


class Canvas:
    """Collects shapes; `to_svg` gives the picture."""

    def __init__(self, height: int) -> None:
        self.height = height
        self._lines: list[str] = []
        self._letters: list[str] = []  # above all lines

    def text(self, at: Point, text: str, *, colour: str = INK, anchor: str = "middle", size: int = TEXT) -> None:
        """A label, centred at a point unless anchored at its start or end; _x and _{x} are indices."""
        x, y = at[0], at[1] + 0.35 * size
        spans, lowered = [], False
        for part, index in split_indices(text):
            shift = 0 if index == lowered else 5 if index else -5
            style = f' font-size="{min(size, INDEX)}"' if index else ""
            spans.append(f'<tspan dy="{shift}"{style}>{escape(part)}</tspan>')
            lowered = index
        self._letters.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" fill="var({colour})">'
            f"{''.join(spans)}</text>"
        )

    def box(
        self, at: Point, text: str, *, size: tuple[float, float] = BOX, colour: str = CELL, round_by: float = 9
    ) -> None:
        """A rectangle round a point, with a label."""
        (x, y), (width, height) = at, size
        self._lines.append(
            f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" '
            f'rx="{round_by:g}" fill="var({MARKED if colour == CELL else PAPER})" stroke="var({colour})" '
            f'stroke-width="2"/>'
        )
        lines = text.split("\n")
        shrunk = next((s for s in (TEXT, 16) if max(width_of(t, s) for t in lines) < width - 8), INDEX)
        for n, line in enumerate(lines):
            shown = next(line[:k] + "…" * (k < len(line)) for k in range(len(line), -1, -1)
                         if k < 2 or width_of(line[:k], shrunk) < width - 8)  # fmt: skip
            self.text((x, y + (n - (len(lines) - 1) / 2) * 20), shown, size=shrunk)

    def pill(self, at: Point, text: str, *, colour: str = DATA) -> float:
        """An input or output round a point; its width comes back."""
        width = max(PILL[0], width_of(text) + 24)
        self.box(at, text, size=(width, PILL[1]), colour=colour, round_by=PILL[1] / 2)
        return width

    def arrow(self, *points: Point, colour: str = INK, dashed: bool = False, head: bool = True) -> None:
        """A line through points, with a head at the last."""
        (x0, y0), (x, y) = points[-2:]
        length = max(abs(x - x0), abs(y - y0))
        ux, uy = (x - x0) / length, (y - y0) / length
        ends = [*points[:-1], (x - 8 * ux, y - 8 * uy)] if head else points
        path = " ".join(f"{'L' if n else 'M'}{px:g} {py:g}" for n, (px, py) in enumerate(ends))
        dashes = ' stroke-dasharray="6 5"' if dashed else ""
        self._lines.append(f'<path d="{path}" fill="none" stroke="var({colour})" stroke-width="2"{dashes}/>')
        if head:
            back, side = (x - 11 * ux, y - 11 * uy), (-5.5 * uy, 5.5 * ux)
            corners = ((x, y), (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1]))
            self._lines.append(
                f'<polygon points="{" ".join(f"{px:.1f},{py:.1f}" for px, py in corners)}" fill="var({colour})"/>'
            )

    def span(self, left: float, right: float, y: float, text: str) -> None:
        """A bracket from left to right with a label below it."""
        self.arrow((left, y - 8), (left, y), (right, y), (right, y - 8), colour=QUIET, head=False)
        self.text(((left + right) / 2, y + 18), text, colour=QUIET, size=16)

    def to_svg(self, description: str) -> str:
        """The picture; `description` is read out instead of it."""
        words = escape(description, quote=True)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" role="img" '
            f'aria-label="{words}" font-family="system-ui, sans-serif">\n' + "\n".join([*self._lines, *self._letters])
        ) + "\n</svg>\n"


def spread(count: int, left: float, right: float) -> Sequence[float]:
    """That many places from left to right, evenly.

    >>> spread(3, 0.0, 10.0)
    [0.0, 5.0, 10.0]
    """
    return [left + n * (right - left) / max(count - 1, 1) for n in range(count)]
