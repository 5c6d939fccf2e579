"""Why a language model goes on as it does: with a token, or with the notes of a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import DataError
from elman.estimators import LanguageModel
from elman.evidence.explain.attribution import integrated_gradients
from elman.evidence.explain.example import Example
from elman.evidence.explain.passes import copied, inside, odds, read_as, step_of

LONGEST = 2000
"""steps that are explained at most: more cannot be read by anyone, nor held in memory"""


def of_language(model: LanguageModel, x: Any, step: int | None) -> Example:
    """Log-odds of the token, or of the note, that is most probable next, at the end or after a step."""
    read = model.encode([x])[0]
    if len(read) > LONGEST:
        raise DataError(f"explain: a text must have at most {LONGEST} steps, got {len(read)}. Give its last ones.")
    count = step_of(step, len(read), len(read) - 1) + 1
    return (_of_frames if model.inputs_ is None else _of_tokens)(model, x, read[:count])


def _of_tokens(model: LanguageModel, text: Any, read: np.ndarray) -> Example:
    codes = torch.as_tensor(read)[None, :, None]
    net = copied(model.network_)
    given = net.table(codes[0, :, 0]).detach()

    def scores(v: Tensor) -> Tensor:
        with read_as(net.table, v):
            z = net(codes.expand(len(v), -1, -1))[0][:, -1]
        return z[:, 1:]  # token 0 stands for all that is unknown, and is never written

    best, p = _most_probable(scores, given, lambda z: torch.softmax(z, 0))
    words: Any = model.inputs_
    token = "".join(words.spell([best + 1])).strip(" ") or " "
    found = integrated_gradients(lambda v: odds(best)(scores(v)), given, torch.zeros_like(given))
    layers = inside(net.body, lambda: scores(given[None]))
    steps = model.pieces(text)[: len(read)]
    return Example(steps, (), None, f"next {token!r}, {p:.1%}", f"Log-odds of {token!r}", found, layers)


def _of_frames(model: LanguageModel, roll: Any, read: np.ndarray) -> Example:
    net, given = copied(model.network_), torch.as_tensor(read).double()

    def scores(v: Tensor) -> Tensor:
        return net(v)[0][:, -1]

    best, p = _most_probable(scores, given, torch.sigmoid)
    found = integrated_gradients(lambda v: scores(v)[:, best], given, torch.zeros_like(given))
    layers = inside(net.body, lambda: scores(given[None]))
    steps, notes = [str(t) for t in range(len(read))], tuple(f"note {k}" for k in range(read.shape[1]))
    said, of = f"note {best} next, {p:.1%}", f"Log-odds of note {best}"
    return Example(steps, notes, np.asarray(read, float), said, of, found, layers)


def _most_probable(
    scores: Callable[[Tensor], Tensor], given: Tensor, chances: Callable[[Tensor], Tensor]
) -> tuple[int, float]:
    with torch.no_grad():
        z = scores(given[None])[0]
    best = int(z.argmax())
    return best, float(chances(z)[best])
