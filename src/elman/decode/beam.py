"""The most probable sequences, by keeping the best few beginnings."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.decode.generate import Steps


class Hypothesis(NamedTuple):
    """A sequence without its end token, and log p / length^length_penalty, the end token counted."""

    tokens: list[int]
    score: float


def beam_search(
    model: Steps,
    start: int,
    state: Any,
    *,
    num_beams: int,
    max_new_tokens: int,
    eos_token_id: int,
    length_penalty: float = 1.0,
) -> list[Hypothesis]:
    """Up to `num_beams` sequences after the token `start`, best first, of one row's state.

    At each step every beginning is extended by every token and the `num_beams` best are kept; what ends is set aside
    with its score, log p divided by its length to the power `length_penalty` (0: shorter ones win; 1: the mean per
    token). The search ends when no beginning can still come before the worst that was kept.
    """
    state = model.select(state, torch.zeros(1, dtype=torch.long))
    beginnings: list[list[int]] = [[]]
    scores, tokens = torch.zeros(1), torch.tensor([start])
    finished: list[Hypothesis] = []
    for length in range(1, max_new_tokens + 1):
        z, state = model.step(tokens, state)
        logs = scores.unsqueeze(1) + torch.log_softmax(z.float(), 1)
        for row, ended in enumerate(logs[:, eos_token_id].tolist()):
            finished.append(Hypothesis(beginnings[row], ended / length**length_penalty))
        finished = sorted(finished, key=lambda h: -h.score)[:num_beams]
        logs[:, eos_token_id] = -torch.inf
        best = logs.flatten().topk(min(num_beams, logs.numel() - len(logs)))
        rows, tokens = best.indices // logs.shape[1], best.indices % logs.shape[1]
        scores, state = best.values, model.select(state, rows)
        beginnings = [[*beginnings[r], t] for r, t in zip(rows.tolist(), tokens.tolist(), strict=True)]
        if len(finished) == num_beams and _bound(scores, length, max_new_tokens, length_penalty) <= finished[-1].score:
            return finished
    open_ones = [
        Hypothesis(b, s / max_new_tokens**length_penalty) for b, s in zip(beginnings, scores.tolist(), strict=True)
    ]
    return sorted([*finished, *open_ones], key=lambda h: -h.score)[:num_beams]


def _bound(scores: Tensor, length: int, most: int, penalty: float) -> float:
    """What the best beginning could still reach: log p only falls, so its score now by the kindest length to come."""
    best = float(scores.max())
    return best / (most if penalty > 0 else length + 1) ** penalty
