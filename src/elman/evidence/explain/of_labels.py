"""Why a classifier, a regressor or a tagger says what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data.inputs import Names
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.explain.attribution import integrated_gradients
from elman.evidence.explain.example import Example
from elman.evidence.explain.passes import copied, inside, odds, read_as, step_of, within_reason


def of_labels(model: SequenceEstimator, x: Any, step: int | None) -> Example:
    """Of classes the log-odds of the one that is said, of numbers the number; of a tagger at one step, the last."""
    codes = model.inputs_.encode([x], "explain")[0][None]
    net = copied(getattr(model.network_, "scores", model.network_))
    named, count = isinstance(model.inputs_, Names), codes.shape[1]
    at = step_of(step, count, count - 1)
    given = net.front(codes, None)[0][0].detach() if named else codes[0].double()

    def scores(v: Tensor) -> Tensor:
        with read_as(net.front, (v, None)) if named else contextlib.nullcontext():
            z = net(codes.expand(len(v), -1, -1) if named else v)
        return z[:, at] if model.per_step else z

    with torch.no_grad():
        z = scores(given[None])[0]
    answer, said, of = _answer(model, z)
    if model.per_step:
        said, of = f"{said} at step {at}", f"{of} at step {at}"
    within_reason(z, given)
    found = integrated_gradients(lambda v: answer(scores(v)), given, torch.zeros_like(given))
    looks: Any = model if model.pooling == "attention" and hasattr(model, "attention") else None
    steps = model.inputs_.cut(x) if named else [str(t) for t in range(count)]
    raw = None if named else np.asarray(x, float).reshape(count, -1)
    if raw is not None:
        found = found.with_gaps(raw.shape[1], model.inputs_.gaps)
    features = () if raw is None else tuple(f"feature {k}" for k in range(raw.shape[1]))
    layers = inside(net.body.net, lambda: scores(given[None]))
    attention = None if looks is None else looks.attention([x])[0]
    return Example(list(steps), features, raw, said, of, found, layers, attention)


def _answer(model: Any, z: Tensor) -> tuple[Callable[[Tensor], Tensor], str, str]:
    """What is divided, from scores (M, K) to (M,); what is said; and the name of what is divided."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        scale, mean = float(np.ravel(model.scale_)[0]), float(np.ravel(model.mean_)[0])
        said = f"{scale * float(z[0]) + mean:.4g}"
        return lambda many: scale * many[:, 0] + mean, said, "The number"
    best = int(z.argmax())
    return odds(best), f"{classes[best]}, {float(torch.softmax(z, 0)[best]):.1%}", f"Log-odds of {classes[best]}"
