"""The forecaster on series whose exact future is known, and every option that changes what it reads or says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone

import elman
from elman.errors import DataError, ElmanError, OptionError, UnknownNameError
from elman.estimators import Forecaster
from elman.estimators.base import NotYetFittedError

QUICK = {"hidden_size": 32, "max_steps": 400, "batch_size": 32}


def frame_of(series: dict[str, np.ndarray], freq: str = "D") -> pd.DataFrame:
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2023-01-01", periods=len(y), freq=freq), "y": y})
        for name, y in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


def sine(steps: int, period: float, phase: float = 0.0) -> np.ndarray:
    return 10 + np.sin(2 * np.pi * (np.arange(steps) + phase) / period)


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_step_h_of_a_sine_is_step_h(strategy):
    """A period that is no season of daily data: only the net itself can know where in the wave it is."""
    horizon, period = 10, 16.0
    whole = {f"s{k}": sine(220 + horizon, period, phase=3.7 * k) for k in range(6)}
    frame = frame_of({name: y[:-horizon] for name, y in whole.items()})
    model = Forecaster(horizon=horizon, strategy=strategy, context=32, season_length=None, calendar=False, **QUICK)
    found = model.fit(frame).predict()
    for name, y in whole.items():
        got = found.loc[found.unique_id == name, "median"].to_numpy()
        errors = {shift: np.abs(got - y[len(y) - horizon + shift :][:horizon]).mean() for shift in (-1, 0)}
        late = np.abs(got[1:] - y[-horizon:-1]).mean()
        assert errors[0] < 0.5 * min(errors[-1], late), (name, errors, late)
        assert errors[0] < 0.15


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_step_h_of_a_counter_is_step_h(strategy):
    horizon = 5
    whole = {f"c{k}": np.arange(120 + horizon) + 1000.0 * k for k in range(1, 4)}
    frame = frame_of({name: y[:-horizon] for name, y in whole.items()})
    model = Forecaster(horizon=horizon, strategy=strategy, season_length=None, calendar=False, **QUICK)
    found = model.fit(frame).predict()
    for name, y in whole.items():
        got = found.loc[found.unique_id == name, "median"].to_numpy()
        assert np.abs(got - y[-horizon:]).max() < 0.5, (name, got - y[-horizon:])


def test_a_future_covariate_acts_on_its_own_step():
    """The target jumps with a covariate known ahead; a shift by one step would put the jump on another day."""
    rng = np.random.default_rng(0)
    promo = (rng.random((4, 260)) < 0.2).astype(float)
    parts = [
        pd.DataFrame({"unique_id": f"p{k}", "ds": pd.date_range("2023", periods=260), "y": 10 + 5 * p, "promo": p})
        for k, p in enumerate(promo)
    ]
    frame = pd.concat(parts, ignore_index=True)
    cut = frame.groupby("unique_id").head(250)
    settings = QUICK | {"max_steps": 800}
    model = Forecaster(horizon=10, future=("promo",), season_length=None, calendar=False, **settings).fit(cut)
    found = model.predict(future=frame)
    truth = frame.groupby("unique_id").tail(10).y.to_numpy()
    assert np.abs(found["median"].to_numpy() - truth).mean() < 0.7
    with pytest.raises(DataError, match=r"future covariates \(promo\) must be known"):
        model.predict()


def test_past_and_static_and_categorical_covariates_are_read():
    """The target follows a driver of the day before, twice as strongly where a static category says so."""
    rng = np.random.default_rng(1)
    parts = []
    for k in range(4):
        driver = rng.normal(size=200)
        y = 50.0 + (4 + 4 * (k % 2)) * np.concatenate([[0], driver[:-1]])
        color = np.where(driver > 0, "red", "blue")
        columns = {"unique_id": f"x{k}", "ds": pd.date_range("2023", periods=200), "y": y}
        parts.append(pd.DataFrame(columns | {"driver": driver, "color": color, "kind": "ab"[k % 2], "size": float(k)}))
    frame = pd.concat(parts, ignore_index=True)
    options = {"horizon": 1, "season_length": None, "calendar": False, "context": 20, **QUICK}
    blind, seeing = (
        Forecaster(**options, **covariates).fit(frame.groupby("unique_id").head(190))
        for covariates in ({}, {"past": ("driver", "color"), "static": ("kind", "size")})
    )
    errors = {}
    for name, model in (("blind", blind), ("seeing", seeing)):
        found = [model.predict(frame.groupby("unique_id").head(n))["median"].to_numpy() for n in range(190, 200)]
        truth = [frame.groupby("unique_id").nth(n).y.to_numpy() for n in range(190, 200)]
        errors[name] = np.abs(np.concatenate(found) - np.concatenate(truth)).mean()
    assert errors["seeing"] < 0.3 * errors["blind"], errors


@pytest.mark.parametrize("output", ["quantile", "gaussian", "student-t", "negative-binomial"])
@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_every_output_covers_what_it_promises(output, strategy):
    rng = np.random.default_rng(2)
    counts = {f"n{k}": rng.poisson(20, 230).astype(float) for k in range(12)}
    frame = frame_of(counts)
    model = Forecaster(horizon=5, output=output, strategy=strategy, calendar=False, target_transform="none", **QUICK)
    found = model.cross_validation(frame, n_windows=4, level=(80, 95))
    for level, low, high in ((80, 0.65, 0.95), (95, 0.85, 1.0)):
        inside = (found.y >= found[f"lo-{level}"]) & (found.y <= found[f"hi-{level}"])
        assert low <= inside.mean() <= high, (level, inside.mean())
    columns = ["lo-95", "lo-80", "median", "hi-80", "hi-95"]
    assert (np.diff(found[columns].to_numpy(), axis=1) >= 0).all()


def test_missing_values_are_masked_and_their_truth_is_not_needed():
    rng = np.random.default_rng(3)
    whole = {f"m{k}": sine(210, 16.0, phase=k) for k in range(6)}
    holes = {name: np.where(rng.random(200) < 0.2, np.nan, y[:200]) for name, y in whole.items()}
    settings = QUICK | {"max_steps": 800}
    model = Forecaster(horizon=10, context=48, season_length=None, calendar=False, **settings).fit(frame_of(holes))
    found = model.predict()
    truth = np.concatenate([y[200:] for y in whole.values()])
    assert np.abs(found["median"].to_numpy() - truth).mean() < 0.1


def test_past_covariates_end_at_the_cutoff_whatever_the_strategy():
    """What the net reads of a series is the same alone and beside a longer one, ahead of the cutoff too."""
    rng = np.random.default_rng(4)
    y = {name: 50 + rng.normal(size=n).cumsum() for name, n in (("long", 160), ("short", 90))}
    frame = frame_of(y).assign(p=lambda f: f.groupby("unique_id").y.shift(-1).fillna(50))
    model = Forecaster(horizon=7, strategy="recursive", past=("p",), hidden_size=8, max_steps=10, paths=20).fit(frame)
    alone = frame[frame.unique_id == "short"]
    panel_alone, panel_both = model.read(alone), model.read(frame)
    inputs = [model.windows(panel.tail(60), 7) for panel in (panel_alone, panel_both)]
    for windows, row in zip(inputs, (0, 1), strict=True):
        rows, cutoff = np.array([row]), np.array([60])
        scale = windows.scale(rows, cutoff)
        windows.seen = windows.read(rows, cutoff, scale, np.arange(31), cutoff + 7)
    np.testing.assert_array_equal(inputs[0].seen, inputs[1].seen)


def test_a_history_that_ended_long_ago_is_not_forecast_blindly():
    y = sine(150, 7.0)
    frame = frame_of({"a": y, "b": np.concatenate([y[:90], np.full(60, np.nan)])})
    model = Forecaster(horizon=7, hidden_size=8, max_steps=3).fit(frame)
    with pytest.raises(DataError, match="must have 2 values in its last 24 steps, not so 'b'"):
        model.predict()


def test_missing_rows_give_the_same_forecast_as_missing_values():
    y = sine(120, 7.0)
    y[[30, 31, 90]] = np.nan
    frame = frame_of({"a": y})
    options = {"horizon": 7, "gaps": "missing", "hidden_size": 8, "max_steps": 3}
    found = Forecaster(**options).fit(frame).predict()
    dropped = Forecaster(**options).fit(frame.dropna()).predict()
    pd.testing.assert_frame_equal(found, dropped)


def test_the_recursive_strategy_forecasts_any_horizon_and_the_direct_one_says_no():
    frame = frame_of({"a": sine(120, 7.0)})
    recursive = Forecaster(horizon=7, strategy="recursive", hidden_size=8, max_steps=3, paths=20).fit(frame)
    assert len(recursive.predict(horizon=40)) == 40
    direct = Forecaster(horizon=7, hidden_size=8, max_steps=3).fit(frame)
    assert len(direct.predict(horizon=3)) == 3
    with pytest.raises(OptionError, match=r'horizon must be at most 7, as fitted, got 8.*strategy="recursive"'):
        direct.predict(horizon=8)


def test_an_untrained_net_is_a_seasonal_guess():
    y = np.tile([5.0, 6, 7, 6, 5, 2, 1], 20)
    frame = frame_of({"a": y})
    model = Forecaster(horizon=7, hidden_size=8, max_steps=1, learning_rate=1e-9).fit(frame)
    last, season, mean = (y[-1], y[-7:], y[-28:].reshape(4, 7).mean(0))
    got = model.predict()["median"].to_numpy()
    # The logarithm is taken of positive data, so the mixture is a geometric mean.
    assert got.min() >= min(last, season.min(), mean.min()) - 1e-3
    assert np.corrcoef(got, season)[0, 1] > 0.9


def test_scale_does_not_matter():
    base = frame_of({"a": sine(150, 7.0) * np.linspace(1, 2, 150)})
    big = base.assign(y=base.y * 1e6)
    settings = {"horizon": 7, "hidden_size": 8, "max_steps": 20, "target_transform": "none"}
    small_found, big_found = (Forecaster(**settings).fit(f).predict()["median"].to_numpy() for f in (base, big))
    np.testing.assert_allclose(big_found, 1e6 * small_found, rtol=1e-3)


def test_a_high_level_with_little_variation_is_forecast_as_well():
    rng = np.random.default_rng(5)
    y = 10 * np.sin(2 * np.pi * np.arange(150) / 7) + rng.normal(size=150)
    settings = {"horizon": 7, "hidden_size": 8, "max_steps": 30}
    for level in (20.0, 1e6, 1e9):
        found = Forecaster(**settings).fit(frame_of({"a": y[:-7] + level})).predict()
        assert np.abs(found["median"] - level - y[-7:]).mean() < 4, level
        assert (found["hi-95"] - found["lo-95"]).max() < 40, level


def test_pandas_and_polars_give_the_same_and_come_back_as_they_were():
    frame = frame_of({"a": sine(100, 7.0), "b": sine(90, 7.0)})
    model = Forecaster(horizon=7, hidden_size=8, max_steps=3)
    from_pandas = model.fit(frame).predict(frame)
    from_polars = model.fit(pl.from_pandas(frame)).predict(pl.from_pandas(frame))
    assert isinstance(from_pandas, pd.DataFrame) and isinstance(from_polars, pl.DataFrame)
    np.testing.assert_array_equal(from_pandas["median"], from_polars["median"])


def test_rows_in_any_order_and_series_not_seen_before():
    frame = frame_of({"a": sine(100, 7.0), "b": sine(90, 7.0)})
    model = Forecaster(horizon=7, hidden_size=8, max_steps=3).fit(frame)
    shuffled = model.predict(frame.sample(frac=1, random_state=0))
    for name in "ab":
        mine, theirs = (f.loc[f.unique_id == name, "median"].to_numpy() for f in (model.predict(frame), shuffled))
        np.testing.assert_array_equal(mine, theirs)
    new = frame_of({"never seen": sine(60, 7.0)})
    assert len(model.predict(new)) == 7


def test_cross_validation_never_sees_past_its_cutoff():
    y = sine(150, 7.0)
    altered = y.copy()
    altered[-5:] = 1e3
    model = Forecaster(horizon=5, hidden_size=8, max_steps=3, target_transform="none")
    found, changed = (model.cross_validation(frame_of({"a": v}), n_windows=3, step_size=5) for v in (y, altered))
    assert found.columns.tolist() == ["unique_id", "ds", "cutoff", "y", "median", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert found.cutoff.nunique() == 3
    assert ((found.ds - found.cutoff).dt.days.to_numpy().reshape(3, 5) == np.arange(1, 6)).all()
    np.testing.assert_array_equal(found["median"], changed["median"])
    np.testing.assert_array_equal(found["y"], y[-15:])


def test_refitting_at_each_cutoff_trains_on_more():
    frame = frame_of({"a": sine(150, 7.0)})
    model = Forecaster(horizon=5, hidden_size=8, max_steps=5)
    once, again = (model.cross_validation(frame, n_windows=2, refit=refit) for refit in (False, True))
    np.testing.assert_array_equal(once["median"][:5], again["median"][:5])
    assert not np.array_equal(once["median"][5:], again["median"][5:])


def test_a_saved_run_forecasts_the_same_without_its_data(tmp_path):
    frame = frame_of({"a": sine(100, 7.0), "b": sine(90, 7.0)})
    frame["kind"] = np.where(frame.unique_id == "a", "x", "y")
    frame["temp"] = np.arange(len(frame)) % 11.0
    model = Forecaster(horizon=7, hidden_size=8, max_steps=3, static=("kind",), past=("temp",), cell="gru").fit(frame)
    model.save(tmp_path / "run")
    found = elman.load(tmp_path / "run")
    pd.testing.assert_frame_equal(found.predict(), model.predict())
    pd.testing.assert_frame_equal(found.predict(frame), model.predict(frame))
    assert found.get_params()["cell"] == "gru"


def test_a_users_cell_trains_saves_and_loads(tmp_path):
    class Slow(elman.Cell):
        gates = ("f", "h")

        def step(self, x, r, s, p):
            f = torch.sigmoid(x.f + r.f)
            return (1 - f) * s.h + f * torch.tanh(x.h + r.h)

    frame = frame_of({"a": sine(100, 7.0)})
    model = Forecaster(horizon=7, hidden_size=8, max_steps=3, cell=Slow).fit(frame)
    model.save(tmp_path / "run")
    pd.testing.assert_frame_equal(elman.load(tmp_path / "run").predict(), model.predict())

    class Slow(elman.Cell):
        """Another cell under the same name."""

        gates = ("f", "h")

        def step(self, x, r, s, p):
            return torch.tanh(x.h + r.h + x.f + r.f)

    with pytest.raises(ElmanError, match="its mathematics differ"):
        elman.load(tmp_path / "run")


def test_the_same_seed_gives_the_same_forecast_and_another_does_not():
    frame = frame_of({"a": sine(100, 7.0)})
    settings = {"horizon": 7, "hidden_size": 8, "max_steps": 20}
    first, second, other = (Forecaster(**settings, random_state=s).fit(frame).predict() for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(other)


def test_scikit_learn_conventions():
    model = Forecaster(horizon=7, cell="gru", max_steps=3)
    twin = clone(model)
    assert twin is not model and twin.get_params() == model.get_params()
    assert twin.set_params(horizon=3).horizon == 3
    with pytest.raises(NotYetFittedError, match=r"not fitted yet\. Call fit first"):
        model.predict()
    assert "horizon=7" in repr(model)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"horizon": 0}, OptionError, "horizon must be a whole number ≥ 1, got 0"),
        ({"horizon": 2.5}, OptionError, "horizon must be a whole number"),
        ({"cell": "ltsm"}, UnknownNameError, "unknown cell 'ltsm', did you mean 'lstm'?"),
        ({"strategy": "recursiv"}, OptionError, "did you mean 'recursive'?"),
        ({"output": "normal"}, OptionError, "output must be one of"),
        ({"hidden_size": 0}, OptionError, "hidden_size must be a whole number ≥ 1"),
        ({"max_steps": 0}, OptionError, "max_steps"),
        ({"learning_rate": -1.0}, OptionError, "learning_rate"),
        ({"season_length": 1}, OptionError, "season_length must be a whole number ≥ 2"),
        ({"season_length": "weekly"}, OptionError, "season_length must be a number of steps"),
        ({"backend": "cuda"}, UnknownNameError, "unknown backend 'cuda'"),
        ({"target_transform": "log"}, DataError, "needs positive values, got 0"),
        ({"output": "negative-binomial"}, DataError, "needs counts"),
        ({"horizon": 60}, DataError, r"must have at least 61 steps for a horizon of 60, got 60 in 'a'"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options, error, message):
    y = np.concatenate([[0.0], sine(59, 7.0)])
    with pytest.raises(error) as caught:
        Forecaster(**({"horizon": 5, "max_steps": 2} | options)).fit(frame_of({"a": y}))
    assert message.replace("\\", "") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_target_that_never_changes_needs_no_model():
    with pytest.raises(DataError, match=r"must vary, every value is 5\. Its forecast is 5; no model is needed"):
        Forecaster(horizon=5).fit(frame_of({"a": np.full(80, 5.0), "b": np.full(70, 5.0)}))


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0])
def test_a_constant_series_is_forecast_as_itself(value):
    frame = frame_of({"flat": np.full(80, value), "wave": sine(80, 7.0)})
    found = Forecaster(horizon=5, hidden_size=8, max_steps=30).fit(frame).predict()
    flat = found[found.unique_id == "flat"]
    assert np.isfinite(found.drop(columns=["unique_id", "ds"]).to_numpy()).all()
    np.testing.assert_allclose(flat["median"], value, atol=0.1)
