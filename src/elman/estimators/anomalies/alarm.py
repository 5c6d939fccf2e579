"""From the surprise of steps to alarms: smoothing, one score for a sequence, thresholds from normal data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray

POOLINGS = {"max": np.max, "mean": np.mean}


@dataclass(frozen=True)
class Alarm:
    """What turns the surprise e_t of steps, NaN where nothing was measured, into scores s_t and alarms s_t > threshold.

    s_t = (e_t + e_{t-1} + … ) / smooth,   the mean of the last `smooth` steps

    so that a score depends on the past alone, and an alarm ends so many steps after what caused it. The score of a
    sequence is the greatest or the mean of its steps'.

    smooth     1: no average
    pooling    "max" or "mean"
    calm       mean surprise of a normal step; it stands in for a missing one, and for those before the first
    step, sequence         thresholds of a step's score and of a sequence's
    steps, sequences       normal scores that they stand on
    """

    smooth: int
    pooling: str
    calm: float
    step: float
    sequence: float
    steps: int
    sequences: int

    @classmethod
    def fit(
        cls, steps: Sequence[Array], sequences: Sequence[Array], share: float, *, smooth: int, pooling: str
    ) -> Alarm:
        """Thresholds that this share of normal steps, and of normal sequences, is expected to exceed.

        steps, sequences   the surprise in normal stretches that nothing was learned from, arrays (T_i,): those whose
                           steps are counted, and those that count as a whole; what was not measured does not count
        """
        known = np.isfinite(np.concatenate(steps))
        judged = [e for e in sequences if np.isfinite(e).any()]
        if not known.any():
            return cls(smooth, pooling, 0.0, 0.0, 0.0, 0, 0)
        calm = float(np.concatenate(steps)[known].mean())
        blank = cls(smooth, pooling, calm, math.inf, math.inf, int(known.sum()), len(judged))
        each, whole = np.concatenate(blank.steps_of(steps))[known], blank.pool(blank.steps_of(judged))
        return replace(blank, step=threshold(each, share), sequence=threshold(whole, share))

    def steps_of(self, surprise: Sequence[Array]) -> list[Array]:
        """The score of each step, N arrays (T_i,)."""
        from scipy.signal import lfilter

        above = (np.where(np.isfinite(e), e - self.calm, 0.0) for e in surprise)
        weights = np.full(self.smooth, 1 / self.smooth)
        return [np.asarray(lfilter(weights, [1.0], e)) + self.calm for e in above]

    def score_of(self, surprise: Tensor) -> Tensor:
        """The score at the last of steps, from their surprise (…, at most `smooth`), with its gradient."""
        above = torch.where(surprise.isfinite(), surprise - self.calm, 0.0)
        return above.sum(-1) / self.smooth + self.calm

    def pool(self, scores: Sequence[Array]) -> Array:
        """The score of each sequence, (N,), of its steps'."""
        return np.array([POOLINGS[self.pooling](s) for s in scores])

    def to_json(self) -> Mapping[str, Any]:
        """What a config file keeps; `Alarm(**kept)` is the same again."""
        return asdict(self)


def threshold(scores: Array, share: float) -> float:
    """What a further score exceeds with a probability of `share` at most, if it comes from where these came from.

    The ⌈(n + 1)(1 - share)⌉-th smallest of n scores; the greatest where there are too few, n < 1/share - 1: then the
    probability is 1/(n + 1). Source: Vovk, Gammerman & Shafer 2005, doi:10.1007/b106715 (conformal prediction).

    >>> threshold(np.arange(1.0, 100.0), 0.05), threshold(np.arange(5.0), 0.05)
    (95.0, 4.0)
    """
    place = min(math.ceil((len(scores) + 1) * (1 - share) - 1e-9), len(scores))
    return float(np.sort(scores)[place - 1])
