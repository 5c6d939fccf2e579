"""Shape by shape: each kind of sequence problem with its diagram, its data, a training and what came of it."""

from __future__ import annotations

from page import Page, main
from shapes_of_labels import Classify, Regress, Tag
from shapes_of_signals import Forecast, Watch
from shapes_of_texts import Caption, Generate, Transcribe, Translate

from elman.evidence.board import Board, text
from elman.evidence.explain import DIAGRAMS

TITLE = "Shape by shape: what goes in, what comes out"

SHAPES = (Classify, Regress, Tag, Translate, Transcribe, Caption, Generate, Forecast, Watch)
"""in the order of the index"""
PART = 37
"""at small size: each 37th example, so that no rhythm of a file meets it"""


def make(page: Page) -> None:
    """The index, and a page for each shape."""
    page.text(
        """Which of these is your problem? All of them carry a state along a sequence; they differ in when something is
        read and when something is said. Each has a page with its diagram, real data that ship with elman, the lines of
        Python that learned from them, what the model says beside the truth, and whether something simpler says it as
        well. Where nothing is a sequence (one in, one out), no state is of use: that is the feed-forward net on every
        scoreboard."""
    )
    rows, wins = [], 0
    for kind in SHAPES:
        shape = kind()
        board = shape.write(page, PART if page.quick else 1)
        wins += board.network_wins
        page.numbers[shape.verb] = _found(board)
        rows.append(
            {
                "shape": f"[{shape.title}](shapes/{shape.verb}.md)",
                "what goes in and out": shape.goes,
                "verb": f"`elman {shape.verb}`",
                "estimator": f"`{shape.estimator}`",
                "on the data that ship": board.sentence(),
            }
        )
    page.table(rows)
    for kind in SHAPES:
        diagram = DIAGRAMS[kind.verb]
        page.text(f"**[{kind().title}](shapes/{kind.verb}.md).** {diagram.words}")
        page.text(f"![{diagram.words}](shapes/{kind.verb}/diagram.svg)")
    page.text(
        f"""Of {len(rows)} short trainings the recurrent net wins {wins}, by the rule of every scoreboard: it must be
        the best, and a paired test against the best of the others must leave less than 5 % to chance. A longer training
        may say otherwise: `elman demo --list` names one for each shape.

        `elman explain lstm --shape tag --out FOLDER` draws these diagrams for any cell, your own too. The names of the
        shapes are Karpathy's (2015, *The unreasonable effectiveness of recurrent neural networks*)."""
    )


def _found(board: Board) -> dict[str, object]:
    best = board.best_baseline
    mine = next(row for row in board.rows if row.is_network)
    return {
        "measure": board.measure(),
        "network": board.value(mine),
        "baseline": None if best is None else best.model,
        "best_baseline": None if best is None else board.value(best),
        "p": None if best is None or best.test is None else text(best.test.p_value, 3),
        "wins": board.network_wins,
    }


if __name__ == "__main__":
    main(make, TITLE)
