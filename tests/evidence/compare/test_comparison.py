"""Comparisons of real trainings: what is recommended, equal budgets, going on after a kill; noise has no winner."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

import elman
from elman.cli.app import app
from elman.data.corpus import Corpus
from elman.errors import DataError, ElmanError, OptionError, RunError
from elman.evidence.anomaly_study import WatchExamples, judge_anomalies
from elman.evidence.compare import compare
from elman.evidence.compare.comparison import Comparison
from elman.evidence.compare.kept import OUTCOMES
from elman.evidence.compare.pictures import sections

SMALL = {"bidirectional": False, "dropout": 0.0, "noise": 0.0}


def noise(seed: int, count: int = 100):
    """Sequences, and labels that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((10, 2)) for _ in range(count)], rng.permutation(np.arange(count) % 2)


def latch(seed: int, count: int = 120, steps: int = 80):
    """At each step the sign of the last pulse, of which one comes in some sixteen steps."""
    rng, X, y = np.random.default_rng(seed), [], []
    for _ in range(count):
        pulses = np.where(rng.random(steps) < 0.06, rng.choice([-1.0, 1.0], steps), 0.0)
        pulses[0] = 1.0
        last = np.maximum.accumulate(np.where(pulses, np.arange(steps), 0))
        X.append(pulses + 0.1 * rng.standard_normal(steps))
        y.append((pulses[last] > 0).astype(int))
    return X, y


def net(**options):
    given = {
        "hidden_size": 12,
        "max_steps": 30,
        "bidirectional": False,
        "pooling": "last",
        "dropout": 0.0,
        "noise": 0.0,
    }
    return elman.SequenceClassifier(**given | options)


def test_where_a_state_is_needed_a_recurrent_net_is_recommended():
    said: list[str] = []
    tagger = elman.SequenceTagger(**SMALL, hidden_size=12, max_steps=80, learning_rate=0.01)
    found = compare(tagger, *latch(0), cells=["gru"], depths=[1], share=0.5, say=said.append)
    assert found.network_wins
    assert found.recommendation.model == "GRU 1×12"
    assert found.sentence().startswith("Use ")
    assert "better than every baseline" in found.sentence()
    assert {row.model for row in found.rows} >= {"most frequent label", "feed-forward", "convolution (TCN)"}
    assert len(said) == 1 + 2 * 3 + 3  # one that draws nothing, two baselines and a net of three seeds
    picked = next(row for row in found.rows if row.model == found.recommendation.model)
    assert picked.answer_seconds < 1e-3  # it streams
    assert "Does deeper help" not in found.to_text()


def test_where_a_sum_tells_all_it_says_not_a_recurrent_network():
    rng = np.random.default_rng(0)
    X = [rng.standard_normal(20) for _ in range(400)]
    y = [float(x.mean()) for x in X]
    regressor = elman.SequenceRegressor(hidden_size=4, max_steps=5, bidirectional=False)
    found = compare(regressor, X, y, cells=["elman"], depths=[1, 2], seeds=2, share=0.5)
    assert found.sentence().startswith("Not a recurrent network: linear has the better RMSE")
    assert not found.network_wins
    assert "Does deeper help here?" in found.to_text()
    assert found.rows[0].model == "linear"
    assert found.marked(found.rows[0])
    assert "from the first line, linear, as it is" in found.scope() and "for all 15 pairs (Holm)" in found.scope()


def test_equal_weights():
    found = compare(net(max_steps=1), *noise(0), cells=["elman", "lstm"], depths=[1, 2], parameters=2000, seeds=1)
    weights = {row.model: row.parameters for row in found.rows if row.parameters is not None}
    assert len(weights) == 6  # feed-forward and convolution too
    assert all(abs(count - 2000) <= 0.08 * 2000 for count in weights.values()), weights


