"""What one training step sees: a batch of sequences, their targets, and which rows begin anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B sequences side by side, padded to the longest, T steps.

    x        (B, T, F)      features of each step
    y        (B, T, …)      what to predict at each step, or (B, …) once for the whole sequence
    weight   like y or None how much each target counts; 0 masks it (its value is then never read)
    lengths  (B,) or None   valid steps of each row; None: all T
    reset    (B,) or None   rows that start a new sequence, so that a carried state must not reach them
    """

    x: Tensor
    y: Tensor
    weight: Tensor | None = None
    lengths: Tensor | None = None
    reset: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: tensor.to(device) for name, tensor in held.items() if tensor is not None})

    def valid(self) -> Tensor:
        """The lengths, (B,), also where none are given; where x is."""
        if self.lengths is not None:
            return self.lengths
        return torch.full((len(self),), self.x.shape[1], device=self.x.device)

    def __len__(self) -> int:
        return self.x.shape[0]


class Batches(Protocol):
    """An endless supply of epochs that can be entered anywhere.

    The batches of an epoch depend on nothing but `epoch` and what the source was made with (its seed included), so
    that a killed run resumes at (epoch, start) and sees exactly what it would have seen.
    """

    def __len__(self) -> int:
        """Batches in one epoch."""
        ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from number `start` on."""
        ...
