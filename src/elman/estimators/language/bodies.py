"""What carries the past: the recurrent stack, and what a recurrent net must be better than, a window of fixed length.

Each takes x (B, T, F), a state or None, and lengths or None, and gives y (B, T, `output_size`) and the state after: a
tuple of tensors that have their rows on axis 1. `initial_state(rows)` is the state before the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.recurrent import Recurrent

REACH = 4
"""steps that the feed-forward net sees"""


class LastStep(nn.Module):
    """The last step and nothing else, as it is: the head alone makes a linear (logistic) model of it."""

    def __init__(self, input_size: int, **_: Any) -> None:
        super().__init__()
        self.output_size = input_size

    def initial_state(self, rows: int) -> tuple[Tensor, ...]:
        """Nothing is carried."""
        return ()

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """x, and nothing."""
        return x, ()


class FeedForward(nn.Module):
    """Two layers of rectified units over the last `REACH` steps; the state is the steps before, 0 before the first.

    Source: Bengio et al. 2003, Journal of Machine Learning Research 3.
    """

    def __init__(self, input_size: int, *, hidden_size: int, dropout: float, **_: Any) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(REACH * input_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.input_size, self.output_size, self.dropout = input_size, hidden_size, dropout

    def initial_state(self, rows: int) -> tuple[Tensor, ...]:
        """Silence."""
        return (self.first.weight.new_zeros(REACH - 1, rows, self.input_size),)

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Each step with those before it; past a row's length all is padding, and a new row begins anew."""
        (before,) = self.initial_state(len(x)) if state is None else state
        longer = torch.cat([before.transpose(0, 1), x], 1)
        windows = longer.unfold(1, REACH, 1).flatten(2)
        h = F.dropout(torch.relu(self.first(windows)), self.dropout, self.training)
        return torch.relu(self.second(h)), (longer[:, -(REACH - 1) :].transpose(0, 1),)


BODIES: dict[str, Callable[..., Any]] = {"recurrent": Recurrent, "feed-forward": FeedForward, "linear": LastStep}
