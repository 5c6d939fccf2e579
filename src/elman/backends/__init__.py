"""Backends: an operation → code table and one time loop that knows no cell."""

from elman.backends.base import Backend, Pass, Stepper, Weights
from elman.backends.builtin import TWINS
from elman.backends.select import BACKENDS, check_backend, explain, select

__all__ = ["BACKENDS", "TWINS", "Backend", "Pass", "Stepper", "Weights", "check_backend", "explain", "select"]
