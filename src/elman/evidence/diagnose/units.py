"""What gates, units and recurrent matrices are like: means, saturation, dead units, spectra."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elman.recurrent.inside import Record, activations
from elman.recurrent.layer import Layer

FULL = 0.95
"""share of its range beyond which a unit or a gate is called saturated"""
STILL = 1e-4
"""standard deviation of h below which a unit is called dead"""


@dataclass(frozen=True)
class Gate:
    """One gate of a layer on a batch: its mean, and the share of its values at either end of its range."""

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Units:
    """One layer in one direction on a batch.

    gates      those that a σ or a tanh bounds
    dead       share of units that hardly move, and
    saturated  that are nearly always at an end of their range, where outputs are bounded
    radius     greatest |eigenvalue| of each gate's R
    singular   its least and greatest singular value
    """

    gates: tuple[Gate, ...]
    dead: float
    saturated: float
    radius: dict[str, float]
    singular: dict[str, tuple[float, float]]


def units_of(record: Record) -> Units:
    """What a record shows."""
    valid = _valid(record)
    traced, bounded = record.layer.traced, {"sigmoid": 0.0, "tanh": -1.0}
    ops = {gate: traced.forward.nodes[node].op for gate, node in activations(traced).items()}
    gates = []
    for name, values in record.gates.items():
        if ops[name] not in bounded:
            continue
        some, least = values.detach()[valid].double(), bounded[ops[name]]
        share = (some - least) / (1 - least)
        gates.append(
            Gate(
                name,
                float(some.mean()),
                float((share < 1 - FULL).double().mean()),
                float((share > FULL).double().mean()),
            )
        )
    h = torch.stack([state[0].detach() for state in record.states])[valid].double()
    still = h.std(0) < STILL
    full = (h.abs() > FULL).double().mean(0) > FULL if float(h.abs().max()) <= 1 else torch.zeros(h.shape[1])
    return Units(tuple(gates), float(still.double().mean()), float(full.double().mean()), *spectra(record.layer))


def spectra(layer: Layer) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Spectral radius and extreme singular values of each gate's recurrent matrix.

    >>> import elman
    >>> radius, singular = spectra(elman.Recurrent("elman", 2, 8).layers[0])      # it starts orthogonal
    >>> round(radius["h"], 4), tuple(round(s, 4) for s in singular["h"])
    (1.0, (1.0, 1.0))
    """
    radius, singular = {}, {}
    blocks = vars(layer.by_gate().R)
    for gate, block in blocks.items():
        R = block.detach().double().cpu()
        values = torch.linalg.svdvals(R)
        radius[gate] = float(torch.linalg.eigvals(R).abs().max())
        singular[gate] = (float(values[-1]), float(values[0]))
    return radius, singular


def _valid(record: Record) -> Tensor:
    """(T, B): steps within each row's length."""
    steps, rows = record.steps, len(record.states[0][0])
    if record.lengths is None:
        return torch.ones(steps, rows, dtype=torch.bool)
    return torch.arange(steps)[:, None] < record.lengths.cpu()
