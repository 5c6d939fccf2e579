"""Which of many differences are real: a test over examples and starts at once, corrected for their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from elman.errors import ShapeError
from elman.evidence.significance import PairedTest, t_test

Array = np.ndarray


class Starts(NamedTuple):
    """How far the starts of a model are from each other, over several models: the variance of their mean losses, and
    its degrees of freedom."""

    variance: float
    freedom: int

    @classmethod
    def of(cls, losses: Iterable[Array]) -> Starts:
        """The mean over models (S, N) of more than one start."""
        many = [one.mean(1) for one in losses if len(one) > 1]
        variance = float(np.mean([means.var(ddof=1) for means in many])) if many else 0.0
        return cls(variance, sum(len(means) - 1 for means in many))


def crossed_test(a: Array, b: Array, starts: Starts = Starts(0.0, 0)) -> PairedTest:  # noqa: B008
    """Whether one way of learning has lower losses than another, on examples like these and from any start.

    d̄ = ā − b̄,  V = s²(ā_i − b̄_i) / N + s²(ā_s) / S_a + s²(b̄_s) / S_b,  t = d̄ / √V,
    compared with Student's t of V² / Σ V_k² / f_k degrees of freedom, V_k and f_k those of the terms.

    a, b: (S, N) the loss of each of S starts on each of N independent examples, the same ones; a way of learning that
    draws nothing at random has S = 1 and no variance of starts. Two or three starts tell their own variance badly, by
    chance it is next to none: where that of all models, `starts`, is greater, it takes its place. The part of the
    variance that is of one example and one start alone is in two terms, so p is rather too large than too small.
    Raises ShapeError unless both have the same examples, two or more.
    Source: examples and starts crossed, as readers and cases are: Obuchowski & Rockette 1995,
    doi:10.1080/03610919508813243; degrees of freedom: Satterthwaite 1946, doi:10.2307/3002019; why starts count:
    Bouthillier et al. 2021, arXiv:2103.03098.

    >>> rng = np.random.default_rng(0)
    >>> examples = rng.random((1, 50))
    >>> better, worse = examples + 0.1 * rng.random((3, 50)), examples + 0.1 * rng.random((3, 50)) + 0.1
    >>> crossed_test(better, worse).p_value < 0.001, crossed_test(better, better).p_value
    (True, 1.0)
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] < 2:
        raise ShapeError(f"crossed_test: losses must be (S, N) and N ≥ 2 the same, got {a.shape} and {b.shape}.")
    examples = a.mean(0) - b.mean(0)
    terms = [(float(examples.var(ddof=1)) / len(examples), len(examples) - 1)]
    for losses in (a, b):
        if len(losses) > 1:
            own = Starts.of([losses])
            larger = own if own.variance >= starts.variance else starts
            terms.append((larger.variance / len(losses), larger.freedom))
    variance = sum(v for v, _ in terms)
    mean = float(examples.mean())
    freedom = variance**2 / max(sum(v**2 / f for v, f in terms), 1e-300) if variance else len(examples) - 1
    return t_test(mean, variance, float(np.mean(examples**2)), freedom, len(examples), "examples")


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number: the least times m, the next times m − 1 …, none below one before it.

    With them the probability of even one false difference is at most the level, whatever depends on what.
    Source: Holm 1979, Scandinavian Journal of Statistics 6(2), jstor:4615733.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.maximum.accumulate([min(1.0, p_values[i] * (len(order) - k)) for k, i in enumerate(order)])
    found = np.empty(len(order))
    found[order] = raised
    return found.tolist()


@dataclass(frozen=True)
class Pairs:
    """All pairs of models tested against each other; p is corrected for their number.

    names: of the models; difference, p: (K, K), mean loss of the row less that of the column; p of one with itself: 1
    """

    names: tuple[str, ...]
    difference: Array
    p: Array

    @classmethod
    def test(cls, losses: Mapping[str, Array]) -> Pairs:
        """losses: for each model (S, N), see `crossed_test`."""
        names = tuple(losses)
        difference, p = np.zeros((len(names), len(names))), np.ones((len(names), len(names)))
        both = list(combinations(range(len(names)), 2))
        starts = Starts.of(losses.values())
        tests = [crossed_test(losses[names[i]], losses[names[j]], starts) for i, j in both]
        for (i, j), test, corrected in zip(both, tests, holm([t.p_value for t in tests]), strict=True):
            difference[i, j], difference[j, i] = test.difference, -test.difference
            p[i, j] = p[j, i] = corrected
        return cls(names, difference, p)

    def p_of(self, a: str, b: str) -> float:
        """The corrected p of two models."""
        return float(self.p[self.names.index(a), self.names.index(b)])

    def beats(self, a: str, b: str, level: float) -> bool:
        """Whether a's losses are lower than b's, and that is no chance."""
        return self.p_of(a, b) < level and self.difference[self.names.index(a), self.names.index(b)] < 0
