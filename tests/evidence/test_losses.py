"""The scoreboard of losses: its measures by hand, its paired test against the definition, its verdicts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from elman.errors import DataError, OptionError
from elman.evidence.kneser_ney import KneserNey
from elman.evidence.losses import LossBoard, Predicted, blocked_test


def board(mine, theirs, kind="character", **options):
    found = {"unigram": Predicted(theirs), "LSTM": Predicted(mine)}
    return LossBoard.build(found, network="LSTM", kind=kind, **options)


def test_measures_by_hand():
    losses = [np.log([2.0, 4.0]), np.log([8.0])]  # 1, 2 and 3 bits
    characters, words, frames = (board(losses, losses, kind) for kind in ("character", "word", "frame"))
    scores = characters.rows[0].scores
    assert list(scores) == ["bits per character", "perplexity"]
    assert scores["bits per character"] == pytest.approx(2.0)
    assert scores["perplexity"] == pytest.approx(4.0)
    assert words.error == "perplexity" and words.value(words.rows[0]) == pytest.approx(4.0)
    assert frames.rows[0].scores == {"NLL per frame": pytest.approx(2 * math.log(2))}


def test_kneser_ney_on_the_board_by_hand():
    # As in test_kneser_ney: after "a b a c a b" the bigram a b was seen twice, a c once.
    model = KneserNey(2, 3).fit([[0, 1, 0, 2, 0, 1]])
    unigram = model.probability([], 1)
    p = (2 - 0.6) / 3 + 0.6 * 2 / 3 * unigram
    shown = board([np.array(model.losses([0, 1]))], [np.array([math.log(3)])])
    assert shown.rows[0].scores["bits per character"] == pytest.approx(-math.log2(p))
    assert shown.rows[1].scores["perplexity"] == pytest.approx(3.0)


def test_many_texts_are_tested_whole_and_one_text_in_blocks():
    rng = np.random.default_rng(0)
    many = [rng.random(7) for _ in range(25)], [rng.random(7) for _ in range(25)]
    whole = board(*many).rows[1].test
    assert whole.count == 25
    assert whole.p_value == pytest.approx(ttest_rel(*([x.mean() for x in texts] for texts in many)).pvalue)
    a, b = rng.random(20_000), rng.random(20_000) + 0.01
    one = board([a], [b])
    assert one.block == 200
    blocks = ttest_1samp((a - b).reshape(100, 200).mean(1), 0)
    assert one.rows[1].test.count == 100
    assert one.rows[1].test.p_value == pytest.approx(blocks.pvalue)
    assert "blocks of 200 characters" in one.scope()
    assert board([a[:1000]], [b[:1000]]).block == 100


def test_blocks_of_any_length_give_the_difference_of_all_tokens():
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 60, 30)
    a, b = rng.random(lengths.sum()), rng.random(lengths.sum())
    assert blocked_test(a, b, np.repeat(np.arange(30), lengths)).difference == pytest.approx((a - b).mean())


def test_alike_neighbours_do_not_make_a_difference_significant():
    """One lucky passage of a text is one observation, however many tokens it has."""
    theirs = np.ones(5000)
    mine = theirs.copy()
    mine[:50] -= 0.5
    assert board([mine], [theirs]).rows[1].test.p_value > 0.3
    assert ttest_rel(mine, theirs).pvalue < 1e-9


def test_verdicts():
    low, high = [np.full(2000, 1.0) + np.arange(2000) % 7 / 10], [np.full(2000, 2.0)]
    won = board(low, high)
    assert won.network_wins
    assert won.verdict().startswith("LSTM wins: its error is lower than that of the best baseline, unigram (bits per ")
    assert "unigram baseline wins: don't use this model" in board(high, low).verdict()
    assert "too few blocks for a test" in board([low[0][:50]], [high[0][:50]]).verdict()
    assert json.loads(won.to_json())["network_wins"] is True


def test_what_cannot_be_compared_is_one_line():
    with pytest.raises(DataError, match=r"LossBoard\(unigram\): texts must have \[3\] losses like LSTM, got \[2\]"):
        board([np.ones(3)], [np.ones(2)])
    with pytest.raises(DataError, match="must have a token to predict"):
        board([np.ones(0)], [np.ones(0)])
    with pytest.raises(OptionError, match="did you mean 'frame'"):
        board([np.ones(3)], [np.ones(3)], "frames")
