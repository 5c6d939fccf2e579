"""Remedies are tried on every kind of model: trained on the same data, judged on the same of others, the best kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import elman
from elman.cli.app import app
from elman.errors import OptionError
from elman.evidence.compare.contests import contest_of
from elman.evidence.diagnose.remedies import try_remedies
from elman.evidence.tune import tune


def copied(lag: int, count: int, noise: float = 0.05) -> str:
    """Each letter is the one `lag` before it, most of the time."""
    dice = np.random.default_rng(0)
    letters = list(dice.choice(list("ab"), lag))
    for _ in range(count):
        letters.append(letters[-lag] if dice.random() > noise else dice.choice(list("ab")))
    return "".join(letters)


def turned(lag: int, count: int) -> pd.DataFrame:
    """Two series in which each value is about minus the one `lag` before it."""
    dice, parts = np.random.default_rng(0), []
    for name in "ab":
        y = list(dice.normal(size=lag))
        for _ in range(count):
            y.append(-0.95 * y[-lag] + 0.3 * dice.normal())
        parts.append(pd.DataFrame({"unique_id": name, "ds": np.arange(len(y)), "y": y}))
    return pd.concat(parts)


def language(**options):
    small = {"hidden_size": 24, "embedding_size": 8, "dropout": 0.0, "recurrent_dropout": 0.0, "learning_rate": 0.02}
    return elman.LanguageModel(**small | {"cell": "gru", "truncate": 2, "max_steps": 200} | options)


def test_a_text_whose_gradients_were_cut_too_early():
    text, said = copied(6, 6000), []
    before, *_, after = try_remedies(language().fit(text), text, say=said.append)
    assert before.diagnosis.verdict.fault == "cut" and after.remedy.change == {"truncate": 6}
    assert before.measure == after.measure == "bits per character"
    assert before.score > 0.95 > 0.8 > after.score, "a coin costs one bit"
    assert after.model.truncate == 6 and after.diagnosis.verdict.fault is None
    held = contest_of(language(), text).data[0]
    assert after.score == pytest.approx(after.model.bits(held)), "on the end of the text, which it has not seen"
    assert len(said) == 2 and said[1].startswith("--set truncate=6: bits per character")


@pytest.mark.slow
def test_a_forecaster_that_forgets_too_early():
    frame = turned(20, 1000)
    options = {"cell": "elman", "hidden_size": 24, "context": 40, "season_length": None, "max_steps": 200}
    model = elman.Forecaster(horizon=1, **options).fit(frame)
    before, *_, after = try_remedies(model, frame)
    assert before.diagnosis.verdict.fault == "vanishing" and before.measure == "MASE"
    assert before.diagnosis.need.steps == 20
    assert after.loss < 0.97 * before.loss, "a fourteenth less, measured"
    assert after.model.panel_.times[0][-1] == 1019, "it forecasts from the data's end"
    assert before.model.panel_.times[0][-1] == 1016, "of which three windows were kept from what is judged"


def test_detectors_and_writers_that_explode():
    """A limit far below the gradient's norm, so that all steps are clipped to nothing."""
    wild = {"clip_norm": 1e-4, "hidden_size": 8, "learning_rate": 0.01}
    wave = [np.sin(np.arange(900) / 9) + np.random.default_rng(0).normal(0, 0.1, 900)]
    detector = elman.AnomalyDetector(max_steps=20, **wild).fit(wave)
    before, *others = try_remedies(detector, wave)
    assert before.diagnosis.verdict.fault == "exploding" and before.measure == "surprise in nats"
    assert {"layer_norm": True} in [tried.remedy.change for tried in others]
    assert others[-1].loss == min(tried.loss for tried in others)
    judged = contest_of(detector, wave).data[0]
    assert np.nanmean(np.concatenate(before.model.surprise(judged))) == pytest.approx(before.loss)
    X, y = ["ein Hund", "eine Katze", "ein Haus"] * 6, ["a dog", "a cat", "a house"] * 6
    writer = elman.Translator(embedding_size=8, max_steps=5, **wild).fit(X, y)
    before, *others = try_remedies(writer, X, y)
    assert before.measure == "BLEU" and {tried.measure for tried in others} == {"BLEU"}
    with pytest.raises(OptionError, match="nothing to apply"):
        try_remedies(elman.Translator(embedding_size=8, hidden_size=8, max_steps=5).fit(X, y), X, y)


def test_folders_without_a_model_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dice = np.random.default_rng(0)
    X, y = list(dice.normal(size=(40, 6))), dice.normal(size=40)
    np.savez("x.npz", X=np.array(X), y=y)
    options = {"hidden_size": 4, "max_steps": 2}
    elman.compare(elman.SequenceRegressor(**options), X, y, cells=["elman"], depths=[1], seeds=1, folder="compared")
    said = CliRunner().invoke(app, ["diagnose", "compared", "x.npz"])
    assert said.exit_code == 2 and "must hold a model, got a comparison of several. Train the one" in said.stderr
    tune(elman.SequenceRegressor(**options), X, y, search={"hidden_size": (2, 4)}, only=[], trials=2, folder="tuned")
    said = CliRunner().invoke(app, ["diagnose", "tuned", "x.npz"])
    assert said.exit_code == 2 and "got a search. Let elman tune end" in said.stderr


@pytest.mark.slow
def test_the_command_mends_a_language_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text(copied(6, 6000))
    language().fit(copied(6, 6000)).save("run")
    said = CliRunner().invoke(app, ["diagnose", "run", "t.txt", "--apply"])
    assert said.exit_code == 0, said.output
    assert "Before:   bits per character" in said.stdout and "on what it has not seen" in said.stdout
    assert "with --set truncate=6" in said.stdout and "Mended:   run-mended" in said.stdout
    assert elman.load("run-mended").truncate == 6
    said = CliRunner().invoke(app, ["diagnose", "run-mended", "t.txt", "--apply"])
    assert said.exit_code == 0 and "Nothing to apply" in said.stdout
