"""The most probable sequences, by keeping the best few beginnings."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

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
    rows: int = 1,
    num_beams: int,
    max_new_tokens: int,
    eos_token_id: int,
    length_penalty: float = 1.0,
) -> list[list[Hypothesis]]:
    """For each row of the state up to `num_beams` sequences after the token `start`, best first.

    At each step every beginning is extended by every token and the row's `num_beams` best are kept; what ends is set
    aside with its score, log p divided by its length to the power `length_penalty` (0: shorter ones win; 1: the mean
    per token). A row's search ends when no beginning can still come before the worst that was kept; the others go on.
    """
    running = list(range(rows))
    beginnings: list[list[list[int]]] = [[[]] for _ in running]
    finished: list[list[Hypothesis]] = [[] for _ in running]
    state = model.select(state, torch.arange(rows))
    scores, tokens = torch.zeros(rows, 1), torch.full((rows,), start)
    for length in range(1, max_new_tokens + 1):
        z, state = model.step(tokens, state)
        width, size, scores = scores.shape[1], z.shape[1], scores.to(z.device)
        logs = scores.unsqueeze(2) + torch.log_softmax(z.float(), 1).view(len(running), width, size)
        for row, ended in zip(running, logs[:, :, eos_token_id].tolist(), strict=True):
            found = [Hypothesis(b, e / length**length_penalty) for b, e in zip(beginnings[row], ended, strict=True)]
            finished[row] = _best([*finished[row], *found], num_beams)
        logs[:, :, eos_token_id] = -torch.inf
        best = logs.flatten(1).topk(min(num_beams, width * (size - 1)))
        origin, token, scores = best.indices // size, best.indices % size, best.values
        for row, came, new in zip(running, origin.tolist(), token.tolist(), strict=True):
            beginnings[row] = [[*beginnings[row][o], t] for o, t in zip(came, new, strict=True)]
        bounds = [_bound(best, length, max_new_tokens, length_penalty) for best in scores.amax(1).tolist()]
        on = [
            p for p, row in enumerate(running) if len(finished[row]) < num_beams or bounds[p] > finished[row][-1].score
        ]
        places = (origin + width * torch.arange(len(running), device=z.device).unsqueeze(1))[on]
        running, scores, tokens = [running[p] for p in on], scores[on], token[on].flatten()
        if not running:
            return finished
        state = model.select(state, places.flatten())
    for row, ends in zip(running, scores.tolist(), strict=True):
        still = [Hypothesis(b, e / max_new_tokens**length_penalty) for b, e in zip(beginnings[row], ends, strict=True)]
        finished[row] = _best([*finished[row], *still], num_beams)
    return finished


def _best(found: list[Hypothesis], count: int) -> list[Hypothesis]:
    return sorted(found, key=lambda h: -h.score)[:count]


def _bound(best: float, length: int, most: int, penalty: float) -> float:
    """What the best beginning could still reach: log p only falls, so its score now by the kindest length to come."""
    return best / (most if penalty > 0 else length + 1) ** penalty
