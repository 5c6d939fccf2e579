"""Trainings that are told to stop."""

from __future__ import annotations

import signal

from elman.training.progress import Silent


class StopAfter(Silent):
    """A progress that asks for a stop, as Ctrl-C does, after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, *told) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
