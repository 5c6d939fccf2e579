"""From a cell's step to two small graphs: the step itself and its derivative, found by tracing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from elman.cells import Cell
from elman.cells.base import Fields
from elman.cells.check import check_step, is_pointwise
from elman.errors import CellError
from elman.graph.expression import Builder, Graph, substitute
from elman.graph.spelling import Ref, is_known, write
from elman.graph.tape import Call, Tape, broken_up


@dataclass(frozen=True)
class Traced:
    """A cell as graphs, and what the trace shows about it.

    forward   reads x.g, r.g, s.state, p.name; gives the new state by name
    backward  reads those and the cotangents d.state; gives dx.g, dr.g, ds.state, dp.name
    summed    gates that use x.g and r.g only as x.g + r.g: the graphs read the sum as x.g, and one bias is enough
    apart     gates that read r.g by itself, which gives r.g a bias of its own
    plain     gates that never read r.g: they have no rows in R
    fingerprint  twelve hex digits that change when the mathematics of the step do

    A layer stores its gates in the order `summed + apart + plain`, so that R's rows are the first ones.
    """

    cell: Cell
    forward: Graph
    backward: Graph
    summed: tuple[str, ...]
    apart: tuple[str, ...]
    plain: tuple[str, ...]
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        cell = self.cell
        text = f"{self.gates}{cell.states}{tuple(cell.params)}{dict(cell.initial)}{self.forward}{self.backward}"
        object.__setattr__(self, "fingerprint", hashlib.sha256(text.encode()).hexdigest()[:12])

    @property
    def name(self) -> str:
        """The cell's class name."""
        return type(self.cell).__name__

    @property
    def gates(self) -> tuple[str, ...]:
        """Gates in storage order."""
        return self.summed + self.apart + self.plain

    @property
    def recurrent(self) -> tuple[str, ...]:
        """Gates with rows in R, in storage order."""
        return self.summed + self.apart


def trace(cell: Cell) -> Traced:
    """The cell's forward and backward graphs, taken down while the step and its derivative run on scalars.

    Raises `CellError` where the step uses an operation that no backend knows, with the offending line.

    >>> from elman.cells import GRU
    >>> gru = trace(GRU())
    >>> gru.summed, gru.apart, gru.plain
    (('r', 'z'), ('n',), ())
    >>> class Fading(Cell):
    ...     gates = ("u",)
    ...     def step(self, x, r, s, p):
    ...         return x.u + 0.5 * s.h
    >>> print(trace(Fading()).backward)
    d.h
    v2 = mul(d.h, 0.5)
    dx.u = d.h
    ds.h = v2
    """
    # Kept on the class itself, by the instance's attributes: they go when the class does.
    if "_traces" not in vars(type(cell)):
        type(cell)._traces = {}
    known = type(cell)._traces
    options = repr(sorted(vars(cell).items()))
    if options not in known:
        # Whatever the caller is in the middle of, a fake tensor's mode or device "meta", the step is traced on numbers.
        with _disable_current_modes(), torch.device("cpu"), torch.inference_mode(False):
            known[options] = _trace(cell)
    return replace(known[options], cell=cell)


def _trace(cell: Cell) -> Traced:
    joint = _joint_graph(cell)
    out = joint.outputs
    reads = set(joint.inputs)
    plain = tuple(g for g in cell.gates if f"r.{g}" not in reads)
    # Equal derivatives mean that the step depends on the sum alone, except where it compares: x > r has none at all.
    alike = (g for g in cell.gates if g not in plain and out[f"dx.{g}"] == out[f"dr.{g}"])
    summed = tuple(g for g in alike if _depends_on_sum(cell, g))
    apart = tuple(g for g in cell.gates if g not in plain and g not in summed)
    joint = substitute(joint, {f"r.{g}": 0.0 for g in summed})
    dropped = {f"dr.{g}" for g in plain + summed}
    forward = _only(joint, lambda name: name in cell.states)
    backward = _only(joint, lambda name: name not in cell.states and name not in dropped)
    return Traced(cell, forward, backward, summed, apart, plain)


def _depends_on_sum(cell: Cell, gate: str) -> bool:
    """Whether the step gives the same when r.gate is added to x.gate and set to 0, tried at random points."""
    dice = torch.Generator().manual_seed(0)

    def some(names: Any) -> dict[str, Tensor]:
        return {n: torch.randn(256, generator=dice, dtype=torch.float64) for n in names}

    x, r, s, p = (some(names) for names in (cell.gates, cell.gates, cell.states, cell.params))
    moved = {**x, gate: x[gate] + r[gate]}, {**r, gate: torch.zeros_like(r[gate])}
    with torch.no_grad():
        apart, together = (cell.step(*(Fields(**f) for f in (*pair, s, p))) for pair in ((x, r), moved))
    pairs = [(apart, together)] if isinstance(apart, Tensor) else zip(apart, together, strict=True)
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True) for a, b in pairs)


