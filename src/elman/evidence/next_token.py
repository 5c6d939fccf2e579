"""What a language model must be better than: chance, counts of short runs, and nets without a memory of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from elman.estimators import LanguageModel
from elman.estimators.base import changed
from elman.evidence.kneser_ney import KneserNey

Array = np.ndarray
MOST = 10
"""tokens of an n-gram at most"""
HELD = 0.1
"""share of the training text by which the order of n-grams is chosen"""


class Baseline(Protocol):
    """Learns from encoded texts: of tokens (T_i,) int, of piano rolls (T_i, notes) of 0 and 1."""

    @property
    def name(self) -> str:
        """As the scoreboard has it; it may tell what was chosen in `fit`."""
        ...

    def fit(self, texts: Sequence[Array]) -> Any:
        """Learns."""
        ...

    def losses(self, texts: Sequence[Array]) -> list[Array]:
        """-log p of each token or frame but the first of each text, in nats."""
        ...


def baselines(estimator: LanguageModel, validation: Sequence[Array] = ()) -> list[Baseline]:
    """For a fitted model: what to fit on the same texts, the simplest first; validation: as its own, for the nets."""
    if estimator.inputs_ is not None:
        tokens = len(estimator.inputs_)
        return [Uniform(tokens), NGram(tokens, most=1), NGram(tokens)]
    names = {"linear": "logistic regression", "feed-forward": "feed-forward"}
    return [
        NoteFrequency(),
        NoteGivenItself(),
        *(Net(estimator, body, name, validation) for body, name in names.items()),
    ]


class Uniform:
    """Every token is as probable as any other: log V nats."""

    name = "uniform"

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def fit(self, texts: Sequence[Array]) -> Uniform:
        """Nothing to learn."""
        return self

    def losses(self, texts: Sequence[Array]) -> list[Array]:
        """log V."""
        return [np.full(max(0, len(text) - 1), math.log(self.tokens)) for text in texts]


class NGram:
    """Kneser–Ney's, its order chosen by the end of the training text: the first one that a longer one does not beat.

    most: the longest that is tried; 1: frequencies of tokens alone
    """

    def __init__(self, tokens: int, most: int = MOST) -> None:
        self.tokens, self.most = tokens, most
        self.order: int | None = None  # until it has learned

    @property
    def name(self) -> str:
        """With the order, as soon as it is known."""
        return "unigram" if self.most == 1 else f"Kneser–Ney {self.order or 'n'}-gram"

    def fit(self, texts: Sequence[Array]) -> NGram:
        """Chooses the order, then counts all."""
        codes = [text.tolist() for text in texts]
        self.order = self._choose(codes) if self.most > 1 else 1
        self.model = KneserNey(self.order, self.tokens).fit(codes)
        return self

    def _choose(self, codes: list[list[int]]) -> int:
        cuts = [len(text) - int(HELD * len(text)) for text in codes]
        learn = [text[:cut] for text, cut in zip(codes, cuts, strict=True)]
        held = [text[cut:] for text, cut in zip(codes, cuts, strict=True)]

        def cost(order: int) -> float:
            model = KneserNey(order, self.tokens).fit(learn)
            return sum(sum(model.losses(text)) for text in held)

        best = cost(1)
        for order in range(2, self.most + 1):
            best, before = cost(order), best
            if best >= before:
                return order - 1
        return self.most

    def losses(self, texts: Sequence[Array]) -> list[Array]:
        """Of each token after those before it."""
        return [np.array(self.model.losses(text.tolist())) for text in texts]


class NoteFrequency:
    """Each note by how often it sounds: p = (frames with it + ½) / (frames + 1)."""

    name = "note frequency"

    def fit(self, texts: Sequence[Array]) -> NoteFrequency:
        """Counts."""
        every = np.concatenate(list(texts))
        self.p = (every.sum(0) + 0.5) / (len(every) + 1)
        return self

    def losses(self, texts: Sequence[Array]) -> list[Array]:
        """Of whole frames."""
        return [_bernoulli(np.broadcast_to(self.p, roll[1:].shape), roll[1:]) for roll in texts]


class NoteGivenItself:
    """Each note by how often it sounds after a frame in which it did, and after one in which it did not."""

    name = "note given itself before"

    def fit(self, texts: Sequence[Array]) -> NoteGivenItself:
        """Counts: p[s] = (frames with the note after s + ½) / (frames after s + 1), s 0 or 1."""
        before, after = (np.concatenate([roll[part] for roll in texts]) for part in (slice(-1), slice(1, None)))
        self.p = np.array([(after * (before == s)).sum(0) + 0.5 for s in (0, 1)])
        self.p /= np.array([(before == s).sum(0) + 1.0 for s in (0, 1)])
        return self

    def losses(self, texts: Sequence[Array]) -> list[Array]:
        """Of whole frames."""
        return [_bernoulli(np.where(roll[:-1] > 0, self.p[1], self.p[0]), roll[1:]) for roll in texts]


class Net:
    """The judged model with another body, trained as it was."""

    def __init__(self, estimator: LanguageModel, body: str, name: str, validation: Sequence[Array]) -> None:
        self.name, self.model, self.validation = name, changed(estimator, body=body), list(validation) or None

    def fit(self, texts: Sequence[Array]) -> Net:
        """Trains."""
        self.model.fit(list(texts), X_validation=self.validation)
        return self

    def losses(self, texts: Sequence[Array]) -> list[Array]:
        """Of whole frames."""
        return self.model.losses(list(texts))


def _bernoulli(p: Array, y: Array) -> Array:
    """-log p of frames (T, notes), notes independent."""
    return -np.where(y > 0, np.log(p), np.log1p(-p)).sum(1)
