"""Why a model says what it says: parts that sum to the whole, against exact answers; states, gates and attention."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import elman
from elman.cli.app import app
from elman.cli.jobs import write_columns
from elman.data.examples import Columns
from elman.errors import OptionError
from elman.evidence.explain import explain_example
from elman.evidence.explain.attribution import integrated_gradients
from elman.evidence.explain.example_page import to_html

TEXTS, LABELS = ["a joy to watch", "what a bore", "fun, and a joy", "a dull bore"] * 5, ["good", "bad"] * 10


@pytest.fixture(scope="module")
def texts():
    return elman.SequenceClassifier(max_steps=50, hidden_size=12, pooling="attention").fit(TEXTS, LABELS)


def test_parts_of_a_product_are_known():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    found = integrated_gradients(lambda v: v.prod(2).prod(1), x, torch.zeros_like(x))
    assert found.parts == pytest.approx(np.full((2, 2), 24 / 4))  # all four are needed, none more than another
    assert found.gap < 1e-12
    assert found.points == 8


def test_where_the_way_bends_more_points_are_taken():
    x = torch.full((1, 1), 3.0, dtype=torch.float64)
    found = integrated_gradients(lambda v: torch.relu(v[:, 0, 0] - 2.9), x, torch.zeros_like(x))
    assert found.points > 8
    assert found.gap <= 0.01
    never = integrated_gradients(lambda v: torch.relu(v[:, 0, 0] - 2.9), x, torch.zeros_like(x), close=0.0, most=16)
    assert never.points == 16


def test_what_a_leaky_integrator_owes_to_its_steps_is_exact():
    """The leaky integrator and a linear head: step t is worth (1 - α)^(T-1-t) α W x_t, to rounding."""
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((12, 2)) for _ in range(40)]
    given = {"hidden_size": 3, "max_steps": 3, "bidirectional": False, "pooling": "last", "dropout": 0.0}
    model = elman.SequenceRegressor(cell="leaky", **given).fit(X, [float(x.sum()) for x in X])
    with torch.no_grad():
        model.network_.head.weight.normal_()
    found = explain_example(model, X[0])
    cell = {name: p.detach().double() for name, p in model.network_.body.net.named_parameters()}
    alpha, W = torch.sigmoid(cell["layers.0.p.a"]), cell["layers.0.W"]
    x = torch.as_tensor((X[0] - model.inputs_.mean) / model.inputs_.scale)
    far = torch.arange(11, -1, -1)[:, None]
    head = model.network_.head.weight.detach().double()[0] * model.scale_[0]
    worth = ((1 - alpha) ** far * alpha * (x @ W.T)) @ head
    assert found.attribution.steps == pytest.approx(worth.numpy(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_parts_sum_to_the_whole(pooling):
    rng = np.random.default_rng(1)
    X, y = [rng.standard_normal((rng.integers(5, 20), 3)) for _ in range(60)], rng.integers(0, 3, 60)
    model = elman.SequenceClassifier(cell="gru", hidden_size=8, max_steps=30, pooling=pooling, num_layers=2).fit(X, y)
    found = explain_example(model, X[0])
    assert found.attribution.gap <= 0.01
    scores = np.log(model.predict_proba([X[0]])[0])
    best = scores.argmax()
    odds = scores[best] - np.log(np.exp(np.delete(scores, best)).sum())
    assert found.attribution.end == pytest.approx(odds, abs=1e-4)
    assert found.x is not None and found.attribution.parts.shape == X[0].shape
    assert [(inside.layer, inside.reverse) for inside in found.inside] == [(0, False), (0, True), (1, False), (1, True)]
    assert found.inside[0].values["gate z"].shape == (len(X[0]), 8)


def test_words_speak_for_and_against(texts):
    found = explain_example(texts, "what a joy")
    assert found.steps == ["what", "a", "joy"]
    part = dict(zip(found.steps, found.attribution.steps, strict=True))
    assert (part["joy"] > 0) == (found.said.startswith("good"))
    assert part["joy"] * part["what"] < 0
    assert found.attention is not None and found.attention.sum() == pytest.approx(1)
    assert "complete" in str(found)


def test_a_tag_is_owed_to_the_steps_that_tell_it():
    rng = np.random.default_rng(0)
    X = [rng.standard_normal(15) for _ in range(120)]
    y = [np.concatenate([[0], (x[:-1] > 0).astype(int)]) for x in X]
    tagger = elman.SequenceTagger(hidden_size=12, max_steps=250, bidirectional=False, dropout=0.0, noise=0.0).fit(X, y)
    found = explain_example(tagger, X[0], step=9)
    assert np.abs(found.attribution.steps).argmax() == 8  # the label is the sign of the value before
    assert found.attribution.steps[10:] == pytest.approx(np.zeros(5))
    assert found.said.endswith("at step 9")
    with pytest.raises(OptionError, match=r"step must be in 0 to 14, got 15"):
        explain_example(tagger, X[0], step=15)


def test_the_next_letter_is_owed_to_those_before():
    text = "abcabdabe" * 60
    model = elman.LanguageModel(analyzer="character", hidden_size=16, max_steps=80).fit([text])
    found = explain_example(model, "abcab")
    assert found.attribution.gap <= 0.01
    assert found.steps == list("abcab")
    assert found.said.startswith("next '")


def test_other_models_are_refused():
    with pytest.raises(OptionError, match="expected a fitted estimator, got Recurrent"):
        explain_example(elman.Recurrent("gru", 1, 2), [1.0])
    with pytest.raises(OptionError, match=r"got AnomalyDetector\. Call fit"):
        explain_example(elman.AnomalyDetector(), [1.0])
    flat = elman.SequenceClassifier(max_steps=2, body="feed-forward").fit(TEXTS, LABELS)
    with pytest.raises(OptionError, match="'feed-forward' has no states"):
        explain_example(flat, "what a joy")


def test_the_page_names_the_steps_and_fetches_nothing(texts):
    page = to_html(explain_example(texts, "what a <b> joy"), "why & how")
    assert "<b>" not in page and "&lt;" in page
    assert page.count("<svg") == 1 + 2 * 6  # attention, and two states and four gates in both directions
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "Layer 1, from the end" in page


def test_the_command(texts, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts.save("run")
    write_columns(tmp_path / "run", Columns(("text",), "label"))
    (tmp_path / "more.csv").write_text("text,label\na bore,bad\na joy,good\n")

    def said(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            app(["explain", *words])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    code, out = said("run", "--on", "what a joy")
    assert code == 0
    assert "Said: " in out and "joy" in out and "sum to the whole" in out
    kept = json.loads((tmp_path / "run" / "explanation.json").read_text())
    assert kept["steps"] == ["what", "a", "joy"]
    assert np.sum(kept["parts"]) == pytest.approx(kept["end"] - kept["begin"], rel=0.02)
    assert elman.load("run").predict(["a joy"]) is not None  # the run is as it was
    code, out = said("run", "--on", "more.csv", "--row", "7")
    assert (code, out.strip()) == (2, "elman explain: --row must be in 0 to 1, for more.csv has 2; got 7.")
    code, out = said("run", "--on", "no.csv")
    assert code == 2 and "no such file, no.csv" in out
