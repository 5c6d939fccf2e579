"""Sequences of different lengths as one list of rows, longest first, so that padding costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass
class Rows:
    """The steps of a (T, B) batch that are to be run, step by step; torch's PackedSequence has the same order.

    total    N, rows in all
    parts    ranges of sequences with about the same number of steps, one for each thread
    cuts     (parts + 1,) where they begin and end; None: in equal shares
    order    (B,) the sequences by descending length; None: all are full, nothing is moved
    index    (N,) where each row stands in the batch flattened to (T·B)
    sizes    (T,) sequences still running at each step, and offsets (T,) where their rows begin

    >>> rows = Rows.of(3, 2, torch.tensor([1, 3]), threads=1)
    >>> rows.sizes.tolist(), rows.index.tolist()
    ([2, 1, 1], [1, 0, 3, 5])
    """

    steps: int
    batch: int
    total: int
    parts: int
    cuts: Tensor | None = None
    order: Tensor | None = None
    index: Tensor | None = None
    sizes: Tensor | None = None
    offsets: Tensor | None = None

    @classmethod
    def of(cls, steps: int, batch: int, lengths: Tensor | None, threads: int) -> Rows:
        """The rows of sequences with these lengths (B,), or of full ones."""
        parts = min(threads, batch)
        if lengths is None:
            return cls(steps, batch, steps * batch, parts)
        descending, order = lengths.long().sort(descending=True, stable=True)
        times = torch.arange(steps)[:, None]
        running = times < descending
        sizes = running.sum(1)
        done = F.pad(descending.cumsum(0), (1, 0))
        cuts = torch.searchsorted(done, done[-1] * torch.arange(parts + 1) // max(parts, 1))
        cuts[-1] = batch
        index = (times * batch + order)[running]
        return cls(steps, batch, len(index), parts, cuts, order, index, sizes, sizes.cumsum(0) - sizes)

    def pack(self, values: Tensor) -> Tensor:
        """(T, B, ·) to (N, ·)."""
        flat = values.reshape(-1, values.shape[-1])
        return flat.contiguous() if self.index is None else flat.index_select(0, self.index)

    def unpack(self, values: Tensor) -> Tensor:
        """(N, ·) to (T, B, ·), 0 where there is no row."""
        if self.index is not None:
            flat = values.new_zeros(self.steps * self.batch, values.shape[1])
            values = flat.index_copy_(0, self.index, values)
        # .data is no view: torch lets nobody write in place into a view that an autograd.Function returns.
        return values.reshape(self.steps, self.batch, values.shape[1]).data

    def sort(self, values: Tensor) -> Tensor:
        """(B, ·) by descending length."""
        return values if self.order is None else values.index_select(0, self.order)

    def unsort(self, values: Tensor) -> Tensor:
        """(B, ·) from that order back."""
        return values if self.order is None else torch.empty_like(values).index_copy_(0, self.order, values)
