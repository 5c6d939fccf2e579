"""What a net that writes texts must be better than: phrases by count, the nearest example, always the same text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

from elman.data.inputs import ANALYZERS, is_text
from elman.estimators.base import changed

Array = np.ndarray


def baselines(estimator: Any, X: Sequence[Any]) -> dict[str, Any]:
    """Models to fit on the same pairs, by name, the simplest first."""
    found: dict[str, Any] = {"most frequent text": FrequentText()}
    if is_text(X):
        found |= {"nearest text": NearestText(), "phrase table": PhraseTable()}
    elif np.ndim(X[0]) == 3:
        found |= {"nearest picture": NearestText()}
    if hasattr(estimator, "body"):
        bodies = (("feed-forward", "feed-forward"), ("convolution (TCN)", "convolution"))
        for name, body in bodies:
            found[name] = changed(estimator, body=body)
    return found


class FrequentText(BaseEstimator):
    """Always the text that is most frequent in training."""

    def fit(self, X: Sequence[Any], y: Sequence[str]) -> FrequentText:
        """Counts."""
        self.text_ = Counter(y).most_common(1)[0][0]
        return self

    def predict(self, X: Sequence[Any]) -> list[str]:
        """The same for all."""
        return [self.text_] * len(X)


class NearestText(BaseEstimator):
    """The text of the training sequence that is nearest: of texts by their words (tf-idf), of pictures by pixels."""

    def fit(self, X: Sequence[Any], y: Sequence[str]) -> NearestText:
        """Keeps them all."""
        self.words_ = TfidfVectorizer(analyzer=words).fit(X) if is_text(X) else None  # pyright: ignore
        self.near_ = NearestNeighbors(n_neighbors=1, metric="cosine").fit(self._features(X))
        self.texts_ = list(y)
        return self

    def _features(self, X: Sequence[Any]) -> Any:
        if self.words_ is not None:
            return self.words_.transform(X)
        pixels = np.array([np.asarray(x, np.float32).ravel() for x in X])
        return pixels - pixels.mean(1, keepdims=True)

    def predict(self, X: Sequence[Any]) -> list[str]:
        """One training text for each."""
        return [self.texts_[i] for i in self.near_.kneighbors(self._features(X), return_distance=False)[:, 0]]


class PhraseTable(BaseEstimator):
    """Word for word: for each phrase of one or two words the phrase that most often comes with it, by Dice's measure::

        2 n(s, t) / (n(s) + n(t))       n: pairs of texts in which s, t, or both occur

    The longest known phrase from the left on is replaced, and an unknown word is taken over.
    Source: Smadja et al. 1996, aclanthology J96-1001.
    """

    def fit(self, X: Sequence[str], y: Sequence[str]) -> PhraseTable:
        """Counts."""
        least = 2 if len(X) > 100 else 1
        cut: Any = {"tokenizer": words, "token_pattern": None, "ngram_range": (1, 2), "min_df": least, "binary": True}
        source, target = CountVectorizer(lowercase=True, **cut), CountVectorizer(lowercase=False, **cut)
        a: Any = source.fit_transform(X)
        b: Any = target.fit_transform(y)
        a = a.tocsc()
        of_target, names = np.asarray(b.sum(0)).ravel(), target.get_feature_names_out()
        sizes = np.array([name.count(" ") for name in names])
        self.table_: dict[str, str] = {}
        for column, phrase in enumerate(source.get_feature_names_out()):
            holds = a[:, column].nonzero()[0]
            together = np.asarray(b[holds].sum(0)).ravel()
            dice = 2 * together / (len(holds) + of_target) + 1e-6 * (sizes == phrase.count(" "))  # of equals, as many
            self.table_[phrase] = str(names[int(dice.argmax())])
        return self

    def predict(self, X: Sequence[str]) -> list[str]:
        """From left to right."""
        return [" ".join(self._replaced(words(x))) for x in X]

    def _replaced(self, text: list[str]) -> list[str]:
        found, at = [], 0
        while at < len(text):
            pair = " ".join(text[at : at + 2])
            size = 2 if pair.lower() in self.table_ else 1
            phrase = pair if size == 2 else text[at]
            found.append(self.table_.get(phrase.lower(), phrase))
            at += size
        return found


def words(text: str) -> list[str]:
    """A text's words and marks."""
    return ANALYZERS["word"](text)
