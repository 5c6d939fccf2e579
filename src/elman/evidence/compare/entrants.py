"""Who takes part: cells by depths by widths, and what makes them equal, their parameters or their training time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from elman.cells import find_cell
from elman.errors import OptionError
from elman.estimators.base import Estimator, changed, whole
from elman.evidence.compare.contests import Contest

CELLS = ("elman", "gru", "lstm")
DEPTHS = (1, 2)
WIDEST = 2048
PACE = (8, 40)
"""training steps of two trials, whose difference tells how long a step takes"""


@dataclass(frozen=True)
class Entrant:
    """A model to be trained and judged; once where it draws nothing at random.

    group  the cell, by which colours are given; None: a baseline
    depth, width  recurrent layers, and units of each
    """

    name: str
    model: Any
    group: str | None = None
    depth: int = 0
    width: int = 0

    @property
    def is_network(self) -> bool:
        """Whether it is a recurrent one."""
        return self.group is not None

    @property
    def draws(self) -> bool:
        """Whether another seed gives another model."""
        return isinstance(self.model, Estimator) or getattr(self.model, "draws", False)

    def model_for(self, seed: int) -> Any:
        """A fresh one."""
        if isinstance(self.model, Estimator):
            return changed(self.model, random_state=seed)
        return self.model.drawn_by(seed) if self.draws else self.model


@dataclass(frozen=True)
class Budget:
    """What all nets have alike, besides the data: weights, or seconds of training; None: each as it is."""

    parameters: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.parameters is not None:
            whole("compare", "parameters", self.parameters)
        if self.seconds is not None and not self.seconds > 0:
            raise OptionError(f"compare: seconds must be more than 0, got {self.seconds}.")

    def equal(self, model: Estimator, contest: Contest) -> Estimator:
        """The model with the width, or the training steps, that the budget gives it."""
        if self.parameters is not None:
            model = changed(model, hidden_size=width_for(self.parameters, lambda h: _weights(model, contest, h)))
        if self.seconds is not None:
            model = changed(model, max_steps=_steps_in(self.seconds, model, contest), patience=None)
        return model


def grid(
    estimator: Estimator,
    cells: Iterable[Any],
    depths: Iterable[int],
    widths: Sequence[int],
    budget: Budget,
    on: Contest,
) -> list[Entrant]:
    """A net for each cell, depth and width, named by them; with equal parameters the width is what they leave."""
    found = []
    for cell, depth, width in product(cells, depths, widths or (estimator.hidden_size,)):
        group = type(find_cell(cell, "compare")).__name__
        wanted = changed(estimator, cell=cell, num_layers=depth, hidden_size=width)
        wanted.check_common()
        model = budget.equal(wanted, on)
        units = model.hidden_size
        found.append(Entrant(f"{group} {depth}×{units}", model, group, depth, units))
    if not found:
        raise OptionError("compare: needs a cell and a depth or more, got none.")
    return list({entrant.name: entrant for entrant in found}.values())


def baselines(models: Mapping[str, Any], budget: Budget, on: Contest) -> list[Entrant]:
    """What the nets are held against; those that are nets too, without a state, get the same budget."""
    return [
        Entrant(name, budget.equal(model, on) if isinstance(model, Estimator) else model)
        for name, model in models.items()
    ]


def width_for(parameters: int, weights: Callable[[int], int]) -> int:
    """The width whose net has the number of weights that is nearest to the wanted one.

    weights: of a width; a polynomial of degree two, for matrices are H by H, so that three of them tell all.

    >>> width_for(1000, lambda h: h * h + 3 * h + 7)
    30
    """
    import numpy as np

    known = (8, 16, 32)
    a, b, c = np.polyfit(known, [weights(h) for h in known], 2)
    if (one := round(a + b + c)) > parameters:
        raise OptionError(
            f"compare: parameters must be {one} or more, for a net of one unit has them; got {parameters}."
        )
    least = [abs(a * h * h + b * h + c - parameters) for h in range(1, WIDEST + 1)]
    return int(np.argmin(least)) + 1


def count(model: Any) -> int | None:
    """Weights of a net that has learned; None for what is no net."""
    network = getattr(model, "network_", None)
    return None if network is None else sum(p.numel() for p in network.parameters())


def _weights(model: Estimator, contest: Contest, width: int) -> int:
    trial = changed(model, hidden_size=width, max_steps=1)
    contest.fit(trial)
    return count(trial) or 0


def _steps_in(seconds: float, model: Estimator, contest: Contest) -> int:
    """Training steps that fit into so many seconds, by two short trials."""
    times = []
    for steps in (1, *PACE):  # the first compiles
        trial = changed(model, max_steps=steps, patience=None)
        start = time.perf_counter()
        contest.fit(trial)
        times.append(time.perf_counter() - start)
    each = max((times[2] - times[1]) / (PACE[1] - PACE[0]), 1e-6)
    before = max(times[1] - PACE[0] * each, 0.0)
    if before >= seconds:
        raise OptionError(f"compare: reading the data takes {before:.1f} s, so seconds must be more, got {seconds}.")
    return max(1, round((seconds - before) / each))
