"""A fitted model as what it does at one step: what streams run, servers batch, and exports write down.

    x → reads → stack → pooling → head → says → y

The parts are those of `steps.parts`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.inputs import Names
from elman.errors import DataError, OptionError
from elman.recurrent import Recurrent
from elman.recurrent.inside import recorded
from elman.steps.parts import Part, Pool, Reads, Says

GREATEST = 1e18
"""size of a number above which its square, or a sum of products with it, may be no float32"""


class Causal(nn.Module, ABC):
    """One step of a model: x (B, I) and the state to y (B, K) and the state after.

    where    the model's name, for error lines
    inputs   I numbers of x
    outputs  K numbers of y
    parts    of the state, each held as (B, *shape)
    """

    where: str
    inputs: int
    outputs: int
    parts: tuple[Part, ...]

    @abstractmethod
    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step; x is float64, for what was measured may need its digits, y and the state float32."""

    @abstractmethod
    def encode(self, step: Any) -> np.ndarray:
        """What a user pushes as x (I,); raises `DataError` where it is no such step."""

    @abstractmethod
    def answer(self, y: np.ndarray) -> dict[str, Any]:
        """y (K,) as names and plain numbers, to be printed or sent."""

    def initial(self, rows: int) -> tuple[Tensor, ...]:
        """The state before the first step."""
        return tuple(torch.full((rows, *part.shape), part.start) for part in self.parts)


class StackStep(Causal):
    """The parts of a step one after another; those without weights are small classes below.

    says    what the numbers of y are
    codes   what names are looked up in, or None where x is numbers
    lists   whether sequences are lists of names, so that any without a space may be one
    """

    def __init__(
        self,
        where: str,
        stack: Recurrent,
        *,
        reads: Reads | None = None,
        pooling: Pool | None = None,
        head: nn.Linear | None = None,
        says: Says | None = None,
        codes: Names | None = None,
        lists: bool = False,
    ) -> None:
        super().__init__()
        _check_stack(where, stack)
        self.where, self.codes, self.lists = where, codes, lists
        self.reads = frozen(reads or Reads(stack.input_size))
        self.stack, self.pooling = frozen(stack), frozen(pooling or Pool(stack.hidden_size))
        self.head = None if head is None else frozen(head)
        self.says = frozen(says or Says(stack.hidden_size if head is None else head.out_features))
        self.inputs, self.outputs = self.reads.inputs, self.says.outputs
        self.parts = parts_of(stack) + self.pooling.parts + self.says.parts

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step."""
        count, pooled = len(self.stack.cell.states), len(self.pooling.parts)
        own, middle, last = state[:count], state[count : count + pooled], state[count + pooled :]
        h, new = step_of(self.stack, self.reads(x), own)
        h, middle = self.pooling(h, middle)
        y, last = self.says(h if self.head is None else self.head(h), last)
        return y, (*new, *middle, *last)

    def gates(self, x: Tensor, state: Sequence[Tensor]) -> dict[str, Tensor]:
        """What each gate lets through at a step of one sequence, x (1, I): each (L, H)."""
        with torch.no_grad(), recorded(self.stack) as records:
            step_of(self.stack, self.reads(x), state[: len(self.stack.cell.states)])
        return {gate: torch.cat([record.gates[gate][0] for record in records]) for gate in self.stack.cell.gates}

    def initial(self, rows: int) -> tuple[Tensor, ...]:
        """The state before the first step, a learned one too."""
        return first_of(self.stack, rows) + super().initial(rows)[len(self.stack.cell.states) :]

    def encode(self, step: Any) -> np.ndarray:
        """Numbers as they are; of a name its code, or its vector where that depends on how it is spelt."""
        if self.codes is None:
            return as_step(step, self.inputs, self.where)
        if not isinstance(step, str):
            raise DataError(f"{self.where}: a step must be a name, got {str(step)[:40]!r}. Give text.")
        code = self.codes.encode([[step]], self.where)[0]
        if not code[0, 0] and len(step.split() if self.lists else self.codes.cut(step)) > 1:
            raise DataError(f"{self.where}: a step must be one name, got {step[:40]!r}. Push them one by one.")
        return self.reads.vector(code)

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        """As `says` puts it."""
        return self.says.answer(y)


# A sequence's state is one row here, and one column in `Recurrent`: (B, L, H) against (L, B, H).


def parts_of(stack: Recurrent) -> tuple[Part, ...]:
    """What a stack of layers keeps of a sequence."""
    shape = stack.num_layers, stack.hidden_size
    return tuple(Part(name, shape, stack.cell.initial.get(name, 0.0)) for name in stack.cell.states)


def first_of(stack: Recurrent, rows: int) -> tuple[Tensor, ...]:
    """The same before the first step, learned or not."""
    return tuple(part.transpose(0, 1) for part in stack.initial_state(rows))


def step_of(stack: Recurrent, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """x (B, F) and what is kept to h (B, H) and what is kept then."""
    h, new = stack.step(x, tuple(part.transpose(0, 1) for part in state))
    return h, tuple(part.transpose(0, 1) for part in new)


M = TypeVar("M", bound=nn.Module)


def frozen(module: M) -> M:
    """A copy for inference alone: training the model further must not reach a stream."""
    return copy.deepcopy(module).cpu().eval().requires_grad_(False)


def as_step(step: Any, size: int, where: str) -> np.ndarray:
    """One step of numbers (size,), NaN for None."""
    try:
        if any(isinstance(one, (str, bool)) for one in (step if isinstance(step, (list, tuple)) else [step])):
            raise TypeError
        x = np.asarray(step, dtype=np.float64).reshape(-1) if np.ndim(step) < 2 else np.empty(0)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: a step must be {_count(size)}, got {str(step)[:40]!r}. Mend the value.") from None
    if x.shape != (size,):
        shape = np.shape(step)
        raise DataError(f"{where}: a step must be {_count(size)}, got {shape or 'one'}. Push one time step.")
    return x


def refused(where: str, x: np.ndarray, of: str = "") -> DataError:
    """The error for a step with a number that no model can have been trained on, or without one that is needed."""
    return DataError(
        f"{where}: numbers of a step must be finite, of size {GREATEST:g} at most, got {x.tolist()}{of}. Mend it."
    )


def _count(size: int) -> str:
    return "one number" if size == 1 else f"{size} numbers"


def _check_stack(where: str, stack: Recurrent) -> None:
    if stack.bidirectional:
        raise OptionError(
            f"{where}: a bidirectional net reads a sequence from its end, too, and cannot answer while it comes. "
            "Train with bidirectional=False."
        )
