"""Two ways of reading the steps before a target: a sum of them, and what pairs of them say together.

A reading learns from rows (n, columns) and targets (n, K), and then says of other rows what it expects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
Said = Callable[[Array], Array]

ALPHAS = np.logspace(-2, 6, 9)
"""strengths of the ridge, from which the training rows choose"""
PAIRS = 16
"""products that are kept of all that there are"""
TREES = 30
LEAF = 5
"""rows in a leaf at least"""
FOLDS = 4
FAR = 4.0
"""standard deviations beyond which a column's value counts as that many, lest a few rows make a product"""


@dataclass(frozen=True)
class Reading:
    """A way of reading; name: as a sentence has it that spoke of steps."""

    name: str
    learn: Callable[[Array, Array], Said]


def sums(x: Array, y: Array) -> Said:
    """A ridge regression.

    >>> dice = np.random.default_rng(0)
    >>> x = dice.normal(size=(400, 20))
    >>> said = sums(x[:300], x[:300, :1] + x[:300, 7:8])(x[300:])
    >>> bool(np.abs(said - x[300:, :1] - x[300:, 7:8]).max() < 0.01)
    True
    """
    from sklearn.linear_model import RidgeCV

    ridge = RidgeCV(ALPHAS).fit(x, y)
    return lambda rows: ridge.predict(rows).reshape(len(rows), -1)


def pairs(x: Array, y: Array) -> Said:
    """A ridge regression, and extremely randomised trees on what it leaves.

    The trees read the products x_i x_j that are most correlated with what is left, and their columns. Trees that read
    all columns have to begin with one of the two, which says nothing by itself, and find no pair among hundreds.
    Source: trees: Geurts, Ernst & Wehenkel 2006, doi:10.1007/s10994-006-6226-1; columns by their correlation with what
    is left: Fan & Lv 2008, doi:10.1111/j.1467-9868.2008.00674.x, here of products.

    >>> dice = np.random.default_rng(0)
    >>> x = dice.choice([-1.0, 1.0], (600, 100))
    >>> y = x[:, 5:6] * x[:, 40:41]
    >>> said = pairs(x[:400], y[:400])(x[400:])
    >>> bool(np.corrcoef(said[:, 0], y[400:, 0])[0, 1] > 0.95)
    True
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.model_selection import cross_val_predict

    ridge: Any = RidgeCV(ALPHAS).fit(x, y)
    # What it leaves of rows that it has learned from is less than it leaves of others.
    elsewhere: Any = cross_val_predict(Ridge(ridge.alpha_), x, y, cv=FOLDS)
    left = y - elsewhere.reshape(y.shape)
    mean, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 0, spread, 1.0)

    def scaled(rows: Array) -> Array:
        return ((rows - mean) / spread).clip(-FAR, FAR)

    first, second = _pairs_in(scaled(x), left)
    alone = np.unique(np.concatenate([first, second]))

    def features(rows: Array) -> Array:
        z = scaled(rows)
        return np.hstack([z[:, alone], z[:, first] * z[:, second]])

    trees = ExtraTreesRegressor(TREES, min_samples_leaf=LEAF, random_state=0)
    trees.fit(features(x), left if left.shape[1] > 1 else left[:, 0])

    def said(rows: Array) -> Array:
        found = (model.predict(given) for model, given in ((ridge, rows), (trees, features(rows))))
        one, other = (part.reshape(len(rows), -1) for part in found)
        return one + other

    return said


READINGS = (Reading("a linear reading of them", sums), Reading("a reading of pairs of them", pairs))
"""the simpler first"""


def _pairs_in(z: Array, y: Array) -> tuple[Array, Array]:
    """The two columns of each product that is most correlated with y, in whichever of its columns it is most."""
    count = len(z)
    mean, square = z.T @ z / count, np.square(z)
    spread = np.sqrt(np.maximum(square.T @ square / count - np.square(mean), 1e-2))
    best = np.zeros_like(mean)
    for target in y.T:
        one = (target - target.mean()) / (target.std() or 1.0)
        best = np.maximum(best, np.abs((z * one[:, None]).T @ z / count) / spread)
    first, second = np.triu_indices(len(best))
    kept = np.argsort(-best[first, second], kind="stable")[:PAIRS]
    return first[kept], second[kept]
