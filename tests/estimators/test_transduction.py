"""Translation, transcription, captions: the nets against brute force, and the estimators from fit to load."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.base import clone

import elman
from elman.data.batch import Batch
from elman.errors import DataError, OptionError, RunError, ShapeError
from elman.estimators import Captioner, Transcriber, Translator
from elman.estimators.transduction.attention import Additive, Multiplicative
from elman.estimators.transduction.decoder import AttentiveDecoder, Transducer
from elman.estimators.transduction.measures import edits, error_rate
from elman.estimators.transduction.translator import StepsEncoder

SMALL = {"hidden_size": 24, "embedding_size": 24, "min_count": 1, "target_min_count": 1, "spelling": 0}
COUNTS = {"ein": "one", "zwei": "two", "drei": "three", "vier": "four"}
THINGS = {"Hunde": "dogs", "Katzen": "cats", "Tische": "tables", "Brote": "loaves", "Bäume": "trees"}
COLOURS = {"rote": "red", "alte": "old", "neue": "new"}


def phrases() -> tuple[list[str], list[str]]:
    """Phrases whose words come in another order: the colour, in German first, is last in English."""
    every = list(itertools.product(COUNTS.items(), COLOURS.items(), THINGS.items()))
    german = [f"{c[0]} {n[0]} {t[0]}" for n, c, t in every]
    english = [f"{n[1]} {t[1]}, {c[1]}" for n, c, t in every]
    return german, english


@pytest.fixture(scope="module")
def translator() -> Translator:
    german, english = phrases()
    held = set(range(0, len(german), 6))
    learn = [i for i in range(len(german)) if i not in held]
    model = Translator(**SMALL, max_steps=500, learning_rate=0.01, batch_size=16, dropout=0.1, embedding_dropout=0.0)
    return model.fit([german[i] for i in learn], [english[i] for i in learn])


def test_it_translates_phrases_that_it_has_not_seen(translator: Translator):
    german, english = (texts[::6] for texts in phrases())
    assert translator.predict(german) == english
    assert translator.generate(german, num_beams=1) == english
    assert translator.score(german, english) == pytest.approx(100)


def test_it_looks_at_the_word_that_it_translates(translator: Translator):
    words, looked = translator.align(["rote zwei Hunde"])[0]
    assert words == ["▁two", "▁dogs", ",", "▁red"]
    assert looked.shape == (4, 3)
    assert np.allclose(looked.sum(1), 1, atol=1e-5)


def test_a_saved_run_translates_alike(translator: Translator, tmp_path):
    translator.save(tmp_path / "run")
    german = phrases()[0][:7]
    assert elman.load(tmp_path / "run").predict(german) == translator.predict(german)


def test_an_unknown_word_is_copied_from_where_it_looks():
    names = [f"Name{i}" for i in range(40)]
    german = [f"ich sah {name}" for name in names]
    english = [f"I saw {name}" for name in names]
    model = Translator(
        **SMALL | {"min_count": 2, "target_min_count": 2}, max_steps=150, learning_rate=0.01, dropout=0.0
    ).fit(german, english)
    assert model.predict(["ich sah Ada"]) == ["I saw Ada"]
    (alone,) = model.set_params(copy=False).predict(["ich sah Ada"])
    assert alone.startswith("I saw")
    assert "Ada" not in alone


def test_scheduled_sampling_and_additive_attention_learn():
    german, english = phrases()
    model = Translator(**SMALL, attention="additive", sampling=0.25, max_steps=300, learning_rate=0.01, dropout=0.0)
    assert model.fit(german, english).score(german, english) > 90


def test_options_of_sampling_need_one_beam(translator: Translator):
    with pytest.raises(OptionError, match="temperature needs num_beams=1, got 5"):
        translator.generate(["rote ein Hunde"], temperature=0.5)
    drawn = [translator.generate(["rote ein Hunde"], num_beams=1, do_sample=True, seed=s) for s in (1, 1)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (["a", "b"], ["c"], "must have a text for each of 2 sequences, got 1"),
        (["a"], [""], r"y\[0\] must be a text that is not empty, got ''"),
        (["a"], [3], r"y\[0\] must be a text that is not empty, got 3"),
        ([""], ["a"], "sequence 0 is empty"),
    ],
)
def test_pairs_that_do_not_fit_are_told(X, y, said):
    with pytest.raises(DataError, match=said):
        Translator(**SMALL, max_steps=1).fit(X, y)


# -- the parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Multiplicative, Additive])
def test_attention_is_its_equation(kind):
    torch.manual_seed(0)
    attention = kind(3, 5)
    q, m = torch.randn(2, 4, 3), torch.randn(2, 6, 5)
    found = attention(q, attention.keys(m)).detach()
    for b, t, j in itertools.product(range(2), range(4), range(6)):
        key = attention.project(m[b, j])
        if kind is Multiplicative:
            wanted = q[b, t] @ key / math.sqrt(3)
        else:
            wanted = attention.score(torch.tanh(attention.look(q[b, t]) + key))[0]
        assert float(found[b, t, j]) == pytest.approx(float(wanted.detach()), abs=1e-5)


def transducer() -> Transducer:
    torch.manual_seed(1)
    decoder = AttentiveDecoder(7, 5, 8, "multiplicative", cell="gru", hidden_size=6, num_layers=2, dropout=0.0)
    encoder = StepsEncoder(Pass(), cell="gru", hidden_size=4, bidirectional=True)
    return Transducer(encoder, decoder, 6).eval()


class Pass(torch.nn.Module):
    size = 3

    def forward(self, x, lengths):
        return x, lengths


def test_single_steps_are_the_whole_pass():
    net, x, y = transducer(), torch.randn(2, 5, 3), torch.tensor([[1, 2, 3, 6], [4, 5, 0, 6]])
    state = net.begin(x, torch.tensor([5, 3]))
    whole = net.decoder.scores(net.decoder(net.before(y), state)[0])
    for t in range(4):
        z, state = net.step(net.before(y)[:, t], state)
        torch.testing.assert_close(z, whole[:, t])


def test_padding_and_neighbours_change_nothing():
    net, x, y = transducer(), torch.randn(2, 5, 3), torch.tensor([[1, 2, 6, 0], [4, 5, 0, 6]])
    both = Batch(x, y, torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 1]]), torch.tensor([3, 5]))
    first = Batch(x[:1, :3], y[:1, :3], torch.ones(1, 3), torch.tensor([3]))
    second = Batch(x[1:], y[1:], torch.ones(1, 4), torch.tensor([5]))
    apart = (3 * net.loss(first)[0] + 4 * net.loss(second)[0]) / 7
    torch.testing.assert_close(net.loss(both)[0], apart)


# -- transcribing --------------------------------------------------------------------------------------------------


def signals(count: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Each letter is a tone that lasts a random while; between letters it is quiet."""
    rng = np.random.default_rng(seed)
    X, y = [], []
    for _ in range(count):
        letters = rng.choice(list("abc"), rng.integers(1, 5))
        parts = []
        for letter in letters:
            parts.append(np.repeat(np.eye(3)[["abc".index(letter)]], rng.integers(4, 9), 0))
            parts.append(np.zeros((rng.integers(2, 5), 3)))
        X.append(np.concatenate(parts) + rng.normal(0, 0.1, (sum(map(len, parts)), 3)))
        y.append("".join(letters))
    return X, y


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return Transcriber(hidden_size=24, max_steps=300, learning_rate=0.01).fit(*signals(200, 0))


