"""The scoreboard: who wins and in which words, what is counted, and every form it is written in."""

from __future__ import annotations

import json

import numpy as np
import pytest

from elman.errors import DataError, OptionError, ShapeError, UnknownNameError
from elman.evidence.baselines import Forecast, run_baselines
from elman.evidence.scoreboard import LEVELS, Scoreboard, compare

WIDTH = np.array([-1.96, -1.28, 0.0, 1.28, 1.96])


def windows(count=12, steps=4, seed=0):
    rng = np.random.default_rng(seed)
    histories = [np.cumsum(rng.normal(size=60)) for _ in range(count)]
    return np.stack([h[-1] + np.cumsum(rng.normal(size=steps)) for h in histories]), histories


def noisy(truth, size, seed=1):
    return Forecast((truth + np.random.default_rng(seed).normal(0, size, truth.shape))[..., None] + size * WIDTH)


def board(forecasts, truth, histories, **more):
    return Scoreboard.build(forecasts, truth, histories, 1, network="LSTM", **more)


def test_a_clear_win_is_told_as_one():
    truth, histories = windows()
    found = board({"last value": noisy(truth, 3.0), "LSTM": noisy(truth, 0.1, 2)}, truth, histories)
    assert found.network_wins and found.rows[0].model == "LSTM"
    assert found.verdict().startswith(
        "LSTM wins: its error is lower than that of the best baseline, last value (MASE: LSTM "
    )


def test_a_tie_is_told_as_a_tie():
    truth, histories = windows()
    size = np.where(np.arange(12) % 2, 0.4, 1.5)[:, None]  # half the windows better, half worse, better on the whole
    mine, theirs = (Forecast((truth + s)[..., None] + WIDTH) for s in (size, np.ones_like(size)))
    found = board({"ETS": theirs, "LSTM": mine}, truth, histories)
    assert found.rows[0].model == "LSTM", "the case needs a lead that the test can't tell from luck"
    assert not found.network_wins
    assert found.verdict().startswith("LSTM is not distinguishably better than the ETS forecast: prefer the simpler (")


def test_a_lost_case_is_told_in_exactly_these_words():
    truth, histories = windows()
    found = board({"seasonal naive": noisy(truth, 0.1), "LSTM": noisy(truth, 1.0, 2)}, truth, histories)
    assert found.verdict().startswith("the seasonal naive forecast wins: don't use this model (MASE: LSTM ")


def test_of_equal_forecasts_the_simpler_stands_first():
    truth, histories = windows()
    same = noisy(truth, 1.0)
    found = board({"last value": same, "seasonal naive": same, "LSTM": same}, truth, histories)
    assert [row.model for row in found.rows] == ["last value", "seasonal naive", "LSTM"]
    assert found.rows[0].test is not None and found.rows[0].test.p_value == 1.0
    assert not found.network_wins


def test_one_window_is_no_win():
    truth, histories = windows(count=1)
    found = board({"last value": noisy(truth, 3.0), "LSTM": noisy(truth, 0.01)}, truth, histories)
    assert found.rows[0].is_network and not found.network_wins
    assert "prefer the simpler" in found.verdict() and "too few windows for a test" in found.verdict()


def test_the_network_alone_gets_no_verdict():
    truth, histories = windows()
    assert "scored alone" in board({"LSTM": noisy(truth, 1.0)}, truth, histories).verdict()


def test_a_random_walk_comes_out_against_the_network():
    """Nothing beats a walk's last value. A network that is as good as a learner can be, last value and some noise,
    must never be declared the winner, on any of 20 panels, against all six baselines' easiest two."""
    for seed in range(20):
        truth, histories = windows(count=15, steps=6, seed=seed)
        last = np.array([h[-1] for h in histories])[:, None] * np.ones((1, 6))
        network = noisy(last, 0.15, seed)
        forecasts = run_baselines(histories, 6, 1, LEVELS, names=["last value", "seasonal naive"])
        found = board({**forecasts, "LSTM": network}, truth, histories)
        assert not found.network_wins, (seed, found.verdict())
        assert "don't use this model" in found.verdict() or "prefer the simpler" in found.verdict()


