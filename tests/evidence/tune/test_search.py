"""The search: the defaults first, the hopeless given up, what was killed begun anew, nothing tried twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import elman
from elman.errors import DataError, MissingExtraError, OptionError, RunError
from elman.estimators import Forecaster, LanguageModel, SequenceRegressor, SequenceTagger
from elman.evidence.tune import pictures, tune
from elman.evidence.tune.crew import attempt
from elman.evidence.tune.search import RETRIES, Outcome, Search, alone
from elman.evidence.tune.space import make_space
from elman.evidence.tune.tasks import LabelTask, make_task
from elman.evidence.tune.tuning import Tuned, run_search
from elman.training.signals import Interrupted
from tests.evidence.tune.sequences import remembered, small

RATES = {"learning_rate": (1e-4, 0.05), "num_layers": (1, 2)}


def same(a, b):
    return [(t.number, t.state, dict(t.params), t.loss) for t in a] == [
        (t.number, t.state, dict(t.params), t.loss) for t in b
    ]


def test_the_first_trial_is_the_estimator_as_it_is():
    X, y = remembered()
    model = small()
    found = tune(model, X, y, trials=3, search=RATES, only=[])
    task = make_task(model, X, y)
    by_hand = attempt(task, {}, lambda number, loss, done: False)
    assert found.first.params == {"learning_rate": 0.002, "num_layers": 1}
    assert found.first.loss == by_hand.loss
    assert found.best.loss <= found.first.loss
    assert found.estimator.get_params() == small(**found.changes).get_params()


def test_the_defaults_are_the_first_trial_even_outside_of_the_range():
    X, y = remembered(40)
    found = tune(small(max_steps=3), X, y, trials=2, search={"learning_rate": (0.01, 0.05)}, only=[])
    assert found.first.params == {} and found.first.state == "complete"
    assert 0.01 <= found.trials[1].params["learning_rate"] <= 0.05


def test_what_is_validated_by_is_never_learned_and_the_rest_is_all_there_is():
    X, y = remembered(80)
    task = LabelTask.split(small(), X, y)
    learned, held = ({x.tobytes() for x in part} for part in (task.X, task.X_held))
    assert not learned & held
    assert learned | held == {x.tobytes() for x in X}
    assert len(held) == 20


def test_a_class_that_stands_among_the_held_by_handis_moved_to_be_learned():
    X, y = remembered(40)
    y = y.astype(object)
    y[:3] = ["left", "right", "back"]
    task = LabelTask.split(small(), X, y.astype(str))
    assert set(task.y_held) <= set(task.y)
    assert len(task.y) + len(task.y_held) == 40
    steps = [["a"] * 8 if i else ["b"] * 8 for i in range(20)]
    tagged = LabelTask.split(SequenceTagger(), X[:20], [np.array(one) for one in steps])
    assert "b" in np.concatenate(tagged.y)


def test_a_trial_is_given_up_when_it_is_behind_the_median():
    X, y = remembered(40)
    model = small(max_steps=20, validate_every=2)
    search = Search(make_task(model, X, y), make_space(model, RATES, []), 20, None, 0)
    for _ in range(6):
        trial = search.ask()
        for number in range(1, 11):
            search.report(trial, number, 1.0 / number, number / 10)
        search.tell(trial, Outcome("complete", 0.1))
    bad, good, slow = search.ask(), search.ask(), search.ask()
    assert not search.report(bad, 1, 9.0, 0.1)  # too early to say
    assert search.report(bad, 2, 9.0, 0.2)
    assert not search.report(good, 1, 0.5, 0.2) and not search.report(good, 2, 0.4, 0.3)
    assert search.report(slow, 1, 1.5, 0.5)


def test_trials_are_pruned_in_a_real_search_and_never_the_defaults():
    X, y = remembered()
    # At most of these rates nothing is learned within the time.
    model = small(learning_rate=0.03, max_steps=80, validate_every=8, average=None)
    found = tune(model, X, y, trials=10, search={"learning_rate": (1e-6, 0.05)}, only=[])
    pruned = [t for t in found.trials if t.state == "pruned"]
    longest = max(len(t.losses) for t in found.trials)
    assert found.first.state == "complete"
    assert pruned and all(0 < len(t.losses) < longest and t.loss is None for t in pruned)
    assert found.best.loss < 0.5 < np.log(2)


def test_a_search_goes_on_as_if_it_had_not_been_stopped(tmp_path):
    X, y = remembered(40)
    model, how = small(max_steps=6), {"search": RATES, "only": []}
    whole = tune(model, X, y, trials=6, folder=tmp_path / "whole", **how)
    tune(model, X, y, trials=3, folder=tmp_path / "parts", **how)
    parts = tune(model, X, y, trials=6, folder=tmp_path / "parts", resume=True, **how)
    assert same(whole.trials, parts.trials)
    assert len({t.params["learning_rate"] for t in whole.trials}) == 6


KILLED = """
import sys
from elman.evidence.tune import tune
from tests.evidence.tune.sequences import remembered, small

