"""The compiled loop as an operation that torch differentiates, compiles and exports.

Two doors to the same two functions: an `autograd.Function` for plain calls, since a `custom_op` costs about 100 µs
more, and a `custom_op` with shapes for `torch.compile` and `torch.export`, which see no further than its name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.backends.base import Pass, Weights, spread, watched
from elman.backends.eager import Eager, blank, normalise
from elman.backends.given import Engine, Given, Gradients, Kept, Manner
from elman.cells import find_cell, name_of
from elman.errors import CellError, UnknownNameError
from elman.graph import Traced, trace

ENGINES: dict[str, Engine] = {}
"""by the name of the backend that brings it"""


class Call(NamedTuple):
    """Everything that is not differentiated."""

    engine: str
    traced: Traced
    how: Manner


def through(
    engine: str, traced: Traced, weights: Weights, x: Tensor, state: tuple[Tensor, ...], how: Pass
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What a backend's `unroll` gives, by a compiled loop and the door that fits the moment."""
    if x.numel() == 0 and 0 in x.shape[:2]:
        return x.new_zeros(*x.shape[:2], state[0].shape[-1]) + 0 * x.sum(), state
    W, b = weights.W, weights.b
    if weights.gain_x is not None:
        x, W, b = (normalise(F.linear(blank(x, how.lengths), W), weights.gain_x) + b).to(x.dtype), None, None
    params = torch.stack([weights.params[name] for name in traced.cell.params]) if weights.params else None
    zone = tuple(share(how.zoneout.get(name), state[0]) for name in traced.cell.states)
    tensors = (x, W, weights.R, b, weights.b_r, weights.gain_r, params)
    if watched():
        shares = [z for z in zone if z is not None]
        options = how.lengths, how.mask, shares, spell(traced), how.reverse, how.segment or 0
        y, *last = unroll(*tensors, list(state), *options)
        return y, tuple(last)
    call = Call(engine, traced, Manner(how.lengths, how.mask, zone, how.reverse, how.segment))
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (*tensors, *state)):
        y, *last = Unroll.apply(call, *tensors, *state)  # pyright: ignore
    else:
        y, last, _ = run(call, Given(*tensors, state), keep=False)
    return y, tuple(last)


def share(keep: Tensor | float | None, like: Tensor) -> Tensor | None:
    """What zoneout keeps as a tensor: (T, B, H), or one row (1, H) for a number."""
    return keep if keep is None or isinstance(keep, Tensor) else like.new_full((1, like.shape[-1]), keep)


def run(call: Call, given: Given, *, keep: bool) -> tuple[Tensor, tuple[Tensor, ...], Kept]:
    """Outputs, last state and, with `keep`, what backward needs."""
    return ENGINES[call.engine].forward(call.traced, given, call.how, keep=keep)


def through_eager(call: Call, given: Given, grads: tuple[Tensor, ...]) -> Gradients:
    """The same gradients by operations that can be differentiated again."""
    wanted = [v for v in given.flat() if v is not None and v.requires_grad]
    with torch.enable_grad():
        y, last = _eager(call, given)
        found = iter(torch.autograd.grad((y, *last), wanted, grads, create_graph=True, allow_unused=True))
    return tuple(next(found) if v is not None and v.requires_grad else None for v in given.flat())


def _eager(call: Call, given: Given) -> tuple[Tensor, tuple[Tensor, ...]]:
    x, W, R, b, b_r, gain, params, state = given
    R = None if R is None else spread(R, state[0].shape[1])  # an engine may have been given blocks
    if W is None or b is None:  # x is W x + b already
        W, b = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device), x.new_zeros(x.shape[-1])
    named = {} if params is None else dict(zip(call.traced.cell.params, params, strict=True))
    lengths, drop, zone, reverse, _ = call.how
    shares = {s: z for s, z in zip(call.traced.cell.states, zone, strict=True) if z is not None}
    how = Pass(lengths, reverse, drop, shares, None)
    return Eager().unroll(call.traced, Weights(W, R, b, b_r, named, None, gain), x, state, how)