def test_a_random_walk_against_every_baseline():
    truth, histories = windows(count=6, steps=5, seed=3)
    network = noisy(np.stack([np.full(5, h[-3:].mean()) for h in histories]), 0.1)
    found, forecasts = compare("LSTM", network, truth, histories, 1)
    assert list(forecasts)[-1] == "LSTM" and len(found.rows) == len(forecasts) == 8
    assert not found.network_wins and "forecast wins, perhaps by chance: prefer the simpler" in found.verdict()


def test_the_test_is_clustered_by_series():
    truth, histories = windows(count=12)
    rivals = {"ETS": noisy(truth, 1.0), "LSTM": noisy(truth, 0.5, 2)}
    found = board(rivals, truth, histories, series=list("aaabbbcccddd"))
    test = next(row.test for row in found.rows if row.test)
    assert (test.count, test.over) == (4, "series") and "over 4 series" in found.to_text()


def test_everything_left_out_is_said():
    truth = np.array([[1.0, 0.0], [2.0, np.nan], [3.0, 3.0]])
    histories = [np.array([5.0, 5.0]), np.array([1.0, 2.0]), np.arange(9.0)]
    naive = noisy(truth, 0.5)
    naive.quantiles = np.nan_to_num(naive.quantiles)
    naive.fallbacks = {1: "too short", 2: "too short"}
    text = Scoreboard.build({"ETS": naive, "LSTM": naive}, truth, histories, 4, network="LSTM").to_text()
    for said in (
        "MAPE leaves out 1 steps",
        "1 missing truths",
        "m = 1 in 1 windows",
        "MASE leaves out 1 windows",
        "ETS: a naive forecast stood in for 2 of 3 windows (too short)",
    ):
        assert said in text


def test_without_any_scale_the_plain_error_decides():
    truth = np.array([[1.0], [2.0]])
    forecasts = {"ETS": noisy(truth, 0.5), "LSTM": noisy(truth, 0.1)}
    found = board(forecasts, truth, [np.ones(5), np.ones(5)])
    assert found.error == "mae" and "MAE" in found.verdict() and "decides" in found.to_text()


def test_written_forms_agree():
    truth, histories = windows()
    found = board({"<b>|": noisy(truth, 3.0), "LSTM": noisy(truth, 0.1)}, truth, histories)
    data = json.loads(found.to_json())
    assert data["rows"][0]["model"] == "LSTM" and data["rows"][0]["test"] is None
    assert data["verdict"] == found.verdict() and data["network_wins"] is True
    assert found.to_rich().row_count == len(found.rows) == 2
    assert "&lt;b&gt;|" in found.to_html() and "<b>" not in found.to_html()
    assert "&lt;b>\\|" in found.to_markdown()
    lines = found.to_text().splitlines()
    assert lines[0].index("MASE") + 4 == lines[1].index(f"{found.rows[0].mase:.3f}") + 5, "columns end together"
    assert max(map(len, lines[:3])) <= 110


def test_nan_becomes_null_in_json():
    truth, histories = windows(count=1)
    text = board({"ETS": noisy(truth, 1.0), "LSTM": noisy(truth, 2.0)}, truth, histories).to_json()
    assert "NaN" not in text and json.loads(text)["rows"][0]["test"]["p_value"] is None


def test_wrong_input_is_refused():
    truth, histories = windows()
    good = noisy(truth, 1.0)
    with pytest.raises(UnknownNameError, match="unknown network"):
        Scoreboard.build({"LSTM": good}, truth, histories, 1, network="LSTN")
    with pytest.raises(ShapeError, match="quantiles must be"):
        board({"LSTM": Forecast(good.quantiles[:, :2])}, truth, histories)
    with pytest.raises(OptionError, match=r"0\.5"):
        Scoreboard.build({"LSTM": Forecast(good.quantiles[..., :1])}, truth, histories, 1, (0.1,), network="LSTM")
    broken = good.quantiles.copy()
    broken[0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        board({"LSTM": Forecast(broken)}, truth, histories)
