"""Why training met a NaN, an infinity or an explosion: which layer, which time step, what to do.

The loop only notices that the loss or the gradient is not finite, which costs nothing. The cause is found afterwards by
running the same batch once more, from the same state and the same weights, with a look at everything on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.data.batch import Batch
from elman.errors import DivergenceError

NETWORK_REMEDY = (
    "Lower learning_rate (now {lr:.3g}), clip harder (clip_norm, now {clip}), use a gated cell (lstm, gru) "
    "or start from an orthogonal recurrent matrix"
)
DATA_REMEDY = "The data are at fault, not the network: fill, mask (weight 0) or drop such values before training"


@dataclass(frozen=True)
class Finding:
    """A cause: the place in words, the layer and the time step (from 0) where there is one, and what to do."""

    place: str
    remedy: str
    layer: str | None = None
    time: int | None = None


def diverged(
    model: nn.Module,
    batch: Batch,
    state: Any,
    *,
    loss: float,
    norm: float,
    step: int,
    lr: float,
    clip_norm: float | None,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> DivergenceError:
    """The error to raise for a step that was not finite or exploded: one line with layer, time step and remedy.

    Its attributes `layer` (a module or parameter name), `time` (steps from 0) and `step` (updates done before) are for
    programs. The model's gradients are used up; its weights are not touched.
    """
    if not torch.isfinite(torch.tensor([loss, norm])).all():
        finding = find_cause(model, batch, state, autocast)
        expected = "must be finite"
    else:
        finding = in_size(model, batch, state, autocast)
        expected = "must stay near its level so far"
    remedy = finding.remedy.format(lr=lr, clip=clip_norm)
    error = DivergenceError(
        f"training, step {step}: loss and gradient {expected}, got loss {loss:.4g} and gradient norm {norm:.4g}; "
        f"{finding.place}. {remedy}."
    )
    error.layer, error.time, error.step = finding.layer, finding.time, step  # type: ignore[attr-defined]
    return error


def find_cause(
    model: nn.Module,
    batch: Batch,
    state: Any,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Finding:
    """Looks in the order in which a value could go wrong: data, weights, carried state, forward pass, backward pass."""
    return (
        in_data(batch)
        or in_weights(model)
        or in_passes(model, batch, state, autocast)
        or in_size(model, batch, state, autocast)
    )


def in_data(batch: Batch) -> Finding | None:
    """The first non-finite input within a row's length, or target that counts, by row, step and feature."""
    bad = ~torch.isfinite(batch.x)
    if batch.lengths is not None:  # what lies past a row's end is never read
        steps = torch.arange(batch.x.shape[1], device=batch.x.device)
        bad &= (steps < batch.lengths.to(bad.device)[:, None]).view(*bad.shape[:2], *[1] * (bad.dim() - 2))
    if bad.any():
        t, row, *feature = bad.transpose(0, 1).nonzero()[0].tolist()  # earliest step first
        where = f"row {row}, time step {t}" + "".join(f", feature {f}" for f in feature)
        value = batch.x[(row, t, *feature)].item()
        return Finding(f"the input x holds {value} at {where}", DATA_REMEDY, "x", t)
    bad = ~torch.isfinite(batch.y)
    if batch.weight is not None:
        if not torch.isfinite(batch.weight).all():
            return Finding("a weight of the targets is not finite", DATA_REMEDY, "weight")
        bad &= (batch.weight != 0).expand_as(bad) if batch.weight.shape == bad.shape else torch.ones_like(bad)
    if bad.any():
        row, *rest = bad.nonzero()[0].tolist()
        stepwise = batch.y.dim() >= 2 and batch.y.shape[1] == batch.x.shape[1]
        where = f"row {row}" + (f", time step {rest[0]}" if stepwise else "")
        value = batch.y[(row, *rest)].item()
        return Finding(f"the target y holds {value} at {where}", DATA_REMEDY, "y", rest[0] if stepwise else None)
    return None