def test_equal_seconds_are_other_steps():
    from elman.evidence.compare.contests import contest_of
    from elman.evidence.compare.entrants import Budget

    contest, budget = contest_of(net(), *noise(0)), Budget(seconds=0.5)
    small, large = (budget.equal(net(hidden_size=size), contest).max_steps for size in (4, 400))
    assert small > 2 * large >= 2
    with pytest.raises(OptionError, match=r"seconds must be more"):
        Budget(seconds=1e-9).equal(net(), contest)


def test_forecasts_and_texts_have_their_own_baselines():
    days = pd.date_range("2024-01-01", periods=120)
    rng = np.random.default_rng(0)
    frame = pd.concat(
        pd.DataFrame({"unique_id": shop, "ds": days, "y": np.tile([2.0, 3, 5, 4, 6, 9, 7], 18)[:120] + rng.random(120)})
        for shop in "abc"
    )
    forecaster = elman.Forecaster(horizon=7, hidden_size=8, max_steps=20)
    found = compare(forecaster, frame, cells=["gru"], depths=[1], seeds=2)
    assert {row.model for row in found.rows} >= {"Kalman structural", "seasonal naive", "feed-forward network"}
    assert found.error == "MASE"
    text = "to be or not to be that is the question " * 60
    model = elman.LanguageModel(analyzer="character", hidden_size=16, max_steps=40)
    found = compare(model, Corpus([text], [], [text[:900]]), cells=["gru"], depths=[1], seeds=1)
    assert any("Kneser–Ney" in row.model for row in found.rows)
    assert found.rows[0].model != "uniform"


