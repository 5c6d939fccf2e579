"""The best and the defaults on data that no trial saw; whether it helped, in a sentence; evolution and gradients."""

from __future__ import annotations

import itertools
import json
from html import escape
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import elman
from elman.data.corpus import Corpus
from elman.errors import OptionError
from elman.estimators import Forecaster, LanguageModel, SequenceRegressor
from elman.evidence.board import markdown_line
from elman.evidence.label_study import Examples
from elman.evidence.labels import LabelBoard, Labelled
from elman.evidence.tune import evolved, judged
from elman.evidence.tune.evolved import error_rate, evolve_labels, evolve_language, who_wins
from elman.evidence.tune.search import Trial
from elman.evidence.tune.space import make_space
from elman.evidence.tune.tasks import ForecastTask, LabelTask, TextTask
from elman.evidence.tune.tuning import Tuned, run_search
from elman.training import evolution
from elman.training.evolution import Evolution
from elman.training.signals import Interrupted
from tests.evidence.tune.sequences import remembered, small
from tests.training.stopping import StopAfter


def board(mine, theirs, name="untuned LSTM"):
    truth = np.zeros(400, int)
    wrong = {name: theirs, "GRU": mine}
    found = {name: Labelled((np.arange(400) < 400 * share).astype(int)) for name, share in wrong.items()}
    return LabelBoard.build(found, truth, network="GRU")


def trial(number, loss, **params):
    return Trial(number, number, "pruned" if loss is None else "complete", params, {}, loss, 1.0)


def tuned(*losses):
    trials = [trial(i, loss, learning_rate=0.1 * i) for i, loss in enumerate(losses)]
    return Tuned(small(), make_space(small(), only=["learning_rate"]), tuple(trials), {})


def test_the_sentence_says_whether_tuning_helped():
    found = tuned(1.0, 0.5)
    say = judged.whether_it_helped
    assert say(found, board(0.1, 0.4), "untuned LSTM") == (
        "Tuning helped: on unseen data accuracy 0.900 against 0.600 with the defaults, p < 0.001."
    )
    assert "did not help beyond chance" in say(found, board(0.100, 0.1025), "untuned LSTM")
    assert say(found, board(0.4, 0.1), "untuned LSTM").startswith("Tuning did not help: on unseen data")
    assert say(found, board(0.4, 0.1), "untuned LSTM").endswith("Keep the defaults.")
    assert say(tuned(0.5, 1.0), board(0.1, 0.1), None) == (
        "Tuning did not help: none of 2 trials had a lower validation loss. Keep the defaults."
    )
    assert "the defaults diverge" in say(tuned(None, 1.0), board(0.1, 0.1), None)


def test_the_best_of_equals_is_the_first_and_changes_are_from_the_defaults():
    assert tuned(0.5, 0.5).best.number == 0 and tuned(0.5, 0.5).changes == {}
    assert tuned(0.5, 0.4).changes == {"learning_rate": 0.1}
    assert tuned(0.5, 0.4).estimator.learning_rate == 0.1


def test_no_trial_sees_the_test_sequences_and_the_run_holds_all(tmp_path, monkeypatch):
    X, y = remembered(140)
    examples = Examples.split(X, y, 0.3, 0)
    unseen = {x.tobytes() for x in examples.X_test}
    seen = []
    fit = elman.SequenceClassifier.fit

    def watched(self, X, y, *, X_validation=None, **how):
        held = () if X_validation is None else X_validation
        seen.append({np.asarray(x).tobytes() for part in (X, held) for x in part})
        return fit(self, X, y, X_validation=X_validation, **how)

    monkeypatch.setattr(elman.SequenceClassifier, "fit", watched)
    model = small(max_steps=80, learning_rate=1e-5, average=None, validate_every=20, noise=0.0)
    task = LabelTask.split(model, examples.X, examples.y)
    found = run_search(task, make_space(model, {"learning_rate": (0.04, 0.08)}, []), tmp_path, trials=3)
    outcome = judged.tuned_labels(found, tmp_path / "run", examples, title="Remember")
    assert len(seen) == 3 + 2 + 2  # trials, two nets among the baselines, the defaults, the best
    assert not any(unseen & one for one in seen)
    assert found.changes and outcome.sentence.startswith("Tuning helped: on unseen data accuracy")
    run = tmp_path / "run"
    assert elman.load(run).learning_rate == pytest.approx(found.changes["learning_rate"])
    assert elman.load(run / "defaults").learning_rate == 1e-5
    page = (run / "report.html").read_text()
    assert escape(outcome.sentence) in page and "The search" in page and "untuned LSTM" in page
    assert markdown_line(outcome.sentence) in (run / "card.md").read_text()
    kept = json.loads((run / "search.json").read_text())
    assert len(kept["trials"]) == 3 and kept["changes"] == found.changes


