"""A moving average of the weights: smoother than any single step's, and often better."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average θ̄ of a module's parameters θ; buffers stay the module's own.

    After update n (from 1)::

        β_n = min(decay, (1 + n) / (10 + n))        θ̄ ← β_n θ̄ + (1 − β_n) θ

    The smaller β at first lets a short run forget its random beginning. Source: Polyak & Juditsky 1992; the warm-up is
    that of TensorFlow's ExponentialMovingAverage.

    >>> module = nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(module, decay=0.99)
    >>> average.update(module, step=1)
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters() if p.is_floating_point()}

    def update(self, module: nn.Module, step: int) -> None:
        """Takes in the parameters after update number `step`, counted from 1."""
        live = dict(module.named_parameters())
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, mean in self.weights.items():
                mean.lerp_(live[name], 1 - decay)

    @contextmanager
    def in_place(self, module: nn.Module) -> Iterator[None]:
        """Within the block the module has the averaged weights, afterwards its own again."""
        own = {name: p.detach().clone() for name, p in module.named_parameters() if name in self.weights}
        copy_into(module, self.weights)
        try:
            yield
        finally:
            copy_into(module, own)


def copy_into(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Overwrites parameters by name, in their own memory: optimiser and compiled code keep pointing at them."""
    live = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            live[name].copy_(value)
