"""What every shape of problem shows: its diagram, its data, the training, what the model says, who wins."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from page import Page

from elman.evidence.board import Board, markdown_cell
from elman.evidence.explain import DIAGRAMS, unrolled
from elman.evidence.explain.page import alone


class Shape(ABC):
    """One verb of `elman`, on the data that ship for it.

    verb        of the command, by which its diagram and its demo are named, too
    estimator   its class
    goes        what goes in and what comes out
    question    what is asked of the data
    literature  author, year, identifier
    """

    verb: ClassVar[str]
    estimator: ClassVar[str]
    goes: ClassVar[str]
    question: ClassVar[str]
    literature: ClassVar[str]

    @property
    def title(self) -> str:
        """As the diagram is called."""
        return DIAGRAMS[self.verb].title.capitalize()

    @abstractmethod
    def learn(self, every: int) -> Board:
        """Reads, trains and judges; every: at small size the n-th part of the examples and of the steps, else 1."""

    @abstractmethod
    def look(self, page: Page) -> None:
        """What the data are like."""

    @abstractmethod
    def said(self, page: Page) -> None:
        """What the model says beside the truth."""

    def write(self, above: Page, every: int) -> Board:
        """The shape's own page."""
        page, board = above.part(self.verb, self.title), self.learn(every)
        diagram = DIAGRAMS[self.verb]
        page.text(f"{self.question} ({self.goes}.)")
        page.drawing("diagram", diagram.words, alone(unrolled("lstm", self.verb)))
        page.text("## The data")
        self.look(page)
        page.text("## How it is learned")
        page.code(type(self).learn)
        page.text("(`every` is 1 but in the tests.)\n\n## What it says")
        self.said(page)
        page.text(f"## Who wins\n\n**{board.sentence()}**")
        page.text(board.to_markdown())
        page.text(
            f"""## To read, and to try

            {self.literature}

            `elman demo {self.verb}` runs `elman {self.verb}` on the same data from the command line, with settings of
            its own, and leaves a report; `elman {self.verb} FILE` reads yours.

            [All shapes](../shapes.md)"""
        )
        page.numbers = json.loads(board.to_json())
        page.write()
        return board


def block(text: str) -> str:
    """A text as it is."""
    return "```text\n" + text.replace("```", "'''") + "\n```"


def compared(X: Sequence[str] | None, truth: Sequence[Any], said: Sequence[Any]) -> list[dict[str, str]]:
    """Rows of what was read, what is true and what was said, bold where they differ."""
    rows = []
    for n, (right, found) in enumerate(zip(truth, said, strict=True)):
        right, found = markdown_cell(str(right)), markdown_cell(str(found)) or "(nothing)"
        row = {} if X is None else {"read": markdown_cell(X[n])}
        rows.append(row | {"true": right, "said": found if found == right else f"**{found}**"})
    return rows
