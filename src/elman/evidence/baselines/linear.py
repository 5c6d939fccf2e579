"""One linear map from lags to all steps ahead, shared by all series: what every network must be better than."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from elman.evidence.baselines.base import Floats, fill_gaps
from elman.evidence.baselines.lags import Lags
from elman.evidence.baselines.pooled import PooledBaseline, PooledPredictor

_PENALTIES = tuple(float(value) for value in np.logspace(-2, 4, 13))


class LinearAutoregression(PooledBaseline):
    """Direct ridge regression of the next H steps on the last L, pooled over series.

    (ŷ_{T+1} … ŷ_{T+H}) = c + s·(A·x + b),  x = ((y_{T−L+1} … y_T) − c) / s,  min ‖Y − XA − b‖² + λ‖A‖²

    c: mean of the last season, s: mean distance from it, per window. L: two seasons and a step. λ by leave-one-out
    error on the rows before each series' last fifth; the quantiles are those of the errors on that fifth, per step
    (split conformal), added to the forecast; then A is fitted anew on all rows.
    Missing lags are put in by straight lines, so are missing targets; rows with no observed target are left out.
    Source: Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634; direct strategy: Ben Taieb et al. 2012,
    arXiv:1108.3259; intervals: Lei et al. 2018, doi:10.1080/01621459.2017.1307116; fitted by scikit-learn.

    >>> LinearAutoregression().fit_predict([np.arange(60.0)], 3, 1, (0.5,)).round(1).ravel().tolist()
    [60.0, 61.0, 62.0]
    """

    label: ClassVar[str] = "linear autoregression"
    summary: ClassVar[str] = "ridge on lags, one model for all series"

    def fit_rows(self, rows: Lags, levels: Floats) -> PooledPredictor:
        """Penalty and error quantiles from the held-out rows, coefficients from all."""
        from sklearn.linear_model import Ridge, RidgeCV

        early, late = ~rows.held_out, rows.held_out
        y = np.stack([fill_gaps(row) for row in rows.y])
        if early.sum() < 2:
            early = np.ones_like(early)
        chosen: Any = RidgeCV(alphas=_PENALTIES).fit(rows.x[early], y[early])
        judged = late if late.any() else early
        errors = rows.y[judged] - chosen.predict(rows.x[judged]).reshape(-1, y.shape[1])
        spread = _error_quantiles(errors, levels)
        final = Ridge(alpha=float(chosen.alpha_)).fit(rows.x, y)
        return lambda x: final.predict(x).reshape(len(x), -1, 1) + spread


def _error_quantiles(errors: Floats, levels: Floats) -> Floats:
    """(R, H) errors, NaN = missing → (H, Q): per step where 40 or more were seen, over all steps where fewer were.

    The median is left at the forecast itself: moving it would fit the held-out rows' level, not the future's.
    """
    pooled = np.nanquantile(errors, levels) if not np.isnan(errors).all() else np.zeros(len(levels))
    spread = np.tile(pooled, (errors.shape[1], 1))
    enough = (~np.isnan(errors)).sum(axis=0) >= 40
    if enough.any():
        spread[enough] = np.nanquantile(errors[:, enough], levels, axis=0).T
    spread[:, np.isclose(levels, 0.5)] = 0.0
    return spread
