"""Weights without gradients: a population of nets around a mean, which moves to where the better ones are (CMA-ES)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.batch import Batch, Batches
from elman.errors import MissingExtraError, OptionError, RunError
from elman.training import randomness
from elman.training.assembly import check_inputs, make_folder
from elman.training.checkpoint import Checkpoint, identity_of
from elman.training.history import History, MetricsLog
from elman.training.progress import Progress, Silent
from elman.training.settings import TrainingSettings
from elman.training.signals import Interrupted, requests_to_stop

MOST = 5000
"""weights at most: each generation then costs more than it can tell"""
FULL = 200
"""weights up to which all their correlations are learned, (n, n); above it their variances alone, as time goes by n³"""
REVIEWS = 20
"""validations in the whole time"""
PARTS = 1000
"""into which the time is cut for the progress"""
Fitness = Callable[[nn.Module, Batch], Tensor]
"""of a net on a batch, a number that is to become small; it needs no gradient"""


def mean_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The learner's own loss, that which gradients descend."""
    return model.loss(batch)[0]  # type: ignore[operator]


@dataclass
class Evolution:
    """Trains a `Learner` as `elman.training.loop.fit` does, by the covariance matrix adaptation evolution strategy.

    In each generation λ nets with weights θ_k = m + σ C^½ z_k, z_k ~ N(0, I), are tried on the same batch; m, C and σ
    then move towards the better half. Up to 200 weights C is a full matrix, above it a diagonal. It starts at the net's
    initial weights, m, with σ = `sigma` for each; C is that of an even spread. Nets are tried as they predict, without
    dropout. The net keeps the mean m, the best by validation where there is validation data.

    seconds      wall-clock after which it stops
    generations  or so many of them; of both whichever comes first
    fitness      what each net is judged by

    evaluations_   nets tried, each on one batch
    population_    λ = 4 + 3 ln n

    With a `folder` the state of the strategy is kept at each review and when it is told to stop; called again with
    `resume=True` it goes on there, to the same weights, bit for bit on the CPU, for as many generations. `seconds` go
    on where they stopped; how many generations fit into them is the machine's affair.

    Raises `OptionError` for a net of more than 5000 weights, `MissingExtraError` without the package cmaes,
    `Interrupted` on SIGINT or SIGTERM, `RunError` where the folder holds another run. Sources: Hansen & Ostermeier
    2001, doi:10.1162/106365601750190398; Ros & Hansen 2008, doi:10.1007/978-3-540-87700-4_30 (diagonal).
    """

    seconds: float = math.inf
    generations: int | None = None
    fitness: Fitness = mean_loss
    sigma: float = 0.2
    evaluations_: int = field(default=0, init=False)
    population_: int = field(default=0, init=False)

    def __call__(
        self,
        model: nn.Module,
        train: Batches,
        *,
        settings: TrainingSettings,
        validation: Batches | None = None,
        folder: Path | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> History:
        """Trains in place, in `folder` with the metrics of a run; of the settings the seed alone counts."""
        check_inputs(model, train, validation)
        if self.generations is None and math.isinf(self.seconds):
            raise OptionError("evolve: seconds and generations are both unlimited, it would never end. Give one.")
        run = _Run(self, model, validation, MetricsLog(folder), progress or Silent(), settings.seed)
        if folder is not None:
            run.keep_in(folder, self.identity(model, train, validation, settings), resume=resume)
        model.eval()
        with requests_to_stop() as request, randomness.isolated(settings.seed), torch.no_grad():
            run.progress.begin(round(PARTS * run.done), PARTS)
            try:
                for batch in endless(train, run.generation):
                    if run.over or request.number:
                        break
                    run.step(batch)
                    run.review()
            finally:
                run.progress.end()
            if request.number and not run.over:
                raise run.interrupted(request.number)
            put(run.weights, run.best)
        self.evaluations_, self.population_ = run.evaluations, run.strategy.population_size
        return History(run.metrics.records, run.best_loss, run.best_step, "steps")

    def identity(
        self, model: nn.Module, train: Batches, validation: Batches | None, settings: TrainingSettings
    ) -> dict[str, Any]:
        """What a checkpoint must have in common with the evolution that goes on from it."""
        found = identity_of(model, train, validation, settings)
        own = {"trainer": "evolution", "fitness": self.fitness.__name__, "sigma": self.sigma}
        return {**found, "settings": {**found["settings"], **own, "generations": self.generations}}


class _Run:
    """One evolution under way."""

    folder: Path | None = None

    def __init__(
        self,
        how: Evolution,
        model: nn.Module,
        validation: Batches | None,
        metrics: MetricsLog,
        progress: Progress,
        seed: int,
    ) -> None:
        self.how, self.model, self.validation, self.metrics, self.progress = how, model, validation, metrics, progress
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.best = nn.utils.parameters_to_vector(self.weights).detach().double().cpu().numpy()
        self.strategy = strategy_for(self.best, how.sigma, seed)
        self.best_loss: float | None = None
        self.best_step: int | None = None
        self.losses: list[float] = []
        self.generation, self.evaluations, self.reviews = 0, 0, 0
        self.began = time.monotonic()

    def step(self, batch: Batch) -> None:
        """A generation: all nets on one batch, so that they differ in nothing but their weights."""
        found = []
        for _ in range(self.strategy.population_size):
            theta = self.strategy.ask()
            put(self.weights, theta)
            loss = self.loss(batch)
            found.append((theta, loss if math.isfinite(loss) else math.inf))
        self.strategy.tell(found)
        self.generation += 1
        self.evaluations += len(found)
        self.losses.append(float(np.median([loss for _, loss in found])))
        self.progress.step(round(PARTS * self.done), 1, self.losses[-1], 0.0, 0)

    def loss(self, batch: Batch) -> float:
        """The fitness of the net as it stands, on one batch."""
        return float(self.how.fitness(self.model, batch.to(self.weights[0].device)))

    # -- what is kept ----------------------------------------------------------------------------------------------

    def keep_in(self, folder: Path, identity: dict[str, Any], *, resume: bool) -> None:
        """Goes on from the folder's checkpoint, where there is one, and keeps its own there from now on."""
        self.folder, self.identity = folder, identity
        found = Checkpoint.load(folder)
        if found is None:
            make_folder(folder)
            self.metrics.rewind(0)
            self.save()  # lest it fail hours later
            return
        if not resume:
            raise RunError(f"{folder}: the folder holds an evolution. Resume it (resume=True), or use another folder.")
        found.check(identity, folder)
        notes = found.notes
        restore(self.strategy, found.groups["strategy"], notes["strategy"])
        self.best, self.losses = found.groups["own"]["best"].numpy(), found.groups["own"]["losses"].tolist()
        self.best_loss, self.best_step = notes["best_loss"], notes["best_step"]
        self.generation, self.evaluations, self.reviews = notes["generation"], notes["evaluations"], notes["reviews"]
        self.began = time.monotonic() - notes["seconds"]
        self.metrics.rewind(notes["metrics_bytes"])

    def save(self) -> None:
        """Writes all that the rest depends on into one file, in one instant; between two generations only."""
        if self.folder is None:
            return
        arrays, numbers = captured(self.strategy)
        own = {"best": torch.from_numpy(self.best.copy()), "losses": torch.tensor(self.losses, dtype=torch.float64)}
        notes = {
            "strategy": numbers,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "generation": self.generation,
            "evaluations": self.evaluations,
            "reviews": self.reviews,
            "seconds": time.monotonic() - self.began,
            "metrics_bytes": self.metrics.sync(),
        }
        Checkpoint({"strategy": arrays, "own": own}, notes, self.identity).save(self.folder)

    def interrupted(self, number: int) -> Interrupted:
        """What to raise once a signal was obeyed."""
        at = f"stopped after generation {self.generation}"
        if self.folder is None:
            return Interrupted(f"{at}; this training has no folder of its own and begins anew.", number)
        self.save()
        how = "run the same again with resume=True"
        return Interrupted(f"{at}, checkpoint in {self.folder}. To go on, {how}.", number)

    # -- where it stands -------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether the last review has been."""
        return self.reviews >= REVIEWS

    @property
    def done(self) -> float:
        """The share of the time, or of the generations, that is over."""
        by_time = (time.monotonic() - self.began) / self.how.seconds
        return min(1.0, max(by_time, self.generation / (self.how.generations or math.inf)))

    def review(self) -> None:
        """Looks at the mean, if it is time, and keeps the best."""
        done = self.done
        if done < (self.reviews + 1) / REVIEWS:
            return
        self.reviews = int(done * REVIEWS)
        mean = self.strategy.mean.copy()
        put(self.weights, mean)
        loss = None if self.validation is None else self.validate(self.validation)
        if loss is None or self.best_loss is None or loss < self.best_loss:
            self.best, self.best_loss, self.best_step = mean, loss, None if loss is None else self.generation
        record = {"step": self.generation, "epoch": 1, "loss": float(np.mean(self.losses)), "grad_norm": 0.0, "lr": 0.0}
        spent = {"items_per_s": None, "seconds": round(time.monotonic() - self.began, 3)}
        self.metrics.append({**record, "val_loss": loss, **spent, "evaluations": self.evaluations})
        self.progress.record(self.metrics.records[-1] | {"step": round(PARTS * done)})
        self.losses.clear()
        self.save()

    def validate(self, batches: Batches) -> float:
        """The mean fitness of the net as it stands."""
        pairs = [(self.loss(batch), len(batch)) for batch in batches.epoch(0)]
        return sum(loss * count for loss, count in pairs) / sum(count for _, count in pairs)


def strategy_for(mean: np.ndarray, sigma: float, seed: int) -> Any:
    """CMA-ES of so many weights; raises `OptionError` for too many, `MissingExtraError`.

    >>> type(strategy_for(np.zeros(10), 0.1, 0)).__name__, type(strategy_for(np.zeros(1000), 0.1, 0)).__name__
    ('CMA', 'SepCMA')
    """
    try:
        from cmaes import CMA, SepCMA
    except ImportError:
        raise MissingExtraError("evolve: needs cmaes. pip install 'elman[tune]'") from None
    if len(mean) > MOST:
        raise OptionError(
            f"evolve: a net must have at most {MOST} weights to be evolved, got {len(mean)}. "
            "Give it fewer units (--hidden-size), or one direction (--set bidirectional=false)."
        )
    return (CMA if len(mean) <= FULL else SepCMA)(mean=mean, sigma=sigma, seed=seed)


def captured(strategy: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that a strategy of cmaes is made of between two generations: its arrays, and its numbers as JSON.

    What it works out of them anew each time is None then, and its random state is told by NumPy.
    """
    kind, keys, place, has_normal, normal = strategy._rng.get_state()
    arrays = {name: torch.from_numpy(v.copy()) for name, v in vars(strategy).items() if isinstance(v, np.ndarray)}
    arrays["random"] = torch.from_numpy(keys.astype(np.int64))
    numbers = {name: float(v) for name, v in vars(strategy).items() if isinstance(v, float)}
    whole = {name: int(v) for name, v in vars(strategy).items() if isinstance(v, int) and not isinstance(v, bool)}
    return arrays, {"values": {**numbers, **whole}, "random": [kind, int(place), int(has_normal), float(normal)]}


def restore(strategy: Any, arrays: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Sets a strategy of the same kind and size to what `captured` told."""
    for name, tensor in arrays.items():
        if name != "random":
            setattr(strategy, name, tensor.numpy().copy())
    for name, value in numbers["values"].items():
        setattr(strategy, name, value)
    kind, place, has_normal, normal = numbers["random"]
    strategy._rng.set_state((kind, arrays["random"].numpy().astype(np.uint32), place, has_normal, normal))


def put(weights: Sequence[Tensor], theta: np.ndarray) -> None:
    """Sets weights to a vector, in place, so that whoever keeps something of them sees that they changed."""
    parts = torch.from_numpy(theta).split([w.numel() for w in weights])
    for weight, part in zip(weights, parts, strict=True):
        weight.copy_(part.view_as(weight))


def endless(train: Batches, start: int = 0) -> Iterator[Batch]:
    """The batches of one epoch after another, from number `start` on."""
    first, begin = divmod(start, len(train))
    for epoch in count(first):
        yield from train.epoch(epoch, begin if epoch == first else 0)
