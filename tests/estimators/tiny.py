"""Every estimator with data so small that it learns in a moment: what tests of devices and precisions go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from elman.estimators.anomalies import AnomalyDetector
from elman.estimators.forecasting import Forecaster
from elman.estimators.language import LanguageModel
from elman.estimators.sequences import SequenceClassifier, SequenceRegressor, SequenceTagger
from elman.estimators.transduction import Captioner, Transcriber, Translator

rng = np.random.default_rng(0)
SMALL: dict[str, Any] = {"hidden_size": 6, "max_steps": 4, "batch_size": 8}
EVERYTHING: dict[str, Any] = {
    "num_layers": 2,
    "dropout": 0.1,
    "zoneout": 0.1,
    "recurrent_dropout": 0.1,
    "residual": True,
}
WORDS: dict[str, Any] = {"embedding_size": 6, "min_count": 1, "target_min_count": 1, "batch_size": 4}

SIGNALS = [rng.normal(size=(length, 2)) for length in (5, 7, 3, 6) * 4]
SIGNS = ["up" if one.sum() > 0 else "down" for one in SIGNALS]
SENTENCES = ["good fun", "what a bore", "fun and good", "a bore"] * 3
LABELS = [1, 0, 1, 0] * 3
NAMES = [["the", "cat", "sat"], ["a", "dog"]] * 5
TAGS = [["DET", "NOUN", "VERB"], ["DET", "NOUN"]] * 5
STEPS = [one.cumsum(0)[:, 0] for one in SIGNALS]
GERMAN, ENGLISH = ["ein hund", "eine katze", "ein haus"] * 4, ["a dog", "a cat", "a house"] * 4
SPELT = ["".join(rng.choice(list("abc"), 3)) for _ in range(12)]
SOUNDS = [np.repeat(np.eye(3)[["abc".index(k) for k in text]], 4, 0) for text in SPELT]
PICTURES, CAPTIONS = [np.zeros((8, 8, 3)), np.ones((8, 8, 3))] * 4, ["by night", "at noon"] * 4
TEXT = "so it goes. " * 12
ROLLS = [(rng.random((20, 5)) < 0.3).astype(float) for _ in range(3)]
WAVES = [np.sin(np.arange(80) / 4)[:, None] + rng.normal(scale=0.1, size=(80, 2)) for _ in range(2)]
DAYS = pd.date_range("2024", periods=40)
SALES = pd.concat(
    [
        pd.DataFrame(
            {"unique_id": name, "ds": DAYS, "y": np.arange(40) % 7 + level, "price": rng.random(40), "kind": name}
        )
        for name, level in (("a", 3), ("b", 9))
    ]
)
AHEAD = pd.concat(
    [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-02-10", periods=3), "price": 0.5})
        for name in ("a", "b")
    ]
)


class Tiny(NamedTuple):
    """An estimator, what it learns from, and all that it is asked afterwards."""

    make: Callable[..., Any]
    data: tuple[Any, ...]
    ask: Callable[[Any], Any]

    def fit(self, **options: Any) -> Any:
        """It, fitted."""
        return self.make(**options).fit(*self.data)


def tiny(kind: Callable[..., Any], *data: Any, ask: Callable[[Any], Any], **own: Any) -> Tiny:
    """One with these arguments, of which a test may change some."""
    return Tiny(lambda **options: kind(**{**SMALL, **own, **options}), data, ask)


def _caption_encoder() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU())


CASES: dict[str, Tiny] = {
    "classifier": tiny(
        SequenceClassifier,
        SIGNALS,
        SIGNS,
        ask=lambda m: (m.predict(SIGNALS), m.predict_proba(SIGNALS)),
        **EVERYTHING,
        class_weight="balanced",
    ),
    "classifier of texts": tiny(
        SequenceClassifier,
        SENTENCES,
        LABELS,
        pooling="attention",
        layer_norm=True,
        embedding_size=6,
        ask=lambda m: (m.predict(SENTENCES), m.attention(SENTENCES)),
    ),
    "classifier of long signals": tiny(
        SequenceClassifier, SIGNALS, SIGNS, stride=2, pooling="mean", noise=0.1, ask=lambda m: m.predict(SIGNALS)
    ),
    "classifier, feed-forward": tiny(
        SequenceClassifier, SIGNALS, SIGNS, body="feed-forward", ask=lambda m: m.predict(SIGNALS)
    ),
    "classifier, convolution": tiny(
        SequenceClassifier, SIGNALS, SIGNS, body="convolution", bidirectional=False, ask=lambda m: m.predict(SIGNALS)
    ),
    "regressor": tiny(
        SequenceRegressor,
        SIGNALS,
        [one.sum() for one in SIGNALS],
        cell="gru",
        loss="huber",
        ask=lambda m: (m.predict(SIGNALS), m.score(SIGNALS, [one.sum() for one in SIGNALS])),
    ),
    "tagger": tiny(
        SequenceTagger,
        NAMES,
        TAGS,
        embedding_size=6,
        ask=lambda m: (m.predict(NAMES), m.predict_proba(NAMES), m.score(NAMES, TAGS)),
    ),
    "tagger with a chain": tiny(
        SequenceTagger, NAMES, TAGS, crf=True, embedding_size=6, ask=lambda m: (m.predict(NAMES), m.predict(NAMES))
    ),
    "tagger of equal lengths": tiny(
        SequenceTagger, NAMES[::2], TAGS[::2], crf=True, embedding_size=6, ask=lambda m: m.predict(NAMES)
    ),
    "tagger of numbers": tiny(SequenceTagger, SIGNALS, STEPS, cell="mgu", ask=lambda m: m.predict(SIGNALS)),
    "translator": tiny(
        Translator,
        GERMAN,
        ENGLISH,
        **WORDS,
        sampling=0.3,
        num_beams=2,
        ask=lambda m: (m.predict(GERMAN), m.align(GERMAN), m.score(GERMAN, ENGLISH)),
    ),
    "translator, token by token": tiny(
        Translator,
        GERMAN,
        ENGLISH,
        **WORDS,
        attention="additive",
        num_beams=1,
        ask=lambda m: (
            m.predict(GERMAN),
            m.generate(GERMAN, do_sample=True, top_k=3, repetition_penalty=1.2, no_repeat_ngram_size=2),
        ),
    ),
    "transcriber": tiny(Transcriber, SOUNDS, SPELT, ask=lambda m: (m.predict(SOUNDS), m.score(SOUNDS, SPELT))),
    "transcriber, greedy": tiny(Transcriber, SOUNDS, SPELT, num_beams=1, stride=2, ask=lambda m: m.predict(SOUNDS)),
    "captioner": tiny(
        Captioner,
        PICTURES,
        CAPTIONS,
        embedding_size=6,
        side=8,
        blocks=1,
        target_min_count=1,
        ask=lambda m: (m.predict(PICTURES), m.score(PICTURES, CAPTIONS)),
    ),
    "captioner with an encoder": tiny(
        Captioner,
        PICTURES,
        CAPTIONS,
        embedding_size=6,
        side=8,
        encoder=_caption_encoder(),
        train_encoder=True,
        target_min_count=1,
        num_beams=2,
        ask=lambda m: m.predict(PICTURES),
    ),
    "language model": tiny(
        LanguageModel,
        TEXT,
        embedding_size=6,
        truncate=5,
        batch_size=2,
        cell="lstm",
        ask=lambda m: (
            m.score(TEXT),
            m.generate("so", max_new_tokens=5),
            m.generate(max_new_tokens=4, do_sample=False),
        ),
    ),
    "language model, choosy": tiny(
        LanguageModel,
        [TEXT] * 2,
        embedding_size=6,
        truncate=4,
        batch_size=2,
        cell="indrnn",
        analyzer="word",
        ask=lambda m: m.generate(
            "so it",
            max_new_tokens=4,
            top_k=3,
            top_p=0.9,
            typical_p=0.9,
            min_p=0.01,
            repetition_penalty=1.2,
            no_repeat_ngram_size=2,
        ),
    ),
    "language model, feed-forward": tiny(
        LanguageModel, TEXT, embedding_size=6, truncate=5, batch_size=2, body="feed-forward", ask=lambda m: m.bits(TEXT)
    ),
    "language model of rolls": tiny(
        LanguageModel,
        ROLLS,
        truncate=5,
        batch_size=2,
        layer_norm=True,
        ask=lambda m: (
            m.score(ROLLS),
            m.generate(ROLLS[0], max_new_tokens=3),
            m.generate(max_new_tokens=2, do_sample=False),
        ),
    ),
    "forecaster": tiny(
        Forecaster,
        SALES[["unique_id", "ds", "y"]],
        horizon=3,
        ask=lambda m: (m.predict(), m.predict(SALES[["unique_id", "ds", "y"]], level=[50])),
    ),
    "forecaster with covariates": tiny(
        Forecaster,
        SALES,
        horizon=3,
        future=["price"],
        static=["kind"],
        output="student-t",
        patience=2,
        ask=lambda m: m.predict(future=AHEAD),
        **EVERYTHING,
    ),
    "forecaster, recursive": tiny(
        Forecaster,
        SALES[["unique_id", "ds", "y"]],
        horizon=3,
        strategy="recursive",
        output="gaussian",
        paths=4,
        cell="gru",
        ask=lambda m: (m.predict(), m.predict(horizon=5)),
    ),
    "forecaster of counts": tiny(
        Forecaster,
        SALES[["unique_id", "ds", "y"]],
        horizon=3,
        output="negative-binomial",
        layer_norm=True,
        ask=lambda m: m.predict(),
    ),
    "detector": tiny(
        AnomalyDetector, WAVES, window=20, lags=4, ask=lambda m: (m.predict(WAVES), m.steps(WAVES)[0].scores)
    ),
    "detector, autoencoder": tiny(
        AnomalyDetector,
        WAVES,
        method="autoencoder",
        window=10,
        output="student-t",
        ask=lambda m: m.score_samples(WAVES),
    ),
}
