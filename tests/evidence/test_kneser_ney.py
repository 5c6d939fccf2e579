"""The n-gram model: a distribution, the published numbers of its definition, better than shorter ones."""

from __future__ import annotations

import numpy as np
import pytest

from elman.evidence.kneser_ney import KneserNey


@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_sum_to_one_after_any_context(order):
    rng = np.random.default_rng(0)
    model = KneserNey(order, 6).fit([rng.integers(5, size=300).tolist()])  # token 5 never occurs
    for context in ([], [0], [4, 4, 4, 4], [5], [1, 5, 2], rng.integers(6, size=9).tolist()):
        p = [model.probability(context, w) for w in range(6)]
        assert sum(p) == pytest.approx(1.0, abs=1e-12)
        assert min(p) > 0


def test_a_bigram_by_hand():
    # a b a c a b: bigrams ab 2, ba 1, ac 1, ca 1; preceded by different tokens: a 2 (b, c), b 1, c 1; and `a` begins.
    model = KneserNey(2, 3).fit([[0, 1, 0, 2, 0, 1]])
    discount = 3 / (3 + 2 * 1)
    assert model.discounts[1] == pytest.approx(discount)
    unigram = model.probability([], 1)
    assert model.probability([0], 1) == pytest.approx((2 - discount) / 3 + discount * 2 / 3 * unigram)
    assert model.counts[0][()] == {0: 3, 1: 1, 2: 1}


def test_a_longer_memory_is_better_where_there_is_something_to_remember():
    text = [0, 1, 2, 0, 1, 3] * 50
    cost = [np.mean(KneserNey(n, 4).fit([text]).losses(text)) for n in (1, 2, 4)]
    assert cost[0] > 2 * cost[1] > 4 * cost[2]  # 2 or 3 comes after 0 1, by what was before
