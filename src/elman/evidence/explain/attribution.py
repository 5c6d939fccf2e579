"""Which parts of an input an answer is owed to: gradients summed on the way from nothing to the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

AT_ONCE = 64
"""points of the way that go through the net side by side"""


@dataclass(frozen=True)
class Attribution:
    """What each part adds to the answer; the parts sum to `end - begin`, but for `gap`.

    parts       (T, F), in the answer's unit
    begin, end  the answer to nothing and to the input
    points      at which the gradient was taken
    """

    parts: np.ndarray
    begin: float
    end: float
    points: int

    @property
    def steps(self) -> np.ndarray:
        """What each step adds, (T,)."""
        return self.parts.sum(1)

    def with_gaps(self, features: int, gaps: Sequence[int]) -> Attribution:
        """What the columns add that say where a feature is missing, counted to that feature: parts (T, features).

        >>> Attribution(np.array([[1.0, 2.0, 4.0]]), 0.0, 7.0, 8).with_gaps(2, [1]).parts
        array([[1., 6.]])
        """
        parts = self.parts[:, :features].copy()
        parts[:, list(gaps)] += self.parts[:, features:]
        return replace(self, parts=parts)

    @property
    def gap(self) -> float:
        """What the parts lack of the whole, as a share of it."""
        whole = self.end - self.begin
        return abs(float(self.parts.sum()) - whole) / max(abs(whole), 1e-9)


def integrated_gradients(
    answer: Callable[[Tensor], Tensor], x: Tensor, begin: Tensor, *, close: float = 0.01, most: int = 1024
) -> Attribution:
    """The part of each input in the answer: (x - x') ⊙ ∫₀¹ ∇answer(x' + α (x - x')) dα.

    answer  (M, T, F) to (M,), of each row by itself
    x, begin   (T, F): the input, and what stands for nothing, x'
    close   the gap at which it ends, with twice as many points each time up to `most`: completeness is the check

    The integral is Gauss and Legendre's, whose error falls fast where the answer bends smoothly.
    Source: Sundararajan, Taly & Yan 2017, arXiv:1703.01365.

    >>> x = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    >>> found = integrated_gradients(lambda v: v[:, 0, 0] * v[:, 1, 0], x, torch.zeros_like(x))
    >>> found.parts[:, 0].round(9).tolist(), found.end
    ([3.0, 3.0], 6.0)
    """
    with torch.no_grad():
        ends = answer(torch.stack([begin, x]))
    points = 8
    while True:
        found = Attribution(_parts(answer, x, begin, points), float(ends[0]), float(ends[1]), points)
        if found.gap <= close or points >= most:
            return found
        points *= 2


def _parts(answer: Callable[[Tensor], Tensor], x: Tensor, begin: Tensor, points: int) -> np.ndarray:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    total = torch.zeros_like(x)
    for start in range(0, points, AT_ONCE):
        share = torch.as_tensor((nodes[start : start + AT_ONCE] + 1) / 2, dtype=x.dtype)[:, None, None]
        weight = torch.as_tensor(weights[start : start + AT_ONCE] / 2, dtype=x.dtype)[:, None, None]
        way = (begin + share * (x - begin)).requires_grad_()
        (slope,) = torch.autograd.grad(answer(way).sum(), way)
        total += (weight * slope).sum(0)
    return (total * (x - begin)).numpy()