class Unroll(torch.autograd.Function):
    """The door for plain calls."""

    @staticmethod
    def forward(ctx: Any, call: Call, *flat: Tensor | None) -> tuple[Tensor, ...]:
        """Outputs and last state."""
        y, last, kept = run(call, Given.of(flat), keep=True)
        ctx.call, ctx.count, ctx.used = call, len(flat), False
        ctx.save_for_backward(*flat, y if call.how.segment is None else None, *kept[:4], *kept.states)
        return (y, *last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Gradients of all that was given."""
        everything = ctx.saved_tensors
        call, given = ctx.call, Given.of(everything[: ctx.count])
        if torch.is_grad_enabled():  # create_graph: someone will differentiate these gradients
            return None, *through_eager(call, given, grads)
        y, *saved = everything[ctx.count :]
        kept = Kept._make((*saved[:4], tuple(saved[4:])))
        if ctx.used and kept.begins is None:  # retain_graph: the first time has used up what was kept
            y, _, kept = run(call, given, keep=True)
        ctx.used = True
        back = ENGINES[call.engine].backward
        return None, *back(call.traced, given, call.how, y, kept, grads, x_too=ctx.needs_input_grad[1])


# The other door. A cell goes through it by name: an exported program finds it again where the cell is defined.
_cells: dict[str, Traced] = {}


def spell(traced: Traced) -> str:
    """The text under which the operator finds the cell."""
    text = f"{name_of(traced.cell)}:{traced.fingerprint}"
    _cells.setdefault(text, traced)
    return text


def _find(text: str) -> Traced:
    """The cell that another process spelt so; raises `UnknownNameError`, or `CellError` if it computes otherwise."""
    name, expected = text.split(":")
    try:
        traced = trace(find_cell(name, "elman::unroll"))
    except UnknownNameError as problem:
        mend = f"If {name!r} is a cell of your own, define or import it before the program runs."
        raise UnknownNameError(f"{problem} {mend}") from None
    if spell(traced) != text:
        raise CellError(
            f"elman::unroll: expected the cell {name!r} as it was when the program was exported ({expected}), got one "
            f"that computes otherwise ({traced.fingerprint}). Define it as it was then, or export anew."
        )
    return traced


def _call(
    x: Tensor, lengths: Tensor | None, drop: Tensor | None, zone: list[Tensor], cell: str, reverse: bool, segment: int
) -> Call:
    traced = _cells.get(cell) or _find(cell)
    shares = tuple(zone) or (None,) * len(traced.cell.states)
    engine = "native" if x.device.type == "cpu" else "triton"  # a program may be moved after it was exported
    return Call(engine, traced, Manner(lengths, drop, shares, reverse, segment or None))


@torch.library.custom_op("elman::unroll", mutates_args=())
def unroll(
    x: Tensor, W: Tensor | None, R: Tensor | None, b: Tensor | None, b_r: Tensor | None, gain: Tensor | None,
    params: Tensor | None, state: list[Tensor], lengths: Tensor | None, drop: Tensor | None, zone: list[Tensor],
    cell: str, reverse: bool, segment: int,
) -> list[Tensor]:  # fmt: skip
    """Outputs and last state; `Given`, then `Call`, spelt in types that an operator can have."""
    call = _call(x, lengths, drop, zone, cell, reverse, segment)
    y, last, _ = run(call, Given(x, W, R, b, b_r, gain, params, tuple(state)), keep=False)
    return [y, *last]


@unroll.register_fake
def _(*given: Any) -> list[Tensor]:
    x, state = given[0], given[7]
    return [x.new_empty(*x.shape[:2], state[0].shape[1]), *(s.new_empty(s.shape) for s in state)]


@torch.library.custom_op("elman::unroll_backward", mutates_args=())
def unroll_backward(
    grads: list[Tensor],
    x: Tensor, W: Tensor | None, R: Tensor | None, b: Tensor | None, b_r: Tensor | None, gain: Tensor | None,
    params: Tensor | None, state: list[Tensor], lengths: Tensor | None, drop: Tensor | None, zone: list[Tensor],
    cell: str, reverse: bool, segment: int,
) -> list[Tensor]:  # fmt: skip
    """Gradients of the tensors that are there, in order. It runs forward again: nothing is kept between the doors."""
    call = _call(x, lengths, drop, zone, cell, reverse, segment)
    given = Given(x, W, R, b, b_r, gain, params, tuple(state))
    y, _, kept = run(call, given, keep=True)
    found = ENGINES[call.engine].backward(call.traced, given, call.how, y, kept, grads)
    separate = (v if v is None else v.clone() for v in found[3:7])  # slices of one buffer, which may not be returned
    return [v for v in (*found[:3], *separate, *found[7:]) if v is not None]


@unroll_backward.register_fake
def _(grads: list[Tensor], *given: Any) -> list[Tensor]:
    return [v.new_empty(v.shape) for v in (*given[:7], *given[7]) if v is not None]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    tensors, state, (lengths, drop), zone, ctx.rest = inputs[:7], inputs[7], inputs[8:10], inputs[10], inputs[11:]
    ctx.states = len(state)
    ctx.save_for_backward(lengths, drop, *tensors, *state, *zone)


def _backward(ctx: Any, grads: list[Tensor]) -> tuple[Any, ...]:
    lengths, drop, *rest = ctx.saved_tensors
    end = 7 + ctx.states
    flat, zone = rest[:end], rest[end:]
    if torch.is_grad_enabled():
        found = list(through_eager(_call(flat[0], lengths, drop, zone, *ctx.rest), Given.of(flat), tuple(grads)))
    else:
        there = iter(unroll_backward(grads, *flat[:7], flat[7:], lengths, drop, zone, *ctx.rest))
        found = [None if v is None else next(there) for v in flat]
    return *found[:7], found[7:], None, None, [None] * len(zone), None, None, None


unroll.register_autograd(_backward, setup_context=_setup)
