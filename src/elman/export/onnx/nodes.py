"""An ONNX graph while it is written: nodes one after another, and the numbers that they read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from elman.errors import MissingExtraError
from elman.steps.writer import as_array

OPSET, IR = 18, 8
"""versions of the operators and of the format: the first that have all that is used, so that old runtimes read it"""


class Port(NamedTuple):
    """An input or output of a graph; a size that is free has a name."""

    name: str
    kind: Any
    shape: Sequence[int | str]


class Nodes:
    """Nodes in the order in which they are computed; a value is the name under which the next ones read it.

    around  the nodes of the graph that this is a body of, as `Scan` repeats one: all values there can be read here
    """

    def __init__(self, around: Nodes | None = None) -> None:
        self.onnx = onnx_packages()[0]
        self.made: list[Any] = []
        self._numbers: dict[Any, Any] = {} if around is None else around._numbers
        self._count = itertools.count() if around is None else around._count

    def op(self, kind: str, *values: str, **attributes: Any) -> str:
        """The value of one more node."""
        return self.ops(kind, values, 1, **attributes)[0]

    def ops(self, kind: str, values: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """The values of one more node that has several; "" stands for an input that is left out."""
        names = self.names(*[kind] * count)
        self.made.append(self.onnx.helper.make_node(kind, values, names, name=names[0], **attributes))
        return names

    def names(self, *words: str) -> list[str]:
        """Names that no other value has, for what a body is given."""
        return [f"{word}_{next(self._count)}" for word in words]

    def call(self, name: str, value: str) -> str:
        """The same value under a name of its own."""
        self.made.append(self.onnx.helper.make_node("Identity", [value], [name], name=name))
        return name

    def number(self, values: Any, kind: Any = np.float32) -> str:
        """Numbers that never change, kept in the file once."""
        array = np.array(as_array(values), kind, order="C")
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._numbers:
            self._numbers[key] = self.onnx.numpy_helper.from_array(array, f"number_{len(self._numbers)}")
        return self._numbers[key].name

    def axes(self, *numbers: int) -> str:
        """Axes, sizes or places, as operators read them."""
        return self.number(numbers, np.int64)

    def split(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        """A value cut along an axis."""
        return [value] if len(sizes) == 1 else self.ops("Split", (value, self.axes(*sizes)), len(sizes), axis=axis)

    def join(self, values: Sequence[str], axis: int) -> str:
        """Values side by side along an axis."""
        return self.op("Concat", *values, axis=axis) if len(values) > 1 else values[0]

    def linear(self, x: str, W: Any, b: Any = None) -> str:
        """x Wᵀ + b, for x with any axes before its last."""
        z = self.op("MatMul", x, self.number(as_array(W).T))
        return z if b is None else self.op("Add", z, self.number(b))

    def graph(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port], *, body: bool = False) -> Any:
        """The graph of what was written; a body leaves its numbers to the graph around it."""
        make, kinds = self.onnx.helper.make_tensor_value_info, self.onnx.helper.np_dtype_to_tensor_dtype
        ports = [[make(p.name, kinds(np.dtype(p.kind)), p.shape) for p in group] for group in (inputs, outputs)]
        return self.onnx.helper.make_graph(self.made, name, *ports, [] if body else list(self._numbers.values()))

    def model(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> Any:
        """The whole of a file, checked against the standard."""
        opset = self.onnx.helper.make_opsetid("", OPSET)
        graph = self.graph(name, inputs, outputs)
        made = self.onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR, producer_name="elman")
        self.onnx.checker.check_model(made, full_check=True)
        return made


def onnx_packages() -> tuple[Any, Any]:
    """The packages onnx and onnxruntime; raises `MissingExtraError` where one is not there."""
    try:
        import onnx
        import onnxruntime
    except ImportError as missing:
        name = missing.name or "onnx"
        raise MissingExtraError(f"ONNX needs the package {name}: pip install onnx onnxruntime") from None
    return onnx, onnxruntime
