"""Scoreboards whose lines are all alike: a few measures, seconds, and the paired test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from elman.evidence.board import TESTED, Board, rank, text
from elman.evidence.significance import PairedTest


@dataclass(frozen=True)
class ScoreRow:
    """One model's line: its scores by measure, and the paired test of the network's losses less this one's."""

    model: str
    scores: Mapping[str, float]
    fit_seconds: float
    predict_seconds: float
    test: PairedTest | None
    is_network: bool


class Timed(Protocol):
    """What a model said of the test data, and how long it took; wall-clock."""

    @property
    def fit_seconds(self) -> float: ...

    @property
    def predict_seconds(self) -> float: ...


def score_rows(
    found: Mapping[str, Timed],
    network: str,
    scores: Callable[[str], Mapping[str, float]],
    test: Callable[[str], PairedTest],
    error: str,
    *,
    higher: bool,
) -> tuple[ScoreRow, ...]:
    """A line for each model, best first; the network after those that are as good.

    scores  a model's measures
    test    the paired test of the network against another model
    error   the measure that decides
    """
    rows = [
        ScoreRow(
            name,
            scores(name),
            said.fit_seconds,
            said.predict_seconds,
            None if name == network else test(name),
            name == network,
        )
        for name, said in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (rank(row.scores[error], higher=higher), row.is_network)))


class MeasuredBoard(Board):
    """A scoreboard of `ScoreRow`s. hints: what each measure is, for the reader."""

    rows: tuple[ScoreRow, ...]
    hints: ClassVar[Mapping[str, str]]

    def columns(self) -> list[tuple[str, str]]:
        """Model, measures, seconds, p."""
        measures = [(name, self.hints[name]) for name in self.rows[0].scores]
        seconds = [("fit s", "seconds to fit"), ("predict s", "seconds to predict all test sequences")]
        return [("model", ""), *measures, *seconds, ("p", f"paired t-test {TESTED}")]

    def cells(self, row: ScoreRow) -> list[str]:
        """A line's texts."""
        scores = [text(value, 3) for value in row.scores.values()]
        p = text(row.test.p_value, 3) if row.test else ""
        return [row.model, *scores, text(row.fit_seconds, 1), text(row.predict_seconds, 2), p]

    def value(self, row: ScoreRow) -> float:
        """The measure that decides."""
        return row.scores[self.error]
