"""A scoreboard of any kind: models judged on the same examples, a table in five forms, a plain sentence on who wins."""

from __future__ import annotations

import io
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

ALPHA = 0.05
TESTED = "against the network, two-sided: how often chance alone makes such a difference"


class Duel(NamedTuple):
    """The network beside one other model.

    mine, theirs, chance   in words: the measure and its value, the other's value, the p-value
    better, sure           whether the network leads, and whether the paired test is significant at 5 %
    """

    mine: str
    theirs: str
    chance: str
    better: bool
    sure: bool


class Board(ABC):
    """What every scoreboard can do. A dataclass that is one has these fields, and says what a line is made of.

    rows     best first; each with `model`, `is_network` and `test`, the paired test against the network (its own: None)
    network  the model that is judged
    error    the quantity that decides
    notes    what a reader must know besides
    higher   whether a greater value is the better one
    """

    rows: Any
    network: str
    error: str
    notes: Any
    higher: bool
    noun: ClassVar[str] = ""  # what follows a model's name in the verdict
    unit: ClassVar[str] = "examples"  # what was judged, in the plural

    # -- what a kind of scoreboard says ----------------------------------------------------------------------------

    @abstractmethod
    def columns(self) -> Sequence[tuple[str, str]]:
        """Heading and explanation of each column; the first is the model's name."""

    @abstractmethod
    def cells(self, row: Any) -> Sequence[str]:
        """A line's texts."""

    @abstractmethod
    def value(self, row: Any) -> float:
        """What decides, of one line."""

    def measure(self) -> str:
        """What decides, as it is written."""
        return self.error

    @abstractmethod
    def scope(self) -> str:
        """On what it stands, in a sentence or two."""

    # -- who wins --------------------------------------------------------------------------------------------------

    @property
    def best_baseline(self) -> Any | None:
        """The first line that isn't the network; None when the network was scored alone."""
        return next((row for row in self.rows if not row.is_network), None)

    @property
    def network_wins(self) -> bool:
        """Best of all AND the paired test against the best baseline significant at 5 %: both, or it has not won."""
        best = self.best_baseline
        leads = self.rows[0].is_network and math.isfinite(self.value(self.rows[0]))
        return leads and best is not None and best.test is not None and best.test.p_value < ALPHA

    def verdict(self) -> str:
        """Who wins, in one plain sentence: the network, nobody (then the simpler), or a baseline."""
        best = self.best_baseline
        if best is None or best.test is None:
            return f"{self.network} was scored alone: no baseline, no verdict."
        mine, theirs = self.value(next(row for row in self.rows if row.is_network)), self.value(best)
        p, other = best.test.p_value, f"{best.model}{self.noun}"
        both = f"{self.network} {text(mine, 3)}, {best.model} {text(theirs, 3)}"
        numbers = f"{self.measure()}: {both}; {self.chance(p)}"
        if self.network_wins:
            better = f"{self.measure()} is higher" if self.higher else "error is lower"
            return f"{self.network} wins: its {better} than that of the best baseline, {best.model} ({numbers})."
        if rank(mine) == rank(theirs):
            return f"{self.network} and the {other} are equally good: prefer the simpler ({numbers})."
        if self.rows[0].is_network:
            return f"{self.network} is not distinguishably better than the {other}: prefer the simpler ({numbers})."
        if not p < ALPHA:
            return f"the {other} wins, perhaps by chance: prefer the simpler ({numbers})."
        return f"the {other} wins: don't use this model ({numbers})."

    def marked(self, row: Any) -> bool:
        """Whether a line stands out."""
        return row.is_network

    def chance(self, p: float) -> str:
        """A p-value in words."""
        return f"too few {self.unit} for a test" if math.isnan(p) else p_text(p)

    def against(self, model: str) -> Duel:
        """The network against one other line."""
        other = next(row for row in self.rows if row.model == model)
        mine, theirs = self.value(next(row for row in self.rows if row.is_network)), self.value(other)
        better = rank(mine, higher=self.higher) < rank(theirs, higher=self.higher)
        p = other.test.p_value
        return Duel(f"{self.measure()} {text(mine, 3)}", text(theirs, 3), self.chance(p), better, p < ALPHA)

    # -- five forms ------------------------------------------------------------------------------------------------

    def _headings(self) -> list[str]:
        return [title for title, _ in self.columns()]

    def to_rich(self) -> Table:
        """The table for a terminal; the network's line stands out."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, title in enumerate(self._headings()):
            table.add_column(title, justify="left" if number == 0 else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(*self.cells(row), style="bold cyan" if self.marked(row) else None)
        return table

    def to_text(self) -> str:
        """Aligned plain text, the verdict and the notes below it: for logs and terminals alike."""
        lines = [self._headings(), *(self.cells(row) for row in self.rows)]
        width = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        out = io.StringIO()
        for line in lines:
            first, *rest = (
                cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, width, strict=True))
            )
            out.write("  ".join([first, *rest]).rstrip() + "\n")
        out.write(f"\n{self.scope()}\n" + "".join(f"Note: {note}\n" for note in self.notes))
        out.write(f"\n{self.sentence()}\n")
        return out.getvalue()

    def sentence(self) -> str:
        """The verdict, with a capital."""
        verdict = self.verdict()
        return verdict[0].upper() + verdict[1:]

    def to_markdown(self) -> str:
        """The same as a Markdown table, for the card."""
        headings = self._headings()
        lines = [headings, ["---", *["---:"] * (len(headings) - 1)]]
        lines += [[markdown_cell(cell) for cell in self.cells(row)] for row in self.rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n".join([table, "", self.scope(), *(f"- {markdown_line(note)}" for note in self.notes)])

    def to_html(self) -> str:
        """The same as an HTML fragment; every text of the user's is escaped."""
        head = "".join(f'<th scope="col" title="{escape(hint)}">{escape(title)}</th>' for title, hint in self.columns())
        body = ""
        for row in self.rows:
            name, *cells = map(escape, self.cells(row))
            mark = ' class="network"' if self.marked(row) else ""
            body += f'<tr{mark}><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        told = "".join(f"<dt>{escape(title)}</dt><dd>{escape(hint)}</dd>" for title, hint in self.columns() if hint)
        return (
            f'<div class="scroll"><table class="scores"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>'
            f'</div>\n<p class="quiet">{escape(self.scope())}</p>\n'
            + (f'<ul class="quiet">{notes}</ul>' if notes else "")
            + f'<details class="quiet"><summary>What the columns say</summary><dl>{told}</dl></details>\n'
        )

    def to_json(self) -> str:
        """Everything as JSON text; NaN and infinity become null."""
        data: Any = {**asdict(self), "verdict": self.verdict(), "network_wins": self.network_wins}  # pyright: ignore
        return json.dumps(finite(data), indent=2, ensure_ascii=False, allow_nan=False)


