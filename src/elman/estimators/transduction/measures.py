"""How near texts are to the true ones: BLEU, chrF, and error rates of words and characters."""

from __future__ import annotations

from collections.abc import Sequence


def bleu(truth: Sequence[str], found: Sequence[str], *, order: int = 4, lowercase: bool = False) -> float:
    """BLEU of all texts together, 0 to 100, as sacrebleu counts it (13a tokens); order: longest run of words counted.

    Sources: Papineni et al. 2002, doi:10.3115/1073083.1073135; Post 2018, arXiv:1804.08771.

    >>> round(bleu(["the cat sat on the mat"], ["the cat sat on the mat"]), 6)
    100.0
    """
    from sacrebleu.metrics.bleu import BLEU

    return float(BLEU(lowercase=lowercase, max_ngram_order=order).corpus_score(list(found), [list(truth)]).score)


def chrf(truth: Sequence[str], found: Sequence[str]) -> float:
    """chrF of all texts together, 0 to 100: the F-score of runs of one to six characters.

    Source: Popović 2015, doi:10.18653/v1/W15-3049.
    """
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().corpus_score(list(found), [list(truth)]).score)


def edits(truth: Sequence[object], found: Sequence[object]) -> int:
    """The least number of insertions, deletions and substitutions that make one of the other.

    Source: Levenshtein 1966.

    >>> edits("kitten", "sitting")
    3
    """
    above = list(range(len(found) + 1))
    for i, a in enumerate(truth, start=1):
        row = [i]
        for k, b in enumerate(found, start=1):
            row.append(min(above[k] + 1, row[-1] + 1, above[k - 1] + (a != b)))
        above = row
    return above[-1]


def error_rate(truth: Sequence[Sequence[object]], found: Sequence[Sequence[object]]) -> float:
    """Edits per true token over all sequences; above 1 is possible. Of texts: the character error rate.

    >>> error_rate(["so be it"], ["so be at"])
    0.125
    >>> error_rate(["so be it".split()], ["so be at".split()])  # words
    0.3333333333333333
    """
    total = sum(edits(t, f) for t, f in zip(truth, found, strict=True))
    return total / max(1, sum(map(len, truth)))