if __name__ == "__main__":
    X, y = remembered(40)
    tune(small(max_steps=6), X, y, trials=6, search={"learning_rate": (1e-4, 0.05), "num_layers": (1, 2)}, only=[],
         workers=int(sys.argv[2]), folder=sys.argv[1], resume=True, say=lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_search_loses_no_trial(tmp_path, workers):
    root = Path(__file__).parents[3]
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(tmp_path / "run"), str(workers)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (root, root / "src")))},
    ) as process:
        _, *told = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGKILL)
    assert told[2].startswith("Trial 3/6" if workers == 1 else "Trial ")
    time.sleep(0.5 * (workers - 1))
    X, y = remembered(40)
    model, how = small(max_steps=6), {"search": RATES, "only": []}
    found = tune(model, X, y, trials=6, folder=tmp_path / "run", resume=True, **how)
    assert [t.state in ("complete", "pruned") for t in found.trials] == [True] * 6
    assert len({t.params["learning_rate"] for t in found.trials}) == 6
    if workers == 1:
        assert same(found.trials, tune(model, X, y, trials=6, **how).trials)


def test_what_a_killed_process_was_at_is_begun_anew_but_not_for_ever(tmp_path):
    X, y = remembered(40)
    model = small(max_steps=3)
    task, space = make_task(model, X, y), make_space(model, RATES, [])
    at = []
    for killed in range(RETRIES + 1):
        search = Search(task, space, 5, tmp_path, 0)
        if not killed:
            search.tell(search.ask(), Outcome("complete", 1.0))
        at.append(dict(search.ask().params))
    assert at == [at[0]] * (RETRIES + 1)
    found = Search(task, space, 5, tmp_path, 0)
    assert [(t.state, t.reason) for t in found.found()] == [
        ("complete", ""),
        ("failed", "its process was killed"),
    ]
    assert found.left == 3


def test_two_workers_share_a_study_and_try_nothing_twice(tmp_path):
    X, y = remembered(40)
    told = []
    model = small(max_steps=6)
    found = tune(model, X, y, trials=6, search=RATES, only=[], workers=2, folder=tmp_path, say=told.append)
    search = Search(make_task(model, X, y), found.space, 6, tmp_path, 0)
    processes = [t.user_attrs["process"] for t in search.study.trials]
    assert len(set(processes)) == 2
    assert len(found.trials) == 6 and len({t.params["learning_rate"] for t in found.trials}) == 6
    assert {t.number for t in found.trials} == set(range(6)) and len(told) == 1 + 6
    # A worker's training is the one that this process would have done.
    for trial in found.trials:
        if trial.state == "complete":
            params = {} if trial.number == 0 else dict(trial.params)
            assert attempt(search.task, params, lambda *_: False).loss == pytest.approx(trial.loss, rel=1e-5)


def test_a_forecaster_a_language_model_and_numbers_are_tuned():
    import pandas as pd

    days = pd.date_range("2024", periods=80)
    frame = pd.DataFrame({"ds": days, "y": 5 + np.sin(np.arange(80) * 2 * np.pi / 7)})
    series = tune(Forecaster(horizon=7, hidden_size=4, max_steps=10, series=None), frame, trials=2, only=["cell"])
    assert len(series.first.losses) == 10 and series.estimator.patience is None
    text = LanguageModel(hidden_size=8, max_steps=8, batch_size=4, validate_every=4)
    texts = tune(text, "so it goes. " * 80, trials=2, search={"truncate": (5, 20)}, only=[])
    assert 5 <= texts.trials[1].params["truncate"] <= 20
    X, _ = remembered(40)
    numbers = tune(SequenceRegressor(hidden_size=4, max_steps=4), X, X.mean((1, 2)), trials=2, only=["learning_rate"])
    assert numbers.best.loss <= numbers.first.loss


