"""A model as an ONNX graph of one step, or of whole sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from elman.errors import OptionError
from elman.export.onnx.layers import Times, sequence_stack, step_stack
from elman.export.onnx.nodes import Nodes, Port
from elman.export.onnx.parts import POOLS, READS, SAYS, WHOLE_POOLS, check_whole
from elman.export.onnx.path import write_path
from elman.recurrent import Recurrent
from elman.steps import Pipeline, StackStep
from elman.steps.parts import Chain, Part, Reads, Says
from elman.steps.writer import as_array

NEXT = "_next"
"""what the name of an output of the state ends with"""


@dataclass(frozen=True)
class Made:
    """A graph, and what is to be known about it besides.

    parts  of the state that goes in and comes out, each (B, *shape)
    first  the state before the first step, each part (*shape)
    """

    proto: Any
    parts: tuple[Part, ...] = ()
    first: tuple[np.ndarray, ...] = ()


def step_model(step: StackStep) -> Made:
    """x (B, I) and the state to y (B, K) and the next state."""
    out, reading = Nodes(), READS[type(step.reads)]
    ports = [Port("x", reading.kind, ("B", step.inputs)), *_state_ports(step.where, step.parts)]
    count, pooled = len(step.stack.cell.states), len(step.pooling.parts)
    names = [part.name for part in step.parts]
    own, middle, end = names[:count], names[count : count + pooled], names[count + pooled :]
    h, after = step_stack(out, step.stack, reading.write(out, step.reads, "x"), own)
    h, middle = POOLS[type(step.pooling)](out, step.pooling, h, middle)
    z = h if step.head is None else out.linear(h, step.head.weight, step.head.bias)
    y, end = SAYS[type(step.says)](out, step.says, z, end)
    outputs = [Port(out.call("y", y), np.float32, ("B", step.outputs))]
    outputs += _next_state(out, step.parts, [*after, *middle, *end])
    return Made(out.model("step", ports, outputs), step.parts, _first(step.initial(1)))


def net_model(stack: Recurrent) -> Made:
    """x (B, T, F), lengths (B,) and the state, each part (B, L·D, H), to y (B, T, D·H) and the last state."""
    out, states, shape = Nodes(), stack.cell.states, (len(stack.layers), stack.hidden_size)
    parts = tuple(Part(name, shape, stack.cell.initial.get(name, 0.0)) for name in states)
    x, times = _by_time(out, np.float32)
    own = [out.op("Transpose", name, perm=[1, 0, 2]) for name in states]
    y, last = sequence_stack(out, stack, x, times, own)
    ports = [*_sequence_ports(np.float32, stack.input_size), *_state_ports("Recurrent", parts)]
    y = out.call("y", out.op("Transpose", y, perm=[1, 0, 2]))
    last = [out.op("Transpose", part, perm=[1, 0, 2]) for part in last]
    outputs = [Port(y, np.float32, ("B", "T", stack.output_size)), *_next_state(out, parts, last)]
    first = tuple(part.transpose(0, 1) for part in stack.initial_state(1))
    return Made(out.model("sequence", ports, outputs), parts, _first(first))


def sequence_model(line: Pipeline) -> Made:
    """x (B, T, I) and lengths (B,) to y (B, K), or (B, T, K) where each step has an answer, (B, T) of a best path."""
    stack, reads = line.stack, line.reads or Reads(line.stack.input_size)
    says = line.says or Says(stack.output_size if line.head is None else line.head.out_features)
    check_whole(line.where, reads)
    out, reading = Nodes(), READS[type(reads)]
    x, times = _by_time(out, reading.kind)
    read = reading.write(out, reads, x)
    if line.joins is not None:
        read, times = _joined(out, line.joins, out.op("Where", times.valid, read, out.number(0.0)), times)
    size = out.join([out.axes(1), out.op("Shape", "x", start=0, end=1), out.axes(1)], 0)
    first = [out.op("Expand", out.number(part), size) for part in stack.initial_state(1)]
    y, last = sequence_stack(out, stack, read, times, first)
    if line.pooling is not None:
        top = out.split(last[0], [stack.directions] * stack.num_layers, 0)[-1]
        y = WHOLE_POOLS[type(line.pooling)](out, line.pooling, y, top, times)
    z = y if line.head is None else out.linear(y, line.head.weight, line.head.bias)
    kind, shape = np.float32, ("B", says.outputs)
    if isinstance(says, Chain):
        y = out.op("Squeeze", write_path(out, says, z, times), out.axes(2))
        y, kind, shape = out.op("Transpose", y, perm=[1, 0]), np.int64, ("B", "T")
    else:
        y, _ = SAYS[type(says)](out, says, z, [])
        if line.pooling is None:
            y = out.op("Transpose", out.op("Where", times.valid, y, out.number(0.0)), perm=[1, 0, 2])
            shape = ("B", "T", says.outputs)
    ports = _sequence_ports(reading.kind, reads.inputs)
    return Made(out.model("sequence", ports, [Port(out.call("y", y), kind, shape)]))


def _by_time(out: Nodes, kind: Any) -> tuple[str, Times]:
    """x as (T, B, I), 0 past the lengths, whatever stood there; and which steps count."""
    times = _times(out, out.op("Shape", "x", start=1, end=2), "lengths")
    return out.op("Where", times.valid, out.op("Transpose", "x", perm=[1, 0, 2]), out.number(0, kind)), times


def _times(out: Nodes, steps: str, lengths: str) -> Times:
    """Which of so many steps, (1,), are within their row's length."""
    zero, one = out.number(0, np.int64), out.number(1, np.int64)
    each = out.op("Range", zero, out.op("Squeeze", steps, out.axes(0)), one)
    valid = out.op("Less", out.op("Unsqueeze", each, out.axes(1)), lengths)
    return Times(lengths, out.op("Unsqueeze", valid, out.axes(2)))


