"""Sequences of different lengths as batches: whole ones in buckets of like length, or long ones in windows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data.batch import Batch
from elman.data.on_disk import each
from elman.errors import DataError, OptionError

POOL = 50
"""batches whose sequences are sorted by length together: long enough to save padding, short enough to stay random"""


class PaddedBatches:
    """Whole sequences, padded to the longest of their batch; batches of like length when `bucket` is set.

    An epoch is a permutation drawn from (seed, epoch), cut into pools of 50 batches; each pool is sorted by length and
    cut, and the batches are shuffled. A sequence is `(T_i, F)`; a target is `(T_i, …)`, one per step; with
    `aligned=False` `(S_i, …)`, a sequence of its own length; or with `per_step=False` `(…)`, one for the whole
    sequence, where all may be one tensor `(N, …)`. Padding has weight 0 and lies past `lengths`.

    Raises DataError for sequences and targets that do not fit together. Source: Khomenko et al. 2016 (buckets).

    >>> data = PaddedBatches([torch.ones(3, 1), torch.ones(5, 1)], [torch.ones(3), torch.ones(5)], 2, seed=0)
    >>> next(data.epoch(0)).weight.sum(dim=1).sort().values
    tensor([3., 5.])
    """

    def __init__(
        self,
        sequences: Sequence[Any],
        targets: Sequence[Any] | Tensor,
        batch_size: int,
        seed: int,
        bucket: bool = True,
        *,
        per_step: bool = True,
        aligned: bool = True,
    ) -> None:
        self.sequences, self.targets, self.lengths = checked(sequences, targets, per_step, aligned)
        self.batch_size, self.seed = positive("batch_size", batch_size), seed
        self.bucket, self.per_step = bucket, per_step

    def __len__(self) -> int:
        return -(-len(self.sequences) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from number `start` on."""
        for members in self.plan(epoch)[start:]:
            yield self.batch(members)

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Which sequences are in each batch of this epoch."""
        dice = np.random.default_rng([self.seed, epoch])
        order = dice.permutation(len(self.sequences))
        pool = POOL * self.batch_size
        if self.bucket:
            pools = [order[i : i + pool] for i in range(0, len(order), pool)]
            order = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools])
        batches = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        return [batches[i] for i in dice.permutation(len(batches))] if self.bucket else batches

    def batch(self, members: np.ndarray) -> Batch:
        """These sequences, padded."""
        x = pad([self.sequences[i] for i in members])
        lengths = torch.from_numpy(self.lengths[members])
        if isinstance(self.targets, Tensor):
            return Batch(x, self.targets[members], lengths=lengths)
        targets = [self.targets[i] for i in members]
        if not self.per_step:
            return Batch(x, torch.stack(targets), lengths=lengths)
        y = pad(targets)
        return Batch(x, y, valid(torch.tensor([len(t) for t in targets]), y), lengths)

    def fingerprint(self) -> str:
        """SHA-256 of the data and of everything that decides their order."""
        return digest(self.sequences, self.targets, ("padded", self.batch_size, self.seed, self.bucket, self.per_step))


@dataclass(frozen=True)
class Window:
    """A stretch of one sequence: where it begins, and how many steps are left of the sequence from there."""

    sequence: int
    begin: int


class TruncatedBatches:
    """Long sequences in windows of `steps`, for truncated backpropagation through time with a carried state.

    B rows run side by side; each goes through its sequences one after another, and marks with `reset` the window that
    begins a new one. A window's steps past the end of its sequence are padding; a row that has run out gets windows of
    length 0. Sequences are dealt to the rows longest first, always to the row with the least work, so that the rows end
    nearly together; which row, and in which order within it, is drawn from (seed, epoch).

    `(T_i, F)` sequences, `(T_i, …)` targets. Source: Williams & Peng 1990; Graham 1969 (the dealing, at most 4/3 of the
    shortest epoch possible).

    >>> data = TruncatedBatches([torch.ones(5, 1)], [torch.ones(5)], batch_size=1, steps=2, seed=0)
    >>> [(b.lengths.tolist(), b.reset.tolist()) for b in data.epoch(0)]
    [([2], [True]), ([2], [False]), ([1], [False])]
    """

    def __init__(
        self, sequences: Sequence[Any], targets: Sequence[Any], batch_size: int, steps: int, seed: int
    ) -> None:
        self.sequences, self.targets, self.lengths = checked(sequences, targets, per_step=True)
        self.rows = min(positive("batch_size", batch_size), len(self.sequences))
        self.steps, self.seed = positive("steps", steps), seed
        self.windows = -(-self.lengths // self.steps)
        # The makespan depends on the sorted numbers of windows only, so that it is the same in every epoch.
        self._length = max(int(self.windows[row].sum()) for row in self.plan(0))

    def __len__(self) -> int:
        return self._length

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from number `start` on."""
        rows = [(row, np.cumsum(self.windows[row])) for row in self.plan(epoch)]
        for number in range(start, len(self)):
            yield self.batch([self._window(row, ends, number) for row, ends in rows])

    def _window(self, row: np.ndarray, ends: np.ndarray, number: int) -> Window | None:
        """A row's window of this number; ends: the numbers of windows up to each sequence's end."""
        place = int(np.searchsorted(ends, number, side="right"))
        if place == len(row):
            return None
        return Window(int(row[place]), int(number - ends[place] + self.windows[row[place]]) * self.steps)

    def plan(self, epoch: int) -> list[np.ndarray]:
        """The sequences of each row in this epoch, one after another."""
        dice = np.random.default_rng([self.seed, epoch])
        shuffled = dice.permutation(len(self.sequences))
        dealt: list[list[int]] = [[] for _ in range(self.rows)]
        load = np.zeros(self.rows, dtype=np.int64)
        for i in shuffled[np.argsort(-self.windows[shuffled], kind="stable")]:
            row = int(load.argmin())
            dealt[row].append(int(i))
            load[row] += self.windows[i]
        return [np.array(row)[dice.permutation(len(row))] for row in dealt]

    def batch(self, windows: list[Window | None]) -> Batch:
        """These windows side by side."""

        def cut(source: Sequence[Tensor]) -> Tensor:
            parts = [
                source[0][:0] if w is None else source[w.sequence][w.begin : w.begin + self.steps] for w in windows
            ]
            return pad(parts)

        x, y = cut(self.sequences), cut(self.targets)
        ends = [0 if w is None else min(self.steps, self.lengths[w.sequence] - w.begin) for w in windows]
        lengths = torch.tensor(ends)
        reset = torch.tensor([w is not None and w.begin == 0 for w in windows])
        return Batch(x, y, valid(lengths, y), lengths, reset)

    def fingerprint(self) -> str:
        """SHA-256 of the data and of everything that decides their order."""
        return digest(self.sequences, self.targets, ("truncated", self.rows, self.steps, self.seed))


