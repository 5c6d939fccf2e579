"""Spans in labels of steps, against conlleval's own rules and by hand; the scoreboard that they decide."""

from __future__ import annotations

import numpy as np
import pytest

from elman.estimators import SequenceTagger
from elman.evidence.label_study import Examples, judge_labels
from elman.evidence.labels import LabelBoard, Labelled
from elman.evidence.spans import find_spans, mark_spans, span_losses, span_scores


def conlleval(labels):
    """Spans of one sequence by `startOfChunk` and `endOfChunk` of conlleval.pl (2004), S read as a B that ends."""
    ends = {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O"), ("E", "E"), ("E", "I"), ("E", "O"), ("E", "B")}
    starts = {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I"), ("E", "E"), ("E", "I"), ("O", "E"), ("E", "B")}
    spans, begin, before, kind_before = set(), None, "O", ""
    for place, label in enumerate([*labels, "O"]):
        mark, _, kind = label.partition("-")
        alone, mark = mark == "S", "B" if mark == "S" else mark
        other = kind != kind_before
        if begin is not None and ((before, mark) in ends or (before != "O" and other)):
            spans.add((kind_before, begin, place))
            begin = None
        if (before, mark) in starts or (mark != "O" and other):
            begin = place
        before, kind_before = ("E" if alone else mark), kind
    return spans


@pytest.mark.parametrize("marks", ["BIO", "BIOES"])
def test_spans_are_conllevals(marks):
    dice = np.random.default_rng(0)
    known = ["O", *(f"{mark}-{kind}" for mark in marks if mark != "O" for kind in ("PER", "LOC"))]
    for size in range(1, 40):
        for _ in range(20):
            labels = dice.choice(known, size)
            assert find_spans(labels, np.zeros(size)) == conlleval(labels)


def test_a_span_ends_with_its_sequence_and_a_kind_may_have_a_hyphen():
    labels = np.array(["B-a-b", "I-a-b", "I-a-b"])
    assert find_spans(labels, np.array([0, 0, 1])) == {("a-b", 0, 2), ("a-b", 2, 3)}


def test_which_labels_mark_spans():
    for marks in (["B-X", "I-X", "O"], ["S-X"], ["I-X", "O"], ["U-X", "L-X", "B-X"]):
        assert mark_spans(np.array(marks))
    for other in (["O"], ["NOUN", "O"], ["B", "I"], ["X-B"], ["B-"]):
        assert not mark_spans(np.array(other))
    assert not mark_spans(np.array([0, 1]))


def test_scores_and_losses_by_hand():
    truth = np.array(["B-X", "I-X", "O", "B-Y", "O", "O", "B-X"])
    found = np.array(["B-X", "I-X", "O", "B-X", "O", "O", "O"])
    sequence = np.array([3, 3, 3, 3, 5, 5, 7])
    precision, recall, f1 = span_scores(truth, found, sequence)
    assert (precision, recall) == (1 / 2, 1 / 3)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert span_losses(truth, found, sequence).tolist() == [0.5, 0.0, 1.0]
    assert span_scores(truth, np.full(7, "O"), sequence) == (0.0, 0.0, 0.0)


def test_spans_decide_where_labels_mark_them():
    truth, sequence = np.array(["B-X", "I-X", "O", "O"] * 30), np.repeat(np.arange(30), 4)
    nearly, never = np.array(["B-X", "O", "O", "O"] * 30), np.full(120, "O")
    found = {"never": Labelled(never), "nearly": Labelled(nearly), "LSTM": Labelled(truth)}
    board = LabelBoard.build(found, truth, network="LSTM", sequence=sequence)
    assert (board.error, board.rows[0].model) == ("span F1", "LSTM")
    assert list(board.rows[0].scores) == ["span F1", "precision", "recall", "accuracy", "macro F1"]
    assert {row.model: row.scores["span F1"] for row in board.rows} == {"LSTM": 1.0, "nearly": 0.0, "never": 0.0}
    assert "its span F1 is higher" in board.verdict()
    # classes of whole sequences are no marks, whatever they are called
    assert LabelBoard.build(found, truth, network="LSTM").error == "accuracy"


def test_a_taggers_study_is_judged_by_spans():
    X = [["so", "said", "Jeff", "Elman", "."], ["May", "was", "right"], ["it", "was", "in", "May"]] * 20
    y = [["O", "O", "B-PER", "I-PER", "O"], ["B-PER", "O", "O"], ["O", "O", "O", "O"]] * 20
    tagger = SequenceTagger(hidden_size=16, max_steps=80, learning_rate=0.02)
    judged = judge_labels(tagger, Examples.split(X, y, 0.3, 0))
    scores = {row.model: row.scores for row in judged.scoreboard.rows}
    assert scores["bidirectional LSTM"]["span F1"] == 1.0
    assert scores["most frequent label"]["span F1"] < 1.0