def _joined(out: Nodes, joins: Any, x: str, times: Times) -> tuple[str, Times]:
    """x (T, B, F), 0 past the lengths, to (⌈T / stride⌉, B, size), and which of these steps count."""
    stride, before = out.axes(joins.stride), out.axes(joins.before)

    def fewer(count: str) -> str:
        return out.op("Div", out.op("Add", count, out.axes(joins.stride - 1)), stride)

    steps = out.op("Shape", x, start=0, end=1)
    room = out.op("Mul", out.op("Add", fewer(steps), out.axes(3)), stride)
    after = out.op("Sub", room, out.op("Add", steps, before))
    pads = out.join([out.axes(0, 0, joins.before, 0, 0), after], 0)
    padded = out.op("Pad", out.op("Transpose", x, perm=[1, 2, 0]), pads)
    weights = out.number(joins.convolution.weight), out.number(joins.convolution.bias)
    y = out.op("Relu", out.op("Conv", padded, *weights, strides=[joins.stride]))
    return out.op("Transpose", y, perm=[2, 0, 1]), _times(out, fewer(steps), fewer(times.lengths))


def _sequence_ports(kind: Any, inputs: int) -> list[Port]:
    return [Port("x", kind, ("B", "T", inputs)), Port("lengths", np.int64, ("B",))]


def _state_ports(where: str, parts: tuple[Part, ...]) -> list[Port]:
    taken = {"x", "y", "lengths"}
    for part in parts:
        if {part.name, part.name + NEXT} & taken:
            raise OptionError(f"{where}: a state named {part.name!r} has the name of another value. Rename it.")
        taken |= {part.name, part.name + NEXT}
    return [Port(part.name, np.float32, ("B", *part.shape)) for part in parts]


def _next_state(out: Nodes, parts: tuple[Part, ...], values: list[str]) -> list[Port]:
    named = [out.call(part.name + NEXT, value) for part, value in zip(parts, values, strict=True)]
    return [Port(name, np.float32, ("B", *part.shape)) for name, part in zip(named, parts, strict=True)]


def _first(state: tuple[Tensor, ...]) -> tuple[np.ndarray, ...]:
    return tuple(as_array(part[0]) for part in state)
