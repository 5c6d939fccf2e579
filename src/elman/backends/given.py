"""What a compiled loop is given and keeps: the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

from elman.graph import Traced


class Given(NamedTuple):
    """What the loop reads, all of one dtype; sizes as in `backends.base`, params (P, H).

    x is (T, B, F), or with W None the pre-activations W x + b themselves, (T, B, G·H).
    """

    x: Tensor
    W: Tensor | None
    R: Tensor | None
    b: Tensor | None
    b_r: Tensor | None
    gain: Tensor | None
    params: Tensor | None
    state: tuple[Tensor, ...]

    def flat(self) -> tuple[Tensor | None, ...]:
        """All tensors in one row, the state's parts last."""
        return (*self[:7], *self.state)

    @classmethod
    def of(cls, flat: Sequence[Tensor | None]) -> Given:
        """From such a row."""
        return cls._make((*flat[:7], tuple(flat[7:])))


Gradients = tuple[Tensor | None, ...]  # in the order of `Given.flat`


class Manner(NamedTuple):
    """How to run: `backends.base.Pass` with a tensor, (T, B, H) or (1, H), or None for each state's zoneout."""

    lengths: Tensor | None
    drop: Tensor | None
    zone: tuple[Tensor | None, ...]
    reverse: bool
    segment: int | None = None


class Kept(NamedTuple):
    """What backward needs besides: pre-activations and, but for the output, the states after each step.

    With segments only `begins` (segments, states, B, ·), the states before each of them.
    """

    z: Tensor | None
    zr: Tensor | None
    zn: Tensor | None
    begins: Tensor | None
    states: tuple[Tensor | None, ...]


class Engine(Protocol):
    """A compiled loop: tensors in, tensors out. It knows nothing of autograd."""

    def forward(
        self, traced: Traced, given: Given, how: Manner, *, keep: bool
    ) -> tuple[Tensor, tuple[Tensor, ...], Kept]:
        """Outputs (T, B, H), the last state and, with `keep`, what backward needs."""
        ...

    def backward(
        self,
        traced: Traced,
        given: Given,
        how: Manner,
        y: Tensor | None,
        kept: Kept,
        grads: Sequence[Tensor],
        *,
        x_too: bool = True,
    ) -> Gradients:
        """Gradients of all that was given; `kept` is used up unless it is segments, which need no outputs y."""
        ...
