"""The training loop: `fit` is the whole story, `Run` the tools it uses."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from elman.data.batch import Batch, Batches
from elman.errors import DataError, OptionError, RunError
from elman.training import randomness, state
from elman.training.assembly import (
    Loss,
    Sealed,
    check_inputs,
    count_steps,
    count_targets,
    make_fabric,
    make_folder,
    make_optimizer,
    shard,
)
from elman.training.average import WeightAverage, copy_into
from elman.training.checkpoint import NAME, Checkpoint, identity_of
from elman.training.diagnosis import diverged
from elman.training.history import History, MetricsLog
from elman.training.progress import Progress, Silent
from elman.training.schedule import learning_rate_at, total_steps
from elman.training.settings import TrainingSettings
from elman.training.signals import Interrupted, requests_to_stop


@runtime_checkable
class Learner(Protocol):
    """What can be trained: a torch module with a `loss`."""

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """The mean loss of a batch, a scalar, and the state after it: nested tuples of tensors, or None.

        `state` is what the call before returned, without its past; rows that `batch.reset` marks must ignore it.
        """
        ...


def fit(
    model: nn.Module,
    train: Batches,
    *,
    settings: TrainingSettings,
    validation: Batches | None = None,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> History:
    """Trains a `Learner` in place and leaves it, in eval mode, with its best weights.

    Best are the weights (their average, if `settings.average`) with the lowest validation loss; without validation, the
    last ones. One update, with gradient g, weights θ and learning rate η of the step::

        g ← ∇ loss(batch, state)        g ← g · min(1, clip_norm / ‖g‖)        θ ← AdamW(θ, g, η)

    On the CPU the weights are a function of settings, data, initial weights and number of threads, to the last bit.
    With a `folder` that also holds if the run is killed at any instant and called again with `resume=True`. Several
    processes, each with its share of a batch's rows, find the gradient of the whole batch's mean; each draws its own
    dropout.

    Raises DivergenceError on a NaN or an explosion, Interrupted on SIGINT or SIGTERM, RunError when the folder cannot
    be written or holds another run. Sources: Loshchilov & Hutter 2019 (AdamW); Pascanu et al. 2013 (clipping);
    Williams & Peng 1990 (truncated backpropagation through time).

    >>> from elman.data.batching import PaddedBatches
    >>> class Mean(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.mu = nn.Parameter(torch.zeros(1, 1))
    ...     def loss(self, batch, state=None):
    ...         return (batch.y - self.mu).square().mean(), None
    >>> data = PaddedBatches([torch.ones(4, 1)] * 8, [torch.ones(4, 1)] * 8, batch_size=4, seed=0)
    >>> history = fit(Mean(), data, settings=TrainingSettings(max_epochs=2, accelerator="cpu"))
    >>> history.column("step")
    [2, 4]
    """
    run = Run(model, train, validation, settings, folder, progress or Silent())
    with requests_to_stop() as request, randomness.isolated(settings.seed):
        try:
            run.begin(resume)
            for batch in run.batches():
                run.update(batch)
                if run.review_due():
                    run.review()
                if request.number:
                    break
                if run.checkpoint_due():
                    run.save()
            run.save()
        finally:
            run.progress.end()
        if request.number:
            raise run.interrupted(request.number)
        return run.finish()


class Run:
    """One training run: the parts that `fit` puts in order. Between two steps all of it fits into a checkpoint."""

    def __init__(
        self,
        model: nn.Module,
        train: Batches,
        validation: Batches | None,
        settings: TrainingSettings,
        folder: Path | None,
        progress: Progress,
    ) -> None:
        check_inputs(model, train, validation)
        self.model, self.train, self.validation, self.settings = model, train, validation, settings
        self.fabric = make_fabric(settings)
        self.leader = self.fabric.is_global_zero  # of several processes only one writes and speaks
        self.progress = progress if self.leader else Silent()
        self.folder = folder
        self.total = total_steps(settings, len(train))

        wrapped, self.optimizer = self.fabric.setup(Loss(model), make_optimizer(model, settings, self.fabric.device))
        self.forward: nn.Module = wrapped
        self.average = None if settings.average is None else WeightAverage(model, settings.average)
        self.best: dict[str, Tensor] = {}
        self.carried: Any = None
        self.at = state.Standing()
        self.metrics = MetricsLog(folder if self.leader else None)
        self.clock = self.saved = time.monotonic()

    # -- beginning and going on ------------------------------------------------------------------------------------

    def begin(self, resume: bool) -> None:
        """From the start, or from the folder's checkpoint; writing one comes first, lest it fail hours later."""
        self.model.train()
        if self.folder is not None:
            self.identity = identity_of(self.model, self.train, self.validation, self.settings)
            found = Checkpoint.load(self.folder)
            self.fabric.barrier()  # all processes have looked before one of them writes
            if found is not None and not resume:
                raise RunError(
                    f"{self.folder / NAME}: the folder holds a run at step {found.notes['standing']['step']}. "
                    "Resume it (resume=True), or use another folder."
                )
            if found is not None:
                found.check(self.identity, self.folder)
                self.restore(found)
            else:
                if self.leader:
                    make_folder(self.folder)
                self.metrics.rewind(0)
                self.save()
        self.progress.begin(self.at.step, self.total)
        self.clock = self.saved = time.monotonic()

    def save(self) -> None:
        """Writes all that the rest of the run depends on into one file, in one instant."""
        self.tick()
        self.saved = self.clock
        if self.folder is None or not self.leader:
            return
        tensors, outline = state.flatten(self.carried)
        dice, plain_dice = randomness.capture()
        moments = self.optimizer.state_dict()["state"]
        groups = {
            "model": self.model.state_dict(),
            "optimizer": {f"{i}/{name}": t for i, moment in moments.items() for name, t in moment.items()},
            "average": {} if self.average is None else self.average.weights,
            "best": self.best,
            "carried": {str(i): tensor for i, tensor in enumerate(tensors)},
            "random": dice,
        }
        notes = {
            "standing": self.at.to_json(),
            "carried": outline,
            "random": plain_dice,
            "scaler": self.fabric.strategy.precision.state_dict(),
            "metrics_bytes": self.metrics.sync(),
        }
        Checkpoint(groups, notes, self.identity).save(self.folder)

    def restore(self, found: Checkpoint) -> None:
        """Takes everything back to where `save` left it."""
        self.model.load_state_dict(found.groups["model"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in found.groups["optimizer"].items():
            index, _, moment = name.partition("/")
            moments.setdefault(int(index), {})[moment] = tensor
        param_groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": param_groups})
        if self.average is not None:
            self.average.weights = self.to_device(found.groups["average"])
        self.best = self.to_device(found.groups["best"])
        carried = self.to_device(found.groups["carried"])
        self.carried = state.unflatten(iter(carried[str(i)] for i in range(len(carried))), found.notes["carried"])
        randomness.restore(found.groups["random"], found.notes["random"])
        self.fabric.strategy.precision.load_state_dict(found.notes["scaler"])
        self.at = state.Standing.from_json(found.notes["standing"])
        self.metrics.rewind(found.notes["metrics_bytes"])

    def to_device(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same tensors where the model is."""
        return {name: tensor.to(self.fabric.device) for name, tensor in tensors.items()}

    # -- one step --------------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[Batch]:
        """The batches still to come, over all epochs, until something sets `stopped`."""
        while self.at.stopped is None:
            before = self.at.step
            for batch in self.train.epoch(self.at.epoch, self.at.start):
                yield shard(batch, self.fabric.global_rank, self.fabric.world_size)
                if self.at.stopped is not None:
                    return
            if self.at.step == before:
                raise DataError(
                    f"training data: epoch {self.at.epoch} must have {len(self.train)} batches, ended before number "
                    f"{self.at.start}. Make the source's __len__ agree with its epoch()."
                )

    def update(self, batch: Batch) -> None:
        """One step of gradient descent: forward, backward, clip, look, move."""
        at, settings = self.at, self.settings
        items = count_steps(batch)  # before the batch is on the device, where counting would be a wait
        share = self.stand_apart(batch) if self.fabric.world_size > 1 else None
        batch = batch.to(self.fabric.device)
        before = self.carried if len(batch) == at.rows else None
        lr = learning_rate_at(at.step, settings, self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = lr

        loss, after = self.forward(Sealed(batch, before))
        if share is not None:
            loss = loss * share
        self.fabric.backward(loss)
        # Infinity clips nothing, but still measures.
        limit = math.inf if settings.clip_norm is None else settings.clip_norm
        norm = self.fabric.clip_gradients(self.forward, self.optimizer, max_norm=limit, error_if_nonfinite=False)
        loss_value, norm_value = self.look(loss, norm, batch, before, lr)
        self.optimizer.step()
        self.optimizer.zero_grad()

        at.count(loss_value, norm_value, items)
        at.rows = len(batch)
        if self.average is not None:
            self.average.update(self.model, at.step)
        self.carried = state.detach(after) if batch.reset is not None else None
        if self.carried is not None and self.fabric.world_size > 1:
            raise OptionError("fit: a carried state trains in one process, got devices > 1. Set devices=1.")
        if at.step >= self.total:
            at.stopped = "steps"
        self.progress.step(at.step, at.epoch + 1, loss_value, norm_value, items)

    def stand_apart(self, batch: Batch) -> Tensor:
        """Gives this process masks of its own, the same ones when the step is done again. Returns what its loss counts
        beside the others', so that the mean over processes is the mean over all targets."""
        randomness.start(self.settings.seed, self.at.step, self.fabric.global_rank)
        targets = count_targets(batch)
        mean = cast(Tensor, self.fabric.all_reduce(torch.tensor(targets, device=self.fabric.device)))
        return targets / mean.clamp(min=1e-9)

    def look(self, loss: Tensor, norm: Tensor | None, batch: Batch, before: Any, lr: float) -> tuple[float, float]:
        """Loss and gradient norm as numbers, in the one wait for the device that a step has; DivergenceError, before
        the weights are touched, unless they are fit to learn from."""
        if self.fabric.world_size > 1:  # so that what is logged is of all rows, and all processes stop together
            loss = cast(Tensor, self.fabric.all_reduce(loss.detach()))
        pair = [loss.detach().float(), torch.zeros_like(loss) if norm is None else norm.float()]
        loss_value, norm_value = torch.stack(pair).tolist()
        finite = math.isfinite(loss_value) and math.isfinite(norm_value)
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        if scaler is not None and math.isfinite(loss_value) and not finite and scaler.get_scale() >= 1:
            return loss_value, 0.0  # float16 overflowed: the scaler skips this step and lowers its scale
        if not finite or self.at.guard.exploded(loss_value):
            raise diverged(
                self.model,
                batch,
                before,
                loss=loss_value,
                norm=norm_value,
                step=self.at.step,
                lr=lr,
                clip_norm=self.settings.clip_norm,
                autocast=self.fabric.autocast,
            )
        return loss_value, norm_value

    # -- between steps ---------------------------------------------------------------------------------------------

    def review_due(self) -> bool:
        """At the end of an epoch, of the run, and every `validate_every` steps."""
        return self.at.start == len(self.train) or self.at.stopped is not None or self._at_interval()

    def _at_interval(self) -> bool:
        every = self.settings.validate_every
        return self.at.start == len(self.train) if every is None else self.at.step % every == 0

    def review(self) -> None:
        """Validates if it is time, keeps the best weights, writes a line of metrics, turns the epoch."""
        at = self.at
        val_loss = None
        if self.validation is not None and (self._at_interval() or at.stopped is not None):
            with nullcontext() if self.average is None else self.average.in_place(self.model):
                val_loss = self.validate(self.validation)
                if at.judge(val_loss):
                    self.best = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
            if self.settings.patience is not None and at.worse >= self.settings.patience:
                at.stopped = at.stopped or "patience"
        self.tick()
        record = at.record(self.optimizer.param_groups[0]["lr"], val_loss)
        self.metrics.append(record)
        self.progress.record(record)
        if at.start == len(self.train):
            at.epoch, at.start, self.carried = at.epoch + 1, 0, None

    def validate(self, batches: Batches) -> float:
        """The mean loss over all targets that count; every process does it all, so that all stop together."""
        self.model.eval()
        total, count, carried, rows = 0.0, 0.0, None, 0
        with torch.no_grad():
            for batch in batches.epoch(0):
                here = count_targets(batch)
                batch = batch.to(self.fabric.device)
                before = carried if len(batch) == rows else None
                with self.fabric.autocast():
                    loss, after = self.model.loss(batch, before)  # type: ignore[operator]
                if not math.isfinite(float(loss)):
                    lr, clip = self.optimizer.param_groups[0]["lr"], self.settings.clip_norm
                    known = {"loss": float(loss), "norm": math.nan, "step": self.at.step, "lr": lr, "clip_norm": clip}
                    raise diverged(self.model, batch, before, **known, autocast=self.fabric.autocast)
                total, count = total + float(loss) * here, count + here
                carried, rows = (state.detach(after) if batch.reset is not None else None), len(batch)
        self.model.train()
        if not count:
            raise DataError("validation data: must have a target that counts, all weights are 0. Give more data.")
        return total / count

    def checkpoint_due(self) -> bool:
        """Every `checkpoint_every` steps or `checkpoint_seconds`, whichever comes first."""
        every, seconds = self.settings.checkpoint_every, self.settings.checkpoint_seconds
        by_steps = every is not None and self.at.step % every == 0
        return by_steps or (seconds is not None and time.monotonic() - self.saved >= seconds)

    def tick(self) -> None:
        """Books the time since the last call."""
        now = time.monotonic()
        self.at.spend(now - self.clock)
        self.clock = now

    # -- the end ---------------------------------------------------------------------------------------------------

    def interrupted(self, number: int) -> Interrupted:
        """What to raise once a signal was obeyed."""
        if self.folder is None:
            return Interrupted(
                f"stopped at step {self.at.step}; this training has no folder of its own and begins anew.", number
            )
        how = "run the same again with resume=True"
        return Interrupted(f"stopped at step {self.at.step}, checkpoint in {self.folder}. To go on, {how}.", number)

    def finish(self) -> History:
        """Puts the weights to keep into the model."""
        if self.best:
            self.model.load_state_dict(self.best)
        elif self.average is not None:
            copy_into(self.model, self.average.weights)
        self.model.eval()
        return History(self.metrics.records, self.at.best_loss, self.at.best_step, self.at.stopped)
