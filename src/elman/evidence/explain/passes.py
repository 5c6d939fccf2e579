"""What the explanations of all kinds of models share: a copy to look into, what it reads put in place, its layers."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.errors import DataError, OptionError
from elman.evidence.explain.example import Inside
from elman.recurrent.inside import recorded

GREATEST = 1e6
"""standard deviations from the mean beyond which a number is taken for a mistake"""


def copied(network: nn.Module) -> Any:
    """A net as in use, in float64: sums of many gradients keep their digits."""
    return copy.deepcopy(network).cpu().double().eval()


def step_of(step: int | None, count: int, otherwise: int) -> int:
    """The step that is asked about, `otherwise` where none is; raises `OptionError` for one that is not there."""
    at = otherwise if step is None else step
    if not 0 <= at < count:
        raise OptionError(f"explain: step must be in 0 to {count - 1}, got {step}.")
    return at


def within_reason(*numbers: Tensor) -> None:
    """Raises `DataError` for numbers that no net has learned to read."""
    if any(len(x) and not bool((x.abs() <= GREATEST).all()) for x in numbers):
        raise DataError(
            f"explain: numbers must be within ±{GREATEST:g} standard deviations of the mean. Check the sequence."
        )


def odds(best: int) -> Callable[[Tensor], Tensor]:
    """log p / (1 - p) of one class, from scores (M, K): unlike p it does not bend flat where p is near 0 or 1."""

    def odds_of(many: Tensor) -> Tensor:
        others = torch.cat([many[:, :best], many[:, best + 1 :]], 1)
        return many[:, best] - torch.logsumexp(others, 1)

    return odds_of


@contextlib.contextmanager
def read_as(module: nn.Module, value: Any) -> Iterator[None]:
    """Within the block a module gives a value in place of what it reads."""
    hook = module.register_forward_hook(lambda *_: value)
    try:
        yield
    finally:
        hook.remove()


def inside(
    stack: nn.Module, run: Callable[[], Any], part: str = "", steps: Sequence[str] | None = None
) -> list[Inside]:
    """States and gates of a stack's layers while one row goes through; of several passes, one after another."""
    with torch.no_grad(), recorded(stack) as records:
        run()
    found: list[Inside] = []
    for record in records:
        states = np.array([[part[0].numpy() for part in state] for state in record.states])
        names = list(record.layer.traced.cell.states)
        values = {f"state {name}": states[:, i] for i, name in enumerate(names)}
        values |= {f"gate {name}": gate[:, 0].numpy() for name, gate in record.gates.items()}
        below = found[-1].layer if found else -1
        named = None if steps is None else list(steps)
        found.append(Inside(below + (not record.reverse), record.reverse, values, part, named))
    return found


def joined(passes: Sequence[Sequence[Inside]]) -> list[Inside]:
    """One pass made of several, each of which went on where the one before it stopped."""
    first = passes[0]
    whole = [
        {name: np.concatenate([one[i].values[name] for one in passes]) for name in layer.values}
        for i, layer in enumerate(first)
    ]
    return [
        Inside(layer.layer, layer.reverse, values, layer.part, layer.steps)
        for layer, values in zip(first, whole, strict=True)
    ]
