"""Two tasks whose answer lies a known number of steps back, and the loop that learns them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

JUDGED = 1000
"""sequences to judge by, drawn after all those that were learned from"""
LATEST = 50
"""losses whose mean tells whether a task is solved, so that one lucky batch is not enough"""


@dataclass(frozen=True)
class Adding:
    """Numbers in 0 … 1, two of them marked, one in each half of the sequence: their sum, asked for at the end.

    distance  steps of the sequence, the farthest that a mark can lie back

    Source: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735.
    """

    distance: int
    name: ClassVar[str] = "adding"
    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1
    answers: ClassVar[int] = 1
    """steps at the end that are answers"""
    solved: ClassVar[float] = 0.01
    """mean squared error from which on the task counts as solved; always saying 1 has 1/6"""
    naive_loss: ClassVar[float] = 1 / 6
    naive: ClassVar[float] = 0.0

    def draw(self, rows: int, dice: Generator) -> tuple[Tensor, Tensor]:
        """Numbers and marks (B, T, 2), sums (B, 1)."""
        T, row = self.distance, torch.arange(rows)
        values, marks = torch.rand(rows, T, generator=dice), torch.zeros(rows, T)
        first = torch.randint(0, T // 2, (rows,), generator=dice)
        second = torch.randint(T // 2, T, (rows,), generator=dice)
        marks[row, first] = marks[row, second] = 1.0
        return torch.stack([values, marks], 2), (values[row, first] + values[row, second])[:, None]

    def loss(self, said: Tensor, y: Tensor) -> Tensor:
        """The mean squared error; said (B, 1, 1)."""
        return (said[..., 0] - y).square().mean()

    def right(self, said: Tensor, y: Tensor) -> float:
        """The share of the sums' variance that is explained."""
        return 1 - float(self.loss(said, y)) / self.naive_loss


@dataclass(frozen=True)
class Copying:
    """Three of four letters, blanks, a mark: from there on the three letters again.

    distance  blanks between the letters and the mark

    Source: Hochreiter & Schmidhuber 1997, as used since Arjovsky, Shah & Bengio 2016, arXiv:1511.06464, with ten of
    eight letters.
    """

    distance: int
    name: ClassVar[str] = "copying"
    inputs: ClassVar[int] = 6
    outputs: ClassVar[int] = 4
    answers: ClassVar[int] = 3
    solved: ClassVar[float] = 0.03
    naive_loss: ClassVar[float] = math.log(4)
    naive: ClassVar[float] = 1 / 4

    def draw(self, rows: int, dice: Generator) -> tuple[Tensor, Tensor]:
        """Letters, blanks and mark one-hot (B, 3 + T + 3, 6), letters (B, 3)."""
        letters = torch.randint(0, 4, (rows, 3), generator=dice)
        codes = torch.full((rows, self.distance + 6), 4)
        codes[:, :3], codes[:, -3] = letters, 5
        return F.one_hot(codes, 6).float(), letters

    def loss(self, said: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy of a letter, in nats; said (B, 3, 4)."""
        return F.cross_entropy(said.flatten(0, 1), y.flatten())

    def right(self, said: Tensor, y: Tensor) -> float:
        """The share of letters that are right."""
        return float((said.argmax(-1) == y).float().mean())


class Reader(nn.Module):
    """A recurrent net whose last outputs a linear layer reads."""

    def __init__(self, net: Any, task: Adding | Copying) -> None:
        super().__init__()
        self.net, self.answers = net, task.answers
        self.head = nn.Linear(net.hidden_size, task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F) to the answers (B, A, O)."""
        return self.head(self.net(x)[0][:, -self.answers :])


@dataclass(frozen=True)
class Learned:
    """What came of a training.

    losses   of each step
    loss     the mean of the last ones; infinite where the training broke down
    right    share of unseen answers that is right, or explained where they are numbers; 0 where it broke down
    solved   whether the loss fell below the task's mark, which ends the training
    """

    losses: list[float]
    loss: float
    right: float
    solved: bool
    seconds: float


def learn(
    model: nn.Module,
    task: Adding | Copying,
    optimiser: Callable[[list[nn.Parameter]], Any],
    *,
    steps: int,
    seed: int,
    clip: float | None = 1.0,
    rows: int = 32,
) -> Learned:
    """Trains on new sequences at each step, until the task is solved, the loss is no number, or the steps are over."""
    dice, parameters, losses = Generator().manual_seed(seed), list(model.parameters()), []
    chosen, began = optimiser(parameters), time.perf_counter()
    solved = broken = False
    while len(losses) < steps and not solved and not broken:
        x, y = task.draw(rows, dice)
        loss = task.loss(model(x), y)
        chosen.zero_grad()
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        chosen.step()
        losses.append(loss.item())
        broken = not math.isfinite(losses[-1])
        solved = len(losses) >= LATEST and sum(losses[-LATEST:]) < LATEST * task.solved
    seconds = time.perf_counter() - began
    if broken:
        return Learned(losses[:-1], math.inf, 0.0, False, seconds)
    with torch.no_grad():
        x, y = task.draw(JUDGED, dice)
        right = task.right(model(x), y)
    latest = losses[-LATEST:]
    return Learned(losses, sum(latest) / len(latest), right, solved, seconds)
