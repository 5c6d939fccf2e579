"""What every export asks of a model: its step, its name, and steps to try it on."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.errors import OptionError
from elman.estimators import Forecaster
from elman.recurrent import Recurrent
from elman.steps.causal import Causal, StackStep
from elman.steps.parts import Looked, Measured, Reads


def causal_of(model: Any) -> Causal:
    """One step of an estimator, or of a net; raises `OptionError` where there is none."""
    if isinstance(model, Causal):
        return model
    if isinstance(model, Recurrent):
        return StackStep("Recurrent", model)
    if not hasattr(model, "causal"):
        raise OptionError(f"export: expected a fitted estimator or a Recurrent net, got {type(model).__name__}.")
    if isinstance(model, Forecaster):
        raise OptionError("export: a forecaster is more than a recurrent stack and a head. Use its stream instead.")
    return model.causal()


def about(where: str, stack: Recurrent) -> str:
    """A model in a few words.

    >>> about("LanguageModel.stream", Recurrent("gru", 3, 8, num_layers=2))
    'LanguageModel: 2 layers of GRU, 8 units'
    """
    layers = "" if stack.num_layers == 1 else f"{stack.num_layers} layers of "
    return f"{where.split('.')[0]}: {layers}{stack.traced.name}, {stack.hidden_size} units"


def some_steps(reads: Reads, count: int) -> np.ndarray:
    """Random steps such as the model was trained on: (count, I) float64, of numbers that float32 holds."""
    dice = np.random.default_rng(0)
    if isinstance(reads, Looked):
        return dice.integers(0, len(reads.table), (count, 1)).astype(np.float64)
    x = dice.normal(size=(count, reads.inputs))
    if isinstance(reads, Measured):
        x = x * reads.scale.numpy() + reads.mean.numpy()
    return x.astype(np.float32).astype(np.float64)
