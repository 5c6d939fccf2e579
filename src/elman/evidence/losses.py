"""The scoreboard of language models: what each token, or frame of notes, costs those who must predict it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from elman.errors import DataError, OptionError, suggest
from elman.evidence.measured import MeasuredBoard, ScoreRow, score_rows
from elman.evidence.significance import PairedTest, dm_test

Array = np.ndarray
MANY = 20
"""texts that are enough for a test over whole ones"""
BLOCKS, SHORTEST = 100, 100
"""of fewer texts: blocks at most, and tokens in a block at least"""


def nll(losses: Array) -> float:
    """The mean negative log-likelihood in nats: of piano rolls, NLL per frame.

    >>> nll(np.log([2.0, 8.0])) == math.log(4)
    True
    """
    return float(losses.mean())


def bits(losses: Array) -> float:
    """The same in bits: of characters, bits per character. nll / log 2.

    >>> bits(np.log([2.0, 8.0]))
    2.0
    """
    return nll(losses) / math.log(2)


def perplexity(losses: Array) -> float:
    """exp(nll): between how many equally probable tokens a model hesitates.

    >>> round(perplexity(np.log([2.0, 8.0])), 12)
    4.0
    """
    return float(np.exp(min(nll(losses), 700.0)))  # above it, float64 ends


MEASURES: dict[str, dict[str, Callable[[Array], float]]] = {
    "character": {"bits per character": bits, "perplexity": perplexity},
    "word": {"perplexity": perplexity, "bits per word": bits},
    "piece": {"perplexity": perplexity, "bits per piece": bits},
    "frame": {"NLL per frame": nll},
}
"""of each kind of token what is shown; the first decides"""
HINTS = {
    "bits per character": "mean of -log2 p of each character",
    "perplexity": "exp of the mean -log p: between how many tokens the model hesitates",
    "bits per word": "mean of -log2 p of each word",
    "bits per piece": "mean of -log2 p of each piece of a word",
    "NLL per frame": "mean of -log p of a whole frame of notes, in nats",
}


@dataclass(frozen=True)
class Predicted:
    """What the test texts cost a model: nats of each token but the first, (T_i - 1,) for each text; and its seconds."""

    losses: Sequence[Array]
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0


@dataclass(frozen=True)
class LossBoard(MeasuredBoard):
    """All models' losses on the same test texts, best first. Build it with `LossBoard.build`.

    kind    "character", "word", "piece" or "frame"
    texts, tokens   how many were judged
    block   tokens of a block of the paired test; None: it stands on whole texts

    >>> dice, coin = Predicted([np.full(400, np.log(6))]), Predicted([np.full(400, np.log(2))])
    >>> board = LossBoard.build({"uniform": dice, "LSTM": coin}, network="LSTM", kind="character")
    >>> [(row.model, round(row.scores["bits per character"], 3)) for row in board.rows]
    [('LSTM', 1.0), ('uniform', 2.585)]
    """

    rows: tuple[ScoreRow, ...]
    network: str
    error: str
    kind: str
    texts: int
    tokens: int
    block: int | None
    notes: tuple[str, ...] = field(default=())

    noun = " baseline"
    unit = "blocks"
    higher = False
    hints = HINTS

    @classmethod
    def build(cls, found: Mapping[str, Predicted], *, network: str, kind: str, notes: Sequence[str] = ()) -> LossBoard:
        """Scores each model's losses. Raises `DataError` where two models judged other tokens, `OptionError`.

        The paired test stands on whole texts where there are 20 or more, else on blocks of at least 100 consecutive
        tokens, at most 100 blocks. For a model that is at a loss in a passage is so for many tokens in a row: their
        losses are alike and do not count as independent, those of whole texts or long blocks nearly do.
        """
        if kind not in MEASURES:
            raise OptionError(f"LossBoard: unknown kind {kind!r}, {suggest(kind, MEASURES)}")
        lengths = [len(losses) for losses in found[network].losses]
        for name, predicted in found.items():
            if (got := [len(losses) for losses in predicted.losses]) != lengths:
                raise DataError(f"LossBoard({name}): texts must have {lengths} losses like {network}, got {got}.")
        measures, tokens = MEASURES[kind], sum(lengths)
        if not tokens:
            raise DataError("LossBoard: the test texts must have a token to predict, got none. Give longer ones.")
        joined = {name: np.concatenate(list(predicted.losses)) for name, predicted in found.items()}
        block, place = blocks(lengths)
        error = next(iter(measures))
        rows = score_rows(
            found,
            network,
            lambda name: {measure: of(joined[name]) for measure, of in measures.items()},
            lambda name: blocked_test(joined[network], joined[name], place),
            error,
            higher=cls.higher,
        )
        return cls(rows, network, error, kind, len(lengths), tokens, block, tuple(notes))

    def scope(self) -> str:
        """How much was judged, and on what the test stands."""
        texts = "1 test text" if self.texts == 1 else f"{self.texts} test texts"
        over = "whole texts" if self.block is None else f"blocks of {self.block} {self.kind}s"
        return f"{texts}, {self.tokens} {self.kind}s to predict. Paired t-test over {over}."


def blocked_test(a: Array, b: Array, place: Array) -> PairedTest:
    """The paired t-test of two models' losses (N,), summed over blocks; place: the block of each token, (N,)."""
    return replace(dm_test(block_losses(a, place), block_losses(b, place)), over="blocks")


def block_losses(losses: Array, place: Array) -> Array:
    """The loss of each block: a sum divided by the blocks' mean length, so that the mean is that of all tokens."""
    lengths = np.bincount(place)
    kept = lengths > 0
    return np.bincount(place, losses)[kept] / lengths[kept].mean()


def blocks(lengths: Sequence[int]) -> tuple[int | None, Array]:
    """What a test of texts with so many tokens stands on: tokens of a block, None for whole texts; each one's block."""
    tokens = sum(lengths)
    block = None if len(lengths) >= MANY else max(SHORTEST, -(-tokens // BLOCKS))
    return block, np.repeat(np.arange(len(lengths)), lengths) if block is None else np.arange(tokens) // block
