"""How far back the data make one look, found without a recurrent net.

A ridge regression reads the last steps before a target, with the products of features at the same step, and is judged
on rows that it has not seen. Where it explains as much with the steps before a lag masked, nothing before that lag is
needed; and where taking the steps around a lag from another row costs nothing, the reading of all does not use them.
What a linear reading does not see, such as the parity of bits, this does not see either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MOST_ROWS = 3000
MOST_COLUMNS = 600
LEAST_BLOCKS = 16
LONGEST = 1000
"""steps back that are looked at"""
PRODUCTS = 8
"""features up to which their products are read, too"""
KEPT = 0.9
"""share of what can be explained that must be left for the steps before a lag to count as not needed"""
SURE = 0.01
"""p-value below which something was explained at all"""
CUTS = 14
"""lags that are tried"""
ALPHAS = np.logspace(-2, 6, 9)
"""strengths of the ridge, from which the training rows choose"""


@dataclass(frozen=True)
class Need:
    """What the data need.

    steps      back from the last one that are needed; 0: nothing could be explained
    explained  R² on unseen rows, from as many steps as explain most
    lags       (n,) steps back, growing
    by_lag     (n,) R² from so many steps alone, those before them masked
    used       (n,) R² that is lost where the steps between this lag and the one before are taken from another row
    """

    steps: int
    explained: float
    lags: np.ndarray
    by_lag: np.ndarray
    used: np.ndarray


def need_of(x: Sequence[np.ndarray], y: Sequence[np.ndarray], seed: int = 0, *, products: int = PRODUCTS) -> Need:
    """How many steps back y depends on x, as far as a ridge regression sees.

    x  N sequences (T_i, F), standardised
    y  N targets (K,) of whole sequences, or (T_i, K) of each step
    products  features up to which their products are read, too; 0: none

    >>> dice = np.random.default_rng(0)
    >>> x = dice.normal(size=(400, 30, 1))
    >>> need_of(list(x), list(x[:, 10] + x[:, 29])).steps
    20
    """
    from sklearn.linear_model import RidgeCV

    dice = np.random.default_rng(seed)
    blocks, targets, lags = _rows(x, y, dice, products)
    rows, steps, _ = blocks.shape
    half = rows // 2
    none = Need(0, 0.0, *(np.empty(0) for _ in range(3)))
    if half < 20:
        return none
    spread = targets[:half].std(0)
    if not (spread > 0).any():
        return none
    targets = (targets[:, spread > 0] - targets[:half, spread > 0].mean(0)) / spread[spread > 0]
    truth = targets[half:]

    def explained(said: np.ndarray) -> float:
        return float(1 - np.square(said - truth).mean() / np.square(truth - truth.mean(0)).mean())

    def reading(cut: int) -> Callable[[np.ndarray], np.ndarray]:
        """A regression on the last `cut` blocks."""
        ridge = RidgeCV(ALPHAS).fit(_last(blocks[:half], cut), targets[:half])
        return lambda some: ridge.predict(_last(some, cut)).reshape(truth.shape)

    unseen = blocks[half:]
    cuts = np.unique(np.concatenate([np.arange(1, min(5, steps)), np.geomspace(1, steps, CUTS)]).round().astype(int))
    readings = [reading(cut) for cut in cuts]
    by_lag = np.array([explained(one(unseen)) for one in readings])
    # Of many steps a reading may learn the training rows by heart: the best one is what can be explained.
    full, best = float(by_lag.max()), readings[int(by_lag.argmax())]
    if not _is_sure(best(unseen), truth, full, len(cuts)):
        return none
    used = []
    for before, cut in zip([0, *cuts[:-1]], cuts, strict=True):
        other, place = unseen.copy(), slice(before, cut)
        other[:, place] = unseen[dice.permutation(len(unseen)), place]
        used.append(full - explained(best(other)))
    at = int(np.argmax(by_lag >= KEPT * full))
    low, enough = (int(cuts[at - 1]) if at else 0), int(cuts[at])
    while enough - low > 1:
        middle = (low + enough) // 2
        low, enough = (low, middle) if explained(reading(middle)(unseen)) >= KEPT * full else (middle, enough)
    return Need(int(lags[enough - 1]), full, lags[cuts - 1], by_lag, np.array(used))


def _last(blocks: np.ndarray, cut: int) -> np.ndarray:
    return blocks[:, :cut].reshape(len(blocks), -1)


def _is_sure(said: np.ndarray, truth: np.ndarray, full: float, tried: int) -> bool:
    """Whether what was said has to do with the truth, in any column, by more than chance; the best of so many tried."""
    from scipy.stats import pearsonr

    columns = [(a, b) for a, b in zip(said.T, truth.T, strict=True) if a.std() > 0 and b.std() > 0]
    if full <= 0 or not columns:
        return False
    chances = [pearsonr(a, b).pvalue for a, b in columns]  # pyright: ignore[reportAttributeAccessIssue]
    return min(chances) < SURE / len(columns) / tried


def _rows(
    x: Sequence[np.ndarray], y: Sequence[np.ndarray], dice: np.random.Generator, products: int = PRODUCTS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps before each target, the last one first, in blocks (n, blocks, F'); the targets (n, K); each block's end."""
    each_step = np.ndim(y[0]) == 2
    if each_step:
        ends = [(i, t + 1) for i in range(len(x)) for t in range(len(y[i]))]
    else:
        ends = [(i, len(one)) for i, one in enumerate(x)]
    order = dice.permutation(len(ends))[:MOST_ROWS]
    chosen = [ends[i] for i in order]
    longest = min(max(end for _, end in chosen), LONGEST)
    features = _featured(x[0][:1], products).shape[1]
    edges = _edges(longest, max(MOST_COLUMNS // features, LEAST_BLOCKS))
    found = np.zeros((len(chosen), longest, features))
    for row, (i, end) in enumerate(chosen):
        seen = _featured(x[i][max(0, end - longest) : end], products)
        found[row, : len(seen)] = seen[::-1]
    targets = np.array([y[i][end - 1] if each_step else y[i] for i, end in chosen], float)
    return np.add.reduceat(found, edges[:-1], axis=1), targets.reshape(len(chosen), -1), edges[1:]


def _edges(steps: int, most: int) -> np.ndarray:
    """Lags at which blocks of steps begin, and the last one's end: single steps first, then longer and longer blocks.

    >>> _edges(3, 10).tolist(), _edges(100, 8).tolist()
    ([0, 1, 2, 3], [0, 1, 2, 3, 4, 9, 20, 45, 100])
    """
    if steps <= most:
        return np.arange(steps + 1)
    single = most // 2
    return np.concatenate([np.arange(single), np.geomspace(single, steps, most - single + 1).round().astype(int)])


def _featured(x: np.ndarray, products: int) -> np.ndarray:
    """Features (T, F), and the products of two of the same step."""
    if x.shape[1] > products:
        return x
    first, second = np.triu_indices(x.shape[1])
    return np.hstack([x, x[:, first] * x[:, second]])
