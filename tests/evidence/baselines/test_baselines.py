"""Every baseline of the table through the same checks: shape, order, gaps, constants, short series, exact futures."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest

from elman.errors import DataError, OptionError, ShapeError, UnknownNameError
from elman.evidence import metrics
from elman.evidence.baselines import BASELINES, run_baselines
from elman.evidence.baselines.base import Task
from elman.evidence.baselines.lags import build_lags

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
AIRLINE = Path(__file__).parents[4] / "shared/data/forecasting/airline-passengers.csv"
NAMES = list(BASELINES)
SEASONAL = [name for name in NAMES if name != "last value"]


def demand(length: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 50 + 15 * np.sin(2 * np.pi * np.arange(length) / 7) + rng.normal(0, 4, length)


@pytest.mark.parametrize("name", NAMES)
def test_shape_order_and_clock(name):
    histories = [demand(90, 1), demand(120, 2)]
    found = run_baselines(histories, 10, 7, LEVELS, names=[name])[name]
    assert found.quantiles.shape == (2, 10, 5)
    assert np.isfinite(found.quantiles).all() and (np.diff(found.quantiles, axis=2) > 0).all()
    assert found.fit_seconds > 0 and found.predict_seconds > 0 and not found.fallbacks
    again = BASELINES[name]().fit_predict(histories, 10, 7, LEVELS)
    assert np.array_equal(again, found.quantiles), "a forecast depends on the data alone"


@pytest.mark.parametrize("name", SEASONAL)
def test_step_h_is_step_h(name):
    """A season of known period goes on: one step off would cost the size of the pattern."""
    pattern = np.array([10.0, 90.0, 30.0, 70.0, 50.0, 20.0, 80.0])
    y = np.tile(pattern, 16) + np.random.default_rng(0).normal(0, 0.5, 112)
    for cut in (98, 101):
        f = BASELINES[name]().fit_predict([y[:cut]], 9, 7, (0.5,))[0, :, 0]
        assert np.abs(f - pattern[np.arange(cut, cut + 9) % 7]).max() < 4


@pytest.mark.parametrize("name", ["ETS", "Kalman structural", "linear autoregression", "feed-forward network"])
def test_a_counter_counts_on(name):
    y = np.arange(100.0) + np.random.default_rng(0).normal(0, 0.01, 100)
    f = BASELINES[name]().fit_predict([y], 5, 1, (0.5,))[0, :, 0]
    assert f == pytest.approx(np.arange(100, 105), abs=0.6)


@pytest.mark.parametrize("name", NAMES)
def test_constant_histories_stay_constant(name):
    found = run_baselines([np.full(60, 3.0), demand(60), np.array([np.nan, 0.0, 0.0])], 4, 7, LEVELS, names=[name])
    quantiles = found[name].quantiles
    assert (quantiles[0] == 3.0).all() and (quantiles[2] == 0.0).all()
    assert not {0, 2} & set(found[name].fallbacks)


@pytest.mark.parametrize("name", NAMES)
def test_gaps_are_lived_with(name):
    y = demand(140)
    gappy = y[:126].copy()
    gappy[np.random.default_rng(1).random(126) < 0.15] = np.nan
    gappy[:3] = gappy[-2:] = np.nan
    found = run_baselines([gappy], 14, 7, LEVELS, names=[name])[name]
    assert np.isfinite(found.quantiles).all() and not found.fallbacks
    if name in SEASONAL:
        assert np.abs(found.quantiles[0, :, 2] - y[126:]).mean() < 10


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "history", [[1.0], [1.0, 2.0], [np.nan, 4.0, np.nan], [1.0, 2.0, 3.0, 5.0], [0.0] * 40 + [1.0]]
)
def test_nothing_crashes_on_too_little(name, history):
    found = run_baselines([history], 6, 7, LEVELS, names=[name])[name]
    assert np.isfinite(found.quantiles).all()
    if 2 <= np.isfinite(history).sum() < 5 and name != "last value":
        assert list(found.fallbacks) == [0] and found.fallbacks[0]


def test_a_failing_method_is_replaced_and_counted(monkeypatch):
    from statsmodels.tsa.statespace import structural

    def fail(*_, **__):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(structural, "UnobservedComponents", fail)
    found = run_baselines([demand(60)], 8, 7, LEVELS, names=["Kalman structural", "seasonal naive"])
    assert list(found["Kalman structural"].fallbacks) == [0]
    assert np.array_equal(found["Kalman structural"].quantiles, found["seasonal naive"].quantiles)


def test_no_warning_reaches_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = run_baselines([np.concatenate([np.zeros(30), np.full(30, 1e6)])], 3, 7, LEVELS)
    assert len(found) == len(BASELINES)


@pytest.mark.parametrize("name", NAMES)
def test_the_unit_does_not_matter(name):
    """A thousand times the values (grams for kilograms) gives a thousand times the forecast."""
    y = demand(90)
    small, large = (BASELINES[name]().fit_predict([y * unit], 7, 7, LEVELS) for unit in (1.0, 1000.0))
    assert large == pytest.approx(1000 * small, rel=2e-3)


@pytest.mark.parametrize("seasonal", [None, "add"])
@pytest.mark.parametrize("trend", [None, "add"])
def test_ets_width_against_statsmodels_own_formula(trend, seasonal):
    import pandas
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    from elman.evidence.baselines.ets import Form, _fit, _sigma

    y = demand(90) + np.cumsum(np.random.default_rng(4).normal(size=90))
    fitted = _fit(y, Form("add", trend, seasonal), 7)
    model = ETSModel(
        pandas.Series(y),
        trend=trend,
        damped_trend=trend is not None,
        seasonal=seasonal,
        seasonal_periods=7 if seasonal else None,
    )
    oracle = model.smooth(fitted.params).get_prediction(90, 109).forecast_variance
    assert _sigma(fitted, 20, 7) == pytest.approx(np.sqrt(np.asarray(oracle)), rel=1e-6)


def test_multiplicative_ets_is_centred_on_its_forecast():
    from elman.evidence.baselines.ets import Form, _fit, _quantiles

    y = np.arange(20, 140) * (1 + 0.4 * np.sin(2 * np.pi * np.arange(120) / 12))
    y = y * np.random.default_rng(0).normal(1, 0.02, 120)
    fitted = _fit(y, Form("mul", "add", "mul"), 12)
    assert _quantiles(fitted, 12, 12, np.array([0.5]))[:, 0] == pytest.approx(fitted.forecast(12), rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_intervals_hold_what_they_promise(name):
    """On data made as the method supposes (a walk for the last value, else season and noise), 80 % is about 80 %."""
    rng = np.random.default_rng(8)
    rows = [np.cumsum(rng.normal(size=120)) if name == "last value" else demand(120, seed) for seed in range(12)]
    y = np.stack([row[112:] for row in rows])
    q = BASELINES[name]().fit_predict([row[:112] for row in rows], 8, 7, LEVELS)
    assert 0.6 < metrics.coverage(y, q, LEVELS, 0.8) < 0.96
    assert metrics.coverage(y, q, LEVELS, 0.95) > 0.82


def test_naive_methods_against_loops():
    y = np.array([3.0, np.nan, 5.0, 4.0, np.nan, 8.0, 6.0, np.nan])
    last = BASELINES["last value"]().fit_predict([y], 2, 3, (0.5, 0.8413447))[0]
    sigma = np.sqrt(np.mean([2**2 / 2, 1**2, 4**2 / 2, 2**2]))
    assert last[:, 0] == pytest.approx([6.0, 6.0])
    assert last[:, 1] - 6 == pytest.approx(sigma * np.sqrt([2, 3]), rel=1e-4)  # the last value is a step old
    seasonal = BASELINES["seasonal naive"]().fit_predict([y], 4, 3, (0.5, 0.8413447))[0]
    sigma = np.sqrt(np.mean([(4 - 3) ** 2, (8 - 5) ** 2, (6 - 4) ** 2]))
    assert seasonal[0, 0] == 8.0 and seasonal[1, 0] == 6.0 and seasonal[3, 0] == 8.0
    assert seasonal[2, 0] == pytest.approx(7.0)  # never observed: the mean of the season's other steps
    assert seasonal[[0, 3], 1] - 8 == pytest.approx(sigma * np.sqrt([1, 2]), rel=1e-4)


def test_later_windows_do_not_teach_the_pooled_methods():
    """The truth of an early window stands in the history of a late one: changing it must not change its forecast."""
    y = demand(120)
    other = y.copy()
    other[100:] += 500
    for name in ("linear autoregression", "feed-forward network"):
        first, second = (
            run_baselines([z[:100], z[:110]], 10, 7, LEVELS, series=["a", "a"], names=[name])[name].quantiles[0]
            for z in (y, other)
        )
        assert np.array_equal(first, second)


def test_held_out_rows_share_no_target_with_fitted_ones():
    rows = build_lags(Task.build([np.arange(60.0) ** 1.5], 5, 1, (0.5,)), 8)
    assert rows.held_out.sum() >= 5 and (~rows.held_out).sum() >= 5
    # 48 rows; the last 10 are held out, from row 38; the four before share targets with row 38 and are dropped.
    assert len(rows.x) == 48 - 4


def test_the_users_random_state_is_left_alone():
    import torch

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    BASELINES["feed-forward network"]().fit_predict([demand(60)], 3, 7, LEVELS)
    assert torch.equal(torch.rand(1), expected) and torch.get_num_threads() == threads


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="history 1"):
        run_baselines([[1.0], [np.nan]], 1, 1)
    with pytest.raises(DataError, match="infinity"):
        run_baselines([[1.0, np.inf]], 1, 1)
    with pytest.raises(ShapeError):
        run_baselines([[[1.0]]], 1, 1)
    with pytest.raises(OptionError, match="horizon"):
        run_baselines([[1.0]], 0, 1)
    with pytest.raises(OptionError, match="ascend"):
        run_baselines([[1.0]], 1, 1, (0.9, 0.1))
    with pytest.raises(UnknownNameError, match="did you mean 'ETS'"):
        run_baselines([[1.0]], 1, 1, names=["ETSS"])


@pytest.mark.skipif(not AIRLINE.exists(), reason=f"needs {AIRLINE}")
def test_airline_passengers():
    with AIRLINE.open(encoding="utf-8") as file:
        y = np.array([float(row["Passengers"]) for row in csv.DictReader(file)])
    cuts = (120, 132)
    found = run_baselines([y[:c] for c in cuts], 12, 12, LEVELS, series=["air"] * 2)
    truth = np.stack([y[c : c + 12] for c in cuts])
    error = {name: metrics.smape(truth, metrics.median(each.quantiles, LEVELS)) for name, each in found.items()}
    assert not any(each.fallbacks for each in found.values())
    assert error["seasonal naive"] < error["last value"]
    for name in ("ETS", "Kalman structural", "linear autoregression", "feed-forward network"):
        assert error[name] < error["seasonal naive"], error
    assert error["Kalman structural"] < 5.5
