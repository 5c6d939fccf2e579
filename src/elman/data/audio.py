"""Sound as sequences: wav files, and the energies of mel bands that a net hears them by."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from elman.data.text_file import read_bytes
from elman.errors import DataError, OptionError

Array = np.ndarray


def read_wav(path: Path | str) -> tuple[Array, int]:
    """Samples (T,) in [-1, 1], of several channels the mean, and samples per second.

    Raises `DataError` for a file that is missing, broken or without a sample.
    """
    try:
        import soundfile
    except ImportError:
        raise DataError(f"{path}: sound needs the package soundfile. Run: pip install soundfile") from None
    data = read_bytes(Path(path), str(path))
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as problem:
        reason = " ".join(str(getattr(problem, "error_string", problem)).split())
        raise DataError(f"{path}: must be a sound file (wav, flac, ogg), got {reason} Mend or leave it out.") from None
    if not len(samples):
        raise DataError(f"{path}: must have a sample, got none. Leave it out.")
    return samples.mean(1), int(rate)


def log_mel(
    samples: Array, rate: int, *, bands: int = 40, window: float = 0.025, hop: float = 0.010, depth: float = 12.0
) -> Array:
    """What is heard: log energies of mel bands, (T, bands), one row every `hop` seconds of `window` seconds.

    With the power spectrum P_t of each Hann window and triangles M that are evenly spaced in mel(f)::

        mel(f) = 2595 log10(1 + f / 700)
        e_t = log(M P_t + 1e-6)
        x_t = max(e_t, max e - depth) - mean over t

    What is fainter than the loudest by more than `depth` nats (12: 52 decibels) counts as silence, whatever noise it
    is; of single words 6 may be better.
    The mean is of the room, the microphone and the voice, so that it is left out.
    Source: Davis & Mermelstein 1980, doi:10.1109/TASSP.1980.1163420.

    >>> log_mel(np.sin(np.arange(8000) * 0.3), 8000).shape
    (101, 40)
    """
    if rate < 1 or bands < 1 or not 0 < hop <= window:
        raise OptionError(
            f"log_mel: rate and bands must be at least 1 and 0 < hop ≤ window, got {rate}, {bands}, {hop}, {window}."
        )
    size, step = max(2, round(window * rate)), max(1, round(hop * rate))
    points = 2 ** (size - 1).bit_length()
    x = torch.as_tensor(np.asarray(samples, np.float32))
    if x.ndim != 1 or not len(x):
        raise DataError(f"log_mel: samples must be (T,) with T ≥ 1, got {tuple(x.shape)}. Give one channel.")
    x = torch.nn.functional.pad(x, (points // 2, points // 2))
    spectrum = torch.stft(
        x, points, step, size, window=torch.hann_window(size), center=False, return_complex=True
    ).abs()
    heard = torch.log(triangles(rate, points, bands) @ spectrum.square() + 1e-6).T
    heard = heard.clamp(min=float(heard.max()) - depth)
    return (heard - heard.mean(0)).numpy()


@lru_cache(maxsize=8)
def triangles(rate: int, points: int, bands: int) -> Tensor:
    """Weights (bands, points // 2 + 1) of a spectrum's lines: triangles whose corners are evenly spaced in mel."""
    lines = torch.linspace(0, rate / 2, points // 2 + 1)
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = torch.from_numpy(700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)).float()
    low, middle, high = (corners[i : i + bands, None] for i in range(3))
    return torch.minimum((lines - low) / (middle - low), (high - lines) / (high - middle)).clamp(min=0)