def _only(graph: Graph, wanted: Callable[[str], bool]) -> Graph:
    kept = Graph(graph.nodes, {name: number for name, number in graph.outputs.items() if wanted(name)})
    return substitute(kept, {})


def _joint_graph(cell: Cell) -> Graph:
    """Forward and backward in one graph: the new states by name, and the derivatives dx.g, dr.g, ds.state, dp.name."""
    kinds = {"x": cell.gates, "r": cell.gates, "s": cell.states, "p": tuple(cell.params)}
    names = [f"{kind}.{name}" for kind, group in kinds.items() for name in group]

    def step(*values: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, values, strict=True))
        fields = {kind: Fields(**{n: given[f"{kind}.{n}"] for n in group}) for kind, group in kinds.items()}
        new = cell.step(**fields)
        return (new,) if isinstance(new, Tensor) else tuple(new)

    check_step(cell, Fields, is_pointwise)
    some = [torch.tensor(0.25, dtype=torch.float64, requires_grad=True) for _ in names]
    cotangents = [torch.tensor(1.0, dtype=torch.float64) for _ in cell.states]
    try:
        with torch.enable_grad(), Tape() as tape:
            new = step(*some)
            found = *new, *_pull_back(new, some, cotangents)
    except (RuntimeError, IndexError) as problem:
        said = str(problem).strip().splitlines()[0].rstrip(".")
        raise CellError(
            f"{type(cell).__name__}.step: it does not work on one unit at a time: {said}. A step may use neither the "
            f"shape of its values nor tensors from outside."
        ) from problem
    inputs = dict(zip([*names, *(f"d.{s}" for s in cell.states)], [*some, *cotangents], strict=True))
    outputs = dict(zip([*cell.states, *(f"d{n}" for n in names)], found, strict=True))
    return _write(cell, tape.calls_for(outputs.values()), inputs, outputs)


def _pull_back(new: tuple[Tensor, ...], given: list[Tensor], cotangents: list[Tensor]) -> tuple[Tensor, ...]:
    """The derivatives of what was given, from those of the new states.

    Hooks put the cotangents where backpropagation begins: as `grad_outputs` they would load sympy, in 0.4 s.
    """
    total = torch.zeros((), requires_grad=True)
    for state, cotangent in zip(new, cotangents, strict=True):
        if state.requires_grad:
            end = state.clone()  # not the state itself: it may have entered another one
            end.register_hook(lambda _, cotangent=cotangent: cotangent)
            total = total + end
    # With create_graph torch adds derivatives up in new tensors, not in place.
    return torch.autograd.grad(total, given, create_graph=True, materialize_grads=True)


def _write(cell: Cell, calls: list[Call], inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> Graph:
    build = Builder()
    values = {id(tensor): Ref(build.input(name)) for name, tensor in inputs.items()}

    def value(argument: Any) -> Any:
        if not isinstance(argument, Tensor):
            return argument
        if id(argument) not in values:
            raise CellError(
                f"{type(cell).__name__}.step: it reads a tensor from outside. Use a Python number, or declare it in "
                "params."
            )
        return values[id(argument)]

    for call in calls:
        if not is_known(call.op):
            _refuse(cell, call)
        args, kwargs = tuple(map(value, call.args)), {name: value(a) for name, a in call.kwargs.items()}
        try:
            values[id(call.out)] = write(build, call.op, args, kwargs)
        except TypeError:  # a spelling does not take such an argument: a rounding mode, an integer type
            _refuse(cell, call)
    return build.graph({name: int(value(tensor)) for name, tensor in outputs.items()})


def _refuse(cell: Cell, call: Call) -> NoReturn:
    """Names the line of the step that uses an operation no backend knows, or its derivative."""
    check_step(cell, Fields, lambda op: is_pointwise(op) and (is_known(op) or op in broken_up()))
    arguments = ", ".join(f"{k}={v}" for k, v in call.kwargs.items())
    what = f"{call.op}({arguments})" if arguments else call.op
    raise CellError(
        f"{type(cell).__name__}.step: it or its derivative needs {what}, which no backend knows. "
        f"Write the step with exp, log, tanh, sigmoid, where and arithmetic."
    )
