"""Runs a step once, on small tensors, and refuses what is not pointwise, with the line that did it."""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from elman.errors import CellError

# Pointwise in effect, though torch does not tag them so: constants of the same shape, conversions, two activations.
UNTAGGED = {
    "zeros_like",
    "ones_like",
    "full_like",
    "scalar_tensor",
    "lift_fresh",
    "_to_copy",
    "log_sigmoid_forward",
    "hardswish",
}
RANDOM = torch.Tag.nondeterministic_seeded


def is_pointwise(op: Any) -> bool:
    """Whether an aten operator acts on each unit by itself, without chance and without writing in place."""
    if op.overloadpacket.__name__ in UNTAGGED:
        return True
    return torch.Tag.pointwise in op.tags and RANDOM not in op.tags and not op._schema.is_mutable


class OperatorMode(TorchDispatchMode):
    """A mode whose first operator does not load torch.compile, which takes 1.5 s and nobody asked for."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # to be told to skip it, dynamo would be loaded
        return False


class _Watch(OperatorMode):
    """Sees every operator of a step before it runs."""

    def __init__(self, code: CodeType, name: str, allowed: Callable[[Any], bool]) -> None:
        super().__init__()
        self.code, self.name, self.allowed = code, name, allowed
        self.problem: CellError | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.allowed(func):
            op = func.overloadpacket.__name__
            where = f"{self.name}.step, {_line(self.code, sys._getframe())}"
            if is_pointwise(func):
                self.problem = CellError(
                    f"{where} uses {op}, which no backend knows. Write it with exp, log, tanh and arithmetic."
                )
            self.problem = self.problem or CellError(
                f"{where} is not pointwise ({op}). A step may only combine units one by one: products with W and R "
                f"come ready as x.gate and r.gate; use torch.where instead of if, and no sum, mean, matmul, in-place "
                f"or random operation."
            )
            raise self.problem
        return func(*args, **(kwargs or {}))


def check_step(cell: Any, fields: Callable[..., Any], allowed: Callable[[Any], bool] = is_pointwise) -> None:
    """Raises `CellError` unless the cell's step is pointwise and returns its states.

    `fields` builds the namespaces that the step receives; `allowed` says which aten operators may occur.
    """
    name, code = type(cell).__name__, type(cell).step.__code__
    shape = (2, 3)  # two axes of different size, so that a transposition or a reduction shows

    def some(names: Any) -> Any:
        return fields(**{n: torch.full(shape, 0.25) for n in names})

    given = some(cell.gates), some(cell.gates), some(cell.states), some(cell.params)
    try:
        with torch.no_grad(), _Watch(code, name, allowed) as watch:
            new = cell.step(*given)
        if watch.problem is not None:  # torch takes a TypeError in `x += 1` for "not my business" and tries x + 1
            raise watch.problem
    except CellError as problem:
        if ".step, " in str(problem) or str(problem).startswith(f"{name}: "):
            raise
        raise CellError(f"{name}.step, {_failing_line(code)}: {problem}") from None
    except Exception as problem:
        hint = "use torch.where instead of a branch on data" if "Boolean value" in str(problem) else problem
        raise CellError(f"{name}.step, {_failing_line(code)} cannot run on (B, H) tensors: {hint}") from problem
    new = new if isinstance(new, tuple | list) else (new,)
    got = [tuple(v.shape) if isinstance(v, torch.Tensor) else type(v).__name__ for v in new]
    if got != [shape] * len(cell.states):
        raise CellError(
            f"{name}.step: expected the {len(cell.states)} state(s) {cell.states}, each {shape} here, got "
            f"{got}. Return one tensor per state, in that order."
        )


def _line(code: CodeType, frame: FrameType | None) -> str:
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return _quote(code, frame.f_lineno if frame else code.co_firstlineno)


def _failing_line(code: CodeType) -> str:
    for frame, number in traceback.walk_tb(sys.exc_info()[2]):
        if frame.f_code is code:
            return _quote(code, number)
    return _quote(code, code.co_firstlineno)


def _quote(code: CodeType, number: int) -> str:
    text = linecache.getline(code.co_filename, number).strip()
    return f"line {number}" + (f": `{text}`" if text else "")
