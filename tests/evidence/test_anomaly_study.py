"""From signals to a judged run folder: the scoreboard of anomalies, its baselines, the report, the command."""

from __future__ import annotations

import json
from html import escape

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import elman
from elman.cli.app import app
from elman.errors import DataError, RunError
from elman.estimators import AnomalyDetector
from elman.evidence.anomalies import Alarmed, AnomalyBoard
from elman.evidence.anomaly_baselines import Autoregression, Forest, LastValue, Mean, MovingAverage, anomaly_baselines
from elman.evidence.anomaly_plots import WatchPlot, plot_watch
from elman.evidence.anomaly_study import WatchExamples, anomalies_frame, anomaly_study, judge_anomalies, watch_plots

SMALL = {"hidden_size": 8, "max_steps": 30, "learning_rate": 0.02}


def vibration(steps=1500, seed=0, noise=0.2):
    """A mass on a spring that is pushed at random: x_t = 1.8 x_{t-1} - 0.97 x_{t-2} + push."""
    push = np.random.default_rng(seed).normal(scale=noise, size=steps + 100)
    x = np.zeros(steps + 100)
    for t in range(2, len(x)):
        x[t] = 1.8 * x[t - 1] - 0.97 * x[t - 2] + push[t]
    return x[100:, None]


def knocked(steps=1500, seed=1, at=(300, 900), length=40):
    """The same with stretches in which the spring is another one, and their labels."""
    x, y = vibration(steps, seed), np.zeros(steps, dtype=int)
    for begin in at:
        t = np.arange(length)
        x[begin : begin + length, 0] = 2 * np.sin(2.4 * t)
        y[begin : begin + length] = 1
    return x, y


# -- the scoreboard ----------------------------------------------------------------------------------------------------


def said(*alarms):
    return Alarmed([np.asarray(a, dtype=float) for a in alarms], [np.asarray(a, dtype=bool) for a in alarms])


def test_measures_by_hand():
    truth = [np.array([0, 0, 1, 1, 1, 0, 0, 1], dtype=bool), np.array([0, 0], dtype=bool)]
    board = AnomalyBoard.build(
        {"LSTM": said([0, 1, 0, 1, 1, 1, 0, 0], [0, 0]), "z-score": said([0] * 8, [0, 0])},
        truth,
        network="LSTM",
        rate=0.01,
    )
    row = board.rows[0]
    assert row.model == "LSTM"
    assert row.scores["precision"] == 0.5
    assert row.scores["recall"] == 0.5
    assert row.scores["F1"] == 0.5
    assert row.scores["false alarms"] == pytest.approx(2 / 6)
    assert row.scores["found"] == 0.5
    assert row.scores["delay"] == np.inf  # the median of 1 and never
    assert board.rows[1].scores["F1"] == 0.0
    assert board.stretches == 2
    assert board.tested == "pieces (each sequence is cut into 20)"


def test_the_verdict_is_a_paired_test_over_sequences():
    rng = np.random.default_rng(0)
    truth = [rng.random(50) < 0.2 for _ in range(30)]
    good = [t ^ (rng.random(50) < 0.02) for t in truth]
    bad = [t ^ (rng.random(50) < 0.2) for t in truth]
    won = AnomalyBoard.build({"LSTM": said(*good), "z-score": said(*bad)}, truth, network="LSTM", rate=0.01)
    assert won.network_wins
    assert won.rows[1].test.count == 30
    assert won.verdict().startswith("LSTM wins: its F1 is higher than that of the best baseline, z-score (F1: LSTM 0.9")
    lost = AnomalyBoard.build({"LSTM": said(*bad), "z-score": said(*good)}, truth, network="LSTM", rate=0.01)
    assert "the z-score baseline wins: don't use this model" in lost.verdict()
    tied = AnomalyBoard.build({"LSTM": said(*good), "z-score": said(*good)}, truth, network="LSTM", rate=0.01)
    assert "equally good: prefer the simpler" in tied.verdict()


def test_every_form_of_the_board_and_what_it_refuses():
    truth = [np.array([True]), np.array([False])]
    board = AnomalyBoard.build({"LSTM": said([1], [0])}, truth, network="LSTM", rate=0.05)
    assert "delay" not in board.to_text()  # whole sequences have none
    assert "set to flag 0.05 of the normal" in board.to_text()
    assert json.loads(board.to_json())["rows"][0]["scores"]["recall"] == 1.0
    steps = AnomalyBoard.build({"LSTM": said([0, 1])}, [np.array([False, True])], network="LSTM", rate=0.05)
    assert "| LSTM | 1.000 | 1.000 | 1.000 | 0.000 | 1.000 | 1.000 | 0 |" in steps.to_markdown()
    with pytest.raises(DataError, match="must have an anomaly"):
        AnomalyBoard.build({"LSTM": said([0])}, [np.array([False])], network="LSTM", rate=0.05)
    with pytest.raises(DataError, match="shapes of the truth"):
        AnomalyBoard.build({"LSTM": said([0, 1])}, [np.array([True])], network="LSTM", rate=0.05)


