"""Attention: each step of a decoder looks at all steps of an encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Multiplicative(nn.Module):
    """Scores s_{tj} = q_tᵀ W k_j / √H of the decoder's steps q_t against the encoder's k_j.

    Source: Luong et al. 2015, doi:10.18653/v1/D15-1166 ("general"); the root: Vaswani et al. 2017, arXiv:1706.03762.
    """

    def __init__(self, query: int, key: int) -> None:
        super().__init__()
        self.project, self.scale = nn.Linear(key, query, bias=False), 1 / math.sqrt(query)

    def keys(self, memory: Tensor) -> Tensor:
        """What of the encoder's steps (B, S, key) is the same for all of the decoder's."""
        return self.project(memory)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B, T, query) against (B, S, ·) to (B, T, S)."""
        return queries @ keys.transpose(1, 2) * self.scale


class Additive(nn.Module):
    """Scores s_{tj} = vᵀ tanh(U q_t + W k_j).

    Source: Bahdanau, Cho & Bengio 2014, arXiv:1409.0473.
    """

    def __init__(self, query: int, key: int) -> None:
        super().__init__()
        self.look, self.project = nn.Linear(query, query, bias=False), nn.Linear(key, query)
        self.score = nn.Linear(query, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """What of the encoder's steps (B, S, key) is the same for all of the decoder's."""
        return self.project(memory)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B, T, query) against (B, S, ·) to (B, T, S)."""
        return self.score(torch.tanh(self.look(queries).unsqueeze(2) + keys.unsqueeze(1))).squeeze(-1)


ATTENTIONS: dict[str, type[Multiplicative] | type[Additive]] = {"multiplicative": Multiplicative, "additive": Additive}
