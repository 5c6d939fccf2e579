"""Labels of steps that mark spans, such as names in a text: precision, recall and F1 of whole spans."""

from __future__ import annotations

import re

import numpy as np

Array = np.ndarray
Spans = set[tuple[str, int, int]]

_MARK = re.compile(r"O|[BIESLU]-.+", re.DOTALL)
_BEGINS = set("BSU")
_OVER = set("OESLU")
"""marks after which a span cannot go on"""


def mark_spans(labels: Array) -> bool:
    """Whether these labels say where spans are: B- and I- with a kind, or O; also E- or L- (last), S- or U- (alone).

    >>> mark_spans(np.array(["B-PER", "I-PER", "O"])), mark_spans(np.array(["NOUN", "O"]))
    (True, False)
    """
    kinds = [str(label) for label in np.unique(labels)]
    return all(map(_MARK.fullmatch, kinds)) and kinds != ["O"]


def find_spans(labels: Array, sequence: Array) -> Spans:
    """The spans in labels (N,), each as its kind, its first place and the one after its last.

    sequence  (N,) of each label the number of its sequence: no span goes beyond one

    As conlleval reads them, an I- begins a span where it follows none of its kind (IOB1, or a model's error).
    Source: Tjong Kim Sang & Buchholz 2000, doi:10.3115/1117601.1117631.

    >>> sorted(find_spans(np.array(["B-PER", "I-PER", "O", "I-LOC"]), np.zeros(4)))
    [('LOC', 3, 4), ('PER', 0, 2)]
    """
    found: list[tuple[str, int, int]] = []
    before = "O", ("", None)
    for place, (label, number) in enumerate(zip(labels.tolist(), sequence.tolist(), strict=True)):
        mark, _, kind = str(label).partition("-")
        if mark != "O":
            goes_on = mark not in _BEGINS and before[0] not in _OVER and before[1] == (kind, number)
            begin = found.pop()[1] if goes_on else place
            found.append((kind, begin, place + 1))
        before = mark, (kind, number)
    return set(found)


def span_scores(truth: Array, found: Array, sequence: Array) -> tuple[float, float, float]:
    """Precision, recall and F1 = 2PR / (P + R) of spans: one is right if its kind and both its ends are.

    >>> truth, found = np.array(["B-PER", "I-PER", "O", "B-LOC"]), np.array(["B-PER", "O", "O", "B-LOC"])
    >>> span_scores(truth, found, np.zeros(4))
    (0.5, 0.5, 0.5)
    """
    true, said = find_spans(truth, sequence), find_spans(found, sequence)
    right = len(true & said)
    return right / max(1, len(said)), right / max(1, len(true)), 2 * right / max(1, len(true) + len(said))


def span_losses(truth: Array, found: Array, sequence: Array) -> Array:
    """1 - F1 of each sequence's spans, in the order of their numbers; 0 where there are none and none is said."""
    numbers, place = np.unique(sequence, return_inverse=True)
    true, said = find_spans(truth, sequence), find_spans(found, sequence)
    right, every = (
        np.bincount(place[[begin for _, begin, _ in spans]], minlength=len(numbers))
        for spans in (true & said, [*true, *said])
    )
    return 1 - np.where(every, 2 * right / np.maximum(every, 1), 1.0)
