"""The compiled loop as an operation that torch differentiates, compiles and exports.

Two doors to the same two functions: an `autograd.Function` for plain calls, since a `custom_op` costs about 100 µs
more, and a `custom_op` with shapes for `torch.compile` and `torch.export`, which see no further than its name.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from elman.backends.base import Pass, Weights
from elman.backends.eager import Eager
from elman.backends.native import kernel
from elman.backends.native.kernel import Given, Gradients, Kept, Manner
from elman.backends.native.library import library
from elman.cells import find_cell, name_of
from elman.graph import Traced, trace

Saved = list[Tensor | None]


class Call(NamedTuple):
    """Everything that is not differentiated; segment as in `backends.base.Pass`."""

    traced: Traced
    lengths: Tensor | None
    drop: Tensor | None
    zone: tuple[Tensor | None, ...]
    reverse: bool
    segment: int | None

    def parts(self, steps: int) -> list[tuple[slice, Manner]]:
        """The stretches of time that are run one after another, in the order in which they are run."""
        if self.segment is None:
            return [(slice(0, steps), Manner(self.lengths, self.drop, self.zone, self.reverse))]
        starts = range(0, steps, self.segment)
        return [self._part(start, self.segment) for start in (reversed(starts) if self.reverse else starts)]

    def _part(self, start: int, size: int) -> tuple[slice, Manner]:
        time = slice(start, start + size)
        left = None if self.lengths is None else (self.lengths - start).clamp(0, size)
        zone = tuple(z if z is None or z.ndim == 2 else z[time] for z in self.zone)
        return time, Manner(left, self.drop, zone, self.reverse)


def run(call: Call, given: Given, *, keep: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
    """Outputs, last state, and what `differentiate` needs: a `Kept`, flat, or the state before each segment."""
    lib = library(call.traced, given.x.dtype, layer_norm=given.gain is not None)
    parts = call.parts(given.x.shape[0])
    if call.segment is None:
        y, last, kept = kernel.forward(lib, given, parts[0][1], keep=keep)
        return y, last, [] if kept is None else [kept.z, kept.zr, kept.zn, *kept.states]
    y = given.x.new_empty(*given.x.shape[:2], given.state[0].shape[1])
    state, begins = given.state, []
    for time, how in parts:
        begins.append(torch.stack(state))
        y[time], state, _ = kernel.forward(lib, given._replace(x=given.x[time], state=state), how, keep=False)
    return y, state, [torch.stack(begins)] if keep else []


def differentiate(
    call: Call, given: Given, y: Tensor | None, saved: Saved, grads: tuple[Tensor, ...], *, x_too: bool = True
) -> Gradients:
    """Gradients of all that was given; `saved` is used up unless it is segments, which need no outputs y."""
    if call.segment is not None:
        return _by_segment(call, given, saved[0], grads[0], grads[1:], x_too=x_too)
    lib = library(call.traced, given.x.dtype, layer_norm=given.gain is not None)
    kept = Kept._make((*saved[:3], tuple(saved[3:])))
    how = call.parts(given.x.shape[0])[0][1]
    return kernel.backward(lib, given, how, cast(Tensor, y), kept, grads[0], grads[1:], x_too=x_too)


def _by_segment(
    call: Call, given: Given, begins: Any, d_y: Tensor, d_state: tuple[Tensor, ...], *, x_too: bool
) -> Gradients:
    """Last segment first: its steps are run again, this time kept, and its gradients added to the rest."""
    lib = library(call.traced, given.x.dtype, layer_norm=given.gain is not None)
    d_x = torch.empty_like(given.x) if x_too else None
    total: Gradients = ()
    for (time, how), begin in zip(reversed(call.parts(given.x.shape[0])), begins.flip(0), strict=True):
        part = given._replace(x=given.x[time], state=tuple(begin))
        y, _, kept = kernel.forward(lib, part, how, keep=True)
        found = kernel.backward(lib, part, how, y, cast(Kept, kept), d_y[time], d_state, x_too=x_too)
        if d_x is not None:
            d_x[time] = cast(Tensor, found[0])
        d_state, weights = cast(tuple[Tensor, ...], found[7:]), found[1:7]
        pairs = zip(total or (None,) * 6, weights, strict=True)
        total = tuple(new if old is None or new is None else old.add_(new) for old, new in pairs)
    return (d_x, *total, *d_state)


def through_eager(call: Call, given: Given, grads: tuple[Tensor, ...]) -> Gradients:
    """The same gradients by operations that can be differentiated again."""
    wanted = [v for v in given.flat() if v is not None and v.requires_grad]
    with torch.enable_grad():
        y, last = _eager(call, given)
        found = iter(torch.autograd.grad((y, *last), wanted, grads, create_graph=True, allow_unused=True))
    return tuple(next(found) if v is not None and v.requires_grad else None for v in given.flat())


def _eager(call: Call, given: Given) -> tuple[Tensor, tuple[Tensor, ...]]:
    x, W, R, b, b_r, gain, params, state = given
    if W is None or b is None:  # x is W x + b already
        W, b = torch.eye(x.shape[-1], dtype=x.dtype), x.new_zeros(x.shape[-1])
    named = {} if params is None else dict(zip(call.traced.cell.params, params, strict=True))
    zone = {s: z for s, z in zip(call.traced.cell.states, call.zone, strict=True) if z is not None}
    how = Pass(call.lengths, call.reverse, call.drop, zone, None)
    return Eager().unroll(call.traced, Weights(W, R, b, b_r, named, None, gain), x, state, how)


class Unroll(torch.autograd.Function):
    """The door for plain calls."""

    @staticmethod
    def forward(ctx: Any, call: Call, *flat: Tensor | None) -> tuple[Tensor, ...]:
        """Outputs and last state."""
        y, last, saved = run(call, Given.of(flat), keep=True)
        ctx.call, ctx.count, ctx.used = call, len(flat), False
        ctx.save_for_backward(*flat, y if call.segment is None else None, *saved)
        return (y, *last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Gradients of all that was given."""
        everything = ctx.saved_tensors
        call, given = ctx.call, Given.of(everything[: ctx.count])
        y, *saved = everything[ctx.count :]
        if torch.is_grad_enabled():  # create_graph: someone will differentiate these gradients
            return None, *through_eager(call, given, grads)
        if ctx.used and call.segment is None:  # retain_graph: the first time has used up what was saved
            y, _, saved = run(call, given, keep=True)
        ctx.used = True
        return None, *differentiate(call, given, y, saved, grads, x_too=ctx.needs_input_grad[1])


