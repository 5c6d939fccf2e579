"""`AnomalyDetector`: thresholds that keep what they promise, scores that know no future, models that come back."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman.errors import DataError, ElmanError, OptionError
from elman.estimators import AnomalyDetector
from elman.estimators.anomalies.alarm import Alarm, threshold
from elman.estimators.anomalies.parts import Parts, windows
from elman.estimators.base import NotYetFittedError

SMALL = {"hidden_size": 8, "max_steps": 60, "learning_rate": 0.02}
METHODS = ["forecast", "autoencoder"]


def pendulum(steps=4000, seed=0):
    """Angle and speed of a damped pendulum that is pushed at random, by its equation, 20 steps a second."""
    push = np.random.default_rng(seed).normal(size=steps)
    angle, speed, found = 0.0, 0.0, np.empty((steps, 2))
    for t in range(steps):
        speed += 0.05 * (-9.81 * np.sin(angle) - 0.4 * speed) + 0.3 * push[t]
        angle += 0.05 * speed
        found[t] = angle, speed
    return found


@pytest.fixture(scope="module", params=METHODS)
def fitted(request):
    return AnomalyDetector(method=request.param, hidden_size=16, max_steps=150, learning_rate=0.02).fit(
        [pendulum(8000)]
    )


def test_false_alarms_on_fresh_normal_data_are_as_many_as_asked_for(fitted):
    fresh = [pendulum(seed=seed) for seed in (1, 2, 3)]
    shares = [w.alarms.mean() for w in fitted.steps(fresh)]
    assert 0.001 < np.mean(shares) < 0.03
    pieces = [x[i : i + 128] for x in fresh for i in range(0, 3900, 128)]
    assert (fitted.predict(pieces) == -1).mean() < 0.15


def test_a_pendulum_that_is_held_and_one_that_swings_too_fast_are_found(fitted):
    held = pendulum(seed=4)
    held[1000:1040, 0] *= -1  # the angle no longer fits the speed
    found = fitted.steps([held])[0]
    assert found.alarms[1000:1045].any()
    assert found.scores[1000:1045].max() > 3 * np.median(found.scores[:1000] - fitted.alarm_.calm)
    assert found.expected.shape == held.shape
    normal, odd = pendulum(200, seed=5), pendulum(200, seed=5) * 4
    assert fitted.predict([normal, odd])[1] == -1
    assert fitted.decision_function([odd])[0] < fitted.decision_function([normal])[0]


def test_the_forecasts_score_of_a_step_knows_nothing_of_the_steps_after_it():
    model = AnomalyDetector(**SMALL).fit([pendulum(1000)])
    x = pendulum(2500, seed=1)
    before = model.steps([x])[0].scores
    changed = x.copy()
    changed[1300:] = 9.0
    after = model.steps([changed])[0].scores
    assert np.array_equal(before[:1300], after[:1300])
    assert not np.isclose(before[1300], after[1300])


def test_a_signal_in_chunks_is_read_as_one(monkeypatch):
    model = AnomalyDetector(**SMALL).fit([pendulum(1000)])
    x = [pendulum(900, seed=1), pendulum(333, seed=2)]
    whole = model.surprise(x)
    monkeypatch.setattr("elman.estimators.anomalies.network.CHUNK", 100)
    for one, other in zip(model.surprise(x), whole, strict=True):
        assert np.allclose(one, other, atol=1e-5, equal_nan=True)


def test_after_an_anomaly_the_forecast_soon_finds_back():
    model = AnomalyDetector(hidden_size=16, max_steps=150, learning_rate=0.02).fit([pendulum(8000)])
    x = pendulum(1000, seed=1)
    broken = x.copy()
    broken[300:500] = 4 * pendulum(200, seed=2)
    scores = [model.steps([signal])[0].scores for signal in (x, broken)]
    assert scores[1][300:500].mean() > scores[0][300:500].mean() + 1
    soon = 500 + model.lags + model.smooth
    assert np.abs(scores[1][soon + 30 :] - scores[0][soon + 30 :]).mean() < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_missing_values_are_no_surprise_and_those_beside_them_are_judged(method):
    x = pendulum(1500)
    x[200:260, 0] = np.nan
    x[700:720] = np.nan
    model = AnomalyDetector(method=method, **SMALL).fit([x])
    surprise = model.surprise([x])[0]
    assert np.isnan(surprise[700:720]).all()
    unjudged = [*range(700, 720), *[0] * (method == "forecast")]  # the forecast has nothing before the first step
    assert np.isfinite(np.delete(surprise, unjudged)).all()
    assert np.isfinite(model.steps([x])[0].scores).all()
    new = pendulum(300, seed=1)
    new[100, 1] = np.nan  # a feature that had none in training
    assert np.isfinite(model.surprise([new])[0][1:]).all()


def test_a_missing_value_is_read_as_the_last_one():
    model = AnomalyDetector(**{**SMALL, "max_steps": 2}).fit([pendulum(100)])
    gap = pendulum(60, seed=1)
    filled = gap.copy()
    gap[30:34], filled[30:34] = np.nan, filled[29]
    one, other = (model.surprise([x])[0] for x in (gap, filled))
    assert np.array_equal(one[34:], other[34:])


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_scores_and_a_folder_gives_them_back(tmp_path, method):
    X = [pendulum(90, seed) for seed in range(30)]
    options = {**SMALL, "method": method, "max_steps": 15, "smooth": 3, "pooling": "mean"}
    model = AnomalyDetector(**options).fit(X, folder=tmp_path / "run")
    loaded = elman.load(tmp_path / "run")
    assert type(loaded) is AnomalyDetector
    assert loaded.alarm_ == model.alarm_
    assert loaded.get_params() == model.get_params()
    scores = model.score_samples(X)
    assert np.array_equal(loaded.score_samples(X), scores)
    assert np.array_equal(AnomalyDetector(**options).fit(X).score_samples(X), scores)
    again = AnomalyDetector(**options).fit(X, folder=tmp_path / "run", resume=True)
    assert np.array_equal(again.score_samples(X), scores)
    assert again.alarm_ == model.alarm_


def test_a_training_that_was_stopped_goes_on_to_the_same_thresholds(tmp_path, monkeypatch):
    X = [pendulum(1200)]
    options = {**SMALL, "max_steps": 12, "validate_every": 4}
    straight = AnomalyDetector(**options).fit(X)
    calibrate = AnomalyDetector._calibrate
    monkeypatch.setattr(AnomalyDetector, "_calibrate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):  # trained, but killed before the thresholds were set
        AnomalyDetector(**options).fit(X, folder=tmp_path / "run")
    with pytest.raises(ElmanError):
        elman.load(tmp_path / "run")
    monkeypatch.setattr(AnomalyDetector, "_calibrate", calibrate)
    resumed = AnomalyDetector(**options).fit(X, folder=tmp_path / "run", resume=True)
    assert resumed.alarm_ == straight.alarm_
    assert np.array_equal(resumed.score_samples(X), straight.score_samples(X))


def test_the_order_and_company_of_sequences_change_nothing():
    model = AnomalyDetector(method="autoencoder", **SMALL).fit([pendulum(800)])
    X = [pendulum(steps, steps) for steps in (5, 32, 33, 100, 70)]
    together = model.surprise(X)
    for x, one in zip(X, together, strict=True):
        assert np.allclose(model.surprise([x])[0], one, atol=1e-5)
    for one, other in zip(model.surprise(X[::-1])[::-1], together, strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_more_normal_data_move_the_thresholds():
    quiet, loud = pendulum(2000) / 5, pendulum(2000, 1)
    model = AnomalyDetector(**SMALL).partial_fit([quiet])
    before = model.steps([loud])[0].alarms.mean()
    for _ in range(3):
        model.partial_fit([loud])
    assert before > 0.2
    assert model.steps([loud])[0].alarms.mean() < 0.05


# -- thresholds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "share", "expected"), [(19, 0.05, 1 / 20), (99, 0.1, 0.1), (9, 0.01, 1 / 10)])
def test_a_conformal_threshold_is_exceeded_as_often_as_it_says(count, share, expected):
    rng = np.random.default_rng(0)
    exceeded = [rng.normal() > threshold(rng.normal(size=count), share) for _ in range(20_000)]
    assert np.mean(exceeded) == pytest.approx(expected, abs=0.007)


def test_smoothing_is_the_mean_of_the_last_steps():
    surprise = [np.array([2.0, 4.0, np.nan, 9.0]), np.array([1.0])]
    alarm = Alarm.fit(surprise, surprise, 0.5, smooth=2, pooling="max")
    assert alarm.calm == 4.0
    assert [s.tolist() for s in alarm.steps_of(surprise)] == [[3.0, 3.0, 4.0, 6.5], [2.5]]
    assert alarm.pool([np.array([3.0, 6.5]), np.array([2.5])]).tolist() == [6.5, 2.5]
    assert (alarm.steps, alarm.sequences) == (4, 2)
    assert alarm.step == 3.0  # the third of 2.5, 3, 3, 6.5: the score of a step without a value does not count


def test_parts_share_no_step_and_windows_cover_all():
    many = [np.full((3, 1), i, dtype=float) for i in range(40)]
    parts = Parts.cut(many, 0.1, 0.2, seed=0)
    ids = [[int(a[0, 0]) for a in part] for part in (parts.learn, parts.choose, parts.calibrate)]
    assert [len(part) for part in ids] == [28, 4, 8]
    assert sorted(ids[0] + ids[1] + ids[2]) == list(range(40))
    assert parts.sequences(2) is parts.calibrate
    few = Parts.cut([np.arange(100.0)[:, None]], 0.1, 0.2, seed=0)
    assert [a[:, 0].tolist() for a in few.sequences(8)][1:] == [list(range(88, 96)), list(range(92, 100))]
    for steps in (1, 7, 8, 9, 30):
        covered = {t for begin in windows(steps, 8, 4) for t in range(begin, min(begin + 8, steps))}
        assert covered == set(range(steps))


# -- wrong input -------------------------------------------------------------------------------------------------------

WRONG = {
    "method": ({"method": "forcast"}, [[1.0, 2.0]], "did you mean 'forecast'"),
    "output": ({"output": "quantile"}, [[1.0, 2.0]], "output must be one of"),
    "pooling": ({"pooling": "last"}, [[1.0, 2.0]], "pooling must be one of"),
    "window": ({"window": 1}, [[1.0, 2.0]], "window must be a whole number ≥ 2"),
    "smooth": ({"smooth": 0}, [[1.0, 2.0]], "smooth must be a whole number ≥ 1"),
    "share": ({"false_alarms": 0.0}, [[1.0, 2.0]], r"false_alarms must be in \(0, 1\)"),
    "shares": ({"validation": 0.5, "calibration": 0.5}, [[1.0, 2.0]], "must be below 1, got 0.5 \\+ 0.5"),
    "text": ({}, ["a b", "c"], "must be numbers"),
    "one": ({}, "a text", "X must be a list of sequences"),
    "infinite": ({}, [[1.0, np.inf]], "must be finite or NaN"),
    "empty": ({}, [], "at least one sequence"),
    "features": ({}, [np.zeros((3, 2)), np.zeros((3, 1))], "Give all sequences the same features"),
    "nothing": ({}, [np.full((30, 1), np.nan)], "feature 0 has none"),
}


@pytest.mark.parametrize(("options", "X", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_line(options, X, message):
    with pytest.raises((DataError, OptionError), match=message) as problem:
        AnomalyDetector(**options).fit(X)
    assert "\n" not in str(problem.value)


def test_judging_before_fitting_and_other_features():
    with pytest.raises(NotYetFittedError, match="AnomalyDetector: not fitted yet"):
        AnomalyDetector().predict([[0.0]])
    model = AnomalyDetector(**{**SMALL, "max_steps": 2}).fit([pendulum(100)])
    with pytest.raises(DataError, match=r"AnomalyDetector.steps: sequence 0 must be \(T, 2\)"):
        model.steps([np.zeros((4, 3))])