def checked(
    sequences: Sequence[Any], targets: Sequence[Any] | Tensor, per_step: bool, aligned: bool = True
) -> tuple[Sequence[Tensor], Any, np.ndarray]:
    """Sequences and targets as tensors, floats in torch's default type, and the lengths of the sequences.

    What is on disk is gone through one at a time, and stays there. DataError where they do not fit together.
    """
    if len(sequences) != len(targets):
        raise DataError(f"batches: must have a target for each of {len(sequences)} sequences, got {len(targets)}.")
    if not len(sequences):
        raise DataError("batches: must have at least one sequence, got none. Give data.")
    whole = isinstance(targets, Tensor) and not per_step
    xs = each(lambda _, value: as_tensor(value), sequences)
    ys = as_tensor(targets) if whole else each(lambda _, value: as_tensor(value), targets)
    first_x, first_y, lengths = xs[0], ys[0], []
    for i, x in enumerate(xs):
        y = ys[i]
        if x.dim() < 2 or x.shape[1:] != first_x.shape[1:] or not len(x):
            features = ", ".join(map(str, first_x.shape[1:])) or "F"
            hint = "Add a feature axis: s[:, None]." if x.dim() == 1 else "Give all sequences the same features."
            raise DataError(f"batches: sequence {i} must be (T, {features}) with T ≥ 1, got {tuple(x.shape)}. {hint}")
        if per_step and (y.dim() < 1 or (aligned and len(y) != len(x)) or y.shape[1:] != first_y.shape[1:]):
            raise DataError(
                f"batches: target {i} must be ({len(x)}, …), one per step of its sequence, got {tuple(y.shape)}. "
                "For one target per sequence use PaddedBatches with per_step=False."
            )
        if not per_step and y.shape != first_y.shape:
            raise DataError(
                f"batches: target {i} must be {tuple(first_y.shape)} like the first, got {tuple(y.shape)}. "
                "For one target per step use per_step=True."
            )
        lengths.append(len(x))
    return xs, ys, np.array(lengths)


def as_tensor(values: Any) -> Tensor:
    """A tensor with floats in torch's default type and integers as int64."""
    tensor = torch.as_tensor(values)
    if tensor.is_floating_point():
        return tensor.to(torch.get_default_dtype())
    return tensor if tensor.dtype == torch.bool else tensor.long()


def positive(name: str, value: int) -> int:
    """The value; OptionError unless it is at least 1."""
    if value < 1:
        raise OptionError(f"batches: {name} must be at least 1, got {value}.")
    return value


def pad(parts: list[Tensor]) -> Tensor:
    """(T_i, …) tensors as one (B, max T_i, …), zeros after each one's end."""
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)


def valid(lengths: Tensor, y: Tensor) -> Tensor:
    """Weights like y: 1 within each row's length, 0 after it."""
    within = torch.arange(y.shape[1]) < lengths[:, None]
    return within.view(*y.shape[:2], *[1] * (y.dim() - 2)).expand_as(y).to(torch.get_default_dtype())


def digest(sequences: Sequence[Tensor], targets: Sequence[Tensor] | Tensor, options: tuple[Any, ...]) -> str:
    """SHA-256 over types, shapes and bytes of all tensors, and the options."""
    total = hashlib.sha256(repr(options).encode())
    for tensor in (values[i] for values in (sequences, targets) for i in range(len(values))):
        total.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
