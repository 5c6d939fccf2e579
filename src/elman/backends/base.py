"""What a backend is given and what it gives back: one direction of one layer, over a whole batch of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack
from torch.nn import functional as F

from elman.graph import Traced


@dataclass(frozen=True)
class Weights:
    """One layer's parameters, gates in the order of `Traced.gates`, G of them, Gr of them recurrent, Ga of them apart.

    W (G·H, F), blocks (Gr·H, D) or None, b (G·H,), b_r (Ga·H,) or None, params: name → (H,);
    gain_x (G·H,), gain_r (Gr·H,): of layer normalisation, None without it.
    blocks are R itself or, of several heads, all of it that is not 0: one for each gate and head, D = H / heads.
    """

    W: Tensor
    blocks: Tensor | None
    b: Tensor
    b_r: Tensor | None = None
    params: Mapping[str, Tensor] = field(default_factory=dict)
    gain_x: Tensor | None = None
    gain_r: Tensor | None = None
    heads: int = 1

    @property
    def R(self) -> Tensor | None:  # noqa: N802
        """R (Gr·H, H), of several heads with 0 between them."""
        return None if self.blocks is None else spread(self.blocks, self.blocks.shape[1] * self.heads)

    def biases(self) -> tuple[Tensor, Tensor]:
        """b, and b_r with zeros for the gates that have none: two for every gate, as torch and ONNX keep them."""
        if self.b_r is None or self.R is None:
            return self.b, torch.zeros_like(self.b)
        return self.b, F.pad(self.b_r, (len(self.R) - len(self.b_r), len(self.b) - len(self.R)))


def spread(blocks: Tensor, units: int) -> Tensor:
    """R (Gr·H, H), 0 but for the blocks (Gr·H, D) of H / D heads; blocks of all H units are R itself.

    >>> spread(torch.tensor([[1.0], [2.0]]), 2)
    tensor([[1., 0.],
            [0., 2.]])
    """
    size = blocks.shape[1]
    heads = units // size
    if heads == 1:
        return blocks
    own = torch.eye(heads, dtype=blocks.dtype, device=blocks.device)[None, :, None, :, None]
    return (blocks.reshape(-1, heads, size, 1, size) * own).reshape(-1, units)


def gather(R: Tensor, size: int) -> Tensor:
    """The blocks (Gr·H, D) of an R (Gr·H, H): `spread` the other way round."""
    heads = R.shape[1] // size
    parts = R.reshape(-1, heads, size, heads, size)
    return torch.stack([parts[:, head, :, head] for head in range(heads)], 1).reshape(len(R), size)


@dataclass(frozen=True)
class Pass:
    """How to run over the sequences.

    lengths  (B,) valid steps of each row, or None: past them outputs are 0 and the state stays as it was
    reverse  from the last valid step to the first
    mask     (B, H) or None: factors on h_{t-1} before R, the same at every step (variational recurrent dropout)
    zoneout  by state, (T, B, H) of 0 and 1 or one number: the share of the previous value that is kept
    segment  steps between stored states when the steps in between are to be recomputed in backward; None stores all
    """

    lengths: Tensor | None = None
    reverse: bool = False
    mask: Tensor | None = None
    zoneout: Mapping[str, Tensor | float] = field(default_factory=dict)
    segment: int | None = None


class Backend(Protocol):
    """Runs a traced cell through time. It knows operations, not cells."""

    name: str

    def refusal(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str | None:
        """Why this backend cannot run this, in a clause that follows "because", or None when it can."""
        ...

    def note(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str | None:
        """How it would run this, in a few words, where there is more than one way."""
        ...

    def unroll(
        self, traced: Traced, weights: Weights, x: Tensor, state: tuple[Tensor, ...], how: Pass
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (T, B, F) and the first state, each part (B, H), to the outputs (T, B, H) and the last state."""
        ...

    def stepper(
        self, traced: Traced, layers: Sequence[Weights], zoneout: Mapping[str, float], *, residual: bool
    ) -> Stepper | None:
        """A stack of layers for one sequence, step by step, or None where single calls of `unroll` do as well."""
        ...


class Stepper(Protocol):
    """One sequence through a stack of layers: write `x` (F,), call `step`, read `y` (H,)."""

    x: Tensor
    y: Tensor

    @property
    def state(self) -> tuple[Tensor, ...]:
        """The state, each part (L, 1, H), a copy."""
        ...

    @state.setter
    def state(self, new: Sequence[Tensor]) -> None: ...

    def step(self) -> None:
        """Goes one step on."""
        ...


def watched() -> bool:
    """Whether tensors stand for others: in torch.compile, torch.export, or a mode of fake ones."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0


def refuse_tracing() -> str | None:
    """Why an opaque loop cannot run in torch.jit.trace, while that is on."""
    return None if torch._C._get_tracing_state() is None else "torch.jit.trace records plain operations"


def refuse_transforms() -> str | None:
    """Why an opaque loop cannot run in `torch.func` or forward-mode derivatives, while one of them is on."""
    transformed = peek_interpreter_stack() is not None or torch.autograd.forward_ad._current_level >= 0
    return "torch.func and forward-mode derivatives look inside the step" if transformed else None
