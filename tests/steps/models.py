"""Small fitted models, one of each kind that can stream."""

from __future__ import annotations

import functools

import numpy as np

import elman

QUICK = {"bidirectional": False, "hidden_size": 8, "max_steps": 30, "random_state": 0}
POOLINGS = ("last", "mean", "max", "attention")


@functools.cache
def signals():
    """Signals (T, 2) with missing values, and what is to be said of them."""
    dice = np.random.default_rng(0)
    X = [dice.normal(size=(dice.integers(6, 20), 2)) * [1, 50] + [0, 1000] for _ in range(40)]
    X[0][2, 1] = np.nan
    return X, [float(x[:, 0].sum()) for x in X]


SENTENCES = [["the", "cat", "sat"], ["a", "dog", "ran"], ["the", "dog", "sat", "down"]] * 5
TAGS = [["DET", "NOUN", "VERB"], ["DET", "NOUN", "VERB"], ["DET", "NOUN", "VERB", "ADV"]] * 5


def classifier(pooling="max", **options):
    X, y = signals()
    return elman.SequenceClassifier(pooling=pooling, **QUICK | options).fit(X, np.where(np.array(y) > 0, "up", "down"))


def regressor():
    X, y = signals()
    return elman.SequenceRegressor(num_layers=2, **QUICK).fit(X, np.stack([y, np.square(y)], 1))


def number_tagger():
    X, _ = signals()
    return elman.SequenceTagger(**QUICK).fit(X, [x[:, 0].cumsum() for x in X])


def tagger(*, crf=False, spelling=0):
    return elman.SequenceTagger(crf=crf, spelling=spelling, **QUICK).fit(SENTENCES, TAGS)


def letters():
    return elman.LanguageModel(hidden_size=16, max_steps=60, batch_size=2).fit("so it goes. " * 60)


def notes():
    roll = np.tile(np.eye(4), (30, 1))
    return elman.LanguageModel(hidden_size=8, max_steps=30, batch_size=2).fit([roll])


def detector():
    wave = np.sin(np.arange(400) / 4)[:, None] * [1, 20] + np.random.default_rng(0).normal(size=(400, 2)) + [0, 100]
    return elman.AnomalyDetector(hidden_size=8, max_steps=40, lags=5).fit([wave])


def forecaster(ids=("a", "b")):
    import pandas as pd

    days = pd.date_range("2024", periods=40)
    rows = [{"unique_id": i, "ds": d, "y": 10.0 + k % 7 + len(i)} for i in ids for k, d in enumerate(days)]
    return elman.Forecaster(horizon=3, hidden_size=8, max_steps=10).fit(pd.DataFrame(rows))


ALL = {
    **{f"classifier {pooling}": functools.partial(classifier, pooling) for pooling in POOLINGS},
    "classifier of layers": functools.partial(classifier, num_layers=2, layer_norm=True, cell="gru", zoneout=0.1),
    "classifier of heads": functools.partial(
        classifier, heads=2, num_layers=2, learn_initial_state=True, checkpoint="auto"
    ),
    "regressor": regressor,
    "tagger of numbers": number_tagger,
    **{
        f"tagger crf={crf} spelling={spelling}": functools.partial(tagger, crf=crf, spelling=spelling)
        for crf in (False, True)
        for spelling in (0, 6)
    },
    "letters": letters,
    "notes": notes,
    "detector": detector,
}


@functools.cache
def fitted(name):
    return ALL[name]()


def steps_for(name):
    """A sequence such as the model reads, as steps to push."""
    if name.startswith("tagger crf"):
        return ["the", "dog", "sat", "nowhere"]
    if name == "detector":
        return [
            *np.random.default_rng(1).normal(size=(12, 2)) * [1, 20] + [0, 100],
            [np.nan, 90.0],
            [np.nan, np.nan],
            [0.5, 90],
        ]
    if name == "letters":
        return list("so it goes")
    return list(np.eye(4)[[0, 1, 2, 3, 0]]) if name == "notes" else list(signals()[0][0])
