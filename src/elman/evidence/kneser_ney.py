"""The n-gram model that a recurrent language model must be better than: interpolated Kneser–Ney."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Context = tuple[int, ...]


class KneserNey:
    """Counts of runs of up to `order` tokens, with a discount D that is given to shorter ones::

        p_n(w | c) = max(a(c w) - D_n, 0) / a(c ·) + D_n · types(c ·) / a(c ·) · p_{n-1}(w | c without its first)

    a counts occurrences at the highest order, and below it how many different tokens precede. p_0 is uniform over
    `tokens`. D_n = n1 / (n1 + 2 n2) with n1 and n2 the numbers of runs that were counted once and twice.

    Source: Kneser & Ney 1995, doi:10.1109/ICASSP.1995.479394; interpolated: Chen & Goodman 1999,
    doi:10.1006/csla.1999.0128.

    >>> model = KneserNey(order=2, tokens=3).fit([[0, 1, 2, 0, 1, 2, 0]])
    >>> round(sum(model.probability((0,), w) for w in range(3)), 12), model.probability((0,), 1) > 0.5
    (1.0, True)
    """

    def __init__(self, order: int, tokens: int) -> None:
        self.order, self.tokens = order, tokens
        self.counts: list[dict[Context, dict[int, int]]] = []
        self.totals: list[dict[Context, int]] = []
        self.discounts: list[float] = []

    def fit(self, sequences: Sequence[Sequence[int]]) -> KneserNey:
        """Counts."""
        self.counts = [{} for _ in range(self.order)]
        runs: Counter[Context] = Counter()
        for sequence in sequences:
            codes = tuple(sequence)
            runs.update(zip(*(codes[start:] for start in range(self.order)), strict=False))
            # A run that reaches back to the beginning has nothing before it: it is counted at its own order.
            runs.update(codes[:end] for end in range(1, min(self.order, len(codes) + 1)))
        for run, count in runs.items():
            self.counts[len(run) - 1].setdefault(run[:-1], {})[run[-1]] = count
        for size in range(self.order - 1, 0, -1):  # how many different tokens precede
            for context, after in self.counts[size].items():
                shorter = self.counts[size - 1].setdefault(context[1:], {})
                for token in after:
                    shorter[token] = shorter.get(token, 0) + 1
        for size in range(self.order):
            seen = Counter(n for after in self.counts[size].values() for n in after.values())
            self.discounts.append(seen[1] / (seen[1] + 2 * seen[2]) if seen[1] else 0.5)
            self.totals.append({context: sum(after.values()) for context, after in self.counts[size].items()})
        return self

    def probability(self, context: Sequence[int], token: int) -> float:
        """p(token | context), of which the last order - 1 tokens are read."""
        context, p = tuple(context)[-(self.order - 1) :] if self.order > 1 else (), 1.0 / self.tokens
        for size in range(len(context) + 1):
            part = context[len(context) - size :]
            total = self.totals[size].get(part)
            if total is None:
                break  # nor has anything longer been seen
            after, discount = self.counts[size][part], self.discounts[size]
            p = (max(after.get(token, 0) - discount, 0.0) + discount * len(after) * p) / total
        return p

    def losses(self, sequence: Sequence[int]) -> list[float]:
        """-log p of each token but the first, in nats."""
        codes = tuple(sequence)
        reach = self.order - 1
        return [-math.log(self.probability(codes[max(0, t - reach) : t], codes[t])) for t in range(1, len(codes))]