def test_a_search_is_of_one_estimator_and_one_data(tmp_path):
    X, y = remembered(40)
    model, how = small(max_steps=2), {"trials": 1, "search": RATES, "only": [], "folder": tmp_path}
    tune(model, X, y, **how)
    with pytest.raises(RunError, match=r"holds a search. Resume it \(resume=True\)"):
        tune(model, X, y, **how)
    with pytest.raises(RunError, match="holds a search of another data"):
        tune(model, X + 1, y, resume=True, **how)
    with pytest.raises(RunError, match="holds a search of another estimator"):
        tune(small(max_steps=3), X, y, resume=True, **how)
    with pytest.raises(RunError, match="holds a search of another ranges"):
        tune(model, X, y, resume=True, **how | {"search": {"learning_rate": (1e-3, 0.05)}})


def test_two_searches_in_one_folder_are_refused(tmp_path):
    X, y = remembered(40)
    with alone(tmp_path), pytest.raises(RunError, match="another process is searching there"):
        tune(small(), X, y, trials=1, folder=tmp_path)


def test_wrong_inputs_are_told_in_one_line(monkeypatch):
    X, y = remembered(40)
    with pytest.raises(OptionError, match="trials must be a whole number ≥ 1, got 0"):
        tune(small(), X, y, trials=0)
    with pytest.raises(OptionError, match="workers must be a whole number ≥ 1, got 0"):
        tune(small(), X, y, workers=0)
    with pytest.raises(DataError, match="y must be a target for each sequence, got None"):
        tune(small(), X)
    with pytest.raises(DataError, match="needs 10 sequences or more"):
        tune(small(), X[:5], y[:5])
    with pytest.raises(OptionError, match="expected an estimator of labels, a Forecaster or a LanguageModel"):
        tune(elman.AnomalyDetector(), X)
    with pytest.raises(DataError, match=r"cannot be trained. DataError: .*two classes or more"):
        tune(small(), X, ["up"] * 40)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"needs optuna. pip install 'elman\[tune\]'"):
        tune(small(), X, y)


def test_every_picture_of_a_search():
    X, y = remembered(48)
    model = small(max_steps=6, validate_every=2)
    search = {"learning_rate": (1e-5, 0.05), "cell": ["lstm", "gru"], "num_layers": (1, 2)}
    found = tune(model, X, y, trials=14, search=search, only=[])
    assert isinstance(found, Tuned)
    assert sum(found.importances.values()) == pytest.approx(1.0) and set(found.importances) <= set(found.space)
    axes = pictures.plot_progress(found).axes[0]
    best = next(line for line in axes.lines if line.get_label() == "best so far").get_ydata()
    assert best[-1] == found.best.loss and (np.diff(best) <= 0).all()
    assert len(pictures.plot_arguments(found).axes) == 3
    page = pictures.to_html(found)
    assert page.count("<svg") == 4 and "defaults" in page and "14 trials" in page


def test_the_search_says_what_it_does():
    X, y = remembered(40)
    told = []
    model = small(max_steps=3)
    run_search(make_task(model, X, y), make_space(model, RATES, []), None, trials=2, say=told.append)
    assert told[0].startswith("2 trials over ") and "learning_rate" in told[0]
    assert told[1].startswith("Trial 1/2: loss ") and told[1].endswith("as it is")
    assert "learning_rate" in told[2] and "(best " in told[2]


def test_a_search_that_is_told_to_stop_says_how_to_go_on(tmp_path):
    X, y = remembered(40)
    how = {"trials": 3, "search": RATES, "only": [], "folder": tmp_path}

    def stop(line):
        if line.startswith("Trial"):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"stopped after 1 of 3 trials; to go on, resume it"):
        tune(small(max_steps=3), X, y, say=stop, **how)
    assert len(tune(small(max_steps=3), X, y, resume=True, **how).trials) == 3
