"""Exponential smoothing, its form chosen by AICc: the statistical forecast that won competitions for decades."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from elman.evidence.baselines.base import (
    FAILURES,
    CannotFitError,
    Floats,
    Forecast,
    LocalBaseline,
    Predictor,
    Task,
    fill_gaps,
    normal_quantiles,
    one_blas_thread,
)

_PATHS = 1000  # simulated futures for the multiplicative forms: the 2.5 % quantile to about 6 % of σ


class Form(NamedTuple):
    """Error, trend and season of an exponential smoothing model: "add", "mul" or None."""

    error: str
    trend: str | None
    seasonal: str | None


_ADDITIVE = (Form("add", None, None), Form("add", "add", None), Form("add", None, "add"), Form("add", "add", "add"))
_MULTIPLICATIVE = (Form("mul", None, "mul"), Form("mul", "add", "mul"))


class ETS(LocalBaseline):
    """Level, damped trend and season, each smoothed exponentially.

    ŷ_{t|t−1} = ℓ + φb + s_{t−m},  ε = y_t − ŷ,  ℓ ← ℓ + φb + αε,  b ← φb + βε,  s_t = s_{t−m} + γε
    σ_h² = σ²·(1 + Σ_{j<h} c_j²),  c_j = α + β·(φ + … + φ^j) + γ·1[m divides j]

    Tried: with and without the damped trend, with and without the season (needs two seasons), and for values all above
    0 the same with a multiplicative season and error, whose quantiles come from 1,000 simulated paths. The smallest
    AICc wins. Above m = 24 the initial states are set by rule, not estimated. Only the last 10 seasons (at least 200
    steps) are read, to bound the time. Missing values are put in by straight lines. Needs 10 steps.
    Source: Hyndman, Koehler, Snyder & Grose 2002, doi:10.1016/S0169-2070(01)00110-8; Hyndman, Koehler, Ord & Snyder
    2008, doi:10.1007/978-3-540-71918-2; fitted by statsmodels' `ETSModel`.

    >>> y = np.tile([10.0, 20.0, 30.0, 40.0], 8) + np.sin(np.arange(32) ** 2)
    >>> ETS().fit_predict([y], 4, 4, (0.5,)).round(-1).ravel().tolist()
    [10.0, 20.0, 30.0, 40.0]
    """

    label: ClassVar[str] = "ETS"
    summary: ClassVar[str] = "exponential smoothing, form chosen by AICc"

    def _forecast(self, task: Task) -> Forecast:
        with one_blas_thread():
            return super()._forecast(task)

    def fit_window(self, history: Floats, season: int) -> Predictor:
        """Fits every form that the history allows and keeps the best; see the class."""
        first = int(np.flatnonzero(~np.isnan(history))[0])
        y = fill_gaps(history[first:])[-max(10 * season, 200) :]
        if len(y) < 10:
            raise CannotFitError(f"too short for ETS ({len(y)} of 10 steps)")
        offset, scale = 0.0, float(np.std(y))
        if not scale > 0:
            raise CannotFitError("constant within the steps read")
        if y.min() <= 0:
            offset = float(np.mean(y))  # additive forms only: centring changes nothing but the optimiser's ease
        y = (y - offset) / scale
        best = min((_fit(y, form, season) for form in _forms(y, season)), key=_criterion)
        if not np.isfinite(_criterion(best)) or not best.mle_retvals["converged"]:
            raise CannotFitError("ETS did not converge")

        def predict(horizon: int, levels: Floats) -> Floats:
            return offset + scale * _quantiles(best, horizon, season, levels)

        return predict


def _forms(y: Floats, season: int) -> list[Form]:
    forms = list(_ADDITIVE) + (list(_MULTIPLICATIVE) if y.min() > 0 else [])
    if season == 1 or len(y) < 2 * season + 5:
        return [form for form in forms if form.seasonal is None]
    return forms


def _fit(y: Floats, form: Form, season: int) -> Any:
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    try:
        model = ETSModel(
            y,
            error=form.error,
            trend=form.trend,
            damped_trend=form.trend is not None,
            seasonal=form.seasonal,
            seasonal_periods=season if form.seasonal else None,
            initialization_method="estimated" if season <= 24 else "heuristic",
        )
        return model.fit(disp=False, maxiter=300)
    except FAILURES:
        return None  # another form may do; none at all is what fit_window reports


def _criterion(fitted: Any) -> float:
    if fitted is None or not np.isfinite(fitted.params).all():
        return float("inf")
    value = float(fitted.aicc)
    return value if np.isfinite(value) else float("inf")


def _quantiles(fitted: Any, horizon: int, season: int, levels: Floats) -> Floats:
    if fitted.error == "add":
        return normal_quantiles(np.asarray(fitted.forecast(horizon)), _sigma(fitted, horizon, season), levels)
    half = np.random.default_rng(0).standard_normal((horizon, _PATHS // 2))
    errors = np.concatenate([half, -half], axis=1) * np.sqrt(fitted.scale)
    paths = np.asarray(fitted.simulate(horizon, anchor="end", repetitions=_PATHS, random_errors=errors))
    return np.quantile(paths, levels, axis=1).T


def _sigma(fitted: Any, horizon: int, season: int) -> Floats:
    """σ_h of an additive form, from its own smoothing parameters; see the class."""
    value = dict(zip(fitted.model.param_names, np.asarray(fitted.params), strict=True))
    alpha, beta = value["smoothing_level"], value.get("smoothing_trend", 0.0)
    gamma, phi = value.get("smoothing_seasonal", 0.0), value.get("damping_trend", 1.0)
    j = np.arange(1, horizon)
    c = alpha + beta * np.cumsum(phi**j) + gamma * (j % season == 0)
    return np.sqrt(fitted.scale * np.concatenate([[1.0], 1.0 + np.cumsum(c**2)]))
