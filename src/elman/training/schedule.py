"""The learning rate as a pure function of the step, so that a resumed run has no scheduler to restore."""

from __future__ import annotations

import math

from elman.training.settings import TrainingSettings


def total_steps(settings: TrainingSettings, batches: int) -> int:
    """Updates in a whole run over an epoch of `batches`, unless it stops early.

    >>> total_steps(TrainingSettings(max_epochs=3), batches=10)
    30
    >>> total_steps(TrainingSettings(max_epochs=3, max_steps=12), batches=10)
    12
    """
    by_epochs = math.inf if settings.max_epochs is None else settings.max_epochs * batches
    by_steps = math.inf if settings.max_steps is None else settings.max_steps
    return int(min(by_epochs, by_steps))


def warmup_steps(settings: TrainingSettings, total: int) -> int:
    """Steps of the linear rise; a share of the run is rounded to whole steps."""
    share = isinstance(settings.warmup, float)
    return min(round(settings.warmup * total) if share else int(settings.warmup), total)


def learning_rate_at(step: int, settings: TrainingSettings, total: int) -> float:
    """η of update number `step` (from 0) in a run of `total`.

    With w steps of warm-up and u = (step − w) / (total − w), the share of the rest that is done::

        step < w    η (step + 1) / (w + 1)
        cosine      η (1 + cos πu) / 2
        linear      η (1 − u)
        constant    η

    >>> [learning_rate_at(s, TrainingSettings(learning_rate=1.0, warmup=1, schedule="linear"), 5) for s in range(5)]
    [0.5, 1.0, 0.75, 0.5, 0.25]
    """
    peak, warmup = settings.learning_rate, warmup_steps(settings, total)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, total - warmup)
    if settings.schedule == "cosine":
        return peak * (1 + math.cos(math.pi * done)) / 2
    return peak * (1 - done) if settings.schedule == "linear" else peak
