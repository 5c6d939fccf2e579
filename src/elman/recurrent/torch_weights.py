"""Weights between `torch.nn`'s recurrent modules and ours, both ways."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from elman.cells import GRU, LSTM, Cell, Elman, ElmanRelu
from elman.errors import OptionError
from elman.recurrent.layer import Layer
from elman.recurrent.stack import Recurrent

# torch's module (and nonlinearity) for each cell. The gates of these cells are declared in torch's order.
TWINS: dict[type[Cell], tuple[type[nn.RNNBase], dict[str, Any]]] = {
    Elman: (nn.RNN, {"nonlinearity": "tanh"}),
    ElmanRelu: (nn.RNN, {"nonlinearity": "relu"}),
    LSTM: (nn.LSTM, {}),
    GRU: (nn.GRU, {}),
}
# Options of a stack that torch's modules do not have.
OURS_ALONE = ("recurrent_dropout", "zoneout", "layer_norm", "residual", "learn_initial_state")


def from_torch(kind: type[Recurrent], module: nn.RNNBase) -> Recurrent:
    """A `Recurrent` with the weights of a `torch.nn.RNN`, `LSTM` or `GRU`; raises `OptionError` for `proj_size`."""
    cell = _cell_of(module)
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
        for suffix, layer in _pairs(ours):
            _read(layer, {name: getattr(module, f"{name}_{suffix}", None) for name in _NAMES})
    return ours.train(module.training)


def to_torch(ours: Recurrent) -> nn.RNNBase:
    """The `torch.nn` module with this net's weights."""
    if type(ours.cell) not in TWINS:
        raise OptionError(f"Recurrent.to_torch: torch.nn has no {ours.traced.name}; it has RNN, LSTM and GRU.")
    if used := [name for name in OURS_ALONE if getattr(ours, name)]:
        raise OptionError(f"Recurrent.to_torch: torch.nn has no {used[0]}; only a net without it can be handed over.")
    kind, options = TWINS[type(ours.cell)]
    sizes = ours.input_size, ours.hidden_size, ours.num_layers
    weight = ours.layers[0].W
    module = cast(Any, kind)(
        *sizes,
        bidirectional=ours.bidirectional,
        batch_first=ours.batch_first,
        dropout=ours.dropout,
        device=weight.device,
        dtype=weight.dtype,
        **options,
    )
    with torch.no_grad():
        for suffix, layer in _pairs(ours):
            _write(layer, {name: getattr(module, f"{name}_{suffix}") for name in _NAMES})
    return module.train(ours.training)


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _cell_of(module: nn.RNNBase) -> type[Cell]:
    for cell, (kind, options) in TWINS.items():
        if isinstance(module, kind) and all(getattr(module, name) == value for name, value in options.items()):
            return cell
    raise OptionError(f"Recurrent.from_torch: expected torch.nn.RNN, LSTM or GRU, got {type(module).__name__}.")


def _pairs(ours: Recurrent) -> Any:
    names = [f"l{n}{way}" for n in range(ours.num_layers) for way in ("", "_reverse")[: ours.directions]]
    return zip(names, ours.layers, strict=True)


def _read(layer: Layer, theirs: dict[str, Tensor | None]) -> None:
    """torch keeps two biases for every gate; where only the sum x + r is read, one bias holds theirs added up."""
    mine, gates = layer.by_gate(), layer.traced.cell.gates

    def of(name: str) -> dict[str, Tensor]:
        value = theirs[name]
        zeros = layer.W.new_zeros(len(gates) * layer.hidden_size)
        return dict(zip(gates, (zeros if value is None else value).chunk(len(gates)), strict=True))

    for gate in gates:
        getattr(mine.W, gate).copy_(of("weight_ih")[gate])
        getattr(mine.R, gate).copy_(of("weight_hh")[gate])
        both = of("bias_ih")[gate] + (0 if gate in layer.traced.apart else of("bias_hh")[gate])
        getattr(mine.b, gate).copy_(both)
    for gate in layer.traced.apart:
        getattr(mine.b_r, gate).copy_(of("bias_hh")[gate])


def _write(layer: Layer, theirs: dict[str, Tensor]) -> None:
    mine, gates = layer.by_gate(), layer.traced.cell.gates
    parts = {name: dict(zip(gates, value.chunk(len(gates)), strict=True)) for name, value in theirs.items()}
    for gate in gates:
        parts["weight_ih"][gate].copy_(getattr(mine.W, gate))
        parts["weight_hh"][gate].copy_(getattr(mine.R, gate))
        parts["bias_ih"][gate].copy_(getattr(mine.b, gate))
        apart = gate in layer.traced.apart
        parts["bias_hh"][gate].copy_(
            getattr(mine.b_r, gate) if apart else torch.zeros_like(layer.b[: layer.hidden_size])
        )