def knocked(seed: int, steps: int = 1500):
    """A mass on a spring that is pushed at random, in whose second half it is another spring now and then; labels."""
    rng = np.random.default_rng(seed)
    x, y = np.zeros(steps), np.zeros(steps, int)
    for t in range(2, steps):
        x[t] = 1.8 * x[t - 1] - 0.97 * x[t - 2] + rng.normal(0, 0.2)
    for begin in range(steps // 2 + 50, steps - 40, 150):
        x[begin : begin + 40], y[begin : begin + 40] = 2 * np.sin(2.4 * np.arange(40)), 1
    return x, y


def test_detectors_are_compared_by_labels():
    x, y = knocked(0)
    detector = elman.AnomalyDetector(hidden_size=8, max_steps=40, learning_rate=0.02)
    found = compare(detector, [x], [y], cells=["gru"], depths=[1], seeds=2, share=0.5)
    rows = {row.model: row for row in found.rows}
    assert found.error == "F1" and found.higher
    assert set(rows) == {
        "GRU 1×8", "z-score", "last value", "moving average (EWMA)", "linear autoregression", "isolation forest"
    }  # fmt: skip
    assert found.unit == "pieces (each sequence is cut into 20)" and found.units == 20
    assert rows["isolation forest"].seeds == 2 and rows["z-score"].seeds == 1
    # the baselines are those of `elman watch`, to the digit
    judged = judge_anomalies(detector, WatchExamples.split([x], [y], 0.5, 0)).scoreboard
    assert judged is not None
    for row in judged.rows:
        if row.model in rows and row.model != "isolation forest":  # which draws, here from two starts
            assert rows[row.model].score == pytest.approx(row.scores["F1"])
    with pytest.raises(DataError, match="judged by labels, got none"):
        compare(detector, [x])
    with pytest.raises(DataError, match="got none among the test labels"):
        compare(detector, [x], [0 * y])


def test_the_command_compares_detectors(tmp_path, capsys):
    x, y = knocked(0)
    pd.DataFrame({"x": x, "bad": y}).to_csv(tmp_path / "spring.csv", index=False)
    words = ["compare", "watch", str(tmp_path / "spring.csv"), "--cell", "gru", "--layers", "1", "--seeds", "1"]
    words += ["--share", "0.5", "--steps", "10", "--hidden-size", "4", "--out", str(tmp_path / "c")]
    with pytest.raises(SystemExit) as ended:
        app([*words, "--label", "bad"])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "linear autoregression" in out and "20 test pieces (each sequence is cut into 20), " in out
    assert (tmp_path / "c" / "report.html").is_file()
    with pytest.raises(SystemExit) as ended:
        app([*words[:-1], str(tmp_path / "d"), "--input", "x"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and "judged by labels, got none" in said
    assert not (tmp_path / "d").exists()


def test_a_killed_comparison_goes_on(tmp_path):
    data, first = noise(0), {"cells": ["elman"], "depths": [1], "seeds": 2}
    calls: list[str] = []

    def dies(line: str) -> None:
        calls.append(line)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(net(), *data, **first, folder=tmp_path / "c", say=dies)
    kept = json.loads((tmp_path / "c" / OUTCOMES).read_text())["outcomes"]
    assert len(kept) == 4
    found = compare(net(), *data, **first, folder=tmp_path / "c", resume=True)
    again = json.loads((tmp_path / "c" / OUTCOMES).read_text())["outcomes"]
    assert {name: again[name] for name in kept} == kept  # times and all: nothing was trained twice
    assert len(found.rows) == 5
    with pytest.raises(RunError, match="holds a comparison of other models"):
        compare(net(), *data, cells=["gru"], folder=tmp_path / "c", resume=True)


def test_the_command_leaves_a_report_and_says_what_to_train(tmp_path, capsys):
    X, y = noise(1, 120)
    np.savez(tmp_path / "noise.npz", X=np.array(X), y=y)
    words = ["compare", "classify", str(tmp_path / "noise.npz"), "--cell", "gru", "--layers", "1", "--seeds", "1"]
    words += ["--steps", "20", "--set", "bidirectional=false", "--out", str(tmp_path / "c")]
    with pytest.raises(SystemExit) as ended:
        app(words)
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "GRU 1×100" in out
    assert "One seed" in out
    page = (tmp_path / "c" / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "Which differences are real" in page
    board = json.loads((tmp_path / "c" / "scoreboard.json").read_text())
    assert len(board["pairs"]["p"]) == len(board["rows"]) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["juggle", "x.npz"], "unknown problem 'juggle'"),
        (["classify", "none.npz"], "none.npz"),
        (["forecast", "x.csv"], "--time, --target, --horizon must be given"),
        (["classify", "noise.npz", "--cell", "gro"], "'gro'"),
        (["classify", "noise.npz", "--seeds", "0"], "--seeds must be a whole number"),
        (["classify", "noise.npz", "--parameters", "3"], "for a net of one unit has them; got 3"),
        (["classify", "noise.npz", "--layers", "0"], "--layers must be a whole number ≥ 1, got 0."),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    X, y = noise(1, 40)
    np.savez("noise.npz", X=np.array(X), y=y)
    with pytest.raises(SystemExit) as ended:
        app(["compare", *words, "--steps", "2", "--out", "c"])
    assert ended.value.code == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("elman")]
    assert len(told) == 1
    assert message in told[0]


def test_estimators_without_a_contest_are_refused():
    with pytest.raises(ElmanError, match="expected an estimator of elman, got DummyClassifier"):
        compare(DummyClassifier(), [np.zeros(10)], None)  # type: ignore[arg-type]


def _on_noise(seed: int) -> bool:
    options = {"cells": ["elman", "gru"], "depths": [1, 2], "seeds": 2, "share": 0.5}
    return _winner(compare(net(hidden_size=6, max_steps=25, batch_size=50), *noise(seed), **options))


def _winner(found: Comparison) -> bool:
    """Whether any model is called better than any other."""
    names = found.pairs.names
    return found.recommendation.winner or any(found.pairs.beats(a, b, 0.05) for a in names for b in names)


def test_noise_has_no_winner():
    assert sum(_on_noise(seed) for seed in range(2)) <= 1


@pytest.mark.slow
def test_noise_has_a_winner_in_one_of_twenty_runs_at_most():
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        false = sum(pool.map(_on_noise, range(200)))
    print(f"false winners: {false} of 200")
    assert false <= 10


def test_pictures_name_all(tmp_path: Path):
    found = compare(net(), *noise(0), cells=["elman", "gru"], depths=[1, 2], seeds=2)
    html = "".join(sections(found).values())
    assert all(row.model in html for row in found.rows)