def test_it_transcribes_signals_that_it_has_not_heard(transcriber: Transcriber):
    X, y = signals(50, 1)
    assert transcriber.score(X, y) > 0.95
    assert transcriber.score(X, y) == 1 - error_rate(y, transcriber.predict(X))
    greedy = transcriber.set_params(num_beams=1).predict(X)
    transcriber.set_params(num_beams=10)
    assert 1 - error_rate(y, greedy) > 0.95


def test_a_saved_run_transcribes_alike(transcriber: Transcriber, tmp_path):
    transcriber.save(tmp_path / "run")
    X, _ = signals(5, 2)
    again = elman.load(tmp_path / "run")
    assert again.predict(X) == transcriber.predict(X)
    assert again.stride_ == transcriber.stride_ > 1


def test_its_loss_is_the_sum_over_all_paths(transcriber: Transcriber):
    net, x = transcriber.network_, torch.randn(1, 4 * transcriber.stride_, 3)
    y = torch.tensor([[1, 1]])
    logs = net(x, torch.tensor([x.shape[1]]))[0][0]
    total = -math.inf
    for path in itertools.product(range(logs.shape[1]), repeat=4):
        spelt = [k for k, _ in itertools.groupby(path) if k]
        if spelt == [1, 1]:
            total = np.logaddexp(total, float(sum(logs[t, k] for t, k in enumerate(path)).detach()))
    with torch.no_grad():
        loss, _ = net.loss(Batch(x, y, torch.ones(1, 2), torch.tensor([x.shape[1]])))
    assert float(loss) == pytest.approx(-total / 2, rel=1e-4)


