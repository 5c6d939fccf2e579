"""What goes through time: the recurrent stack, and what a recurrent net must be better than."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.recurrent import Recurrent


class Body(nn.Module):
    """From x (B, T, F) and lengths (B,) or None to a vector for each step and one for the whole sequence.

    size   D of each step, (B, T, D), 0 past the lengths
    whole  S of the whole, (B, S)
    """

    size: int
    whole: int


class RecurrentBody(Body):
    """A `Recurrent` stack; the whole is the last h of the top layer, of each direction."""

    def __init__(self, inputs: int, longest: int, *, bidirectional: bool, **stack: Any) -> None:
        super().__init__()
        self.net = Recurrent(input_size=inputs, bidirectional=bidirectional, **stack)
        self.size = self.whole = self.net.output_size

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outputs and last h."""
        y, state = self.net(x, lengths=lengths)
        return y, state[0][-self.net.directions :].transpose(0, 1).flatten(1)


class FeedForwardBody(Body):
    """The baseline that knows no time: the whole sequence, padded or cut to the longest of the training data, at once.

    Every step gets the whole's vector.
    """

    MOST = 1024  # steps

    def __init__(self, inputs: int, longest: int, *, hidden_size: int, dropout: float, **_: Any) -> None:
        super().__init__()
        self.steps = min(longest, self.MOST)
        self.first, self.second = nn.Linear(self.steps * inputs, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.dropout, self.size, self.whole = dropout, hidden_size, hidden_size

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Two layers of rectified units."""
        steps = x.shape[1]
        x = x * within(x, lengths).unsqueeze(-1)
        flat = F.pad(x[:, : self.steps], (0, 0, 0, max(0, self.steps - steps))).flatten(1)
        h = F.dropout(torch.relu(self.first(flat)), self.dropout, self.training)
        h = torch.relu(self.second(h))
        return h.unsqueeze(1).expand(-1, steps, -1), h


class StepBody(Body):
    """The baseline of labels for each step: a step is all that it sees."""

    def __init__(self, inputs: int, longest: int, *, hidden_size: int, dropout: float, **_: Any) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.dropout, self.size, self.whole = dropout, hidden_size, hidden_size

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Two layers of rectified units; the whole is the last step."""
        h = torch.relu(self.second(F.dropout(torch.relu(self.first(x)), self.dropout, self.training)))
        return h, h[:, -1]


class ConvolutionBody(Body):
    """The temporal convolutional network: residual blocks of two convolutions, dilated 1, 2, 4, … until the last step
    sees the longest sequence.

    They are causal, and the whole is the last valid step; or they look both ways where the recurrent net does, and it
    is the mean of all.

    Source: Bai, Kolter & Koltun 2018, arXiv:1803.01271.
    """

    KERNEL = 5

    def __init__(
        self, inputs: int, longest: int, *, hidden_size: int, dropout: float, bidirectional: bool, **_: Any
    ) -> None:
        super().__init__()
        levels, reach = 1, 1 + 2 * (self.KERNEL - 1)
        while reach < longest and levels < 10:
            reach += 2 * (self.KERNEL - 1) * 2**levels
            levels += 1
        sizes = [inputs] + [hidden_size] * levels
        self.blocks = nn.ModuleList(
            _Block(a, b, self.KERNEL, 2**level, dropout, bidirectional) for level, (a, b) in enumerate(pairwise(sizes))
        )
        self.size = self.whole = hidden_size
        self.bidirectional = bidirectional

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """All steps at once."""
        valid = within(x, lengths)
        h = x.masked_fill(~valid.unsqueeze(-1), 0.0).transpose(1, 2)
        for block in self.blocks:  # masked between blocks: what lies past the length must not come back from the right
            h = block(h).masked_fill(~valid.unsqueeze(1), 0.0)
        y, count = h.transpose(1, 2), valid.sum(1).clamp(min=1)
        whole = (
            y.sum(1) / count.unsqueeze(1) if self.bidirectional else y[torch.arange(len(y), device=y.device), count - 1]
        )
        return y, whole


class _Block(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: int, dilation: int, dropout: float, bidirectional: bool
    ) -> None:
        super().__init__()
        reach = (kernel - 1) * dilation
        self.reach, self.dropout = (reach // 2, reach // 2) if bidirectional else (reach, 0), dropout
        sizes = ((inputs, outputs), (outputs, outputs))
        norm = nn.utils.parametrizations.weight_norm
        self.convolutions = nn.ModuleList(norm(nn.Conv1d(a, b, kernel, dilation=dilation)) for a, b in sizes)
        self.beside = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for convolution in self.convolutions:
            h = F.dropout(torch.relu(convolution(F.pad(h, self.reach))), self.dropout, self.training)
        return torch.relu(h + self.beside(x))


BODIES: dict[str, type[Any]] = {
    "recurrent": RecurrentBody,
    "feed-forward": FeedForwardBody,
    "convolution": ConvolutionBody,
}
"""by the estimators' argument `body`"""
STEP_BODIES: dict[str, type[Any]] = {**BODIES, "feed-forward": StepBody}
"""the same where every step is labelled: a baseline that knows no time sees a step alone"""


def within(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T): which steps of x (B, T, …) are within their row's length."""
    rows, steps = x.shape[:2]
    if lengths is None:
        return torch.ones(rows, steps, dtype=torch.bool, device=x.device)
    return torch.arange(steps, device=x.device) < lengths[:, None]
