"""torch.nn's recurrent modules and ours with the same weights."""

from __future__ import annotations

from typing import Any

import torch

from elman import nn

# By our cell: torch's name, its gates and how many of them read R h.
TWINS: dict[str, tuple[str, int]] = {"elman": ("RNN", 1), "lstm": ("LSTM", 4), "gru": ("GRU", 3)}


def pair(
    cell: str, size: int, inputs: int | None = None, *, backend: str = "native"
) -> tuple[torch.nn.RNNBase, nn.RNNBase]:
    """torch's module and our drop-in for it, compiled, H = size, F = H unless told."""
    name, _ = TWINS[cell]
    sizes = inputs or size, size
    torch.manual_seed(0)
    peer: torch.nn.RNNBase = getattr(torch.nn, name)(*sizes)
    ours: Any = getattr(nn, name)(*sizes)
    ours.load_state_dict(peer.state_dict())
    ours.backend = backend
    return peer, ours


def draw(*shape: int) -> torch.Tensor:
    """The same random numbers whenever they are asked for."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))
