"""Baselines of language models: what they count, by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elman.estimators import LanguageModel
from elman.evidence.kneser_ney import KneserNey
from elman.evidence.next_token import NGram, NoteFrequency, NoteGivenItself, Uniform, baselines

RNG = np.random.default_rng(0)
ROLLS = [(RNG.random((30, 4)) < [0.1, 0.5, 0.9, 0.0]).astype(np.uint8) for _ in range(5)]


def test_uniform_costs_the_logarithm_of_the_vocabulary():
    assert Uniform(8).fit([]).losses([np.arange(5), np.arange(1)])[0].tolist() == [math.log(8)] * 4


def test_frequencies_of_tokens():
    text = np.array([1, 1, 2, 1, 1, 2, 3])
    model = NGram(4, most=1).fit([text])
    assert model.name == "unigram"
    assert model.losses([text])[0].tolist() == KneserNey(1, 4).fit([text.tolist()]).losses(text.tolist())


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_is_the_first_that_a_longer_one_does_not_beat(order):
    """A chain whose next token is decided by the order - 1 before it, and by nothing longer."""
    rng = np.random.default_rng(order)
    likely = rng.integers(3, size=[3] * (order - 1))
    text = [0, 0, 0]
    for _ in range(4000):
        before = tuple(text[len(text) - order + 1 :])
        text.append(int(likely[before]) if order > 1 and rng.random() < 0.8 else int(rng.integers(3)))
    model = NGram(3).fit([np.array(text)])
    cut = len(text) - len(text) // 10
    costs = [sum(KneserNey(n, 3).fit([text[:cut]]).losses(text[cut:])) for n in range(1, 9)]
    first = next(n for n in range(1, 8) if costs[n] >= costs[n - 1])
    assert order <= model.order == first
    assert model.name == f"Kneser–Ney {first}-gram"


def test_notes_by_how_often_they_sound():
    found = NoteFrequency().fit(ROLLS).losses(ROLLS[:1])[0]
    every = np.concatenate(ROLLS)
    for t in range(1, 30):
        cost = 0.0
        for note in range(4):
            p = (every[:, note].sum() + 0.5) / (len(every) + 1)
            cost -= math.log(p if ROLLS[0][t, note] else 1 - p)
        assert found[t - 1] == pytest.approx(cost)


def test_notes_by_whether_they_sounded():
    found = NoteGivenItself().fit(ROLLS).losses(ROLLS[:1])[0]
    for t in range(1, 30):
        cost = 0.0
        for note in range(4):
            was = ROLLS[0][t - 1, note]
            after = [roll[s, note] for roll in ROLLS for s in range(1, 30) if roll[s - 1, note] == was]
            p = (sum(map(int, after)) + 0.5) / (len(after) + 1)
            cost -= math.log(p if ROLLS[0][t, note] else 1 - p)
        assert found[t - 1] == pytest.approx(cost)


def test_which_are_run():
    small = {"hidden_size": 4, "max_steps": 2}
    text = LanguageModel(**small).fit("so it goes. " * 20)
    assert [model.name.split()[0] for model in baselines(text)] == ["uniform", "unigram", "Kneser–Ney"]
    found = baselines(LanguageModel(**small).fit(ROLLS))
    assert [model.name for model in found] == [
        *("note frequency", "note given itself before", "logistic regression", "feed-forward")
    ]
    for model in found[2:]:
        assert np.isfinite(model.fit(ROLLS).losses(ROLLS[:1])[0]).all()
