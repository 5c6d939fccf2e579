"""Weights between `torch.nn`'s recurrent modules and ours, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from elman.backends import TWINS, Weights
from elman.cells import Cell
from elman.errors import OptionError
from elman.graph import Traced
from elman.recurrent.stack import Recurrent

# Options of a stack that torch's modules do not have.
OURS_ALONE = ("recurrent_dropout", "zoneout", "layer_norm", "residual", "learn_initial_state")


def from_torch(kind: type[Recurrent], module: nn.RNNBase) -> Recurrent:
    """A `Recurrent` with the weights of a `torch.nn.RNN`, `LSTM` or `GRU`; raises `OptionError` for `proj_size`."""
    cell = twin_of(module)
    if getattr(module, "proj_size", 0):
        raise OptionError("Recurrent.from_torch: a projected LSTM (proj_size > 0) has no counterpart here.")
    weight: Tensor = module.weight_ih_l0  # pyright: ignore[reportAssignmentType]
    ours = kind(
        cell,
        module.input_size,
        module.hidden_size,
        module.num_layers,
        bidirectional=module.bidirectional,
        batch_first=module.batch_first,
        dropout=module.dropout,
        device=weight.device,
        dtype=weight.dtype,
    )
    with torch.no_grad():
        module._update_flat_weights()
        for suffix, layer in _pairs(ours):
            theirs = weights_of(named_weights(module), ours.traced, suffix)
            for mine, value in ((layer.W, theirs.W), (layer.R, theirs.R), (layer.b, theirs.b), (layer.b_r, theirs.b_r)):
                if value is not None:
                    mine.copy_(value)
    return ours.train(module.training)


def to_torch(ours: Recurrent) -> nn.RNNBase:
    """The `torch.nn` module with this net's weights."""
    if type(ours.cell) not in TWINS:
        raise OptionError(f"Recurrent.to_torch: torch.nn has no {ours.traced.name}; it has RNN, LSTM and GRU.")
    if used := [name for name in OURS_ALONE if getattr(ours, name)]:
        raise OptionError(f"Recurrent.to_torch: torch.nn has no {used[0]}; only a net without it can be handed over.")
    twin = TWINS[type(ours.cell)]
    sizes = ours.input_size, ours.hidden_size, ours.num_layers
    weight = ours.layers[0].W
    module = cast(Any, twin.module)(
        *sizes,
        bidirectional=ours.bidirectional,
        batch_first=ours.batch_first,
        dropout=ours.dropout,
        device=weight.device,
        dtype=weight.dtype,
        **twin.options,
    )
    with torch.no_grad():
        for suffix, layer in _pairs(ours):
            weights = layer.weights()
            values = weights.W, weights.R, *weights.biases()
            for name, value in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), values, strict=True):
                getattr(module, f"{name}_{suffix}").copy_(value)
    return module.train(ours.training)


def twin_of(module: nn.RNNBase) -> type[Cell]:
    """The cell that an RNN, LSTM or GRU of torch.nn or elman.nn computes; raises `OptionError` for any other module."""
    for cell, twin in TWINS.items():
        if isinstance(module, nn.RNNBase) and module.mode == twin.mode:
            return cell
    raise OptionError(f"Recurrent.from_torch: expected torch.nn.RNN, LSTM or GRU, got {type(module).__name__}.")


def named_weights(module: nn.RNNBase) -> dict[str, Tensor]:
    """Weights by torch's names, computed ones (weight_norm, pruning) as they were when torch last computed them."""
    return dict(zip(module._flat_weights_names, cast(list[Tensor], module._flat_weights), strict=True))


def weights_of(named: Mapping[str, Tensor], traced: Traced, suffix: str) -> Weights:
    """The weights of one direction of one layer, "l0" or "l0_reverse", as a backend takes them.

    torch keeps two biases for every gate; where only the sum x + r is read, one bias holds theirs added up.
    """
    W, R = named[f"weight_ih_{suffix}"], named[f"weight_hh_{suffix}"]
    zeros = None if f"bias_ih_{suffix}" in named else W.new_zeros(len(W))
    b, b_r = (named[f"bias_{side}_{suffix}"] if zeros is None else zeros for side in ("ih", "hh"))
    if not traced.apart:
        return Weights(W, R, b + b_r)
    split = W.shape[0] // len(traced.gates) * len(traced.summed)
    return Weights(W, R, torch.cat([b[:split] + b_r[:split], b[split:]]), b_r[split:])


def _pairs(ours: Recurrent) -> Any:
    names = [f"l{n}{way}" for n in range(ours.num_layers) for way in ("", "_reverse")[: ours.directions]]
    return zip(names, ours.layers, strict=True)
