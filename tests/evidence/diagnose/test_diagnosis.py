"""Verdicts on nets that cannot learn their data, and silence about those that can."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import elman
from elman.cli.app import app
from elman.errors import OptionError
from elman.evidence.diagnose import Flow, Need, diagnose, need_of
from elman.evidence.diagnose.picture import plot_norms, to_html
from elman.evidence.diagnose.remedies import try_remedies
from elman.evidence.diagnose.verdict import judge

STEPS = 100
BASE = {"bidirectional": False, "stride": 1, "dropout": 0.0, "noise": 0, "hidden_size": 48, "max_steps": 250}


def adding(dice, count):
    values, marks, rows = dice.random((count, STEPS)), np.zeros((count, STEPS)), np.arange(count)
    first, second = dice.integers(0, STEPS // 2, count), dice.integers(STEPS // 2, STEPS, count)
    marks[rows, first] = marks[rows, second] = 1.0
    return list(np.stack([values, marks], 2)), values[rows, first] + values[rows, second]


def first(dice, count):
    """Which of four symbols came first, noise after it."""
    symbols, X = dice.integers(0, 4, count), dice.normal(size=(count, STEPS, 4))
    X[np.arange(count), 0] = 5 * np.eye(4)[symbols]
    return list(X), symbols


def order(dice, count):
    """Two signs, one early, one in the middle: which of four."""
    X, rows = dice.normal(size=(count, STEPS, 2)) * 0.3, np.arange(count)
    a, b = dice.choice([-3, 3], (2, count))
    X[rows, dice.integers(0, 10, count), 0], X[rows, dice.integers(40, 50, count), 1] = a, b
    return list(X), (a > 0) * 2 + (b > 0)


def alike(dice, count):
    """Two signs, one early, one in the middle: whether they are the same. Each alone says nothing."""
    X, (a, b) = dice.normal(size=(count, STEPS, 2)) * 0.3, dice.choice([-3, 3], (2, count))
    X[:, 5, 0], X[:, 45, 1] = a, b
    return list(X), a == b


def again(dice, count):
    """Whether the last of four symbols is the one twenty before it, which it is in every other row."""
    symbols = dice.integers(0, 4, (count, STEPS))
    symbols[:, -20] = np.where(dice.random(count) < 0.5, symbols[:, -1], symbols[:, -20])
    return list(np.eye(4)[symbols]), symbols[:, -20] == symbols[:, -1]


def recent(dice, count):
    X = dice.normal(size=(count, STEPS, 1))
    return list(X), X[:, -1, 0] + 0.5 * X[:, -2, 0] - 0.3 * X[:, -3, 0]


def level(dice, count):
    kinds = dice.integers(0, 3, count)
    return list(kinds[:, None, None] + dice.normal(size=(count, STEPS, 1))), kinds


def noise(dice, count):
    return list(dice.normal(size=(count, STEPS, 1))), dice.integers(0, 2, count)


def echo(lag):
    def draw(dice, count):
        X = dice.normal(size=(count // 5, STEPS, 1))
        y = np.sign(np.roll(X[:, :, 0], lag, 1))
        y[:, :lag] = 1
        return list(X), [["up" if v > 0 else "down" for v in row] for row in y]

    return draw


R, C, T = elman.SequenceRegressor, elman.SequenceClassifier, elman.SequenceTagger
FAULTY = {
    "elman adding": (R, adding, {"cell": "elman", "pooling": "last"}),
    "elman first": (C, first, {"cell": "elman", "pooling": "last"}),
    "elman order": (C, order, {"cell": "elman", "pooling": "last"}),
    "lstm first": (C, first, {"cell": "lstm", "pooling": "last"}),
    "mgu order": (C, order, {"cell": "mgu", "pooling": "last"}),
    "elman echo 60": (T, echo(60), {"cell": "elman"}),
    "elman alike": (C, alike, {"cell": "elman", "pooling": "last"}),
    "elman again": (C, again, {"cell": "elman", "pooling": "last"}),
}
HEALTHY = {
    "gru adding": (R, adding, {"cell": "gru", "pooling": "last"}),
    "relu first": (C, first, {"cell": "elman_relu", "pooling": "last"}),
    "slstm first": (C, first, {"cell": "slstm", "pooling": "last"}),
    "slstm alike": (C, alike, {"cell": "slstm", "pooling": "last"}),
    "elman max first": (C, first, {"cell": "elman", "pooling": "max"}),
    "elman recent": (R, recent, {"cell": "elman", "pooling": "last"}),
    "elman level": (C, level, {"cell": "elman", "pooling": "last"}),
    "gru echo 60": (T, echo(60), {"cell": "gru"}),
    "elman echo 3": (T, echo(3), {"cell": "elman"}),
    "gru noise": (C, noise, {"cell": "gru", "pooling": "last"}),
    "both ways first": (C, first, {"cell": "lstm", "pooling": "last", "bidirectional": True}),
}
QUICK = ("elman first", "elman echo 60", "slstm first", "elman recent")


def fitted(kind, draw, options, count=1500):
    X, y = draw(np.random.default_rng(0), count)
    return kind(**BASE | options).fit(X, y), X, y


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in (*FAULTY, *HEALTHY)]
)
def test_faults_are_called_and_healthy_nets_are_left_alone(name):
    """A sixth of the training that these nets get by default, so that it is known long before half of it."""
    model, X, y = fitted(*(FAULTY | HEALTHY)[name])
    found = diagnose(model, (X, y))
    assert found.verdict.fault == ("vanishing" if name in FAULTY else None), found.verdict.sentence
    assert bool(found.verdict.remedies) == (name in FAULTY)


def test_a_remedy_is_tried_and_helps():
    model, X, y = fitted(*FAULTY["elman first"], count=800)
    said = []
    tried = try_remedies(model, X, y, say=said.append)
    assert tried[0].measure == "R²" and tried[0].remedy is None and tried[0].score < 0.1
    assert tried[-1].score > 0.9 and tried[-1].diagnosis.verdict.fault is None
    assert len(said) == len(tried) >= 2
    with pytest.raises(OptionError, match="nothing to apply"):
        try_remedies(tried[-1].model, X, y)


def test_an_explosion_is_called():
    net = elman.Recurrent("elman_relu", 1, 8)
    with torch.no_grad():
        net.layers[0].R.mul_(1.5)
        net.layers[0].b.fill_(1.0)
        net.layers[0].R.abs_()
    found = diagnose(net, torch.rand(2, 60, 1))
    assert found.verdict.fault == "exploding" and "grows" in found.verdict.sentence
    assert {"cell": "lstm"} in [remedy.change for remedy in found.verdict.remedies]
    still = [Flow(0, False, np.ones(5), np.ones(5))]
    wild = judge(still, None, each_step=False, norms=[50.0] * 9, clip_norm=1.0)
    assert wild.fault == "exploding" and "norm of 50 or more" in wild.sentence
    assert judge(still, None, each_step=False, norms=[5.0] * 9, clip_norm=1.0).fault is None


def test_a_need_that_is_met_by_both_directions():
    flow = [Flow(0, False, 0.5 ** np.arange(40), 0.5 ** np.arange(40))]
    back = [*flow, Flow(0, True, (0.5 ** np.arange(40))[::-1], 0.5 ** np.arange(40))]
    need = Need(40, 0.9, np.array([40]), np.array([0.9]), np.array([0.9]))
    assert judge(flow, need, 0.0, each_step=False).fault == "vanishing"
    assert judge(flow, need, 0.85, each_step=False).fault is None, "it explains what there is"
    assert judge(back, need, 0.0, each_step=False).fault == "vanishing", "the middle is seen by neither"
    both = [*flow, Flow(0, True, np.ones(40), np.ones(40))]
    assert judge(both, need, 0.0, each_step=False).fault is None


@pytest.mark.parametrize("lag", [1, 7, 40])
def test_needs_are_found_where_they_are(lag):
    dice = np.random.default_rng(1)
    x = dice.normal(size=(600, 50, 2))
    assert need_of(list(x), list(x[:, -lag, :1] * x[:, -lag, 1:])).steps == lag
    each = [np.roll(one[:, :1], lag - 1, 0) for one in x[:60]]
    found = need_of(list(x[:60]), each)
    assert found.steps == lag and found.lags[found.used.argmax()] >= lag
    assert need_of(list(x), list(dice.normal(size=(600, 1)))).steps == 0


def test_what_only_two_steps_together_say_is_seen():
    """The sign of a product of steps 5 and 40 back; the product, and a third step by itself."""
    dice = np.random.default_rng(0)
    x = dice.normal(size=(700, 60, 1))
    product, sign = x[:, -5] * x[:, -40], np.sign(x[:, -5] * x[:, -40])
    for y, places in ((sign, {5, 40}), (product + 0.5 * x[:, -3], {3, 5, 40})):
        found = need_of(list(x), list(y))
        assert found.steps == 40 and found.reading == "a reading of pairs of them"
        assert found.explained > 0.75
        lags = {next(lag for lag in found.lags if lag >= place) for place in places}
        assert set(found.lags[found.used > 0.1]) == lags
    linear = need_of(list(x), list(x[:, -5] + 0.1 * product))
    assert (linear.steps, linear.reading) == (5, "a linear reading of them")
    bits = dice.choice([-1.0, 1.0], (700, 60, 1))
    assert need_of(list(bits), list(bits[:, -5] * bits[:, -20] * bits[:, -40])).steps == 0, "three at once are not seen"


def test_noise_needs_no_steps():
    for seed in range(8):
        dice = np.random.default_rng(seed)
        x = list(dice.normal(size=(120, 40, 1)))
        y = dice.normal(size=(120, 1)) if seed % 2 else np.eye(3)[dice.integers(0, 3, 120)]
        assert need_of(x, list(y)).steps == 0


def test_other_models_and_what_is_none(tmp_path):
    from elman.data.batch import Batch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = elman.Recurrent("gru", 2, 4), torch.nn.Linear(4, 1)

        def loss(self, batch, state=None):
            y, _ = self.rnn(batch.x)
            return (self.head(y)[..., 0] - batch.y).square().mean(), None

    found = diagnose(Net(), Batch(torch.randn(3, 12, 2), torch.randn(3, 12)))
    assert found.need is None and "was not measured" in found.verdict.sentence
    with pytest.raises(OptionError, match="expected a fitted estimator with its data"):
        diagnose(torch.nn.Linear(1, 1), torch.zeros(1))


def test_words_are_read(tmp_path):
    words = [["good"] + ["so"] * 5, ["bad"] + ["so"] * 5] * 60
    model = elman.SequenceClassifier(
        bidirectional=False, hidden_size=8, max_steps=150, learning_rate=0.02, spelling=0
    ).fit(words, [1, 0] * 60)
    found = diagnose(model, (words, [1, 0] * 60))
    assert found.need.steps == 6 and found.explained > 0.9 and found.verdict.fault is None


def test_the_command_leaves_numbers_and_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = first(np.random.default_rng(0), 300)
    np.savez("first.npz", X=np.array(X), y=y)
    elman.SequenceClassifier(**BASE | {"cell": "elman", "pooling": "last", "max_steps": 60}).fit(X, y).save("run")
    (tmp_path / "run" / "columns.json").write_text("{}")
    said = CliRunner().invoke(app, ["diagnose", "run", "first.npz"])
    assert said.exit_code == 0, said.output
    assert "Vanishing gradient" in said.stdout and "Remedy: --set cell=lstm" in said.stdout
    assert "Measured on first.npz" in said.stdout
    kept = json.loads((tmp_path / "run" / "diagnosis.json").read_text())
    assert kept["verdict"]["fault"] == "vanishing" and kept["layers"][0]["memory"][0] == 1 and kept["on"] == "first.npz"
    text = (tmp_path / "run" / "diagnosis.html").read_text()
    assert "Measured on first.npz" in text
    assert text.count("<svg") == 2 and "What the data need" in text
    assert CliRunner().invoke(app, ["diagnose", "run"]).exit_code == 2  # without data


def test_the_command_reads_what_other_verbs_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text("so it goes " * 200)
    elman.LanguageModel(hidden_size=4, max_steps=2, analyzer="character").fit("so it goes " * 40).save("words")
    said = CliRunner().invoke(app, ["diagnose", "words", "t.txt"])
    assert said.exit_code == 0 and "radients" in said.stdout, said.output
    said = CliRunner().invoke(app, ["diagnose", "lstm", "--out", "cell"])
    assert "memory horizon" in said.stdout and (tmp_path / "cell" / "diagnosis.html").exists()
    said = CliRunner().invoke(app, ["diagnose", "lstn"])
    assert said.exit_code == 2 and "did you mean 'lstm'" in said.stderr


def test_a_text_that_goes_on_longer_than_gradients_were_followed():
    """Each letter is the one 12 before it, or not: with windows of 4 steps no gradient ever saw that."""
    dice = np.random.default_rng(0)
    letters = list(dice.choice(list("abcd"), 12))
    for _ in range(6000):
        letters.append(letters[-12] if dice.random() < 0.9 else dice.choice(list("abcd")))
    model = elman.LanguageModel(analyzer="character", hidden_size=16, max_steps=60, truncate=4)
    found = diagnose(model.fit("".join(letters)), "".join(letters))
    assert found.need is not None and found.need.steps == 12
    assert found.verdict.fault in ("cut", "vanishing")
    assert found.explained is not None and found.explained < 0.3
    if found.verdict.fault == "cut":
        assert found.verdict.remedies[0].change == {"truncate": 12}


def test_forecasts_read_a_season_ago_and_need_little_more():
    import pandas as pd

    days, dice = pd.date_range("2024-01-01", periods=300), np.random.default_rng(0)
    week = np.tile([2.0, 3, 5, 4, 6, 9, 7], 43)[:300]
    frame = pd.concat(
        pd.DataFrame({"unique_id": shop, "ds": days, "y": week + dice.normal(0, 0.5, 300)}) for shop in "ab"
    )
    model = elman.Forecaster(horizon=3, hidden_size=8, max_steps=60).fit(frame)
    found = diagnose(model, frame)
    assert found.verdict.fault is None
    assert found.explained is not None and found.explained > 0.8
    assert "for 90% of what can be explained" in found.verdict.sentence
    assert "Each step brings the values of 7, 14, 21 and 28 steps before with it" in found.verdict.sentence
    plain = elman.Forecaster(horizon=3, hidden_size=8, max_steps=3, season_length=None).fit(frame)
    assert "Each step brings" not in diagnose(plain, frame).verdict.sentence


def test_what_a_detector_or_a_translator_needs_is_not_measured():
    wave = [np.sin(np.arange(600) / 9)]
    assert diagnose(elman.AnomalyDetector(max_steps=3).fit(wave), wave).need is None
    X, y = ["ein Hund", "eine Katze"] * 6, ["a dog", "a cat"] * 6
    translator = elman.Translator(hidden_size=8, embedding_size=8, max_steps=3).fit(X, y)
    found = diagnose(translator, (X, y))
    assert found.need is None and len(found.flows) >= 3


def test_norms_are_drawn_before_and_after_clipping():
    X, y = first(np.random.default_rng(0), 100)
    model = elman.SequenceClassifier(**BASE | {"max_steps": 30, "clip_norm": 0.01, "pooling": "last"}).fit(X, y)
    found = diagnose(model, (X, y))
    figure = plot_norms(found)
    assert figure is not None and found.clipped == 1
    before, after, *_ = figure.axes[0].lines
    assert np.asarray(before.get_ydata()).tolist() == model.history_.column("grad_norm")
    assert np.asarray(after.get_ydata()).max() == 0.01


def test_few_norms_are_told_in_place_of_a_picture():
    X, y = first(np.random.default_rng(0), 100)
    model = elman.SequenceClassifier(**BASE | {"max_steps": 2, "clip_norm": 1.0, "pooling": "last"}).fit(X, y)
    found = diagnose(model, (X, y))
    assert 1 <= len(found.norms) < 4 and plot_norms(found) is None
    text = to_html(found, "first.npz")
    assert "too few for a picture" in text and f"{found.norms[0]:.3g}" in text and "the limit is 1)" in text


def test_a_net_without_data_has_one_picture():
    html = to_html(diagnose(elman.Recurrent("lstm", 1, 4, num_layers=2), torch.zeros(2, 10, 1)))
    assert html.count("<svg") == 1 and "layer 2" in html
