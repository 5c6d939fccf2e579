"""A recurrent stack as ONNX: one step of it, or whole sequences by ONNX's own LSTM, GRU and RNN, or by Scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from elman.backends import TWINS, Weights
from elman.export.onnx.cell import write_projection, write_step
from elman.export.onnx.nodes import Nodes, Port
from elman.recurrent import Recurrent


class Operator(NamedTuple):
    """What ONNX calls a cell, the order in which it has the gates, and its options; `activation` is one a direction."""

    kind: str
    gates: tuple[str, ...]
    activation: str | None = None
    options: dict[str, Any] = {}


OPERATORS = {
    "RNN_TANH": Operator("RNN", ("h",), "Tanh"),
    "RNN_RELU": Operator("RNN", ("h",), "Relu"),
    "LSTM": Operator("LSTM", ("i", "o", "f", "g")),
    "GRU": Operator("GRU", ("z", "r", "n"), options={"linear_before_reset": 1}),
}
"""by torch's name of the cell"""


class Times(NamedTuple):
    """Which steps count: lengths (B,) int64, and for each step whether it is within its row's, (T, B, 1)."""

    lengths: str
    valid: str


def step_stack(out: Nodes, stack: Recurrent, x: str, state: Sequence[str]) -> tuple[str, list[str]]:
    """One step: x (B, F) and the state, each part (B, L, H), to the output (B, H) and the next state."""
    after: list[list[str]] = []
    for number, layer in enumerate(stack.layers):
        weights: Weights = layer.weights()  # pyright: ignore
        own = [out.op("Gather", part, out.number(number, np.int64), axis=1) for part in state]
        new = write_step(out, stack.traced, weights, write_projection(out, weights, x), own, stack.zoneout)
        after.append([out.op("Unsqueeze", part, out.axes(1)) for part in new])
        x = out.op("Add", x, new[0]) if stack.residual and number else new[0]
    return x, [out.join(parts, 1) for parts in zip(*after, strict=True)]


def sequence_stack(out: Nodes, stack: Recurrent, x: str, times: Times, state: Sequence[str]) -> tuple[str, list[str]]:
    """x (T, B, F) and the first state, each part (L·D, B, H), to the outputs (T, B, D·H) and the last state.

    As in `Recurrent`, outputs past a row's length are 0 and its state stays.
    """
    after, operator = list[list[str]](), operator_of(stack)
    parts = [out.split(part, [stack.directions] * stack.num_layers, 0) for part in state]
    for number, own in enumerate(zip(*parts, strict=True)):
        first = number * stack.directions
        layers = [layer.weights() for layer in stack.layers[first : first + stack.directions]]  # pyright: ignore
        if operator is None:
            y, last = _by_scan(out, stack, layers, x, times, own)
        else:
            y, last = _by_operator(out, operator, stack, layers, x, times, own)
        after.append(last)
        x = out.op("Add", x, y) if stack.residual and number else y
    return x, [out.join(parts, 0) for parts in zip(*after, strict=True)]


def operator_of(stack: Recurrent) -> Operator | None:
    """ONNX's own operator for the stack's cell; None where it has none, or none with these options."""
    twin = TWINS.get(type(stack.cell))
    return None if twin is None or stack.layer_norm or stack.zoneout else OPERATORS[twin.mode]


def _by_operator(
    out: Nodes,
    operator: Operator,
    stack: Recurrent,
    layers: Sequence[Weights],
    x: str,
    times: Times,
    state: Sequence[str],
) -> tuple[str, list[str]]:
    order = [stack.traced.gates.index(gate) for gate in operator.gates]

    def ordered(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values.detach().split(stack.hidden_size)[i] for i in order])

    W, R = (torch.stack([ordered(getattr(w, name)) for w in layers]) for name in "WR")
    b = torch.stack([torch.cat([ordered(values) for values in w.biases()]) for w in layers])
    lengths = out.op("Cast", times.lengths, to=out.onnx.TensorProto.INT32)
    options = {"hidden_size": stack.hidden_size, "direction": "bidirectional" if stack.bidirectional else "forward"}
    if operator.activation:
        options["activations"] = [operator.activation] * len(layers)
    given = (x, *map(out.number, (W, R, b)), lengths, *state)
    y, *last = out.ops(operator.kind, given, 1 + len(state), **options, **operator.options)
    y = out.op("Reshape", out.op("Transpose", y, perm=[0, 2, 1, 3]), out.axes(0, 0, stack.output_size))
    # The standard does not say what stands past a row's length, nor what is left of one without steps.
    some = out.op("Unsqueeze", out.op("Greater", times.lengths, out.number(0, np.int64)), out.axes(1))
    kept = [out.op("Where", some, new, old) for new, old in zip(last, state, strict=True)]
    return out.op("Where", times.valid, y, out.number(0.0)), kept


def _by_scan(
    out: Nodes, stack: Recurrent, layers: Sequence[Weights], x: str, times: Times, state: Sequence[str]
) -> tuple[str, list[str]]:
    outputs, lasts = [], []
    for way, weights in enumerate(layers):
        own = [out.op("Gather", part, out.number(way, np.int64), axis=0) for part in state]
        pre = write_projection(out, weights, x)
        body = _body(Nodes(out), stack, weights)
        *last, y = out.ops(
            "Scan",
            (*own, pre, times.valid),
            len(own) + 1,
            body=body,
            num_scan_inputs=2,
            scan_input_directions=[way, way],
            scan_output_directions=[way],
        )
        outputs.append(y)
        lasts.append([out.op("Unsqueeze", part, out.axes(0)) for part in last])
    return out.join(outputs, 2), [out.join(parts, 0) for parts in zip(*lasts, strict=True)]


def _body(inside: Nodes, stack: Recurrent, weights: Weights) -> Any:
    """What happens at each step: the state, what is read and whether it counts, to the next state and the output."""
    names, units = stack.cell.states, stack.hidden_size
    *state, pre, valid = inside.names(*names, "pre", "valid")
    new = write_step(inside, stack.traced, weights, pre, state, stack.zoneout)
    new = [inside.op("Where", valid, *pair) for pair in zip(new, state, strict=True)]
    y = inside.op("Where", valid, new[0], inside.number(0.0))
    kind, rows = np.float32, "B"
    given = [Port(name, kind, (rows, units)) for name in state]
    given += [Port(pre, kind, (rows, len(stack.traced.gates) * units)), Port(valid, np.bool_, (rows, 1))]
    made = [Port(name, kind, (rows, units)) for name in (*new, y)]
    return inside.graph("step", given, made, body=True)