@pytest.mark.slow  # the statistical baselines take their time
def test_a_forecast_is_searched_before_its_test_windows(tmp_path):
    days = pd.date_range("2024", periods=120)
    frame = pd.DataFrame({"ds": days, "y": 5 + np.sin(np.arange(120) * 2 * np.pi / 7)})
    model = Forecaster(horizon=7, hidden_size=4, max_steps=4, series=None, learning_rate=1e-5)
    panel = model.read(frame)
    known = judged.before_windows(panel, 7, 2)
    assert [len(y) for y in known.y] == [106]
    space = make_space(model, {"learning_rate": (1e-3, 1e-2)}, [])
    found = run_search(ForecastTask(model, known), space, None, trials=3)
    outcome = judged.tuned_forecast(found, tmp_path / "run", panel, title="Sine", windows=2)
    names = [row.model for row in outcome.judged.scoreboard.rows]
    assert ("untuned LSTM" in names) == bool(found.changes)
    assert (tmp_path / "run" / "forecast.csv").exists() and outcome.sentence.startswith("Tuning ")


def test_a_language_model_is_judged_beside_its_defaults(tmp_path):
    corpus = Corpus(("so it goes. " * 60,)).split(0.2, 0)
    model = LanguageModel(hidden_size=8, max_steps=6, batch_size=4, validate_every=3, learning_rate=1e-6)
    space = make_space(model, {"learning_rate": (0.01, 0.05)}, [])
    found = run_search(TextTask(model, corpus.learn), space, None, trials=2)
    outcome = judged.tuned_language(found, tmp_path / "run", corpus, title="Text")
    assert "untuned LSTM" in [row.model for row in outcome.judged.scoreboard.rows]
    assert "The search" in (tmp_path / "run" / "report.html").read_text()


def test_evolution_learns_to_remember():
    X, y = remembered(128)
    X_test, y_test = remembered(200, seed=1)
    model = small(hidden_size=4, noise=0.0, batch_size=128)
    model.trainer = Evolution(generations=120)
    model.fit(X, y)
    # The best constant is right in half of the cases, and has a loss of ln 2.
    assert model.history_.records[-1]["loss"] < 0.4 < np.log(2)
    assert model.score(X_test, y_test) > 0.85


def test_evolution_is_given_the_time_of_gradients_and_told_beside_them(tmp_path, monkeypatch):
    ticks = itertools.count()  # of a busy machine a generation takes any time
    monkeypatch.setattr(evolution, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 1000))
    X, y = remembered(120)
    examples = Examples.split(X, y, 0.3, 0)
    model = small(hidden_size=4, max_steps=200, learning_rate=0.02, noise=0.0, validate_every=20)
    outcome = evolve_labels(model, examples, tmp_path / "run", title="Evolved")
    assert {"LSTM, evolved", "LSTM by gradients"} < {row.model for row in outcome.judged.scoreboard.rows}
    evolved_, descended = elman.load(tmp_path / "run"), elman.load(tmp_path / "run" / "gradients")
    spent = evolved_.history_.records[-1]["seconds"], descended.history_.records[-1]["seconds"]
    assert spent[0] == pytest.approx(spent[1], rel=0.05, abs=0.01)
    tried = evolved_.history_.records[-1]["evaluations"]
    assert f"Evolution tried {tried} nets on a batch each" in outcome.sentence
    assert "gradients took 200 steps" in outcome.sentence
    again = evolve_labels(model, examples, tmp_path / "run", title="Taken as it is")
    assert again.sentence == outcome.sentence
    assert "Evolution and gradients" in (tmp_path / "run" / "report.html").read_text()


