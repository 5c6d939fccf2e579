"""The parts that a run is put together from: devices, optimiser, the learner as fabric wants it, a process's rows."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from elman.data.batch import Batch, Batches
from elman.errors import DataError, OptionError
from elman.files import write_failure
from elman.training.settings import TrainingSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Sealed:
    """A batch and the state before it, in a wrapper that fabric does not look into.

    In mixed precision fabric casts every tensor it is handed to 16 bits, targets and carried state included: a target
    of 1001 would become 1000. The operations inside `loss` are still chosen by autocast, one by one.
    """

    def __init__(self, batch: Batch, state: Any) -> None:
        self.batch, self.state = batch, state


class Loss(nn.Module):
    """The learner with its loss as `forward`, which is the only method that fabric and DDP know how to wrap."""

    def __init__(self, learner: nn.Module) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, sealed: Sealed) -> tuple[Tensor, Any]:
        """Loss and state of a sealed batch."""
        return self.learner.loss(sealed.batch, sealed.state)  # type: ignore[operator]


def check_inputs(model: nn.Module, train: Batches, validation: Batches | None) -> None:
    """OptionError or DataError, one line, for what cannot be trained."""
    if not callable(getattr(model, "loss", None)):
        raise OptionError(
            f"fit: model must have loss(batch, state=None) -> (loss, state), {type(model).__name__} has none. Add it."
        )
    if not any(p.requires_grad for p in model.parameters()):
        raise OptionError(
            f"fit: model must have a parameter that requires a gradient, {type(model).__name__} has none."
        )
    for name, batches in (("training", train), ("validation", validation)):
        if batches is not None and len(batches) == 0:
            raise DataError(f"{name} data: must have at least one batch, got none. Give more or longer sequences.")


def make_fabric(settings: TrainingSettings) -> Fabric:
    """Devices and precision; under `torchrun` its numbers of processes and machines count."""
    from lightning_fabric import Fabric  # loads torch.compile, two seconds: a model that is only used needs neither

    devices = int(os.environ.get("LOCAL_WORLD_SIZE", settings.devices))
    nodes = int(os.environ.get("WORLD_SIZE", devices)) // devices
    options: dict[str, Any] = {"devices": devices, "num_nodes": max(1, nodes), "precision": settings.precision}
    try:
        fabric = Fabric(accelerator=settings.accelerator, **options)
    except RuntimeError as problem:
        reason = " ".join(str(problem).split()).rstrip(".")
        raise OptionError(f"TrainingSettings: accelerator {settings.accelerator!r} cannot be used: {reason}.") from None
    fabric.launch()
    return fabric


def make_optimizer(model: nn.Module, settings: TrainingSettings, device: torch.device) -> torch.optim.Optimizer:
    """The one asked for; it decays matrices only: decaying a bias pulls the function, not its complexity, to 0."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    # The fused one takes a step in a quarter of the time; but it unscales float16 gradients itself, after the clipping.
    fused = device.type in ("cpu", "cuda") and settings.precision != "16-mixed"
    made, more = {
        "adamw": (torch.optim.AdamW, {"fused": fused}),
        "adam": (torch.optim.Adam, {"fused": fused}),
        "rmsprop": (torch.optim.RMSprop, {}),
        "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": fused}),
    }[settings.optimizer]
    return made([g for g in groups if g["params"]], lr=settings.learning_rate, **more)


def make_folder(folder: Path) -> None:
    """The folder and its parents, where they are missing; RunError when that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise write_failure(folder, problem) from problem


def count_steps(batch: Batch) -> int:
    """Valid time steps of a batch."""
    return batch.x.shape[0] * batch.x.shape[1] if batch.lengths is None else int(batch.lengths.sum())


def count_targets(batch: Batch) -> float:
    """Targets whose loss counts: what a mean over several batches, or several processes' rows, is weighted by."""
    return float(len(batch) if batch.weight is None else batch.weight.sum())


def shard(batch: Batch, rank: int, world: int) -> Batch:
    """This process's share of the rows, every `world`-th; all of them where there are fewer rows than processes."""
    if world == 1 or len(batch) < world:
        return batch
    parts = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return replace(batch, **{name: t[rank::world] for name, t in parts.items() if t is not None})