# -- baselines ---------------------------------------------------------------------------------------------------------


def test_baselines_against_plain_formulas():
    learn, x = [vibration(800)], vibration(200, 1)
    mean, spread = learn[0].mean(), learn[0].std()
    z = (x[:, 0] - mean) / spread
    assert np.allclose(Mean().fit(learn).surprise([x])[0], z**2)
    last = LastValue().fit(learn).surprise([x])[0]
    change = np.diff(z) ** 2
    assert np.allclose(last[1:] / last[1], change / change[0])
    average = MovingAverage().fit(learn)
    m, errors = 0.0, []
    for value in z:
        errors.append((value - m) ** 2)
        m += average.weight_ * (value - m)
    assert np.allclose(average.surprise([x])[0] * average.usual_, errors)
    linear = Autoregression(4).fit(learn)
    past = np.stack([z[k : k + 196] for k in range(4)], 1)
    known = (learn[0][:, 0] - mean) / spread
    rows = np.stack([np.concatenate([np.zeros(4), known])[k : k + 800] for k in range(4)], 1)
    expected = Ridge(alpha=1.0, fit_intercept=False).fit(rows, known).predict(past)
    assert np.allclose(linear.surprise([x])[0][4:] * linear.usual_, (z[4:] - expected) ** 2)
    assert Autoregression(4).fit(learn).usual_ < 0.3 * LastValue().fit(learn).usual_


def test_baselines_know_no_future_and_bear_gaps():
    learn, x = [np.hstack([vibration(600), vibration(600, 2)])], np.hstack([vibration(300, 3), vibration(300, 4)])
    learn[0][50:60, 0] = np.nan
    changed = x.copy()
    changed[200:] = 7.0
    gaps = x.copy()
    gaps[100, 0] = np.nan
    gaps[120] = np.nan
    for name, model in anomaly_baselines(4, 0).items():
        model.fit(learn)
        assert np.allclose(model.surprise([x])[0][:200], model.surprise([changed])[0][:200]), name
        found = model.surprise([gaps, x])
        assert np.isfinite(np.delete(found[0], 120)).all(), name
        assert [len(f) for f in found] == [300, 300], name


def test_the_forest_sees_what_a_window_is_like():
    model = Forest(0).fit([vibration(1500)])
    x, y = knocked()
    surprise = model.surprise([x])[0]
    assert surprise[320:340].mean() > surprise[y == 0].mean() + surprise[y == 0].std()


# -- the study ---------------------------------------------------------------------------------------------------------


def test_one_signal_is_cut_in_time_and_known_anomalies_are_not_learned():
    x, y = knocked(1000, at=(100, 800))
    examples = WatchExamples.split([x], [y], 0.3, 0)
    assert len(examples.X[0]) == 700
    assert np.isnan(examples.X[0][:, 0]).sum() == 40
    assert np.array_equal(examples.X_test[0], x[700:])
    assert examples.truth[0].sum() == 40


def test_of_sequences_the_anomalous_are_all_judged_and_none_is_learned():
    X = [np.full((5, 1), i, dtype=float) for i in range(20)]
    examples = WatchExamples.split(X, [0] * 15 + [1] * 5, 0.2, 0)
    assert len(examples.X) == 12
    assert sorted(x[0, 0] for x in [*examples.X, *examples.X_test]) == list(range(20))
    assert [t.tolist() for t in examples.truth] == [[False]] * 3 + [[True]] * 5
    for y, message in (([2] * 20, r"must be 1 for an anomaly and 0 .* got \[2\]"), ([1] * 20, "2 normal sequences")):
        with pytest.raises(DataError, match=message):
            WatchExamples.split(X, y, 0.2, 0)


def test_a_study_leaves_a_run_folder_with_a_report(tmp_path):
    x, y = knocked(2000, at=(300, 1600, 1800))
    detector = AnomalyDetector(**SMALL)
    examples = WatchExamples.split([x], [y], 0.3, 0)
    judged = anomaly_study(detector, examples, tmp_path / "run", title="Spring <b>")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Spring &lt;b&gt;" in page
    assert escape(judged.scoreboard.sentence()) in page
    for heading in ("Scoreboard", "Signal, score and alarms", "Training", "Configuration"):
        assert f"<h2>{heading}</h2>" in page
    assert {row.model for row in judged.scoreboard.rows} == {"LSTM", *anomaly_baselines(1, 0)}
    mine = next(row for row in judged.scoreboard.rows if row.is_network)
    assert mine.scores["found"] == 1.0
    assert mine.scores["avg. precision"] > 0.5
    found = elman.load(tmp_path / "run").steps(examples.X_test)[0]
    assert np.array_equal(found.scores, detector.steps(examples.X_test)[0].scores)
    with pytest.raises(RunError, match="or choose another name"):
        anomaly_study(detector, examples, tmp_path / "run", title="again")