def test_a_text_longer_than_its_signal_is_told():
    with pytest.raises(DataError, match=r"y\[1\] must be shorter than its signal, got 5 labels for 3 steps"):
        Transcriber(max_steps=1).fit([np.zeros((9, 2)), np.zeros((3, 2))], ["ab", "abcde"])


def test_a_label_that_is_new_is_told(transcriber: Transcriber):
    with pytest.raises(DataError, match="a label that the first call did not: 'az'"):
        transcriber.partial_fit([np.zeros((30, 3))], ["az"])


# -- captions ------------------------------------------------------------------------------------------------------


def drawings(count: int, seed: int, side: int = 12) -> tuple[list[np.ndarray], list[str]]:
    rng = np.random.default_rng(seed)
    X, y = [], []
    for _ in range(count):
        picture, colour, lying = rng.uniform(0, 40, (side, side, 3)), rng.integers(3), rng.integers(2)
        at = rng.integers(2, side - 2)
        picture[at : at + 1, :, colour] = 255 if lying else picture[at, :, colour]
        picture[:, at : at + 1, colour] = picture[:, at : at + 1, colour] if lying else 255
        X.append(picture.astype(np.uint8))
        y.append(f"a {'lying' if lying else 'standing'} {['red', 'green', 'blue'][colour]} line")
    return X, y


def test_it_captions_pictures_that_it_has_not_seen(tmp_path):
    small = {"hidden_size": 24, "embedding_size": 24, "side": 12, "blocks": 2, "dropout": 0.1}
    model = Captioner(**small, max_steps=250, learning_rate=0.005).fit(*drawings(150, 0))
    X, y = drawings(30, 1)
    assert np.mean([a == b for a, b in zip(model.predict(X), y, strict=True)]) > 0.9
    model.save(tmp_path / "run")
    assert elman.load(tmp_path / "run").predict(X[:3]) == model.predict(X[:3])
    larger = [np.kron(x, np.ones((2, 2, 1), np.uint8)) for x in X]  # of another size: brought to the net's
    assert np.mean([a == b for a, b in zip(model.predict(larger), y, strict=True)]) > 0.9


def test_a_picture_of_other_colours_is_told():
    model = Captioner(hidden_size=4, side=8, blocks=1, max_steps=1).fit([np.zeros((8, 8, 3))] * 2, ["a", "b"])
    with pytest.raises(DataError, match=r"picture 0 must be numbers \(H, W, 3\), got \(8, 8, 1\)"):
        model.predict([np.zeros((8, 8))])


def test_regions_of_an_encoder_of_ones_own_are_looked_at():
    rng = np.random.default_rng(0)
    names = ["sun", "moon", "star"]
    y = rng.integers(3, size=60)
    X = [np.vstack([rng.normal(0, 0.1, (4, 3)), np.eye(3)[[k]]]) for k in y]
    texts = [f"a {names[k]}" for k in y]
    model = Captioner(hidden_size=16, embedding_size=16, max_steps=120, learning_rate=0.01).fit(X, texts)
    assert model.predict(X[:9]) == texts[:9]


