"""Frame after frame of notes, each of which sounds or does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from elman.decode.choice import Choice
from elman.decode.generate import SAMPLED, Steps
from elman.errors import OptionError

MEANT = ("do_sample", "temperature")
"""the options that mean something where no token competes with another"""


def generate_frames(
    model: Steps, prompt: Tensor, state: Any = None, *, max_new_tokens: int, choice: Choice = SAMPLED, seed: int | None
) -> Iterator[Tensor]:
    """The next frame (notes,) of 0 and 1 as it is drawn: note n sounds with p = 1 / (1 + exp(-z_n / temperature)).

    model   whose step reads frames (1, notes) instead of tokens
    prompt  frames to begin with, (T, notes), T ≥ 1

    Not sampled, a note sounds where that is more probable than not. Raises `OptionError` for options of tokens.
    Source: Boulanger-Lewandowski et al. 2012, arXiv:1206.6392, whose notes, unlike these, are not independent.
    """
    odd = [f.name for f in fields(Choice) if f.name not in MEANT and getattr(choice, f.name) != f.default]
    if odd:
        raise OptionError(f"generate: frames of notes take {' and '.join(MEANT)} alone, got {odd[0]}. Leave it out.")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    z = torch.empty(0)
    for frame in prompt:
        z, state = model.step(frame[None], state)
    for _ in range(max_new_tokens):
        p = torch.sigmoid(z / choice.temperature).cpu()  # drawn there: the same seed draws alike on every device
        frame = torch.bernoulli(p, generator=generator) if choice.do_sample else (p > 0.5).float()
        yield frame[0]
        z, state = model.step(frame, state)
