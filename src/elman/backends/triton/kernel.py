"""Tensors to the Triton kernels and back: buffers, launches, and what is one product for all steps. No autograd here.

The input's part of the pre-activations and the gradients of weights are products over all steps at once, and torch's.
The buffer z first holds W x + b, after forward the whole pre-activations, and after backward their gradients.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.backends.eager import blank
from elman.backends.given import Given, Gradients, Kept, Manner
from elman.backends.triton.modules import kernels
from elman.backends.triton.plan import Plan, places_on, plan_for, power
from elman.graph import Traced


class LaunchWarning(UserWarning):
    """A layer does not fit on the GPU in one piece."""


class Span(NamedTuple):
    """Steps first … last - 1 of the sequences, and their lengths counted from the first."""

    first: int
    last: int
    lengths: Tensor | None


@dataclass
class Frame:
    """One call: its sizes, its plan by kernel, and what every launch is given.

    units, head  H, and those of them that R joins; wide: the dtype of sums and states
    """

    traced: Traced
    given: Given
    how: Manner
    plans: Mapping[str, Plan]
    rows: int
    units: int
    head: int
    wide: torch.dtype

    @classmethod
    def of(cls, traced: Traced, given: Given, how: Manner) -> Frame:
        """The frame for what was given."""
        rows, units = given.state[0].shape
        wide = torch.float64 if given.x.dtype == torch.float64 else torch.float32
        head = units if given.R is None else given.R.shape[1]
        norm = given.gain is not None and bool(traced.recurrent)
        plans = {
            name: plan(traced, given.x, (units, head), rows, norm=norm, back=name == "backward")
            for name in ("forward", "backward")
        }
        return cls(traced, given, how, plans, rows, units, head, wide)

    @property
    def norm(self) -> bool:
        """Whether R h is normalised."""
        return self.given.gain is not None and bool(self.traced.recurrent)

    def grid(self, name: str) -> tuple[int, int, int]:
        """A kernel's programs by the units of a head, by sequences and by heads."""
        return self.plans[name].grid(self.rows, self.head, self.units // self.head)

    def spans(self) -> list[Span]:
        """The steps in one piece, or in segments of which each is computed again in backward; in the order of time."""
        steps = len(self.given.x)
        size = self.how.segment or steps
        found = []
        for first in range(0, steps, size):
            last = min(first + size, steps)
            lengths = self.how.lengths
            valid = None if lengths is None else (lengths - first).clamp(0, last - first).to(torch.int32)
            found.append(Span(first, last, valid))
        return found[::-1] if self.how.reverse else found

    def input(self, span: Span) -> Tensor:
        """x (n, B, F), 0 past each row's length."""
        return blank(self.given.x[span.first : span.last], span.lengths)

    def project(self, x: Tensor, *, owned: bool) -> Tensor:
        """W x + b (n, B, G·H); `owned`: in memory that may be written."""
        if self.given.W is None:
            return x.clone(memory_format=torch.contiguous_format) if owned else x.contiguous()
        return F.linear(x, self.given.W, self.given.b)

    def room(self, steps: int, gates: int) -> Tensor:
        """A buffer (n, B, gates·H) for pre-activations or their gradients."""
        return self.given.x.new_empty(steps, self.rows, gates * self.units)

    def launch(self, name: str, span: Span, tensors: Mapping[str, Tensor | None], **flags: Any) -> None:
        """Runs a kernel over a span; a tensor that is not there is stood in for by another, and never read."""
        plan, given, grid = self.plans[name], self.given, self.grid(name)
        kernel = self.kernel(name)
        zone, like = self._zone(span), given.x if given.R is None else given.R
        found: dict[str, Any] = {"R": self.matrix(name), "b_r": given.b_r, "gain": given.gain, "params": given.params}
        found = {key: None if t is None else t.contiguous() for key, t in found.items()}
        found |= {**tensors, "drop": self.how.drop, "lengths": span.lengths, "counters": None, "told": None}
        found |= {f"zone_{i}": z for i, z in enumerate(zone or [None] * len(given.state))}
        if plan.form == "spread":
            found["counters"] = torch.zeros(grid[1] * grid[2] * 32, dtype=torch.int32, device=like.device)
            found["told"] = like.new_empty(2, grid[0] * grid[2], self.rows, dtype=self.wide) if self.norm else None
        moving = bool(zone) and zone[0].ndim == 3
        steps = span.last - span.first
        found |= {"steps": steps, "rows": self.rows}
        found |= {"zone_step": self.rows * self.units * moving, "zone_row": self.units * moving}
        found |= {**self.constants(name), **flags}
        turns = [(n, n + 1) for n in range(steps)] if plan.form == "steps" else [(0, steps)]
        blocks, options = plan.blocks or grid[1], self.options(name)
        for (begin, end), group in product(turns, range(0, grid[1], blocks)):
            found |= {"begin": begin, "end": end, "group": group}
            here = grid[0], min(blocks, grid[1] - group), grid[2]
            kernel[here](*(like if found[key] is None else found[key] for key in kernel.arg_names), **options)

    def matrix(self, name: str) -> Tensor | None:
        """R, for backward each of its blocks transposed: the numbers that a product sums over lie side by side."""
        R = self.given.R
        return R if R is None or name == "forward" else R.unflatten(0, (-1, self.head)).mT.flatten(0, 1)

    def kernel(self, name: str) -> Any:
        """The cell's forward or backward kernel, in the form that the plan has."""
        plan = self.plans[name]
        return getattr(kernels(self.traced, plan.chunks), name + "_scan" * (plan.form == "scan"))

    def constants(self, name: str) -> dict[str, Any]:
        """What is compiled in, but for KEEP."""
        plan, how = self.plans[name], self.how
        found: dict[str, Any] = {"H": self.units, "D": self.head, "WIDE": _dtype(self.wide), "FORM": plan.form}
        found |= {"BB": plan.BB, "BT": plan.BB, "BU": plan.BU, "BK": plan.BK, "WAYS": plan.ways, "HOLD": plan.hold}
        by_units, _, heads = self.grid(name)
        found |= {"PARTS": power(by_units * heads), "WAYS": plan.ways}
        found |= {"PRECISION": self._precision(), "REVERSE": how.reverse, "NORM": self.norm}
        found |= {"DROP": how.drop is not None, "LENGTHS": how.lengths is not None}
        return found | {"ZONE": any(z is not None for z in how.zone)}

    def options(self, name: str) -> dict[str, Any]:
        """How it is compiled and launched."""
        plan = self.plans[name]
        if plan.form != "spread":
            return {"num_warps": plan.warps}
        # Refused by the driver rather than waiting for ever; what others write at a step is not to be fetched ahead.
        found = {"num_warps": plan.warps, "launch_cooperative_grid": True}
        return found | ({"num_stages": 1} if plan.hold else {})

    def _zone(self, span: Span) -> list[Tensor]:
        """What each state keeps, (n, B, H) or (1, H); [] without zoneout."""
        shares = [z for z in self.how.zone if z is not None]
        if not shares:
            return []
        every = [torch.zeros_like(shares[0]) if z is None else z for z in self.how.zone]
        return [(z[span.first : span.last] if z.ndim == 3 else z).contiguous() for z in every]

    def _precision(self) -> str:
        """tf32 where torch allows it; else three of its products, which together are as exact as float32."""
        return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3" if self.wide == torch.float32 else "ieee"

    def state(self) -> Tensor:
        """The first state (S, B, H), in memory of its own."""
        return torch.stack(self.given.state).to(self.wide)

    def feed(self, state: Tensor) -> Tensor | None:
        """Where programs that share the units pass h on: two slots (2, B, H), written and read in turn."""
        if self.plans["forward"].form in ("alone", "scan"):
            return None
        h = state[0] if self.how.drop is None else state[0] * self.how.drop
        return torch.stack([h, h]).to(self.given.x.dtype)

    def run(self, span: Span, z: Tensor, y: Tensor, state: Tensor, *, keep: bool) -> Kept:
        """A span forwards: `y` and `state` are written; what backward needs. zn is R h normalised, with its scales."""
        steps, t, apart, inner = span.last - span.first, self.traced, len(self.traced.apart), len(state) - 1
        zr = self.room(steps, apart) if keep and apart else None
        zn = self.room(steps, len(t.recurrent)) if keep and self.norm else None
        scales = state.new_empty(steps, self.rows) if keep and self.norm else None
        kept = state.new_empty(inner, steps, self.rows, self.units) if keep and inner else None
        given = {"z": z, "zr": zr, "zn": zn, "scales": scales, "y": y, "kept": kept}
        self.launch("forward", span, {**given, "state": state, "feed": self.feed(state)}, KEEP=keep)
        return Kept(z, zr, zn, None, (kept, scales))


def plan(
    traced: Traced, x: Tensor, sizes: tuple[int, int], rows: int, *, norm: bool, back: bool, tell: bool = True
) -> Plan:
    """The layout on x's device for (units, units of a head); `tell`: warns where every step is a launch of its own."""
    places, (units, head) = places_on(x.device), sizes
    found = plan_for(traced, head, rows, x.dtype, places, norm=norm, heads=units // head, back=back)
    if tell and found.form == "steps" and places:
        text = f"{traced.name} of {units} units takes one launch per step, several times slower: its programs would "
        text += f"have to be on the GPU at once, and there is room for {places}. Use fewer units."
        warnings.warn(text, LaunchWarning, stacklevel=2)
    return found


def _dtype(dtype: torch.dtype) -> Any:
    import triton.language as tl

    return tl.float64 if dtype == torch.float64 else tl.float32


def forward(traced: Traced, given: Given, how: Manner, *, keep: bool) -> tuple[Tensor, tuple[Tensor, ...], Kept]:
    """Outputs (T, B, H), the last state and, with `keep`, what backward needs."""
    frame = Frame.of(traced, given, how)
    state = frame.state()
    y = given.state[0].new_empty(len(given.x), frame.rows, frame.units)
    keep_all = keep and how.segment is None
    begins, kept = [], Kept(None, None, None, None, ())
    for span in frame.spans():
        if keep and how.segment is not None:
            begins.append(state.clone())
        z = frame.project(frame.input(span), owned=keep_all)
        found = frame.run(span, z, y[span.first : span.last], state, keep=keep_all)
        kept = found if keep_all else kept
    if begins:
        kept = kept._replace(begins=torch.stack(begins))
    return y, tuple(part.to(s.dtype) for part, s in zip(state, given.state, strict=True)), kept


def backward(
    traced: Traced,
    given: Given,
    how: Manner,
    y: Tensor | None,
    kept: Kept,
    grads: Sequence[Tensor],
    *,
    x_too: bool = True,
) -> Gradients:
    """Gradients of all that was given; `kept` is used up unless it is segments, which need no outputs y."""
    frame = Frame.of(traced, given, how)
    sums = Sums.of(frame, grads[1:], x_too=x_too)
    spans, begins = frame.spans(), cast(Tensor, kept.begins)
    for number in reversed(range(len(spans))):
        span = spans[number]
        if kept.z is not None and y is not None:
            first, found, outputs = frame.state(), kept, y
        else:
            first, state = begins[number], begins[number].clone()
            outputs = given.state[0].new_empty(span.last - span.first, frame.rows, frame.units)
            found = frame.run(span, frame.project(frame.input(span), owned=True), outputs, state, keep=True)
        sums.add(span, first, found, outputs, grads[0][span.first : span.last])
    return sums.found()


@dataclass
class Sums:
    """What backward adds up, span by span from the last one."""

    frame: Frame
    state: Tensor
    params: Tensor
    gain: Tensor
    x: Tensor | None
    totals: dict[str, Tensor]

    @classmethod
    def of(cls, frame: Frame, grads: Sequence[Tensor], *, x_too: bool) -> Sums:
        """Nothing yet but the gradients of the last state."""
        given, wide = frame.given, frame.wide
        blocks = frame.grid("backward")[1]

        def zeros(count: int) -> Tensor:
            return given.x.new_zeros(blocks, max(count, 1), frame.units, dtype=wide)

        return cls(
            frame,
            torch.stack([g.to(wide) for g in grads]),
            zeros(len(frame.traced.cell.params)),
            zeros(len(frame.traced.recurrent)),
            torch.empty_like(given.x, memory_format=torch.contiguous_format) if x_too else None,
            {},
        )

    def add(self, span: Span, first: Tensor, kept: Kept, y: Tensor, d_y: Tensor) -> None:
        """A span backwards."""
        frame, given = self.frame, self.frame.given
        z, zr, zn = cast(Tensor, kept.z), kept.zr, kept.zn
        inner, scales = kept.states
        tensors = {"z": z, "zr": zr, "zn": zn, "scales": scales, "y": y, "kept": inner}
        tensors |= {"first": first, "d_y": d_y.contiguous(), "d_state": self.state}
        frame.launch("backward", span, {**tensors, "d_params": self.params, "d_gain": self.gain})
        self._add_recurrent(span, first[0], z, zr, zn, y)
        flat = z.reshape(-1, z.shape[-1])
        if zr is not None:
            self._sum("b_r", zr.reshape(-1, zr.shape[-1]).sum(0, dtype=frame.wide))
        if given.W is None:
            d_x = z
        else:
            x = frame.input(span)
            self._sum("b", flat.sum(0, dtype=frame.wide))
            self._sum("W", flat.mT @ x.reshape(-1, x.shape[-1]))
            d_x = z @ given.W if self.x is not None else z
        if self.x is not None:
            self.x[span.first : span.last] = d_x

    def _add_recurrent(
        self, span: Span, first: Tensor, z: Tensor, zr: Tensor | None, zn: Tensor | None, y: Tensor
    ) -> None:
        """The gradient of R, h before each step times that of R h; and what the first step says of the state before."""
        frame, how, R = self.frame, self.frame.how, self.frame.given.R
        if R is None:
            return
        split = len(frame.traced.summed) * frame.units
        parts = [zn] if zn is not None else [z[..., :split]] if zr is None else [z[..., :split], zr]
        factor = 1.0 if how.drop is None else how.drop
        fed = y.to(z.dtype) if how.drop is None else (y * how.drop).to(z.dtype)
        after, before = (slice(None, -1), slice(1, None)) if how.reverse else (slice(1, None), slice(None, -1))
        h = fed[before].reshape(-1, frame.units)
        begin = (first * factor).to(z.dtype)
        found, carried, at = [], torch.zeros_like(self.state[0]), 0
        for part in parts:
            width = part.shape[-1]
            at_first = _at_first(part, span.lengths, reverse=how.reverse)
            found.append(_outer(part[after].reshape(-1, width), h, R) + _outer(at_first, begin, R))
            carried += _back(part[-1 if how.reverse else 0], R[at : at + width], frame.units).to(frame.wide)
            at += width
        self._sum("R", torch.cat(found))
        self.state[0] += carried * factor

    def _sum(self, name: str, value: Tensor) -> None:
        """Adds to a total; of several in a wider dtype."""
        before = self.totals.get(name)
        self.totals[name] = value if before is None else before.to(self.frame.wide) + value

    def found(self) -> Gradients:
        """The gradients, each of the dtype of what it is of."""
        given, totals = self.frame.given, self.totals
        every = {name: totals.get(name) for name in ("W", "R", "b", "b_r")}
        every["gain"] = self.gain.sum(0).reshape(-1) if self.frame.norm else None
        every["params"] = self.params.sum(0)
        flat = [self.x, *(every[name] for name in Given._fields[1:7]), *self.state]
        return tuple(None if v is None or g is None else g.to(v.dtype) for v, g in zip(given.flat(), flat, strict=True))


def _outer(d: Tensor, h: Tensor, R: Tensor) -> Tensor:
    """The gradient of R (·, D) from those of R h, d (N, ·), and h (N, H): a product, of several heads one each."""
    size, units = R.shape[1], h.shape[1]
    if size == units:
        return d.mT @ h
    parts = d.reshape(len(d), -1, units // size, size)
    return torch.einsum("nghu,nhk->ghuk", parts, h.reshape(len(h), -1, size)).reshape(-1, size)


def _back(d: Tensor, R: Tensor, units: int) -> Tensor:
    """What gradients of R h, d (B, ·), say of h (B, H)."""
    size = R.shape[1]
    if size == units:
        return d @ R
    parts, blocks = d.reshape(len(d), -1, units // size, size), R.reshape(-1, units // size, size, size)
    return torch.einsum("bghu,ghuk->bhk", parts, blocks).reshape(len(d), units)


def _at_first(part: Tensor, lengths: Tensor | None, *, reverse: bool) -> Tensor:
    """The row (B, ·) of each sequence's first step in its own direction."""
    if not reverse:
        return part[0]
    if lengths is None:
        return part[-1]
    last = (lengths.long() - 1).clamp(min=0)
    return part.gather(0, last[None, :, None].expand(1, -1, part.shape[-1]))[0]
