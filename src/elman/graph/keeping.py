"""Which gate keeps a cell's state, found by differentiating the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from elman.cells import Cell
from elman.cells.base import Fields

POINTS = 256
"""random pre-activations and states at which the step is looked at"""
ROUNDING = 1e-12


@dataclass(frozen=True)
class Keeper:
    """A gate by which a cell keeps its state; sign: 1 where an open one keeps, -1 where an open one forgets."""

    gate: str
    sign: float


def keeper(cell: Cell) -> Keeper | None:
    """The gate that moves ∂s_t/∂s_{t-1}, what is kept of a state, one way wherever it is looked at; None: no gate does.

    Of several, the one that moves it most; one that keeps comes before one that forgets.

    >>> from elman.cells import GRU, LSTM, MGU, Elman
    >>> keeper(LSTM()), keeper(GRU())
    (Keeper(gate='f', sign=1.0), Keeper(gate='z', sign=1.0))
    >>> keeper(MGU()), keeper(Elman())
    (Keeper(gate='f', sign=-1.0), None)
    """
    with _disable_current_modes(), torch.device("cpu"), torch.inference_mode(False), torch.enable_grad():
        moved = {gate: slope for gate, slope in _slopes(cell) if slope.abs().mean() > ROUNDING}
    for sign in (1.0, -1.0):
        one_way = {g: float(slope.abs().mean()) for g, slope in moved.items() if (sign * slope >= -ROUNDING).all()}
        if one_way:
            return Keeper(max(one_way, key=lambda gate: one_way[gate]), sign)
    return None


def _slopes(cell: Cell) -> Iterator[tuple[str, Tensor]]:
    """∂/∂x.g of ∂s_t/∂s_{t-1} at every point, for each gate g and each part s of the state that depends on itself."""
    dice = torch.Generator().manual_seed(0)

    def some(names: tuple[str, ...]) -> dict[str, Tensor]:
        return {name: torch.randn(POINTS, generator=dice, dtype=torch.float64).requires_grad_() for name in names}

    # A state that is a sum of weights is above 0 once something was seen.
    states = {name: (value.detach().abs() + 0.1).requires_grad_() for name, value in some(cell.states).items()}
    starts = {name: start(POINTS) if callable(start) else start for name, start in cell.params.items()}
    p = {name: torch.as_tensor(start, dtype=torch.float64) for name, start in starts.items()}
    x, r = some(cell.gates), some(cell.gates)
    new = cell.step(Fields(**x), Fields(**r), Fields(**states), Fields(**p))
    for before, after in zip(states.values(), (new,) if isinstance(new, Tensor) else new, strict=True):
        (kept,) = torch.autograd.grad(after.sum(), before, create_graph=True, allow_unused=True)
        if kept is None or not kept.requires_grad:
            continue
        found = torch.autograd.grad(kept.sum(), list(x.values()), retain_graph=True, allow_unused=True)
        yield from ((gate, slope) for gate, slope in zip(x, found, strict=True) if slope is not None)
