"""What the C of a step is collected in: lines, calls, and the numbers that they name by where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

PANELS = (32, 16, 8)
"""outputs of a product that are summed at once, in registers: so many while there are as many, then fewer"""
TOGETHER = 4
"""sequences that go through the weights of a product at once"""


@dataclass(frozen=True)
class Array:
    """Numbers of one sequence that the lines after it read and write."""

    name: str
    size: int


@dataclass(frozen=True)
class Pointer:
    """A name for where some of a sequence's numbers lie."""

    type: str
    name: str
    to: str


@dataclass(frozen=True)
class Call:
    """A function that takes the vector at x and writes at z; of several sequences together, `…_together` does."""

    function: str
    given: str
    x: str
    sizes: str
    z: str

    def alone(self) -> str:
        """For one sequence."""
        return f"{self.function}({self.given}, {self.x}, {self.sizes}, {self.z});"


Item = str | Array | Pointer | Call
"""a piece of a function's body: a line, a declaration or a call"""


def alone(items: list[Item]) -> list[str]:
    """The body of a function for one sequence."""
    return [line for item in items for line in _alone(item)]


def _alone(item: Item) -> Iterator[str]:
    match item:
        case Array(name, size):
            yield f"real {name}[{size}];"
        case Pointer(kind, name, to):
            yield f"{kind} *{name} = {to};"
        case Call():
            yield item.alone()
        case _:
            yield item


def together(items: list[Item], each: list[Item]) -> list[str]:
    """The body of a function for `TOGETHER` sequences: its lines for one after another, its calls for all at once.

    each  what names the arguments of sequence b
    """
    arrays = {item.name: item.size for item in items if isinstance(item, Array)}
    code = [f"real {name}_of[TOGETHER][{size}];" for name, size in arrays.items()]
    code += ["const real *from[TOGETHER];", "real *to[TOGETHER];"]
    known, waiting = list(each), []
    for item in items:
        match item:
            case Array(name, _):
                known.append(Pointer("real", name, f"{name}_of[b]"))
            case Pointer():
                known.append(item)
            case Call(function, given, x, sizes, z):
                code += _one_by_one(known, [*waiting, f"from[b] = {x};", f"to[b] = {z};"])
                code.append(f"{function}_together({given}, from, {sizes}, to);")
                waiting = []
            case _:
                waiting.append(item)
    return code + _one_by_one(known, waiting)


def _one_by_one(known: list[Item], lines: list[str]) -> list[str]:
    if not lines:
        return []
    return ["for (int b = 0; b < TOGETHER; b++) {", *(f"    {line}" for line in [*alone(known), *lines]), "}"]


class Writer:
    """The body of a step and the numbers it reads: `w` the weights of products, `v` vectors.

    quantised  whether weights are int8, each output with a scale
    """

    def __init__(self, *, quantised: bool) -> None:
        self.quantised = quantised
        self.weights: list[np.ndarray] = []
        self.vectors: list[np.ndarray] = []
        self.lines: list[Item] = []

    def vector(self, values: Any) -> int:
        """Where in v these numbers begin."""
        return _put(self.vectors, as_array(values).astype(np.float32))

    def matrix(self, W: Tensor) -> tuple[str, np.ndarray]:
        """Where the panels of W (out, in) begin, and the scale of each output; none where they are floats."""
        values = as_array(W).astype(np.float32)
        if not self.quantised:
            return f"w + {_put(self.weights, panels(values))}", np.empty(0, np.float32)
        scale = np.abs(values).max(1, initial=0.0) / 127
        scale[scale == 0] = 1.0
        return f"w + {_put(self.weights, panels(np.round(values / scale[:, None]).astype(np.int8)))}", scale

    def linear(self, W: Tensor, b: Tensor | None, x: str, z: str) -> None:
        """z = W x + b, in an array of its own."""
        at, scale = self.matrix(W)
        given = f"{at}, v + {self.vector(scale)}" if self.quantised else at
        self.lines.append(Array(z, len(W)))
        self.each(len(W), f"{z}[i] = 0;" if b is None else f"{z}[i] = v[{self.vector(b)} + i];")
        self.lines.append(Call("product", given, x, f"{W.shape[1]}, {W.shape[0]}", z))

    def each(self, count: int, line: str) -> None:
        """A line for i = 0 … count - 1."""
        self.lines.append(f"for (int i = 0; i < {count}; i++) {line}")


def panels(W: np.ndarray) -> np.ndarray:
    """W (out, in) as panels of 32 outputs, each (in, 32), then of 16 and of 8, and what is left over, (in, rest).

    >>> panels(np.arange(66).reshape(33, 2))[[0, 1, 32, 64, 65]].tolist()
    [0, 2, 1, 64, 65]
    """
    found, at = [], 0
    while at < len(W):
        width = next((n for n in PANELS if at + n <= len(W)), len(W) - at)
        found.append(W[at : at + width].T.reshape(-1))
        at += width
    return np.concatenate(found)


def as_array(values: Any) -> np.ndarray:
    """A tensor or an array as an array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _put(parts: list[np.ndarray], values: np.ndarray) -> int:
    at = sum(part.size for part in parts)
    parts.append(values.reshape(-1))
    return at