class Patches(torch.nn.Module):
    """Pictures in [0, 1] as a map, as steps, or as one vector; training would change its statistics."""

    def __init__(self, form: str = "map", size: int = 12) -> None:
        super().__init__()
        self.form, self.net = form, torch.nn.Conv2d(3, size, 4, stride=4)
        self.norm, self.seen = torch.nn.BatchNorm2d(size), []

    def forward(self, x):
        self.seen.append((float(x.min()), float(x.max())))
        y = torch.relu(self.norm(self.net(x)))
        return {"map": y, "steps": y.flatten(2).transpose(1, 2), "vector": y.mean((2, 3)), "scalar": y.mean()}[
            self.form
        ]


PATCHED = {"hidden_size": 16, "embedding_size": 16, "side": 12, "max_steps": 20}


def weights(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("form", ["map", "steps", "vector"])
@pytest.mark.parametrize("learn", [False, True])
def test_an_encoder_module_of_ones_own(tmp_path, form, learn):
    X, y = drawings(40, 0)
    mine = Patches(form)
    before = weights(mine)
    model = Captioner(**PATCHED, encoder=mine, train_encoder=learn)
    assert model.get_params()["encoder"] is mine
    assert clone(model).encoder is not mine
    model.fit(X, y, folder=tmp_path / "run")
    assert same(before, weights(mine))  # the user's own is not touched
    assert same(before, weights(model.network_.encoder.module)) is not learn
    model.network_.encoder.module.seen.clear()
    said = model.predict(X)
    assert all(0 <= least <= most <= 1 for least, most in model.network_.encoder.module.seen)
    again = elman.load(tmp_path / "run", encoder=Patches(form))
    assert again.predict(X) == said
    assert same(weights(model.network_), weights(again.network_))
    assert again.get_params()["train_encoder"] is learn
    # a finished run is taken as it is
    assert clone(model).fit(X, y, folder=tmp_path / "run", resume=True).predict(X) == said


def test_a_run_with_an_encoder_says_what_it_needs(tmp_path):
    X, y = drawings(8, 0)
    Captioner(**PATCHED | {"max_steps": 1}, encoder=Patches()).fit(X, y, folder=tmp_path / "run")
    Captioner(**PATCHED | {"max_steps": 1}, blocks=1).fit(X, y, folder=tmp_path / "plain")
    for given, message in (
        ({}, r"expected the encoder that it was trained with, Patches, got None\. Give it: encoder=Patches\(…\)"),
        ({"encoder": torch.nn.Identity()}, "Patches, got Identity"),
        ({"encoder": Patches(size=5)}, "do not fit together"),
    ):
        with pytest.raises(RunError, match=message) as problem:
            elman.load(tmp_path / "run", **given)
        assert "\n" not in str(problem.value)
    with pytest.raises(RunError, match=r"got Patches\. Leave it out"):
        elman.load(tmp_path / "plain", encoder=Patches())
    with pytest.raises(OptionError, match="a Captioner is loaded without 'decoder'"):
        elman.load(tmp_path / "plain", decoder=Patches())


def test_an_encoder_that_does_not_fit_is_one_line():
    X, y = drawings(4, 0)
    for encoder, message in (
        (Patches, "must be a torch.nn.Module, an instance, got Patches"),
        (Patches("scalar"), r"must give \(B, S, F\), \(B, F, H, W\) or \(B, F\), got \(\)"),
        (torch.nn.Conv2d(1, 2, 3), r"must take pictures \(2, 3, 12, 12\), it says: .*channels"),
    ):
        with pytest.raises((OptionError, ShapeError), match=message):
            Captioner(**PATCHED, encoder=encoder).fit(X, y)
    with pytest.raises(DataError, match=r"the encoder needs pictures \(H, W, C\), got \(4, 3\)"):
        Captioner(**PATCHED, encoder=Patches()).fit([np.zeros((4, 3))] * 2, ["a", "b"])


# -- measures ------------------------------------------------------------------------------------------------------


def test_edits_are_the_least_number():
    def slow(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        return min(slow(a[1:], b) + 1, slow(a, b[1:]) + 1, slow(a[1:], b[1:]) + (a[0] != b[0]))

    rng = np.random.default_rng(0)
    for _ in range(60):
        a, b = ("".join(rng.choice(list("ab"), rng.integers(0, 6))) for _ in range(2))
        assert edits(a, b) == slow(a, b)
