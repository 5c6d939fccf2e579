"""Losses over all targets that count: of classes and of numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ClassLoss(nn.Module):
    """-log softmax(z)_y, weighted by class and by target: Σ w ℓ / Σ w over the targets that count.

    smoothing  share of the target that is spread over all classes. Source: Szegedy et al. 2015, arXiv:1512.00567.
    """

    def __init__(self, classes: Tensor | None = None, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("classes", classes, persistent=False)
        self.classes: Tensor | None

    def forward(self, z: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """z (…, K), y (…) numbers of classes, weight (…) or None."""
        losses = F.cross_entropy(z.flatten(0, -2), y.flatten(), reduction="none", label_smoothing=self.smoothing)
        share = losses.new_ones(()) if self.classes is None else self.classes[y.flatten()]
        return _mean(losses, share if weight is None else share * weight.flatten())


class NumberLoss(nn.Module):
    """Huber's loss of standardised numbers: e²/2 up to |e| = δ, then δ(|e| - δ/2); δ = ∞ is the squared error.

    Source: Huber 1964, doi:10.1214/aoms/1177703732.
    """

    def __init__(self, delta: float) -> None:
        super().__init__()
        self.delta = delta

    def forward(self, z: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """z and y (…, K), weight like y or None."""
        size = (z - y).abs()
        cut = size.clamp(max=self.delta)
        losses = cut * (size - cut / 2)
        return _mean(losses, losses.new_ones(()) if weight is None else weight)


def whole_digits(z: Tensor, head: nn.Module) -> Tensor:
    """What a head gives, in the dtype of its weights: under autocast it has 16 bits, and in them a loss loses too much.

    CUDA's autocast widens most losses by itself, the CPU's few.
    """
    return z.to(next(head.parameters()).dtype)


def _mean(losses: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(losses)
    losses = losses.masked_fill(weight == 0, 0.0)
    return (losses * weight).sum() / weight.sum().clamp(min=torch.finfo(losses.dtype).tiny)
