"""What torch does while a step and its derivative run: every operator, in order.

`make_fx` would tell as much, but loads torch.compile for it: two seconds at the start of every program.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.cells.check import OperatorMode

aten = torch.ops.aten
# Derivatives that aten keeps as one operator; broken up, a backend needs no name for each of them.
BROKEN_UP = [
    *(aten.threshold_backward, aten.silu, aten.silu_backward),
    *(aten.softplus, aten.softplus_backward, aten.gelu, aten.gelu_backward, aten.elu, aten.elu_backward),
    *(aten.hardtanh, aten.hardtanh_backward, aten.hardsigmoid, aten.hardsigmoid_backward, aten.leaky_relu),
    *(aten.leaky_relu_backward, aten.log_sigmoid_forward, aten.log_sigmoid_backward, aten.hardswish),
    *(aten.hardswish_backward, aten.addcmul, aten.addcdiv, aten.lerp, aten.threshold, aten.mish, aten.mish_backward),
    *(aten.logaddexp, aten.logaddexp2),
]


@dataclass(frozen=True)
class Call:
    """An operator that ran: what it was given, what it gave back."""

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any

    @property
    def read(self) -> set[int]:
        """The tensors that it was given, by identity."""
        return {id(a) for a in (*self.args, *self.kwargs.values()) if isinstance(a, Tensor)}

    @property
    def made(self) -> set[int]:
        """The tensors that it gave back; an operator in place, what it was given."""
        return {id(o) for o in (self.out if isinstance(self.out, tuple) else (self.out,))}


class Tape(OperatorMode):
    """Takes down the operators that run under it, those of `BROKEN_UP` in pieces.

    >>> x = torch.ones(())
    >>> with Tape() as tape:
    ...     y, z = x * 2 + 3, x.exp()
    >>> [call.op.overloadpacket.__name__ for call in tape.calls_for([y])]
    ['mul', 'add']
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []  # which keeps the tensors, and so their identities

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with self:
            pieces = broken_up().get(func, func.decompose)(*args, **kwargs)
        if pieces is not NotImplemented:
            return pieces
        self.calls.append(Call(func, args, kwargs, func(*args, **kwargs)))
        return self.calls[-1].out

    def calls_for(self, results: Iterable[Tensor]) -> list[Call]:
        """Those that these results take, in order."""
        needed, found = {id(tensor) for tensor in results}, []
        for call in reversed(self.calls):
            if needed & call.made:
                needed = needed - call.made | call.read
                found.append(call)
        return found[::-1]


@functools.cache
def broken_up() -> Mapping[Any, Callable[..., Any]]:
    """The pieces of each operator of `BROKEN_UP`, as torch tells them."""
    from torch._decomp import get_decompositions

    return get_decompositions(BROKEN_UP)