def in_weights(model: nn.Module) -> Finding | None:
    """The first parameter that is itself not finite before the step."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            remedy = "It was set or loaded so: initialise it anew, or load the last good checkpoint"
            return Finding(f"the weight {name!r} is already not finite", remedy, name)
    return None


def in_passes(
    model: nn.Module, batch: Batch, state: Any, autocast: Callable[[], AbstractContextManager[Any]]
) -> Finding | None:
    """Runs the batch forward and backward and names the first place where a value is not finite."""
    model.zero_grad()
    # The input is watched too: its gradient is the only one that tells how far back through time the fault reaches.
    x = batch.x.detach().requires_grad_() if batch.x.is_floating_point() else batch.x
    watch = Watch(model, steps=batch.x.shape[1])
    with torch.enable_grad(), watch.hooks():
        watch.gradient_of(x)
        with autocast():
            loss, _ = model.loss(replace(batch, x=x), state)  # type: ignore[operator]
        if watch.forward is not None:
            return _blame(*watch.forward, "first gives a non-finite value")
        if not torch.isfinite(loss):
            what = "every layer's output is finite, but the loss computed from them is not"
            remedy = NETWORK_REMEDY + "; look for a log or a division by 0 in the loss"
            return Finding(what, remedy, "loss")
        loss.backward()
    # Backpropagation runs from the last layer to the first: the last one that is hit is where it began.
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return _blame(name, watch.backward, "the forward pass is finite, but the gradient is not")
    if watch.backward is not None:
        return _blame("x", watch.backward, "the forward pass is finite, but the gradient is not")
    return None


def in_size(model: nn.Module, batch: Batch, state: Any, autocast: Callable[[], AbstractContextManager[Any]]) -> Finding:
    """Where every value is still finite, or was so by chance when run again: the layer and step of the largest one."""
    watch = Watch(model, steps=batch.x.shape[1])
    with torch.no_grad(), watch.hooks(), autocast():
        model.loss(batch, state)  # type: ignore[operator]
    size, layer, time = watch.peak
    at = "" if time is None else f" at time step {time}"
    what = f"every value is finite, the largest, {size:.3g}, leaves layer {layer!r}{at}"
    return Finding(what, NETWORK_REMEDY, layer, time)


def _blame(layer: str, time: int | None, what: str) -> Finding:
    at = "" if time is None else f" at time step {time}"
    return Finding(f"layer {layer!r}: {what}{at}", NETWORK_REMEDY, layer, time)


class Watch:
    """Notes the first non-finite output of a model's modules, and the first gradient, with their time steps."""

    def __init__(self, model: nn.Module, steps: int) -> None:
        self.model, self.steps = model, steps
        self.forward: tuple[str, int | None] | None = None
        """name and time step of the module that first gave a non-finite value"""
        self.peak: tuple[float, str, int | None] = (0.0, "", None)
        """the largest absolute output, the module it came from and its time step"""
        self.backward: int | None = None
        """latest time step of the first non-finite gradient: from there it ran back to the earlier ones"""

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Watches within the block. A child's hook runs before its parent's, so that the innermost module is named."""
        names = {module: name or type(module).__name__ for name, module in self.model.named_modules()}
        handles = [
            module.register_forward_hook(lambda module, _, output: self._saw(names[module], output)) for module in names
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _saw(self, name: str, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor) or not first.is_floating_point():
            return
        size = float(first.detach().abs().max()) if first.numel() else 0.0
        if size > self.peak[0]:
            self.peak = (size, name, self._step(first.detach().abs() < size, earliest=True))
        if self.forward is None and not torch.isfinite(first).all():
            self.forward = (name, self._step(first, earliest=True))
        self.gradient_of(first)

    def gradient_of(self, tensor: Tensor) -> None:
        """Watches the gradient that will arrive at a tensor."""
        if tensor.requires_grad:
            tensor.register_hook(self._gradient)

    def _gradient(self, gradient: Tensor) -> None:
        if self.backward is None and not torch.isfinite(gradient).all():
            self.backward = self._step(gradient, earliest=False)

    def _step(self, tensor: Tensor, *, earliest: bool) -> int | None:
        """The first (or last) time step with a value that is not finite, or false; None without a time axis."""
        axes = [axis for axis in (1, 0) if tensor.dim() >= 3 and tensor.shape[axis] == self.steps]
        if not axes:
            return None
        good = tensor if tensor.dtype == torch.bool else torch.isfinite(tensor)
        bad = ~good.movedim(axes[0], 0).flatten(1).all(1)
        steps = bad.nonzero()[:, 0]
        return int(steps[0] if earliest else steps[-1])