def test_who_wins_is_said_by_the_paired_test():
    for mine, theirs, told in ((0.1, 0.4, "Evolution wins"), (0.4, 0.1, "Gradients win"), (0.1, 0.1, "Neither")):
        assert who_wins(board(mine, theirs, "by gradients"), "by gradients", "So.").startswith(told)


def test_wrong_labels_are_counted_where_they_count():
    import torch

    from elman.data.batch import Batch

    class Says(torch.nn.Module):
        def forward(self, x, lengths):
            return torch.nn.functional.one_hot(x[..., 0].long(), 2)

    x = torch.tensor([[[0.0], [1.0]], [[1.0], [1.0]]])
    y, weight = torch.tensor([[0, 0], [1, 0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    assert float(error_rate(Says(), Batch(x, y, weight))) == pytest.approx(1 / 3)
    assert float(error_rate(Says(), Batch(x, y))) == pytest.approx(1 / 2)


def test_what_cannot_be_evolved_is_told_before_anything_is_trained(tmp_path):
    X, y = remembered(40)
    examples = Examples.split(X, y, 0.3, 0)
    numbers = Examples.split(X, X.mean((1, 2)), 0.3, 0)
    with pytest.raises(OptionError, match="at most 5000 weights to be evolved, got"):
        evolve_labels(small(hidden_size=64), examples, tmp_path / "run", title="")
    with pytest.raises(OptionError, match="objective must be one of loss, error, got 'accuracy'"):
        evolve_labels(small(), examples, tmp_path / "run", title="", objective="accuracy")
    with pytest.raises(OptionError, match="counts wrong labels, and these are numbers"):
        evolve_labels(SequenceRegressor(), numbers, tmp_path / "run", title="", objective="error")
    assert not (tmp_path / "run").exists() and evolved.GRADIENTS == "gradients"


def test_a_language_model_is_evolved_beside_gradients(tmp_path):
    text = "abcabdabe" * 60
    model = LanguageModel(hidden_size=6, embedding_size=4, max_steps=30, truncate=20, batch_size=4)
    outcome = evolve_language(model, Corpus((text,), (), (text[:200],)), tmp_path / "run", title="Tune")
    names = {row.model for row in outcome.judged.scoreboard.rows}
    assert {"LSTM, evolved", "LSTM by gradients"} < names and any("Kneser–Ney" in name for name in names)
    evolved_, descended = elman.load(tmp_path / "run"), elman.load(tmp_path / "run" / "gradients")
    assert evolved_.history_.records[-1]["evaluations"] > 0
    assert not np.allclose(evolved_.network_.head.weight.detach(), descended.network_.head.weight.detach())
    first, last = (evolved_.history_.column("loss")[k] for k in (0, -1))
    assert last < first  # it learns
    with pytest.raises(OptionError, match="'error' is for labels"):
        evolve_language(model, Corpus((text,), (), (text,)), tmp_path / "other", title="", objective="error")


def test_an_evolution_that_was_stopped_goes_on_in_its_folder(tmp_path):
    X, y = remembered(60)
    estimator, examples = small(max_steps=300), Examples.split(X, y, 0.3, 0)
    after = iter([3, 10**9])  # the one by gradients is trained to its end, the evolved one is stopped
    with pytest.raises(Interrupted, match="stopped after generation 3"):
        evolve_labels(estimator, examples, tmp_path / "run", title="", progress=lambda: StopAfter(next(after)))
    kept = (tmp_path / "run" / "gradients" / "model.safetensors").read_bytes()
    found = evolve_labels(estimator, examples, tmp_path / "run", title="")
    assert found.sentence
    assert (tmp_path / "run" / "gradients" / "model.safetensors").read_bytes() == kept
    assert len(json.loads((tmp_path / "run" / "manifest.json").read_text())["resumed"]) >= 1
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()  # nothing is left to go on with
