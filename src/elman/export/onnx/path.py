"""The best path through a chain of labels as ONNX: one Scan forwards, which keeps what came before, one backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.export.onnx.layers import Times
from elman.export.onnx.nodes import Nodes, Port
from elman.steps.parts import Chain


def write_path(out: Nodes, says: Chain, z: str, times: Times) -> str:
    """argmax of the score of the whole path, as `elman.decode.best_path`: z (T, B, K) to labels (T, B, 1) int64.

    Source: Viterbi 1967, doi:10.1109/TIT.1967.1054010.
    """
    rows, size = out.op("Shape", z, start=1, end=2), says.outputs
    blank = [out.op("Expand", out.number(0.0), out.join([rows, out.axes(n)], 0)) for n in (size, 1)]
    a, _, before = out.ops("Scan", (*blank, z, times.valid), 3, body=_forward(Nodes(out), says), num_scan_inputs=2)
    label = out.op("ArgMax", out.op("Add", a, out.number(says.last)), axis=1, keepdims=1)
    _, path = out.ops(
        "Scan",
        (label, before),
        2,
        body=_backward(Nodes(out), size),
        num_scan_inputs=1,
        scan_input_directions=[1],
        scan_output_directions=[1],
    )
    return out.op("Where", times.valid, path, out.number(0, np.int64))


def _forward(inside: Nodes, says: Chain) -> Any:
    """The score of the best path to each label, whether there is one yet, and the label before; the rest stays."""
    size = says.outputs
    a, begun, z, valid = inside.names("best", "begun", "z", "valid")
    further = inside.op("Add", inside.op("Unsqueeze", a, inside.axes(2)), inside.number(says.after))
    best = inside.op("ReduceMax", further, inside.axes(1), keepdims=0)
    before = inside.op("ArgMax", further, axis=1, keepdims=0)
    to = inside.op("Where", inside.op("Greater", begun, inside.number(0.0)), best, inside.number(says.first))
    new = inside.op("Add", to, z)
    new = inside.op("Sub", new, inside.op("ReduceMax", new, inside.axes(1), keepdims=1))  # long sums lose digits
    new = inside.op("Where", valid, new, a)
    more = inside.op("Where", valid, inside.number(1.0), begun)
    before = inside.op("Where", valid, before, inside.number(np.arange(size), np.int64))
    given = [Port(a, np.float32, ("B", size)), Port(begun, np.float32, ("B", 1))]
    given += [Port(z, np.float32, ("B", size)), Port(valid, np.bool_, ("B", 1))]
    made = [Port(new, np.float32, ("B", size)), Port(more, np.float32, ("B", 1)), Port(before, np.int64, ("B", size))]
    return inside.graph("forward", given, made, body=True)


def _backward(inside: Nodes, size: int) -> Any:
    """The label at this step, and with it that of the step before."""
    label, before = inside.names("label", "before")
    earlier = inside.op("GatherElements", before, label, axis=1)
    same = inside.op("Identity", label)
    given = [Port(label, np.int64, ("B", 1)), Port(before, np.int64, ("B", size))]
    return inside.graph("backward", given, [Port(v, np.int64, ("B", 1)) for v in (earlier, same)], body=True)
