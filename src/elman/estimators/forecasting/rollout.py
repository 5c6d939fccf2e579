"""Forecasts from a trained net: all steps at once, or sampled paths that feed each step to the next."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from elman.estimators.forecasting.network import ForecastNetwork, Said
from elman.estimators.forecasting.windows import Windows

Array = np.ndarray
# Rows that go through the net together: enough to be efficient, few enough to fit into the cache.
ROWS = 2048


@torch.no_grad()
def direct(network: ForecastNetwork, windows: Windows, cutoff: Array, horizon: int, levels: Tensor) -> Array:
    """Quantiles (N, horizon, Q) of all steps in one pass, on the scale of the track."""
    parts, context = [], windows.shape.context
    for rows in np.array_split(np.arange(len(cutoff)), -(-len(cutoff) // ROWS)):
        scale = windows.scale(rows, cutoff[rows])
        x = windows.read(rows, cutoff[rows], scale, np.arange(context + horizon), cutoff[rows])
        said, _ = network(_on(network, x))
        z = _quantile(network, said, levels)[:, context:]
        parts.append(scale.center[..., None] + scale.spread[..., None] * z)
    return np.concatenate(parts)


@torch.no_grad()
def sampled(
    network: ForecastNetwork, windows: Windows, cutoff: Array, horizon: int, levels: Tensor, paths: int, seed: int
) -> Array:
    """Quantiles (N, horizon, Q) over `paths` futures, each step drawn from the forecast and fed to the next."""
    dice = torch.Generator().manual_seed(seed)
    parts = []
    for rows in np.array_split(np.arange(len(cutoff)), -(-len(cutoff) * paths // ROWS)):
        if len(rows):
            drawn = _draw(network, windows, rows, cutoff[rows], horizon, paths, dice)
            parts.append(np.moveaxis(np.quantile(drawn, levels.numpy(), axis=1), 0, -1))
    return np.concatenate(parts)


def _draw(
    network: ForecastNetwork,
    windows: Windows,
    rows: Array,
    cutoff: Array,
    horizon: int,
    paths: int,
    dice: torch.Generator,
) -> Array:
    """Sampled futures (n, paths, horizon). The context runs once for each series, its last state once for each path."""
    context = windows.shape.context
    scale = windows.scale(rows, cutoff)
    x = windows.read(rows, cutoff, scale, np.arange(context), cutoff)
    _, state = network(_on(network, x))
    state = tuple(s.repeat_interleave(paths, 1) for s in state)
    many, scale, cutoff = _repeated(windows, rows, paths), scale.repeat(paths), np.repeat(cutoff, paths)
    own = np.arange(len(cutoff))
    drawn = np.empty((len(cutoff), horizon))
    for ahead in range(horizon):
        x = many.read(own, cutoff, scale, np.array([context + ahead]), cutoff + ahead)
        said, state = network(_on(network, x), state)
        u = torch.rand(len(cutoff), 1, 1, generator=dice, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        z = _quantile(network, said, u)[:, 0]
        drawn[:, ahead] = (scale.center + scale.spread * z)[:, 0]
        many.track.put(cutoff + ahead, drawn[:, ahead])
    return drawn.reshape(len(rows), paths, horizon)


def _repeated(windows: Windows, rows: Array, paths: int) -> Windows:
    index = np.repeat(rows, paths)
    numbers, codes = ((known[index], past[index]) for known, past in (windows.numbers, windows.codes))
    return Windows(windows.track.take(index), numbers, codes, windows.shape, windows.log, windows.level, windows.least)


def _on(network: ForecastNetwork, x: Array) -> Tensor:
    return torch.from_numpy(x).to(next(network.parameters()).device)


def _quantile(network: ForecastNetwork, said: Said, u: Tensor) -> Array:
    p, location, center, spread = (part.float() for part in said)
    u = u.to(p.device).expand(*p.shape[:-1], u.shape[-1])
    return network.output.quantile(p, location, center, spread, u).cpu().double().numpy()
