"""What goes on inside a net in a pass: every state and every gate, step by step, gradients within reach."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.backends import Pass
from elman.backends.eager import Eager
from elman.graph import Graph, Traced
from elman.recurrent.layer import Layer

LINEAR = {"add", "sub", "neg", "mul", "div"}
"""what may lie between a pre-activation and the function that is applied to it"""
COMPARED = {"gt", "ge", "lt", "le", "eq", "ne", "and", "or", "not"}


@dataclass
class Record:
    """One layer in one direction, as it went through a batch.

    layer    whose weights these are, and
    reverse  whether it began at the end
    lengths  (B,) valid steps of each row; None: all
    states   of each step, by its place in time: each part (B, H), the output first; on the graph of autograd
    gates    of each gate its activations, (T, B, H): σ(x_i + r_i), tanh(…), what the cell makes of the pre-activation
    """

    layer: Layer
    reverse: bool
    lengths: Tensor | None
    states: list[tuple[Tensor, ...]] = field(default_factory=list)
    gates: dict[str, Tensor] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """T."""
        return len(self.states)


def activations(traced: Traced) -> dict[str, int]:
    """Which node of the forward graph is what the cell makes of each gate's pre-activation: the first function of it.

    >>> from elman.cells import GRU
    >>> from elman.graph import trace
    >>> gru = trace(GRU())
    >>> [(gate, gru.forward.nodes[node].op) for gate, node in sorted(activations(gru).items())]
    [('n', 'tanh'), ('r', 'sigmoid'), ('z', 'sigmoid')]
    """
    return {gate: _first_function(traced.forward, f"x.{gate}") for gate in traced.gates}


def _first_function(graph: Graph, name: str) -> int:
    begin = next((i for i, node in enumerate(graph.nodes) if node.op == "input" and node.args[0] == name), 0)
    reached = {begin}
    for number, node in enumerate(graph.nodes):
        if node.op in ("input", "const") or node.op in COMPARED or reached.isdisjoint(node.args):
            continue
        if node.op not in LINEAR:
            return number
        reached.add(number)
    return begin  # it is used as it is


@contextlib.contextmanager
def recorded(net: nn.Module) -> Iterator[list[Record]]:
    """Within the block, each pass of a layer of `net` adds a `Record`, in the order of the passes.

    The pass runs on the interpreter, whatever the backend: slower, and the same to rounding.

    >>> import elman
    >>> rnn = elman.Recurrent("lstm", 3, 4, num_layers=2)
    >>> with recorded(rnn) as records:
    ...     y, _ = rnn(torch.zeros(2, 5, 3))
    >>> len(records), records[0].gates["f"].shape, len(records[1].states)
    (2, torch.Size([5, 2, 4]), 5)
    """
    records: list[Record] = []
    layers = [module for module in net.modules() if isinstance(module, Layer)]
    for layer in layers:
        layer.forward = functools.partial(_forward, layer, records)  # type: ignore[method-assign]
    try:
        yield records
    finally:
        for layer in layers:
            del layer.forward


def _forward(
    layer: Layer, records: list[Record], x: Tensor, state: tuple[Tensor, ...], how: Pass, backend: str = "auto"
) -> tuple[Tensor, tuple[Tensor, ...]]:
    graph = layer.traced.forward
    named = {f"gate {gate}": node for gate, node in activations(layer.traced).items()}
    traced = replace(layer.traced, forward=Graph(graph.nodes, {**graph.outputs, **named}))
    states: dict[int, tuple[Tensor, ...]] = {}
    gates: dict[int, list[Any]] = {}

    def see(t: int, found: Mapping[str, Any], new: tuple[Tensor, ...]) -> None:
        states[t], gates[t] = new, [torch.as_tensor(found[name]).expand_as(new[0]) for name in named]

    y, last = Eager(see).unroll(traced, layer.weights(), x, state, replace(how, segment=None))
    record = Record(layer, how.reverse, how.lengths, [states[t] for t in range(len(states))])
    columns = zip(*(gates[t] for t in range(len(gates))), strict=True)
    record.gates = {gate: torch.stack(values) for gate, values in zip(layer.traced.gates, columns, strict=False)}
    records.append(record)
    return y, last
