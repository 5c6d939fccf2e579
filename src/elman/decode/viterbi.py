"""The most probable path through a linear chain."""

from __future__ import annotations

import torch
from torch import Tensor


def best_path(z: Tensor, after: Tensor, first: Tensor, last: Tensor, lengths: Tensor) -> Tensor:
    """argmax_y b(y_1) + Σ_t z_t(y_t) + Σ_t A(y_{t-1}, y_t) + e(y_T) of each row, (B, T), 0 past its length.

    z (B, T, K) scores of labels, after (K, K) A of one after another, first and last (K,) b and e, lengths (B,) from 1.
    Source: Viterbi 1967, doi:10.1109/TIT.1967.1054010.

    >>> never = torch.tensor([[0.0, -9.0], [0.0, 0.0]])  # 1 does not follow 0
    >>> none = torch.zeros(2)
    >>> best_path(torch.tensor([[[1.0, 0.9], [0.0, 3.0]]]), never, none, none, torch.tensor([2])).tolist()
    [[1, 1]]
    """
    a, back = first + z[:, 0], []
    for t in range(1, z.shape[1]):
        value, previous = (a.unsqueeze(2) + after).max(1)
        running = (t < lengths).unsqueeze(1)
        a = torch.where(running, value + z[:, t], a)
        stay = torch.arange(z.shape[2], device=z.device).expand_as(previous)
        back.append(torch.where(running, previous, stay))
    label = (a + last).argmax(1)
    path = [label]
    for previous in reversed(back):
        label = previous.gather(1, label.unsqueeze(1)).squeeze(1)
        path.append(label)
    steps = torch.arange(z.shape[1], device=z.device)
    return torch.stack(path[::-1], 1).masked_fill(steps >= lengths.unsqueeze(1), 0)
