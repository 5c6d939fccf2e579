"""How far gradients go back through time: measured on a batch, for each layer and direction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from elman.recurrent.inside import Record, recorded

LEFT = 0.01
"""share of a gradient that is taken for none: beyond the memory horizon less is left"""
PROBES = 4
"""random directions of h_T whose gradient is followed"""
FITTED = 1e-9
"""share of the gradient below which rounding decides, and nothing is fitted"""


@dataclass(frozen=True)
class Flow:
    """The gradient in one layer and direction.

    layer, reverse  which one, from 0
    loss     (T,) ‖∂L/∂h_{T-k}‖ by lag k, T a row's last step, the root mean square over rows: what the loss says
             directly and through all other steps
    memory   (T,) ‖∂h_T/∂s_{T-k}‖ over ‖∂h_T/∂h_T‖ by lag k, s all parts of the state; T is the last step in the
             layer's own direction
    """

    layer: int
    reverse: bool
    loss: np.ndarray
    memory: np.ndarray

    @property
    def decay(self) -> float:
        """The factor per step that fits the memory best, in logarithms."""
        return fitted_decay(self.memory)

    @property
    def horizon(self) -> float:
        """The memory horizon: steps until a hundredth is left; beyond the batch's length by the fitted decay."""
        return horizon_of(self.memory)

    @property
    def reach(self) -> int:
        """Steps back from the last one at which the loss still moves h_t by a hundredth of what it does at most."""
        there = np.flatnonzero(self.loss >= LEFT * self.loss.max()) if self.loss.max() > 0 else np.array([0])
        return int(there[-1]) + 1


def fitted_decay(memory: np.ndarray) -> float:
    """The factor per lag in a least-squares fit of the logarithm, as far as there is something left.

    >>> round(fitted_decay(0.9 ** np.arange(50)), 6)
    0.9
    """
    gone = np.flatnonzero(~(memory > FITTED))
    some = memory[: gone[0]] if len(gone) else memory
    if len(some) < 2:
        return 0.0
    return math.exp(np.polyfit(np.arange(len(some)), np.log(some), 1)[0])


def horizon_of(memory: np.ndarray) -> float:
    """Lags until a hundredth is left for good; where it never is, by the fitted decay, and infinite if that is none.

    >>> horizon_of(0.9 ** np.arange(100)), round(horizon_of(0.9 ** np.arange(20)), 3), horizon_of(np.ones(20))
    (44.0, 43.709, inf)
    """
    over = np.flatnonzero(memory > LEFT)
    last = int(over[-1]) if len(over) else 0
    if last + 1 < len(memory):
        return float(last + 1)
    decay = fitted_decay(memory)
    return max(math.log(LEFT) / math.log(decay), len(memory) - 1.0) if 0 < decay < 1 - 1e-9 else math.inf


def flows(
    net: nn.Module, loss: Callable[[], Tensor], stack: nn.Module | None = None
) -> tuple[list[Flow], list[Record]]:
    """Each layer's gradients, and what went on in it.

    loss   runs `net` on a batch and gives what is to be minimised
    stack  the part of it that is looked into; None: all of it

    The net is run in evaluation mode, on the interpreter; its gradients and its mode stay as they were.
    """
    training = net.training
    net.eval()
    try:
        with torch.enable_grad(), recorded(stack or net) as records:
            value = loss()
        by_loss = [_of_loss(value, record) for record in records]
        found = [
            Flow(*_place(records, number), direct, _memory(record))
            for number, (record, direct) in enumerate(zip(records, by_loss, strict=True))
        ]
    finally:
        net.train(training)
    return found, records


def _place(records: list[Record], number: int) -> tuple[int, bool]:
    """Which layer a record is of: a reverse one belongs to the one before it."""
    return sum(not record.reverse for record in records[: number + 1]) - 1, records[number].reverse


def _of_loss(value: Tensor, record: Record) -> np.ndarray:
    outputs = [state[0] for state in record.states]
    found = torch.autograd.grad(value, outputs, retain_graph=True, allow_unused=True)
    return _by_lag(_squares(found, record), record, from_end=True)


def _memory(record: Record) -> np.ndarray:
    """Over random probes as well: the mean of ‖vᵀJ‖² over signs v is J's squared norm."""
    final = record.states[0 if record.reverse else -1][0]
    parts = [part for state in record.states for part in state]
    dice = torch.Generator().manual_seed(0)
    squares = np.zeros((record.steps, len(final)))
    for _ in range(PROBES):
        v = torch.randint(0, 2, final.shape, generator=dice).to(final) * 2 - 1
        found = torch.autograd.grad(final, parts, v, retain_graph=True, allow_unused=True)
        squares += _squares(found, record)
    memory = _by_lag(squares, record, from_end=not record.reverse)
    return memory / memory[0] if len(memory) and memory[0] > 0 else memory


def _squares(gradients: Sequence[Tensor | None], record: Record) -> np.ndarray:
    """Squared norms by step and row (T, B), over the parts of the state where there are several."""
    rows = len(record.states[0][0])
    each = [torch.zeros(rows) if g is None else g.double().square().sum(1).cpu() for g in gradients]
    return torch.stack(each).reshape(record.steps, -1, rows).sum(1).numpy()


def _by_lag(squares: np.ndarray, record: Record, *, from_end: bool) -> np.ndarray:
    """The root mean square over rows by lag from each row's last step, or from its first."""
    steps, rows = squares.shape
    lengths = np.full(rows, steps) if record.lengths is None else record.lengths.cpu().numpy().clip(max=steps)
    sums, counts = np.zeros(steps), np.zeros(steps)
    for row, length in enumerate(lengths):
        valid = squares[:length, row]
        sums[:length] += valid[::-1] if from_end else valid
        counts[:length] += 1
    return np.sqrt(sums[: lengths.max()] / counts[: lengths.max()])
