"""A step as C: from the parts of a `StackStep` to functions and the numbers that they read.

    step(w, v, m, s, x, y)                     weights, vectors, measures, the state; x in, y out
    step_together(w, v, m, states, rows, x, y)  the same for some sequences, whose states are these rows

No memory is asked for, no library is called, nothing but the arguments is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from elman.errors import OptionError
from elman.steps.causal import Causal, StackStep
from elman.steps.layers import function, write_stack
from elman.steps.parts import (
    Chain,
    Chances,
    Looked,
    Measured,
    Pool,
    PoolAttention,
    PoolMax,
    PoolMean,
    Probabilities,
    Reads,
    Says,
    Units,
    layout,
)
from elman.steps.portable import mathematics
from elman.steps.writer import TOGETHER, Array, Item, Pointer, Writer, alone, together

WEIGHTS = ("float32", "int8")
"""how the weights of products are kept"""


@dataclass(frozen=True)
class Program:
    """The functions of one step, and the numbers they read as they lie.

    weights   of products with matrices: float32, or int8 with a scale for each output among the vectors
    vectors   biases, parameters of the cell, tables: float32
    measures  means and scales of what is measured: float64
    first     the state before the first step: float32
    text      the C, after which `step` can be called
    many      whether `step_together` can, too
    """

    step: StackStep
    weights: np.ndarray
    vectors: np.ndarray
    measures: np.ndarray
    first: np.ndarray
    text: str
    many: bool

    @property
    def kept(self) -> str:
        """How the weights are kept."""
        return str(self.weights.dtype)


def program(step: Causal, weights: str = "float32", *, number: str = "float", many: bool = False) -> Program:
    """The C of a step.

    weights   "float32", or "int8": rounded to 255 values, each output with a scale of its own
    number    the type of x and of the measures: "float" or "double"
    many      whether there is `step_together`, too; for weights of float32

    Raises `OptionError` for a model that is no stack of layers with a head, or not of float32.
    """
    if not isinstance(step, StackStep):
        raise OptionError(f"{step.where}: C is written for a recurrent stack and a head, which this is not.")
    if weights not in WEIGHTS:
        raise OptionError(f"{step.where}: weights must be one of {', '.join(WEIGHTS)}, got {weights!r}.")
    if any(p.dtype != torch.float32 for p in step.parameters()):
        raise OptionError(f"{step.where}: C is written for weights of float32. Call .float() on the model.")
    out = Writer(quantised=weights == "int8")
    measures = _reads(out, step.reads)
    functions, h = write_stack(out, step.stack, many=many)
    places = _places(out, step)
    z = pooled = POOLS[type(step.pooling)](out, step.pooling, h, places)
    if step.head is not None:
        z = "z"
        out.linear(step.head.weight, step.head.bias, pooled, z)
    SAYS[type(step.says)](out, step.says, z, places)
    first = np.concatenate([part[0].detach().numpy().reshape(-1) for part in step.initial(1)])
    sizes = {"UNITS": step.stack.hidden_size, "LAYERS": step.stack.num_layers}
    if many:
        sizes |= {"TOGETHER": TOGETHER}
    inside = "\n".join(alone(out.lines))
    text = "\n".join(
        [
            mathematics("\n".join([functions, inside])),
            f"typedef {number} input;",
            f"typedef {'int8_t' if out.quantised else 'float'} weight;",
            f"enum {{ {', '.join(f'{name} = {size}' for name, size in sizes.items())} }};",
            "",
            functions,
            *_steps(step, out.lines, len(first), many=many, measured=len(measures) > 0),
        ]
    )
    flat = np.concatenate(out.weights)
    return Program(step, flat, np.concatenate(out.vectors), measures, first.astype(np.float32), text, many)


def _steps(step: StackStep, items: list[Item], state: int, *, many: bool, measured: bool) -> Iterator[str]:
    """`step`, and `step_together`."""
    unused = [] if measured else ["(void)m;"]
    given = "const weight *w, const real *v, const input *m"
    yield function(f"static void step({given}, real *s, const input *x, real *y)", [*unused, *alone(items)])
    if many:
        each: list[Item] = [
            Pointer("real", "s", f"states + rows[b] * {state}"),
            Pointer("const input", "x", f"xs + b * {step.inputs}"),
            Pointer("real", "y", f"ys + b * {step.outputs}"),
        ]
        head = f"static void step_together({given}, real *states, const int64_t *rows, const input *xs, real *ys)"
        yield function(head, [*unused, *together(items, each)])


def _places(out: Writer, step: StackStep) -> dict[str, str]:
    """Names in C for what is kept besides the state of the layers."""
    found = {}
    for part, place in list(layout(step.parts))[len(step.stack.cell.states) :]:
        found[part.name] = f"kept_{part.name}"
        out.lines.append(Pointer("real", f"kept_{part.name}", f"s + {place.start}"))
    return found


Places = Mapping[str, str]


def _reads(out: Writer, reads: Reads) -> np.ndarray:
    """Adds the lines that set `read`; the measures."""
    n = reads.inputs
    out.lines.append(Array("read", reads.size))
    if isinstance(reads, Looked):
        out.lines.append(f"const int code = x[0] > 0 && x[0] < {len(reads.table)} ? (int)x[0] : 0;")
        out.each(reads.size, f"read[i] = v[{out.vector(reads.table)} + {reads.size} * code + i];")
        return np.empty(0)
    if not isinstance(reads, Measured):
        out.each(n, "read[i] = (real)x[i];")
        return np.empty(0)
    out.each(n, f"read[i] = x[i] != x[i] ? 0 : (real)((x[i] - m[i]) / m[{n} + i]);")
    out.lines += [f"read[{n + i}] = (real)(x[{gap}] != x[{gap}]);" for i, gap in enumerate(reads.gaps)]
    return np.concatenate([reads.mean.numpy(), reads.scale.numpy()])


# -- what is kept of the steps so far: where the vector of the whole then is ------------------------------------------


def _last(out: Writer, pool: Pool, h: str, at: Places) -> str:
    return h


def _max(out: Writer, pool: Pool, h: str, at: Places) -> str:
    out.each(pool.size, f"{at['most']}[i] = maximum({at['most']}[i], {h}[i]);")
    return at["most"]


def _mean(out: Writer, pool: Pool, h: str, at: Places) -> str:
    out.lines.append(f"{at['steps']}[0] += 1;")
    out.each(pool.size, f"{at['mean']}[i] += ({h}[i] - {at['mean']}[i]) / {at['steps']}[0];")
    return at["mean"]


def _attention(out: Writer, pool: Any, h: str, at: Places) -> str:
    n, v = pool.size, out.vector(pool.score.weight)
    out.linear(pool.look.weight, pool.look.bias, h, "look")
    out.lines += [Array("pooled", n), "real a = 0;"]
    out.each(n, f"a += v[{v} + i] * hyperbolic_tangent(look[i]);")
    seen, weight, greatest = at["seen"], at["weight"], at["greatest"]
    out.lines += [
        f"const real top = maximum({greatest}[0], a), before = exponential({greatest}[0] - top);",
        "const real now = exponential(a - top);",
        f"{greatest}[0] = top;",
        f"{weight}[0] = {weight}[0] * before + now;",
    ]
    out.each(n, f"{seen}[i] = {seen}[i] * before + now * {h}[i];")
    out.each(n, f"pooled[i] = {seen}[i] / {weight}[0];")
    return "pooled"


POOLS: dict[type[Pool], Callable[[Writer, Any, str, Places], str]] = {
    Pool: _last,
    PoolMax: _max,
    PoolMean: _mean,
    PoolAttention: _attention,
}


# -- what is said: y from z -------------------------------------------------------------------------------------------


def _as_is(out: Writer, says: Says, z: str, at: Places) -> None:
    out.each(says.outputs, f"y[i] = {z}[i];")


def _probabilities(out: Writer, says: Probabilities, z: str, at: Places) -> None:
    first, n = int(says.without_first), says.outputs
    out.lines.append(f"real most = {z}[{first}], sum = 0;")
    out.lines.append(f"for (int i = {first + 1}; i < {n}; i++) most = maximum(most, {z}[i]);")
    if first:
        out.lines.append("y[0] = 0;")
    out.lines.append(f"for (int i = {first}; i < {n}; i++) sum += y[i] = exponential({z}[i] - most);")
    out.each(n, "y[i] /= sum;")


def _chain(out: Writer, says: Any, z: str, at: Places) -> None:
    n, path, begun = says.outputs, at["path"], at["begun"]
    after, first, last = (out.vector(values) for values in (says.after, says.first, says.last))
    out.lines += [
        f"real a[{n}], most = -INFINITY, best = -INFINITY;",
        f"for (int k = 0; k < {n}; k++) {{",
        f"    real to = {begun}[0] > 0 ? -INFINITY : v[{first} + k];",
        f"    for (int j = 0; j < {n} && {begun}[0] > 0; j++)",
        f"        to = maximum(to, {path}[j] + v[{after} + {n} * j + k]);",
        f"    a[k] = to + {z}[k];",
        "    most = maximum(most, a[k]);",
        "}",
        f"{begun}[0] = 1;",
    ]
    out.each(n, f"{path}[i] = a[i] - most;")
    out.each(n, f"best = maximum(best, y[i] = {path}[i] + v[{last} + i]);")
    out.each(n, "y[i] -= best;")


def _units(out: Writer, says: Units, z: str, at: Places) -> None:
    out.each(says.outputs, f"y[i] = v[{out.vector(says.mean)} + i] + v[{out.vector(says.scale)} + i] * {z}[i];")


def _chances(out: Writer, says: Says, z: str, at: Places) -> None:
    out.each(says.outputs, f"y[i] = sigmoid({z}[i]);")


SAYS: dict[type[Says], Callable[[Writer, Any, str, Places], None]] = {
    Says: _as_is,
    Probabilities: _probabilities,
    Chain: _chain,
    Units: _units,
    Chances: _chances,
}
