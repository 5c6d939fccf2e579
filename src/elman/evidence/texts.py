"""The scoreboard of texts: translations, captions, transcripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from elman.errors import DataError, OptionError, suggest
from elman.estimators.transduction.measures import bleu, chrf, edits, error_rate
from elman.evidence.measured import MeasuredBoard, ScoreRow, score_rows
from elman.evidence.significance import paired_test

Texts = Sequence[str]


@dataclass(frozen=True)
class Kind:
    """What texts of one kind are judged by: the first measure decides; the loss of one text is for the paired test."""

    measures: Mapping[str, Callable[[Texts, Texts], float]]
    higher: bool
    loss: Callable[[str, str], float]
    tested: str


def _words(texts: Texts) -> list[list[str]]:
    return [text.split() for text in texts]


KINDS = {
    "translation": Kind(
        {"BLEU": bleu, "chrF": chrf}, True, lambda truth, found: 100 - chrf([truth], [found]), "chrF of each text"
    ),
    "caption": Kind(
        {"BLEU-1": lambda truth, found: bleu(truth, found, order=1), "chrF": chrf},
        True,
        lambda truth, found: 100 - chrf([truth], [found]),
        "chrF of each text",
    ),
    "transcript": Kind(
        {"character errors": error_rate, "word errors": lambda t, f: error_rate(_words(t), _words(f))},
        False,
        lambda truth, found: edits(truth, found) / max(1, len(truth)),
        "the character error rate of each text",
    ),
}
HINTS = {
    "BLEU": "runs of one to four words that are in the true text, sacrebleu, 0 to 100",
    "BLEU-1": "words that are in the true text, sacrebleu, 0 to 100",
    "chrF": "F-score of runs of one to six characters, 0 to 100",
    "character errors": "insertions, deletions and substitutions per true character",
    "word errors": "the same per true word",
}


@dataclass(frozen=True)
class Written:
    """A model's text for each test sequence, and how long it took."""

    texts: Texts
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0


@dataclass(frozen=True)
class TextBoard(MeasuredBoard):
    """All models' texts of the same test sequences, best first. Build it with `TextBoard.build`.

    >>> found = {"always the same": Written(["a", "a"]), "LSTM": Written(["a", "b"])}
    >>> board = TextBoard.build(found, ["a", "b"], network="LSTM", kind="transcript")
    >>> [(row.model, row.scores["character errors"]) for row in board.rows]
    [('LSTM', 0.0), ('always the same', 0.5)]
    """

    rows: tuple[ScoreRow, ...]
    network: str
    error: str
    kind: str
    higher: bool
    texts: int
    notes: tuple[str, ...] = field(default=())

    noun = " baseline"
    unit = "texts"
    hints = HINTS

    @classmethod
    def build(
        cls, found: Mapping[str, Written], truth: Texts, *, network: str, kind: str, notes: Sequence[str] = ()
    ) -> TextBoard:
        """Scores each model's texts against the true ones. Raises `DataError` for another number of texts."""
        if kind not in KINDS:
            raise OptionError(f"TextBoard: unknown kind {kind!r}, {suggest(kind, KINDS)}")
        judged = KINDS[kind]
        for name, written in found.items():
            if len(written.texts) != len(truth):
                raise DataError(f"TextBoard({name}): must have {len(truth)} texts, got {len(written.texts)}.")
        losses = {
            name: np.array([judged.loss(t, f) for t, f in zip(truth, written.texts, strict=True)])
            for name, written in found.items()
        }
        error = next(iter(judged.measures))
        rows = score_rows(
            found,
            network,
            lambda name: {measure: of(truth, found[name].texts) for measure, of in judged.measures.items()},
            lambda name: paired_test(losses[network], losses[name]),
            error,
            higher=judged.higher,
        )
        return cls(rows, network, error, kind, judged.higher, len(truth), tuple(notes))

    def scope(self) -> str:
        """How many were judged, and on what the test stands."""
        return f"{self.texts} test texts. Paired t-test over {KINDS[self.kind].tested}."
