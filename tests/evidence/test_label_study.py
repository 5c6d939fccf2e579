"""From examples to a judged run folder: the scoreboard of labels, its verdict, the report, the command."""

from __future__ import annotations

import json
from html import escape

import numpy as np
import pytest

import elman
from elman.cli.app import app
from elman.errors import DataError, RunError
from elman.estimators import SequenceClassifier, SequenceRegressor, SequenceTagger
from elman.evidence.label_study import Examples, judge_labels, label_study, labels_frame
from elman.evidence.labels import LabelBoard, Labelled
from elman.evidence.simple import FrequentLabel, baselines, summaries

SMALL = {"hidden_size": 8, "max_steps": 15}


def board(mine, theirs, truth, **options):
    found = {"majority": Labelled(np.array(theirs)), "LSTM": Labelled(np.array(mine))}
    return LabelBoard.build(found, np.array(truth), network="LSTM", **options)


def test_the_net_wins_only_if_it_is_better_and_that_is_no_chance():
    truth = np.arange(200) % 2
    won = board(truth, np.zeros(200, int), truth)
    assert won.network_wins
    assert won.verdict() == (
        "LSTM wins: its accuracy is higher than that of the best baseline, majority "
        "(accuracy: LSTM 1.000, majority 0.500; p < 0.001)."
    )
    nearly = np.zeros(200, int)
    nearly[1] = 1
    assert "not distinguishably better than the majority" in board(nearly, np.zeros(200, int), truth).verdict()
    lost = board(np.zeros(200, int), truth, truth)
    assert lost.rows[0].model == "majority"
    assert "don't use this model" in lost.verdict()


def test_labels_of_one_sequence_are_one_observation():
    truth, sequence = np.zeros(100, int), np.repeat([0, 1], 50)
    two = board(truth, truth + 1, truth, sequence=sequence)
    assert two.rows[1].test.count == 2
    assert two.sequences == 2
    assert "2 test sequences, 100 labels" in two.scope()


def test_numbers_are_judged_by_their_squared_errors():
    truth = np.linspace(0, 1, 50)
    numbers = board(truth + 0.01, truth + 0.5, truth)
    assert numbers.error == "RMSE"
    assert [row.model for row in numbers.rows] == ["LSTM", "majority"]
    assert numbers.rows[0].scores["RMSE"] == pytest.approx(0.01)
    assert "its error is lower" in numbers.verdict()
    with pytest.raises(DataError, match=r"labels must be \(50,\), got \(49,\)"):
        board(truth[1:], truth, truth)


def test_every_form_of_the_board():
    shown = board([0, 1], [0, 0], [0, 1])
    assert shown.to_text().startswith("model     accuracy  macro F1")
    assert "| LSTM | 1.000 | 1.000 |" in shown.to_markdown()
    assert '<tr class="network"><th scope="row">LSTM</th><td>1.000</td>' in shown.to_html()
    assert json.loads(shown.to_json())["rows"][0]["scores"]["accuracy"] == 1.0


def test_frequent_labels_of_words_and_of_numbers():
    model = FrequentLabel().fit([["a", "b"], ["a", "c"]], [["X", "Y"], ["X", "Y"]])
    assert model.predict([["a", "b", "new"]])[0].tolist() in (["X", "Y", "X"], ["X", "Y", "Y"])
    assert FrequentLabel().fit([[0.0, 1.0]], [[2.0, 4.0]]).predict([[0.0]])[0].tolist() == [3.0]


def test_summaries_have_one_row_for_each_sequence_and_no_gaps():
    found = summaries([np.array([[1.0, np.nan], [3.0, 2.0]]), np.array([[5.0, 1.0]])])
    assert found.shape == (2, 18)
    assert np.isfinite(found).all()
    assert found[0, :2].tolist() == [2.0, 2.0]


def words(count=60, seed=0):
    rng = np.random.default_rng(seed)
    X = [" ".join(rng.choice(["so", "it", "is"], 4)) + rng.choice([" good", " bad"]) for _ in range(count)]
    return X, np.array(["+" if x.endswith("good") else "-" for x in X])


def test_all_baselines_run_for_every_kind():
    X, y = words()
    steps = [[x.split() for x in X], [["D"] * 5 for _ in X]]
    steps[1][0] = ["D", "D", "D", "D", "E"]
    numbers = [np.random.default_rng(i).normal(size=(3 + i % 3, 2)) for i in range(60)]
    for model, data, labels in (
        (SequenceClassifier(**SMALL), X, y),
        (SequenceClassifier(**SMALL), numbers, y),
        (SequenceRegressor(**SMALL), numbers, np.array([n.sum() for n in numbers])),
        (SequenceTagger(**SMALL), *steps),
    ):
        judged = judge_labels(model, Examples.split(data, labels, 0.3, 0))
        names = {row.model for row in judged.scoreboard.rows}
        assert names == {*baselines(model, data, labels), "bidirectional LSTM"}
        assert len(names) >= 4


