"""Labels from a net trained by connectionist temporal classification: repeats merged, blanks dropped."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor


def ctc_greedy(logs: Tensor, lengths: Tensor, blank: int = 0) -> list[list[int]]:
    """The labels of each row's most probable path; logs (B, T, K).

    >>> ctc_greedy(torch.eye(3)[[1, 1, 0, 1, 2]][None], torch.tensor([5]))
    [[1, 1, 2]]
    """
    found = []
    for row, length in zip(logs, lengths.tolist(), strict=True):
        path = torch.unique_consecutive(row[:length].argmax(1))
        found.append([k for k in path.tolist() if k != blank])
    return found


def ctc_beam(logs: Tensor, length: int, *, num_beams: int = 10, blank: int = 0) -> list[tuple[list[int], float]]:
    """The most probable labellings of one row, best first, each with log p summed over the paths that were kept.

    logs (T, K) of log softmax. Of each prefix two sums are carried: over its paths that end in a blank, and over those
    that do not, since only after a blank is a repeated label a new one. With enough beams the sums are exact.
    Source: Hannun et al. 2014, arXiv:1408.2873; CTC: Graves et al. 2006, doi:10.1145/1143844.1143891.

    >>> labels, log_p = ctc_beam(torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log(), 2)[0]
    >>> labels, round(math.exp(log_p), 2)
    ([1], 0.64)
    """
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for scores in logs[:length].tolist():
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for prefix, (blanks, labels) in beams.items():
            either = _add(blanks, labels)
            grown[prefix][0] = _add(grown[prefix][0], either + scores[blank])
            for k, score in enumerate(scores):
                if k == blank:
                    continue
                if prefix and k == prefix[-1]:
                    grown[prefix][1] = _add(grown[prefix][1], labels + score)
                    grown[(*prefix, k)][1] = _add(grown[(*prefix, k)][1], blanks + score)
                else:
                    grown[(*prefix, k)][1] = _add(grown[(*prefix, k)][1], either + score)
        possible = [(prefix, sums) for prefix, sums in grown.items() if max(sums) > -math.inf]
        best = sorted(possible, key=lambda item: -_add(*item[1]))[:num_beams]
        beams = {prefix: (sums[0], sums[1]) for prefix, sums in best}
    return [(list(prefix), _add(*sums)) for prefix, sums in beams.items()]


def ctc_align(logs: Tensor, labels: list[int], blank: int = 0) -> list[int]:
    """The step at which each label is most probable, on the most probable path of a row that spells these labels.

    logs (T, K) of log softmax. The best path is found as by Viterbi over b l₁ b l₂ … b: stay, go on, or pass over a
    blank between two labels that differ. Raises `ValueError` where no path of T steps spells them.

    >>> ctc_align(torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]]).log(), [1, 1])
    [0, 3]
    """
    spelt = [blank] + [k for label in labels for k in (label, blank)]
    skips = torch.tensor([i > 1 and k != blank and k != spelt[i - 2] for i, k in enumerate(spelt)])
    never, rows = logs.new_tensor(-math.inf), logs[:, spelt]
    best, back = rows[0].clone(), []
    best[2:] = never
    for row in rows[1:]:
        one, two = (torch.cat([never.expand(n), best])[: len(best)] for n in (1, 2))
        choice, came = torch.stack([best, one, torch.where(skips, two, never)]).max(0)
        best = choice + row
        back.append(came)
    ends = best[-2:] if labels else best
    if not torch.isfinite(ends).any():
        raise ValueError(f"{len(logs)} steps cannot spell {len(labels)} labels")
    place = len(spelt) - len(ends) + int(ends.argmax())
    path = [place]
    for came in reversed(back):
        path.append(path[-1] - int(came[path[-1]]))
    path.reverse()
    own = [[t for t, i in enumerate(path) if i == 2 * n + 1] for n in range(len(labels))]
    return [max(steps, key=lambda t, k=label: float(logs[t, k])) for steps, label in zip(own, labels, strict=True)]


def _add(a: float, b: float) -> float:
    """log(exp a + exp b)."""
    if a == -math.inf or b == -math.inf:
        return max(a, b)
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))
