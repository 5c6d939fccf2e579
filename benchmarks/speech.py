"""The free spoken digit dataset, as the benchmarks read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 8000


@dataclass(frozen=True)
class Digits:
    """3000 recordings by six speakers: samples of each in [-1, 1], which digit, who, and whether it is to judge by."""

    sounds: list[np.ndarray]
    digit: np.ndarray
    speaker: np.ndarray
    test: np.ndarray


def spoken_digits(folder: Path) -> Digits:
    """The test recordings are, as its authors say, each speaker's first five of each digit."""
    with np.load(folder / "speech" / "fsdd_8khz_int16.npz") as data:
        sounds = np.split(data["audio"] / np.float32(2**15), data["offsets"][1:-1])
        return Digits(sounds, data["digit"].astype(int), data["speaker"], data["index"] < 5)
