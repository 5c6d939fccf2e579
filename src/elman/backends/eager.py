"""The interpreter: the living definition of every operation, and the oracle for the faster backends.

It runs the forward graph one operation at a time and leaves the derivative to autograd, so that it also checks the
backward graph that the other backends compile.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from elman.backends.base import Pass, Weights
from elman.graph import Graph, Traced


def _bounded(tensors: Callable[..., Tensor], bound: str) -> Callable[..., Any]:
    """max or min of two values of which one may be a number."""

    def choose(a: Any, b: Any) -> Any:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return tensors(a, b)
        value, number = (a, b) if isinstance(a, Tensor) else (b, a)
        return torch.clamp(value, **{bound: number})

    return choose


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": torch.pow,
    "maximum": _bounded(torch.maximum, "min"),
    "minimum": _bounded(torch.minimum, "max"),
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
    "and": operator.and_,
    "or": operator.or_,
    "not": torch.logical_not,
    "neg": operator.neg,
    "abs": torch.abs,
    "sign": torch.sign,
    "reciprocal": torch.reciprocal,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "where": torch.where,
}


def evaluate(graph: Graph, values: Mapping[str, Tensor]) -> dict[str, Any]:
    """The graph's results from its inputs by name; a result that is constant comes back as a number.

    >>> from elman.cells import Elman
    >>> from elman.graph import trace
    >>> evaluate(trace(Elman()).forward, {"x.h": torch.zeros(1)})
    {'h': tensor([0.])}
    """
    at: list[Any] = []
    for node in graph.nodes:
        if node.op == "input":
            at.append(values[node.args[0]])
        elif node.op == "const":
            at.append(node.args[0])
        else:
            given = [at[a] for a in node.args]
            if not any(isinstance(v, Tensor) for v in given):  # torch's functions take no plain numbers
                given = [torch.tensor(v, dtype=torch.float64, device="cpu") for v in given]
            at.append(OPERATIONS[node.op](*given))
    return {name: at[number] for name, number in graph.outputs.items()}


See = Callable[[int, Mapping[str, Any], tuple[Tensor, ...]], None]
"""told of each step: its number, what the graph gave, by name, and the state after it"""


class Eager:
    """Plain PyTorch, one operation after another: any device, any dtype, any derivative.

    see  called after each step, by those who want to look inside
    """

    name = "eager"

    def __init__(self, see: See | None = None) -> None:
        self.see = see

    def refusal(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str | None:
        """None: it runs everything."""
        return None

    def note(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> None:
        """None: it has one way."""

    def unroll(
        self, traced: Traced, weights: Weights, x: Tensor, state: tuple[Tensor, ...], how: Pass
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (T, B, F) and the first state, each part (B, H), to the outputs (T, B, H) and the last state."""
        steps = len(x)
        x = blank(x, how.lengths)
        weights = replace(weights, blocks=weights.R, heads=1)  # once, not at every step
        size = how.segment or max(steps, 1)
        starts = range(0, steps, size)
        outputs: dict[int, Tensor] = {}
        for start in reversed(starts) if how.reverse else starts:
            args = (traced, weights, x[start : start + size], state, how, start, self.see)
            if how.segment and torch.is_grad_enabled():
                outputs[start], state = checkpoint(_run, *args, use_reentrant=False, preserve_rng_state=False)  # pyright: ignore
            else:
                outputs[start], state = _run(*args)
        parts = [outputs[start] for start in starts]
        return (torch.cat(parts) if parts else x.new_zeros(0, x.shape[1], state[0].shape[-1])), state

    def stepper(
        self, traced: Traced, layers: Sequence[Weights], zoneout: Mapping[str, float], *, residual: bool
    ) -> None:
        """None: a step is a sequence of length 1."""


def _run(
    traced: Traced,
    weights: Weights,
    x: Tensor,
    state: tuple[Tensor, ...],
    how: Pass,
    start: int,
    see: See | None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The steps start … start + len(x) - 1."""
    pre = normalise(F.linear(x, weights.W), weights.gain_x) + weights.b
    times = range(len(x))
    outputs: list[Tensor] = [x] * len(x)
    for t in reversed(times) if how.reverse else times:
        found = _step(traced, weights, pre[t], state, how.mask)
        new = [
            _zoneout(how.zoneout.get(name), start + t, old, _as_tensor(found[name], old))
            for name, old in zip(traced.cell.states, state, strict=True)
        ]
        if how.lengths is not None:
            valid = (how.lengths > start + t).unsqueeze(-1)
            new = [torch.where(valid, value, old) for old, value in zip(state, new, strict=True)]
            outputs[t] = torch.where(valid, new[0], 0.0)
        else:
            outputs[t] = new[0]
        state = tuple(new)
        if see is not None:
            see(start + t, found, state)
    return torch.stack(outputs), state


def _step(
    traced: Traced, weights: Weights, pre: Tensor, state: tuple[Tensor, ...], mask: Tensor | None
) -> dict[str, Any]:
    """What the cell's graph gives at a step, by name; pre (B, G·H) is the input's part of the pre-activations."""
    size, cell = state[0].shape[-1], traced.cell
    values: dict[str, Tensor] = {f"s.{n}": v for n, v in zip(cell.states, state, strict=True)}
    values |= {f"p.{n}": v for n, v in weights.params.items()}
    if weights.R is not None:
        fed_back = state[0] if mask is None else state[0] * mask
        product = normalise(F.linear(fed_back, weights.R), weights.gain_r)
        split = len(traced.summed) * size
        pre = (
            torch.cat([pre[:, :split] + product[:, :split], pre[:, split:]], 1)
            if split < pre.shape[1]
            else pre + product
        )
        if weights.b_r is not None:
            values |= _by_gate("r", traced.apart, product[:, split:] + weights.b_r)
    values |= _by_gate("x", traced.gates, pre)
    return evaluate(traced.forward, values)


def _by_gate(kind: str, gates: tuple[str, ...], values: Tensor) -> dict[str, Tensor]:
    return {f"{kind}.{g}": v for g, v in zip(gates, values.chunk(len(gates), -1), strict=True)}


def _as_tensor(value: Any, like: Tensor) -> Tensor:
    """A state that a step sets to a constant, or to a parameter alone, still has the state's shape."""
    return value.to(like.dtype).expand_as(like) if isinstance(value, Tensor) else torch.full_like(like, value)


def _zoneout(keep: Tensor | float | None, t: int, old: Tensor, new: Tensor) -> Tensor:
    if keep is None:
        return new
    share = keep[t] if isinstance(keep, Tensor) else keep
    return share * old + (1 - share) * new


def blank(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (T, B, F) with 0 past each row's length: a NaN that stands there must not reach a gradient."""
    if lengths is None:
        return x
    past = torch.arange(x.shape[0], device=x.device)[:, None] >= lengths  # len(x) would fix T in torch.export
    return x.masked_fill(past.unsqueeze(-1), 0.0)


def normalise(values: Tensor, gain: Tensor | None) -> Tensor:
    """Layer normalisation of pre-activations, (v - mean) / sqrt(variance + 1e-5) · gain; without a gain, nothing.

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, equation 20.
    """
    if gain is None:
        return values
    return F.layer_norm(values.to(gain.dtype), values.shape[-1:], gain)  # CUDA takes no gain wider than the values