# The other door. A cell goes through it by name: an exported program finds it again where the cell is defined.
_cells: dict[str, Traced] = {}


def spell(traced: Traced) -> str:
    """The text under which the operator finds the cell."""
    text = f"{name_of(traced.cell)}:{traced.fingerprint}"
    _cells.setdefault(text, traced)
    return text


def _call(
    lengths: Tensor | None, drop: Tensor | None, zone: list[Tensor], cell: str, reverse: bool, segment: int
) -> Call:
    if cell not in _cells:
        spell(trace(find_cell(cell.split(":")[0], "elman::unroll")))
    traced = _cells[cell]
    return Call(traced, lengths, drop, tuple(zone) or (None,) * len(traced.cell.states), reverse, segment or None)


@torch.library.custom_op("elman::unroll", mutates_args=())
def unroll(
    x: Tensor, W: Tensor | None, R: Tensor | None, b: Tensor | None, b_r: Tensor | None, gain: Tensor | None,
    params: Tensor | None, state: list[Tensor], lengths: Tensor | None, drop: Tensor | None, zone: list[Tensor],
    cell: str, reverse: bool, segment: int,
) -> list[Tensor]:  # fmt: skip
    """Outputs and last state; `Given`, then `Call`, spelt in types that an operator can have."""
    call = _call(lengths, drop, zone, cell, reverse, segment)
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
    call = _call(lengths, drop, zone, cell, reverse, segment)
    given = Given(x, W, R, b, b_r, gain, params, tuple(state))
    y, _, saved = run(call, given, keep=True)
    found = differentiate(call, given, y, saved, tuple(grads))
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
        found = list(through_eager(_call(lengths, drop, zone, *ctx.rest), Given.of(flat), tuple(grads)))
    else:
        there = iter(unroll_backward(grads, *flat[:7], flat[7:], lengths, drop, zone, *ctx.rest))
        found = [None if v is None else next(there) for v in flat]
    return *found[:7], found[7:], None, None, [None] * len(zone), None, None, None


unroll.register_autograd(_backward, setup_context=_setup)
