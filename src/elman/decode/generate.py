"""Token after token from any model with a state, many sequences side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from elman.decode.choice import Choice

SAMPLED = Choice()
"""drawn at random from the scores as they are"""


class Steps(Protocol):
    """A model that reads one token a step and scores the next, on whatever device: tokens and rows come from any."""

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """tokens (B,) and the state before them to scores (B, V) and the state after."""
        ...

    def select(self, state: Any, rows: Tensor) -> Any:
        """The state of these rows, in this order."""
        ...


def generate(
    model: Steps,
    prompts: Sequence[Sequence[int]],
    state: Any = None,
    *,
    max_new_tokens: int,
    choice: Choice = SAMPLED,
    eos_token_id: int | None = None,
    seed: int | None = None,
) -> Iterator[list[int | None]]:
    """The next token of each row as it is chosen, None for rows that have ended, until all have or the limit comes.

    prompts  tokens that each row begins with, one or more; all of them are read before the first is chosen
    state    the state before the prompts; None: the model's first one

    The same seed gives the same tokens. Rows of unlike prompts are read one by one and then go on together.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    tokens = [list(prompt) for prompt in prompts]
    z, state = _read(model, tokens, state)
    ended = [False] * len(tokens)
    for number in range(max_new_tokens):
        found = choice.next(z, tokens, generator)
        now: list[int | None] = [None if over else t for over, t in zip(ended, found.tolist(), strict=True)]
        for row, token in enumerate(now):
            if token is not None:
                tokens[row].append(token)
                ended[row] = token == eos_token_id
        yield now
        if all(ended) or number + 1 == max_new_tokens:
            return
        z, state = model.step(found, state)


def _read(model: Steps, prompts: list[list[int]], state: Any) -> tuple[Tensor, Any]:
    """Scores and state after the prompts, read side by side; a row that has ended keeps its own."""
    longest = max(map(len, prompts))
    z: Any = None
    for t in range(longest):
        running = [row for row, prompt in enumerate(prompts) if t < len(prompt)]
        token = torch.tensor([prompt[min(t, len(prompt) - 1)] for prompt in prompts])
        scores, after = model.step(token, state)
        if z is None or len(running) == len(prompts):
            z, state = scores, after
            continue
        # Rows of the new state where they ran, of the old one where they had ended: both side by side, then chosen.
        rows = torch.tensor([row if row in running else row + len(prompts) for row in range(len(prompts))])
        z = torch.cat([scores, z])[rows]
        state = model.select(_beside(after, state), rows)
    return z, state


def _beside(a: Any, b: Any) -> Any:
    """Two states of equal structure as one with twice the rows; recurrent states have their rows on axis 1."""
    if isinstance(a, Tensor):
        return torch.cat([a, b], 1)
    return type(a)(_beside(x, y) for x, y in zip(a, b, strict=True))