def test_a_split_keeps_the_classes_shares():
    X, y = list(range(100)), np.array(["a"] * 90 + ["b"] * 10)
    examples = Examples.split(X, y, 0.2, 0)
    assert (examples.y_test == "b").sum() == 2
    assert sorted([*examples.X, *examples.X_test]) == X
    with pytest.raises(DataError, match="10 sequences or more"):
        Examples.split(X[:5], y[:5], 0.2, 0)


def test_a_study_leaves_a_run_folder_with_a_report(tmp_path):
    X, y = words(120)
    model = SequenceClassifier(pooling="attention", **SMALL)
    judged = label_study(model, Examples.split(X, y, 0.25, 0), tmp_path / "run", title="Words <b>")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Words &lt;b&gt;" in page
    assert escape(judged.scoreboard.sentence()) in page
    for heading in ("Scoreboard", "Where it errs", "Examples of the test data", "Training", "Configuration"):
        assert f"<h2>{heading}</h2>" in page
    assert (elman.load(tmp_path / "run").predict(X[:5]) == model.predict(X[:5])).all()
    with pytest.raises(RunError, match="or choose another name"):
        label_study(model, Examples.split(X, y, 0.25, 0), tmp_path / "run", title="again")


def test_a_frame_says_what_the_estimator_says_in_one_pass():
    X, y = words()
    model = SequenceClassifier(**SMALL).fit(X, y)
    passes = []
    model.network_.register_forward_hook(lambda *_: passes.append(1))
    table = labels_frame(model, X)
    assert len(passes) == 1
    assert table["label"].tolist() == model.predict(X).tolist()
    assert table["probability"].tolist() == model.predict_proba(X).max(1).round(4).tolist()


def command(*arguments):
    from typer.testing import CliRunner

    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_verbs_and_predict(tmp_path):
    X, y = words(120)
    table = tmp_path / "words.csv"
    table.write_text("text,kind\n" + "".join(f"{x},{k}\n" for x, k in zip(X, y, strict=True)))
    done = command("classify", table, "--label", "kind", "--steps", 15, "--hidden-size", 8, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "24 test sequences" in done.output
    found = command("predict", tmp_path / "run", table)
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[0] == "sequence,label,probability"
    assert len(found.output.splitlines()) == 121
    tags = tmp_path / "tags.conll"
    tags.write_text("".join(f"{w}\tT{len(w)}\n" for x in X for w in [*x.split()]).replace("good\tT4\n", "good\tT4\n\n"))
    done = command("tag", tags, "--steps", 10, "--hidden-size", 8, "--out", tmp_path / "tagged")
    assert done.exit_code == 0, done.output
    found = command("predict", tmp_path / "tagged", tags)
    assert found.output.splitlines()[0] == "sequence,step,name,label"


def test_predictions_carry_the_names_of_the_sequences(tmp_path):
    machines = [f"m{n:02}" for n in np.random.default_rng(0).permutation(20)]
    rows = [
        f"{name},{t},{(-1) ** int(name[1:]) * (t + 1)},{int(name[1:]) % 2}\n" for t in range(4) for name in machines
    ]
    (tmp_path / "steps.csv").write_text("machine,t,x,odd\n" + "".join(rows))
    options = ("--label", "odd", "--sequence", "machine", "--time", "t", "--steps", 30, "--hidden-size", 8)
    done = command("classify", tmp_path / "steps.csv", *options, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    found = command("predict", tmp_path / "run", tmp_path / "steps.csv").output.splitlines()
    assert found[0] == "machine,label,probability"
    assert [line.split(",")[:2] for line in found[1:]] == [[name, str(int(name[1:]) % 2)] for name in machines]


def test_wrong_calls_of_the_verbs_are_one_line(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("text,kind\nso,1\n")
    for arguments, message in (
        ((table, "--input", "text"), "--label COL"),
        ((table, "--label", "kid"), "did you mean 'kind'"),
        ((table, "--label", "kind", "--share", 2), "--share must be between 0 and 1"),
        ((table, "--label", "kind"), "10 sequences or more"),
        ((tmp_path / "no.csv", "--label", "kind"), "no such file"),
    ):
        done = command("classify", *arguments, "--out", tmp_path / "run")
        assert done.exit_code == 2, arguments
        assert message in done.output
        assert done.output.count("\n") == 1


def test_a_label_that_only_the_test_data_have_is_an_error_of_the_model_and_no_crash(tmp_path):
    X, y = [["a", "b"], ["b", "a"]] * 20, [["A", "B"], ["B", "A"]] * 20
    tagger = SequenceTagger(**SMALL)
    judged = label_study(
        tagger, Examples(X, y, [["a", "c"], ["a", "b"]], [["A", "C"], ["A", "B"]]), tmp_path / "r", title="C"
    )
    assert judged.truth.tolist() == ["A", "C", "A", "B"]
    assert judged.scoreboard.rows[0].scores["accuracy"] <= 0.75
    assert "Gradients through time" in (tmp_path / "r" / "report.html").read_text()
