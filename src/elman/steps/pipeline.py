"""What a fitted model is made of, whether it answers step by step or reads whole sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from elman.data.inputs import Names
from elman.errors import OptionError
from elman.recurrent import Recurrent
from elman.steps.causal import StackStep
from elman.steps.parts import Pool, Reads, Says


@dataclass(frozen=True)
class Pipeline:
    """x → reads → joins → stack → pooling → head → says → y.

    where    the model's name, for error lines
    reads    None: x as it is
    joins    of long signals, what makes one step of `joins.stride`: a `convolution`, `before` zeros; None: nothing
    pooling  how the steps become one vector; None: there is an answer for each of them
    head     None: none
    says     what the numbers of y are; None: just numbers
    codes    what names are looked up in, or None where x is numbers
    lists    whether sequences are lists of names, see `StackStep`
    """

    where: str
    stack: Recurrent
    reads: Reads | None = None
    joins: Any = None
    pooling: Pool | None = None
    head: nn.Linear | None = None
    says: Says | None = None
    codes: Names | None = None
    lists: bool = False

    def step(self) -> StackStep:
        """One step of it; raises `OptionError` where steps are joined or the stack is bidirectional."""
        if self.joins is not None:
            raise OptionError(
                f"{self.where}: the net reads {self.joins.stride} steps as one, with steps after them. "
                "Train with stride=1."
            )
        parts = {name: getattr(self, name) for name in ("reads", "pooling", "head", "says", "codes", "lists")}
        return StackStep(self.where, self.stack, **parts)
