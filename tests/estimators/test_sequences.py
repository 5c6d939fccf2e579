"""Estimators over whole sequences: they learn what needs memory, come back from disk, and keep scikit-learn's rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import elman
from elman.errors import DataError, ElmanError, OptionError
from elman.estimators import SequenceClassifier, SequenceRegressor, SequenceTagger
from elman.estimators.base import NotYetFittedError


def first_sign(count=120, steps=12, seed=0):
    """The sign of the first number; what follows is noise: the last step alone does not tell."""
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(rng.integers(3, steps), 2)) for _ in range(count)]
    return X, np.array(["minus" if x[0, 0] < 0 else "plus" for x in X])


SMALL = {"hidden_size": 16, "max_steps": 300, "learning_rate": 0.02}


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_a_class_that_only_the_first_step_tells_is_learned(pooling):
    X, y = first_sign()
    model = SequenceClassifier(pooling=pooling, **SMALL).fit(X, y)
    assert model.score(*first_sign(seed=1)) > 0.9
    proba = model.predict_proba(X)
    assert proba.shape == (120, 2)
    assert np.allclose(proba.sum(1), 1)
    assert (model.classes_[proba.argmax(1)] == model.predict(X)).all()


@pytest.mark.parametrize("body", ["feed-forward", "convolution"])
def test_the_baselines_bodies_learn_too(body):
    X, y = first_sign()
    assert SequenceClassifier(body=body, **SMALL).fit(X, y).score(*first_sign(seed=1)) > 0.8


def test_numbers_are_regressed_in_their_own_units():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(rng.integers(2, 9), 1)) for _ in range(200)]
    y = np.array([1000 + 50 * x.sum() for x in X])
    model = SequenceRegressor(**SMALL).fit(X[:150], y[:150])
    assert model.score(X[150:], y[150:]) > 0.9
    two = SequenceRegressor(loss="huber", **SMALL).fit(X[:150], np.stack([y, -y], 1)[:150])
    assert two.predict(X[150:]).shape == (50, 2)


def parity(count=150, seed=0):
    """The label of a step is whether an even number of ones came so far."""
    rng = np.random.default_rng(seed)
    X = [rng.integers(2, size=(rng.integers(2, 9), 1)).astype(float) for _ in range(count)]
    return X, [np.where(np.cumsum(x[:, 0]) % 2 == 0, "even", "odd") for x in X]


@pytest.mark.parametrize("crf", [False, True])
def test_labels_of_steps_that_need_all_that_came_before(crf):
    X, y = parity()
    model = SequenceTagger(crf=crf, bidirectional=False, hidden_size=24, max_steps=600).fit(X, y)
    assert model.score(*parity(seed=1)) > 0.97
    assert [len(tags) for tags in model.predict(X)] == [len(x) for x in X]


def test_words_are_tagged_by_their_spelling_where_they_are_new():
    rng = np.random.default_rng(0)
    letters = list("abcdefgh")

    def word():
        return "".join(rng.choice(letters, size=5))

    X = [[word() + ("ing" if rng.random() < 0.5 else "ed") for _ in range(4)] for _ in range(150)]
    y = [["V" if w.endswith("ing") else "P" for w in names] for names in X]
    assert SequenceTagger(hidden_size=16, max_steps=300).fit(X[:100], y[:100]).score(X[100:], y[100:]) > 0.97
    assert SequenceTagger(hidden_size=16, max_steps=100, spelling=0).fit(X[:100], y[:100]).score(X[100:], y[100:]) < 0.8


def test_numbers_of_steps_are_regressed():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(7, 1)) for _ in range(100)]
    y = [10 + np.cumsum(x[:, 0]) for x in X]
    model = SequenceTagger(hidden_size=24, max_steps=500).fit(X[:80], y[:80])
    assert model.score(X[80:], y[80:]) > 0.9


CASES = {
    "classes of text": (SequenceClassifier, ["good fun", "a bore", "fun", "dull bore"] * 6, [1, 0, 1, 0] * 6, {}),
    "classes of numbers": (SequenceClassifier, *first_sign(24), {"class_weight": "balanced", "cell": "gru"}),
    "names": (SequenceClassifier, [["New York", "x"], ["y"]] * 6, [True, False] * 6, {"pooling": "max"}),
    "numbers": (SequenceRegressor, np.random.default_rng(0).normal(size=(20, 6)), np.arange(20.0), {"num_layers": 2}),
    "tags": (SequenceTagger, [["a", "Dog"], ["b"]] * 8, [["D", "N"], ["D"]] * 8, {"crf": True}),
    "tags of numbers": (SequenceTagger, [[0.0, 1.0], [1.0]] * 8, [[0.5, 1.5], [1.0]] * 8, {}),
}


def equal(a, b):
    return all(np.array_equal(x, z) for x, z in zip(a, b, strict=True))


@pytest.mark.parametrize(("kind", "X", "y", "options"), CASES.values(), ids=CASES)
def test_the_same_seed_gives_the_same_model_and_a_folder_gives_it_back(tmp_path, kind, X, y, options):
    options = {"hidden_size": 8, "max_steps": 12, "min_count": 1, **options}
    model = kind(**options).fit(X, y, folder=tmp_path / "run")
    loaded = elman.load(tmp_path / "run")
    assert type(loaded) is kind
    assert equal(loaded.predict(X), model.predict(X))
    assert equal(kind(**options).fit(X, y).predict(X), model.predict(X))
    for name, value in model.get_params().items():
        assert loaded.get_params()[name] == value, name
    loaded.save(tmp_path / "again")
    assert equal(elman.load(tmp_path / "again").predict(X), model.predict(X))
    assert equal(clone(model).fit(X, y, folder=tmp_path / "run", resume=True).predict(X), model.predict(X))


def test_the_order_and_company_of_sequences_change_nothing():
    X, y = first_sign(40)
    model = SequenceClassifier(hidden_size=8, max_steps=30).fit(X, y)
    together = model.predict_proba(X)
    backwards = model.predict_proba(X[::-1])[::-1]
    alone = np.concatenate([model.predict_proba([x]) for x in X])
    assert np.allclose(together, backwards, atol=1e-6)
    assert np.allclose(together, alone, atol=1e-6)


def test_a_rare_class_counts_when_asked_to():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(5, 1)) for _ in range(200)]
    y = np.array([x.mean() > 0.55 for x in X])
    assert 0.02 < y.mean() < 0.2
    plain, balanced = (
        SequenceClassifier(class_weight=w, hidden_size=8, max_steps=60).fit(X, y).predict(X)[y].mean()
        for w in (None, "balanced")
    )
    assert balanced > plain
    assert balanced > 0.9


def test_in_scikit_learns_company():
    X, y = first_sign(60)
    model = SequenceClassifier(hidden_size=8, max_steps=40)
    assert len(cross_val_score(model, np.array(X, dtype=object), y, cv=3)) == 3
    doubled = make_pipeline(FunctionTransformer(lambda X: [2 * x for x in X]), model).fit(X, y)
    assert len(doubled.predict(X)) == 60
    search = GridSearchCV(model, {"pooling": ["last", "max"]}, cv=2).fit(np.array(X, dtype=object), y)
    assert search.best_params_["pooling"] in ("last", "max")


X3 = [np.zeros((2, 1))] * 4
WRONG = {
    "text": (SequenceClassifier, {}, "a text", [1], "X must be a list of sequences, got str"),
    "none": (SequenceClassifier, {}, [], [], "X must have at least one sequence"),
    "labels": (SequenceClassifier, {}, X3, [0, 1, 0], r"y must be one label for each of 4 sequences, got \(3,\)"),
    "one class": (SequenceClassifier, {}, X3, [1, 1, 1, 1], "two classes or more"),
    "fractions": (SequenceClassifier, {}, X3, [0.5, 1, 0, 0], "For numbers use SequenceRegressor"),
    "missing": (SequenceClassifier, {}, X3, ["a", None, "b", "a"], "row 1 has none"),
    "no number": (SequenceClassifier, {}, X3, ["a", np.nan, "b", "a"], "row 1 has none"),
    "pooling": (SequenceClassifier, {"pooling": "lst"}, X3, [0, 1, 0, 1], "did you mean 'last'"),
    "weights": (SequenceClassifier, {"class_weight": "balance"}, X3, [0, 1, 0, 1], "class_weight must be"),
    "share": (SequenceClassifier, {"validation": 1.5}, X3, [0, 1, 0, 1], r"validation must be in \[0, 1\)"),
    "noise": (SequenceClassifier, {"noise": -1.0}, X3, [0, 1, 0, 1], "noise must be 0 or more"),
    "words": (SequenceRegressor, {}, X3, ["a", "b", "c", "d"], "y must be numbers"),
    "infinite": (SequenceRegressor, {}, X3, [0, 1, np.inf, 1], "row 2 has"),
    "string": (SequenceTagger, {}, ["a b"], [["x", "y"]], "must be a list of names"),
    "steps": (SequenceTagger, {}, [["a", "b"]], [["x"]], r"y\[0\] must have 2 labels"),
}


@pytest.mark.parametrize(("kind", "options", "X", "y", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_line(kind, options, X, y, message):
    with pytest.raises((DataError, OptionError), match=message) as problem:
        kind(**options).fit(X, y)
    assert "\n" not in str(problem.value)
    assert isinstance(problem.value, ElmanError)


def test_predicting_before_fitting():
    for kind in (SequenceClassifier, SequenceRegressor, SequenceTagger):
        with pytest.raises(NotYetFittedError, match=f"{kind.__name__}: not fitted yet"):
            kind().predict([[0.0]])


def test_partial_fit_goes_on_with_new_data():
    X, y = first_sign(80)
    model = SequenceClassifier(hidden_size=16, max_steps=40, learning_rate=0.02, dropout=0.0, noise=0.0)
    model.partial_fit(X[:40], y[:40], classes=["minus", "plus", "zero"])
    before = model.score(X, y)
    for _ in range(9):
        model.partial_fit(X[40:], y[40:])
    assert list(model.classes_) == ["minus", "plus", "zero"]
    assert model.score(X, y) > max(before, 0.9)
    with pytest.raises(DataError, match="classes"):
        model.partial_fit(X[:2], ["minus", "other"])


def test_attention_says_where_the_net_looked():
    X = [["pad"] * 3 + [w] + ["pad"] * 2 for w in ("yes", "no")] * 20
    model = SequenceClassifier(pooling="attention", hidden_size=8, max_steps=80).fit(X, [1, 0] * 20)
    weights = model.attention(X[:2])
    assert [len(w) for w in weights] == [6, 6]
    assert all(abs(w.sum() - 1) < 1e-5 for w in weights)
    with pytest.raises(OptionError, match='pooling="attention"'):
        SequenceClassifier(pooling="last", hidden_size=4, max_steps=2).fit(X, [1, 0] * 20).attention(X)


def test_noise_is_of_training_alone_and_not_in_the_padding():
    X = [np.random.default_rng(i).normal(size=(3 + i, 2)) for i in range(6)]
    model = SequenceClassifier(hidden_size=4, max_steps=2, noise=0.5).fit(X, [0, 1] * 3)
    front, x, lengths = model.network_.front, torch.zeros(2000, 4, 2), torch.full((2000,), 3)
    x[:, :3] = 1.0
    assert torch.equal(front.eval()(x, lengths)[0], x)
    added = front.train()(x, lengths)[0] - x
    assert added[:, 3].abs().max() == 0
    assert added[:, :3].std().item() == pytest.approx(0.5, rel=0.05)
    assert added[:, :3].mean().item() == pytest.approx(0.0, abs=0.02)


def test_gradients_do_not_leak_from_padding():
    X, y = [np.ones((1, 1)), np.ones((9, 1))] * 4, [0, 1] * 4
    model = SequenceClassifier(hidden_size=4, max_steps=3).fit(X, y)
    x = torch.zeros(2, 9, 1, requires_grad=True)
    model.network_(x, torch.tensor([1, 9])).sum().backward()
    assert x.grad[0, 1:].abs().max() == 0


def test_given_pairs_to_validate_by_nothing_is_held_back():
    X = np.random.default_rng(0).normal(size=(240, 5, 1))
    y = np.where(X[:, 0, 0] > 0, "up", "down")
    options = {"hidden_size": 4, "max_steps": 40, "validate_every": 4, "learning_rate": 0.02}
    given = SequenceClassifier(**options).fit(X[:210], y[:210], X_validation=X[210:], y_validation=y[210:])
    assert len(given.history_.column("val_loss")) == 10
    with torch.no_grad():
        losses = [float(given.network_.loss(batch)[0]) for batch in given.batches(X[210:], y[210:]).epoch(0)]
    assert np.mean(losses) == pytest.approx(given.history_.best_loss, rel=1e-5)
    # All 210 are learned from: seven batches of 32 an epoch, of 189 it would be six.
    assert given.history_.records[-1]["epoch"] == 40 // 7 + 1
    with pytest.raises(DataError, match="y has 'left', not one of the classes"):
        SequenceClassifier(**options).fit(X[:20], y[:20], X_validation=X[20:22], y_validation=["left", "up"])
