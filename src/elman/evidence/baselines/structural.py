"""A structural time series model run by the Kalman filter: trend, season and noise, each with its own variance."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from elman.evidence.baselines.base import (
    FAILURES,
    CannotFitError,
    Floats,
    Forecast,
    LocalBaseline,
    Predictor,
    Task,
    normal_quantiles,
    one_blas_thread,
)

_HARMONICS = 6  # of a long season: 12 states whatever its length; a season of 12 or less is represented in full


class Structural(LocalBaseline):
    """Trend, trigonometric season and irregular, estimated by maximum likelihood with the Kalman filter.

    y_t = μ_t + Σ_j γ_{j,t} + ε_t,  μ_{t+1} = μ_t + ν_t + ξ_t,  ν_{t+1} = ν_t + ζ_t,
    (γ_j, γ_j*)_{t+1} = rotation by 2πj/m of (γ_j, γ_j*)_t, plus noise,  j = 1 … min(⌊m/2⌋, 6)

    Tried: local level (ν = 0) and local linear trend, each on y and, where all values are above 0, on log y (its
    density brought back to y by the Jacobian, so that the likelihoods compare). The smallest AIC wins. Missing values
    are the filter's own business: it predicts and doesn't update. Only the last 10 seasons (at least 200 steps) are
    read, to bound the time. Needs 10 observed values, and two seasons for the season.
    Source: Harvey 1989, doi:10.1017/CBO9781107049994; fitted by statsmodels' `UnobservedComponents`.

    >>> y = np.arange(40.0) + np.sin(np.arange(40.0) ** 2)
    >>> Structural().fit_predict([y], 2, 1, (0.5,)).round(0).ravel().tolist()
    [40.0, 41.0]
    """

    label: ClassVar[str] = "Kalman structural"
    summary: ClassVar[str] = "unobserved components (trend, season, noise) by the Kalman filter"

    def _forecast(self, task: Task) -> Forecast:
        with one_blas_thread():
            return super()._forecast(task)

    def fit_window(self, history: Floats, season: int) -> Predictor:
        """Fits every form that the history allows and keeps the best; see the class."""
        y = history[-max(10 * season, 200) :]
        seen = y[~np.isnan(y)]
        if len(seen) < 10:
            raise CannotFitError(f"too few values for the structural model ({len(seen)} of 10)")
        if not np.std(seen) > 0:
            raise CannotFitError("constant within the steps read")
        found = [
            candidate
            for log in ((False, True) if seen.min() > 0 else (False,))
            for trend in ("llevel", "lltrend")
            if (candidate := _fit(y, season, trend, log)) is not None
        ]
        if not found:
            raise CannotFitError("the structural model could not be fitted")
        # Diffuse states swallow the first likelihoods, more with a trend: all forms are judged on the same steps.
        burn = max(int(fitted.loglikelihood_burn) for fitted, *_ in found)
        fitted, centre, scale, log = min(found, key=lambda each: _criterion(*each, y, burn))
        if not fitted.mle_retvals["converged"]:
            raise CannotFitError("the structural model did not converge")

        def predict(horizon: int, levels: Floats) -> Floats:
            ahead = fitted.get_forecast(horizon)
            z = normal_quantiles(np.asarray(ahead.predicted_mean), np.asarray(ahead.se_mean), levels)
            return np.exp(centre + scale * z) if log else centre + scale * z

        return predict


def _fit(y: Floats, season: int, trend: str, log: bool) -> tuple[Any, float, float, bool] | None:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    x = np.log(y) if log else y
    centre, scale = float(np.nanmean(x)), float(np.nanstd(x))
    seasonal = season > 1 and np.isfinite(y).sum() >= 2 * season + 5
    waves = [{"period": season, "harmonics": min(season // 2, _HARMONICS)}] if seasonal else None
    try:
        build: Any = UnobservedComponents  # its annotations deny what its documentation allows: level="lltrend"
        model = build((x - centre) / scale, level=trend, freq_seasonal=waves)
        fitted: Any = model.fit(disp=False, maxiter=200)
        if not fitted.mle_retvals["converged"]:
            # Where a variance is all but 0, as on a straight line, the gradient misleads: Powell needs none.
            fitted = model.fit(start_params=fitted.params, disp=False, method="powell", maxiter=50)
    except FAILURES:
        return None  # another form may do; none at all is what fit_window reports
    return (fitted, centre, scale, log) if np.isfinite(fitted.params).all() else None


def _criterion(fitted: Any, centre: float, scale: float, log: bool, y: Floats, burn: int) -> float:
    """AIC of y itself, whatever was fitted: log p(y) = log p(z) − log scale (− log y where z is of log y)."""
    seen = ~np.isnan(y)
    seen[:burn] = False
    jacobian = np.log(scale) + (np.log(y[seen]) if log else 0.0)
    likelihood = float(np.sum(np.asarray(fitted.llf_obs)[seen] - jacobian))
    value = 2.0 * len(fitted.params) - 2.0 * likelihood
    return value if np.isfinite(value) else float("inf")
