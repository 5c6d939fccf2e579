"""A fitted model as one step: in PyTorch, as C, and carried along a sequence that is still coming."""

from elman.steps.causal import Causal, StackStep
from elman.steps.pipeline import Pipeline
from elman.steps.stream import Stream

__all__ = ["Causal", "Pipeline", "StackStep", "Stream"]
