"""How far back the data make one look, found without a recurrent net.

A ridge regression reads the last steps before a target, with the products of features at the same step, and is judged
on rows that it has not seen. Where it explains as much with the steps before a lag masked, nothing before that lag is
needed; and where taking the steps around a lag from another row costs nothing, the reading of all does not use them.

Where it leaves something to explain, a second reading looks at pairs of steps (`readings.pairs`), and speaks if it
explains more, and that is no chance. Neither sees what is in three steps together and in no two of them, nor a pair
whose places are other ones in each row: of the parity of three bits, and of the sign of the product of two values that
a second feature marks anywhere among 100 steps, they explained nothing from 3000 rows. Where a pair stays in its place,
300 rows were enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from elman.evidence.diagnose.readings import READINGS, Reading, Said

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
ALL = 0.9
"""R² of a reading from which on no other one is asked"""
MORE = 0.1
"""share of what a reading leaves that another one must explain to speak in its place"""
GLANCES = 4
"""lags at which the second reading is tried first: where it sees nothing at any of them, it is not asked further"""


@dataclass(frozen=True)
class Need:
    """What the data need.

    steps      back from the last one that are needed; 0: nothing could be explained
    explained  R² on unseen rows, from as many steps as explain most
    lags       (n,) steps back, growing
    by_lag     (n,) R² from so many steps alone, those before them masked
    used       (n,) R² that is lost where the steps between this lag and the one before are taken from another row
    reading    whose words these are
    """

    steps: int
    explained: float
    lags: np.ndarray
    by_lag: np.ndarray
    used: np.ndarray
    reading: str = READINGS[0].name


def need_of(x: Sequence[np.ndarray], y: Sequence[np.ndarray], seed: int = 0, *, products: int = PRODUCTS) -> Need:
    """How many steps back y depends on x, as far as a linear reading sees, or one of pairs of steps.

    x  N sequences (T_i, F), standardised
    y  N targets (K,) of whole sequences, or (T_i, K) of each step
    products  features up to which their products are read, too; 0: none

    >>> dice = np.random.default_rng(0)
    >>> x = dice.normal(size=(400, 30, 1))
    >>> need_of(list(x), list(x[:, 10] + x[:, 29])).steps
    20
    >>> found = need_of(list(x), list(np.sign(x[:, 10] * x[:, 29])))
    >>> found.steps, found.reading
    (20, 'a reading of pairs of them')
    """
    dice = np.random.default_rng(seed)
    blocks, targets, lags = _rows(x, y, dice, products)
    half = len(blocks) // 2
    nothing = Need(0, 0.0, np.empty(0), np.empty(0), np.empty(0))
    if half < 20:
        return nothing
    spread = targets[:half].std(0)
    if not (spread > 0).any():
        return nothing
    targets = (targets[:, spread > 0] - targets[:half, spread > 0].mean(0)) / spread[spread > 0]
    steps = blocks.shape[1]
    cuts = np.unique(np.concatenate([np.arange(1, min(5, steps)), np.geomspace(1, steps, CUTS)]).round().astype(int))
    first, second = (_Look(reading, blocks, targets, cuts) for reading in READINGS)
    found = first if first.is_sure() else None
    if first.explained < ALL:
        # All steps, the last ones, and some between: a reading of too many may learn the training rows by heart.
        glances = cuts[np.linspace(len(cuts) - 1, 0, GLANCES + 1).round().astype(int)[:-1]]
        if any(second.adds(first, cut) for cut in glances) and second.adds(first, second.best):
            found = second
    if found is None:
        return nothing
    return found.need(lags, dice)


class _Look:
    """What a reading explains of the second half of the rows, of as many blocks as it is given."""

    def __init__(self, reading: Reading, blocks: np.ndarray, targets: np.ndarray, cuts: np.ndarray) -> None:
        half = len(blocks) // 2
        self.reading, self.cuts = reading, cuts
        self.learned, self.unseen = (blocks[:half], targets[:half]), blocks[half:]
        self.truth = targets[half:]
        self._known: dict[int, tuple[Said, np.ndarray, float]] = {}

    def at(self, cut: int) -> tuple[Said, np.ndarray, float]:
        """The reading of the last `cut` blocks, what it says, and its R²."""
        if cut not in self._known:
            said = self.reading.learn(_last(self.learned[0], cut), self.learned[1])
            found = said(_last(self.unseen, cut))
            self._known[cut] = said, found, self.explained_by(found)
        return self._known[cut]

    def explained_by(self, said: np.ndarray) -> float:
        """R²."""
        return float(1 - np.square(said - self.truth).mean() / np.square(self.truth - self.truth.mean(0)).mean())

    @property
    def best(self) -> int:
        """The cut that explains most: of many steps a reading may learn the training rows by heart."""
        return max(self.cuts.tolist(), key=lambda cut: self.at(cut)[2])

    @property
    def explained(self) -> float:
        """What it explains at best, which is what can be explained."""
        return self.at(self.best)[2]

    def is_sure(self) -> bool:
        """Whether what it says at best has to do with the truth, by more than chance."""
        return self.explained > 0 and self._by_more_than_chance(self.at(self.best)[1], self.truth)

    def adds(self, other: _Look, cut: int) -> bool:
        """Whether, at a cut, it explains more than another at its best, and that by more than chance."""
        before, (_, said, explained) = max(other.explained, 0.0), self.at(cut)
        simpler = other.at(other.best)[1]
        return explained > before + MORE * (1 - before) and self._by_more_than_chance(
            said - simpler, self.truth - simpler
        )

    def _by_more_than_chance(self, said: np.ndarray, truth: np.ndarray) -> bool:
        """In any column; the best of so many cuts and readings tried."""
        from scipy.stats import pearsonr

        columns = [(a, b) for a, b in zip(said.T, truth.T, strict=True) if a.std() > 0 and b.std() > 0]
        chances = [pearsonr(a, b).pvalue for a, b in columns]  # pyright: ignore[reportAttributeAccessIssue]
        tried = len(self.cuts) * len(READINGS)
        return bool(chances) and min(chances) < SURE / len(columns) / tried

    def need(self, lags: np.ndarray, dice: np.random.Generator) -> Need:
        """The steps that it needs, and where what it uses is; lags: at which each block ends."""
        cuts, full = self.cuts, self.explained
        by_lag = np.array([self.at(cut)[2] for cut in cuts.tolist()])
        best = self.best
        used = []
        for before, cut in zip([0, *cuts[:-1]], cuts, strict=True):
            other, place = self.unseen.copy(), slice(before, cut)
            other[:, place] = self.unseen[dice.permutation(len(other)), place]
            used.append(full - self.explained_by(self.at(best)[0](_last(other, best))))
        at = int(np.argmax(by_lag >= KEPT * full))
        low, enough = (int(cuts[at - 1]) if at else 0), int(cuts[at])
        while enough - low > 1:
            middle = (low + enough) // 2
            low, enough = (low, middle) if self.at(middle)[2] >= KEPT * full else (middle, enough)
        return Need(int(lags[enough - 1]), full, lags[cuts - 1], by_lag, np.array(used), self.reading.name)


def _last(blocks: np.ndarray, cut: int) -> np.ndarray:
    return blocks[:, :cut].reshape(len(blocks), -1)


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