def rank(value: float, *, higher: bool = False) -> float:
    """A key to sort by, best first. Of 12 digits: two results that differ by the order of summation are equal."""
    return (-1.0 if higher else 1.0) * float(f"{value:.12g}") if math.isfinite(value) else math.inf


def text(value: float, digits: int) -> str:
    """A number for people: never "nan", and no p-value of 0.

    >>> text(float("nan"), 3), text(0.00001, 3), text(1.23456, 3)
    ('–', '<0.001', '1.235')
    """
    if not math.isfinite(value):
        return "–"
    return f"<{10.0**-digits:.{digits}f}" if 0 <= value < 0.5 * 10.0**-digits and value else f"{value:.{digits}f}"


def p_text(p: float) -> str:
    """A p-value in a sentence.

    >>> p_text(0.0123), p_text(0.0001)
    ('p = 0.012', 'p < 0.001')
    """
    return f"p = {text(p, 3)}".replace("= <", "< ")


def markdown_line(words: str) -> str:
    """Text of a user's as one line of Markdown; a tag in it stays text, for Markdown is read as HTML.

    >>> markdown_line("a\\n<b>")
    'a &lt;b>'
    """
    return " ".join(words.split()).replace("<", "&lt;")


def markdown_cell(words: str) -> str:
    """The same within a table.

    >>> print(markdown_cell("a|b"))
    a\\|b
    """
    return markdown_line(words).replace("|", "\\|")


def finite(data: object) -> object:
    """The same with None for every NaN and infinity, and arrays as lists."""
    if hasattr(data, "tolist"):
        data = data.tolist()  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    return data
