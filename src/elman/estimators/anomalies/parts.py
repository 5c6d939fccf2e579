"""Normal data in three parts: to learn from, to choose the weights by, and to set the thresholds by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

FEW = 20
"""sequences below which the end of each is held back instead of whole ones"""


@dataclass(frozen=True)
class Parts:
    """Arrays (T, F) in three parts that share no step.

    few  whether they are stretches of few sequences, rather than whole sequences

    >>> parts = Parts.cut([np.arange(100.0)[:, None]], 0.1, 0.2, seed=0)
    >>> [len(part[0]) for part in (parts.learn, parts.choose, parts.calibrate)]
    [70, 10, 20]
    """

    learn: list[Array]
    choose: list[Array]
    calibrate: list[Array]
    few: bool

    @classmethod
    def cut(cls, arrays: Sequence[Array], validation: float, calibration: float, seed: int) -> Parts:
        """Sequences drawn by the seed; of fewer than 20, the end of each; where that leaves nothing, all calibrates."""
        few = len(arrays) < FEW
        if few:
            learn, choose, calibrate = [], [], []
            for a in arrays:
                last, middle = int(calibration * len(a)), int(validation * len(a))
                ends = len(a) - last - middle, len(a) - last
                for part, stretch in zip((learn, choose, calibrate), np.split(a, ends), strict=True):
                    part += [stretch] if len(stretch) else []
        else:
            order = np.random.default_rng(seed).permutation(len(arrays))
            last, middle = max(1, int(calibration * len(arrays))), int(validation * len(arrays))
            chosen = np.sort(order[last + middle :]), np.sort(order[last : last + middle]), np.sort(order[:last])
            learn, choose, calibrate = ([arrays[i] for i in part] for part in chosen)
        return cls(learn, choose, calibrate or list(arrays), few)

    def sequences(self, size: int) -> list[Array]:
        """What calibrates, as sequences: whole ones, or windows of so many steps where there are few."""
        if not self.few:
            return self.calibrate
        return [a[i : i + size] for a in self.calibrate for i in windows(len(a), size, size)]


def windows(steps: int, size: int, apart: int) -> list[int]:
    """Where the windows of a sequence begin: as many as cover it, the last one ending with it.

    >>> windows(10, 4, 4), windows(3, 4, 2)
    ([0, 4, 6], [0])
    """
    last = max(0, steps - size)
    return [*range(0, last, apart), last]
