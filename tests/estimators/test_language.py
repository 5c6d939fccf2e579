"""The language model: what it learns, how it is judged, what it writes."""

from __future__ import annotations

import math
import signal
import sys

import numpy as np
import pytest
import torch

import elman
from elman.data.batch import Batch
from elman.errors import DataError, MissingExtraError, OptionError
from elman.estimators import LanguageModel
from elman.estimators.language.bodies import BODIES, REACH
from elman.estimators.language.network import LanguageNetwork
from elman.training.progress import Silent
from elman.training.signals import Interrupted
from tests.conftest import assert_close

SMALL = {
    "hidden_size": 24,
    "embedding_size": 12,
    "batch_size": 4,
    "max_steps": 250,
    "learning_rate": 0.02,
    "truncate": 20,
    "dropout": 0.1,
    "recurrent_dropout": 0.0,
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
    assert model.generate("the cat", max_new_tokens=3, do_sample=False) == " sat . the"
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


def test_frames_are_generated_by_the_seed_and_follow_what_was_learned():
    model = LanguageModel(**SMALL).fit(rolls())
    first = model.generate(max_new_tokens=300, seed=1)
    assert first.shape == (300, 2) and first.dtype == np.uint8
    assert (first == model.generate(max_new_tokens=300, seed=1)).all()
    assert (first != model.generate(max_new_tokens=300, seed=2)).any()
    assert (first == np.array(list(model.tokens(max_new_tokens=300, seed=1)))).all()
    assert (np.diff(first[10:, 0].astype(int)) != 0).mean() > 0.95  # on at every other frame
    assert 0.4 < first[:, 1].mean() < 0.6
    roll = rolls(1, 7, seed=5)[0]  # its last frame has the first note off
    assert model.generate(roll, max_new_tokens=4, do_sample=False)[:, 0].tolist() == [1, 0, 1, 0]
    with pytest.raises(OptionError, match="got top_k"):
        model.generate(top_k=3)
    with pytest.raises(DataError, match=r"must be \(T, 2\)"):
        model.generate(np.zeros((3, 5)))


def test_an_interrupted_training_on_rolls_goes_on_to_the_same_weights(tmp_path):
    class StopAt(Silent):
        def step(self, step, *rest):
            if step == 7:
                signal.raise_signal(signal.SIGTERM)

    options = {**SMALL, "max_steps": 20, "dropout": 0.3}
    with pytest.raises(Interrupted, match="stopped at step 7"):
        LanguageModel(**options).fit(rolls(30), folder=tmp_path / "run", progress=StopAt())
    resumed = LanguageModel(**options).fit(rolls(30), folder=tmp_path / "run", resume=True)
    whole = LanguageModel(**options).fit(rolls(30))
    assert resumed.history_.column("step")[-1] == 20
    for name, weight in whole.network_.state_dict().items():
        assert torch.equal(resumed.network_.state_dict()[name], weight), name
    loaded = elman.load(tmp_path / "run")
    assert (loaded.generate(max_new_tokens=20) == whole.generate(max_new_tokens=20)).all()
    assert (loaded.losses(rolls(2))[1] == whole.losses(rolls(2))[1]).all()


@pytest.mark.parametrize("body", BODIES)
def test_every_body_carries_its_past_from_window_to_window(body):
    model = LanguageModel(**{**SMALL, "max_steps": 3, "body": body}).fit(rolls())
    x = torch.from_numpy(rolls(1, 30)[0]).float()[None]
    with torch.no_grad():
        whole, _ = model.network_(x)
        state, parts = None, []
        for begin, end in ((0, 1), (1, 3), (3, 17), (17, 30)):
            z, state = model.network_(x[:, begin:end], state)
            parts.append(z)
    assert_close(torch.cat(parts, 1), whole, body)


def test_a_window_sees_its_steps_and_no_others():
    network = LanguageNetwork(0, 2, body="feed-forward", hidden_size=5, dropout=0.0)
    torch.nn.init.normal_(network.head.weight)
    x = torch.rand(1, 12, 2)
    z, _ = network(x)
    for back in range(REACH + 2):
        other = x.clone()
        other[0, 9 - back] += 1
        assert (network(other)[0][0, 9] != z[0, 9]).any() == (back < REACH), back


def test_an_untrained_net_knows_the_frequencies():
    model = LanguageModel(**{**SMALL, "max_steps": 1, "learning_rate": 1e-9, "validation": 0.0})
    text = "aaab" * 50
    expected = [(150.5 / 201.5), (50.5 / 201.5)]
    assert np.exp(-model.fit(text).losses("aab")[0]) == pytest.approx(expected, rel=1e-4)
    notes = model.fit([np.array([[1, 0], [1, 0], [1, 1], [0, 0]])] * 3).losses([np.array([[0, 0], [1, 0]])])
    assert np.exp(-notes[0][0]) == pytest.approx(9.5 / 13 * 9.5 / 13, rel=1e-4)


def test_what_is_held_back():
    model = LanguageModel(**SMALL)
    model.seed_ = 3
    few = [torch.arange(40), torch.arange(10)]
    model.validation = 0.1
    learn, held = model._split(few)
    assert [len(x) for x in learn] == [36, 9] and [x.tolist() for x in held] == [[0, 1, 2, 3], [0]]
    many = [torch.full((5,), i) for i in range(50)]
    learn, held = model._split(many)
    assert len(held) == 5 and sorted(int(x[0]) for x in learn + held) == list(range(50))
    assert all(len(x) == 5 for x in learn + held)


def test_a_second_fit_forgets_the_first():
    model = LanguageModel(**{**SMALL, "max_steps": 2})
    assert model.fit(rolls()).generate(max_new_tokens=3).shape == (3, 2)
    assert model.fit([np.eye(9)] * 4).generate(max_new_tokens=3).shape == (3, 9)
    assert len(model.fit(TEXT).generate(max_new_tokens=3)) == 3


def test_weights_are_chosen_by_the_validation_that_is_given():
    model = LanguageModel(**{**SMALL, "max_steps": 30})
    model.fit(TEXT, X_validation="abd" * 100)
    assert model.history_.best_loss == pytest.approx(-model.score("abd" * 100), rel=1e-3)


def test_rare_words_are_met_as_unknown_ones():
    model = LanguageModel(analyzer="space", **{**SMALL, "max_steps": 60}).fit("so it goes . " * 40 + "once . twice .")
    assert model.inputs_.vocabulary.names == (".", "goes", "it", "so")
    assert model.encode(["so once"])[0].tolist() == [4, 0]
    text = model.generate("so", max_new_tokens=300, seed=0)
    assert set(text.split()) == {".", "goes", "it", "so"}  # the unknown one is never written
    with pytest.raises(DataError, match="no token of X occurs 2 times"):
        LanguageModel(analyzer="space").fit("every word is new")


def test_byte_pairs_write_any_text_and_are_kept_in_the_folder(tmp_path):
    pytest.importorskip("tokenizers")
    text = "Straße – 雪が降る, so it goes. " * 30
    model = LanguageModel(analyzer="bpe", vocabulary_size=300, **{**SMALL, "max_steps": 80})
    model.fit(text, folder=tmp_path / "run")
    assert "".join(model.pieces(text + " 🐎")) == text + " 🐎"
    codes = model.encode([text])[0]
    assert len(codes) < len(text) and codes.min() > 0 and codes.max() < len(model.inputs_) <= 301
    loaded = elman.load(tmp_path / "run")
    assert loaded.perplexity(text) == model.perplexity(text) < 300
    said = model.generate("Stra", max_new_tokens=40, seed=1)
    assert (
        said
        == loaded.generate("Stra", max_new_tokens=40, seed=1)
        == "".join(loaded.tokens("Stra", max_new_tokens=40, seed=1))
    )
    with pytest.raises(DataError, match="must be a text for the analyzer 'bpe', got list"):
        model.losses([["so", "it"]])


def test_byte_pairs_without_their_package_name_the_one_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match="pip install tokenizers"):
        LanguageModel(analyzer="bpe").fit(TEXT)


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
    assert "".join(loaded.tokens("ab", max_new_tokens=30, seed=3)) == model.generate("ab", max_new_tokens=30, seed=3)
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
