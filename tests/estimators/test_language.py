"""The language model: what it learns, how it is judged, what it writes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import elman
from elman.data.batch import Batch
from elman.errors import DataError, OptionError
from elman.estimators import LanguageModel

SMALL = {
    "hidden_size": 24,
    "embedding_size": 12,
    "batch_size": 4,
    "max_steps": 250,
    "learning_rate": 0.02,
    "truncate": 20,
}
TEXT = "abcabd" * 120


def test_a_pattern_longer_than_one_letter_is_learned():
    model = LanguageModel(**SMALL).fit(TEXT)
    assert model.bits(TEXT) < 0.1
    assert model.perplexity(TEXT) == pytest.approx(2 ** model.bits(TEXT))
    assert model.score([TEXT]) == pytest.approx(-math.log(2) * model.bits(TEXT))
    assert model.generate("abca", max_new_tokens=8, do_sample=False) == "bdabcabd"


def test_a_uniform_source_costs_its_entropy():
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abcd"), 4000))
    other = "".join(rng.choice(list("abcd"), 2000))
    assert LanguageModel(**{**SMALL, "max_steps": 60}).fit(text).bits(other) == pytest.approx(2.0, abs=0.1)


def test_words_and_unknown_words():
    text = "the cat sat . the dog ran . " * 40
    model = LanguageModel(analyzer="space", **SMALL).fit(text)
    assert model.generate("the cat", max_new_tokens=3, do_sample=False) == "sat . the"
    assert math.isfinite(model.bits("the zebra sat ."))


def rolls(count=12, steps=40, seed=0):
    """A note that is on at every other frame, and one that is on at random."""
    rng = np.random.default_rng(seed)
    return [np.stack([np.arange(steps) % 2, rng.random(steps) < 0.5], 1).astype(float) for _ in range(count)]


def test_frames_of_notes():
    model = LanguageModel(**SMALL).fit(rolls())
    # the random note costs log 2 nats a frame, the other nothing
    assert -model.score(rolls(seed=1)) == pytest.approx(math.log(2), abs=0.08)
    with pytest.raises(DataError, match="frames must hold 0 and 1"):
        LanguageModel(**SMALL).fit([np.full((3, 2), 0.5)])


def test_a_text_is_judged_the_same_in_one_piece_or_long():
    model = LanguageModel(**{**SMALL, "max_steps": 20}).fit(TEXT)
    long = TEXT * 8
    codes = model._encode([long], "bits")[0]
    with torch.no_grad():
        z, _ = model.network_(codes[None, :-1])
        whole = model.network_.losses(z, codes[None, 1:, 0]).double().mean().item() / math.log(2)
    assert len(long) > 2001
    assert model.bits(long) == pytest.approx(whole, rel=1e-5)


def test_a_row_that_begins_anew_forgets():
    model = LanguageModel(**{**SMALL, "max_steps": 5, "validation": 0.0}).fit(TEXT)
    net = model.network_
    x, y = torch.ones(2, 3, 1, dtype=torch.long), torch.ones(2, 3, dtype=torch.long)
    state = tuple(torch.randn_like(s) for s in net.body.initial_state(2))
    _, after = net.loss(Batch(x, y, reset=torch.tensor([True, False])), state)
    _, fresh = net.loss(Batch(x, y, reset=torch.tensor([True, True])), None)
    assert torch.allclose(after[0][:, 0], fresh[0][:, 0])
    assert not torch.allclose(after[0][:, 1], fresh[0][:, 1])


def test_a_folder_gives_it_back_and_the_seed_the_same_text(tmp_path):
    model = LanguageModel(**{**SMALL, "max_steps": 20}).fit(TEXT, folder=tmp_path / "run")
    loaded = elman.load(tmp_path / "run")
    assert loaded.generate("ab", seed=3) == model.generate("ab", seed=3) != model.generate("ab", seed=4)
    assert "".join(loaded.stream("ab", max_new_tokens=30, seed=3)) == model.generate("ab", max_new_tokens=30, seed=3)
    assert loaded.bits(TEXT) == model.bits(TEXT)
    frames = LanguageModel(**{**SMALL, "max_steps": 5}).fit(rolls(), folder=tmp_path / "frames")
    assert elman.load(tmp_path / "frames").score(rolls()) == frames.score(rolls())


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({}, [], "at least one text"),
        ({}, "a", "two tokens or more"),
        ({"analyzer": "char"}, "abc", "did you mean 'character'"),
        ({"truncate": 0}, "abc", "truncate must be a whole number"),
        ({"validation": 1}, "abc", "validation must be"),
    ],
)
def test_wrong_input_is_one_line(options, X, message):
    with pytest.raises((DataError, OptionError), match=message):
        LanguageModel(**options).fit(X)


def test_unknown_generation_options_are_named():
    model = LanguageModel(**{**SMALL, "max_steps": 2}).fit(TEXT)
    with pytest.raises(OptionError, match="unknown option 'topk'"):
        model.generate("a", topk=3)
