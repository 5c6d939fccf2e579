"""The random generators that a model may draw from while it trains: set, saved, put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def capture() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The states of torch's generators as tensors, Python's and NumPy's as plain JSON."""
    tensors = {"cpu": torch.get_rng_state()}
    for index in range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0):
        tensors[f"cuda{index}"] = torch.cuda.get_rng_state(index)
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    numpy_state = [np.asarray(keys).tolist(), position, has_gauss, gauss]
    version, words, pending = random.getstate()
    return tensors, {"python": [version, list(words), pending], "numpy": numpy_state}


def restore(tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    """Takes every generator back to where `capture` found it; a GPU that is gone is passed over."""
    torch.set_rng_state(tensors["cpu"])
    for index in range(torch.cuda.device_count()):
        if f"cuda{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda{index}"], index)
    version, words, pending = plain["python"]
    random.setstate((version, tuple(words), pending))
    keys, position, has_gauss, gauss = plain["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, gauss))


def start(*seeds: int) -> None:
    """All generators anew, from the seed that is given or, of several, from what they make together."""
    seed = seeds[0] if len(seeds) == 1 else int(np.random.SeedSequence(seeds).generate_state(1)[0])
    # Not torch.manual_seed: of a GPU that is not in use yet it would decide what it draws after `isolated`.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Within the block all generators start from `seed`; afterwards the caller's are as if nothing had happened.

    >>> before = torch.get_rng_state()
    >>> with isolated(0):
    ...     _ = torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    outside = capture()
    start(seed)
    try:
        yield
    finally:
        restore(*outside)