def test_without_labels_or_anomalies_nothing_is_judged_and_that_is_said(tmp_path):
    x, y = knocked(1200, at=(100,))
    judged = anomaly_study(AnomalyDetector(**SMALL), WatchExamples.split([x], None, 0.3, 0), tmp_path / "a", title="a")
    assert judged.scoreboard is None
    assert "nothing could be judged" in (tmp_path / "a" / "report.html").read_text()
    assert not (tmp_path / "a" / "scoreboard.json").exists()
    judged = judge_anomalies(AnomalyDetector(**SMALL), WatchExamples.split([x], [y], 0.3, 0))
    assert judged.notes[0].startswith("No anomaly among the test labels")


def test_too_few_sequences_for_the_share_of_false_alarms_is_said():
    X = [vibration(30, seed) for seed in range(30)]
    examples = WatchExamples.split(X, [0] * 29 + [1], 0.2, 0)
    judged = judge_anomalies(AnomalyDetector(**SMALL), examples)
    assert judged.scoreboard.notes == (
        "The threshold stands on 4 normal sequences only: about one in 5 will be flagged for nothing, not 0.01 as "
        "asked.",
    )


def test_a_picture_shows_every_alarm_and_every_anomaly():
    x, y = knocked(6000, at=(1000, 4000))
    scores = np.where(y == 1, 50.0, 0.0)
    scores[5500] = 2.0  # one step of 6000 must be seen
    figure = plot_watch(WatchPlot("spring", x, scores, 0.0, 1.0, y == 1))
    above, below = figure.axes
    bars = [patch.get_extents() for patch in above.patches]
    assert len(bars) == 3 + 2
    assert min(bar.width for bar in bars) > 2
    assert below.get_yscale() == "symlog"
    detector = AnomalyDetector(**{**SMALL, "max_steps": 2}).fit([x])
    examples = WatchExamples.of_files([x], None, [x], [y])
    plots = watch_plots(detector, examples, Alarmed([scores], [scores > 1]))
    assert [plot.title for plot in plots] == ["test signal", "test signal, closer"]
    assert plots[1].begin > 0


def test_a_frame_says_what_the_detector_says():
    detector = AnomalyDetector(**SMALL).fit([vibration()])
    X = [vibration(50, 1), knocked(60, at=(10,))[0]]
    table = anomalies_frame(detector, X)
    assert list(table.columns) == ["sequence", "step", "score", "alarm", "sequence_alarm"]
    assert table["alarm"].sum() == sum(w.alarms.sum() for w in detector.steps(X))
    assert table.groupby("sequence")["sequence_alarm"].first().tolist() == (detector.predict(X) == -1).tolist()


# -- the command -------------------------------------------------------------------------------------------------------


def command(*arguments):
    from typer.testing import CliRunner

    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def table(tmp_path):
    x, y = knocked(1500, at=(200, 1200))
    path = tmp_path / "spring.csv"
    path.write_text(
        "t,x,odd\n" + "".join(f"{t},{v:.4f},{k}\n" for t, (v, k) in enumerate(zip(x[:, 0], y, strict=True)))
    )
    return path


FAST = ("--steps", 20, "--hidden-size", 8)


def test_watch_and_predict(tmp_path, table):
    run = tmp_path / "run"
    done = command("watch", table, "--time", "t", "--label", "odd", *FAST, "--out", run)
    assert done.exit_code == 0, done.output
    assert "1 test sequence, 450 steps, 1 anomalous stretch." in done.output
    found = command("predict", run, table)
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[0] == "sequence,step,score,alarm"
    assert len(found.output.splitlines()) == 1501
    again = command("watch", table, "--time", "t", "--label", "odd", *FAST, "--out", run, "--resume")
    assert again.exit_code == 0, again.output


def test_watch_judges_by_another_file_that_alone_has_labels(tmp_path, table):
    normal = tmp_path / "normal.csv"
    normal.write_text("t,x\n" + "".join(f"{t},{v:.4f}\n" for t, v in enumerate(vibration()[:, 0])))
    done = command("watch", normal, "--time", "t", "--label", "odd", "--test", table, *FAST, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "1500 steps, 2 anomalous stretches" in done.output
    np.savez(tmp_path / "windows.npz", X=np.stack([vibration(40, s)[:, 0] * (1 + 9 * (s > 40)) for s in range(50)]))
    done = command("watch", tmp_path / "windows.npz", "--method", "autoencoder", *FAST, "--out", tmp_path / "auto")
    assert done.exit_code == 0, done.output
    assert "Note: No labels: nothing could be judged." in done.output


def test_wrong_calls_are_one_line(tmp_path, table):
    for arguments, message in (
        ((table, "--resume"), "--resume needs the run to go on with"),
        ((table, "--label", "od"), "did you mean 'odd'"),
        ((table, "--share", 2), "--share must be between 0 and 1"),
        ((table, "--method", "guess"), "method must be one of forecast, autoencoder"),
        ((table, "--label", "t"), "labels must be 1 for an anomaly and 0"),
        ((tmp_path / "no.csv",), "no such file"),
    ):
        done = command("watch", *arguments, *FAST, "--out", tmp_path / "run")
        assert done.exit_code == 2, arguments
        assert message in done.output
        assert done.output.count("\n") == 1
