"""Tensors to the Triton kernels and back, and what is one product for all steps. No autograd here.

The input's part of the pre-activations and the gradients of weights are products over all steps at once, and torch's.
The buffer z first holds W x + b, after forward the whole pre-activations, and after backward their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from elman.backends.given import Given, Gradients, Kept, Manner
from elman.backends.triton.frame import Frame, Span
from elman.graph import Traced


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
        plan, grid = frame.plans["backward"], frame.grid("backward")
        longest = max((span.last - span.first for span in frame.spans()), default=0)
        blocks = grid[1] * (plan.split(longest, grid[0] * grid[1])[0] if plan.form == "scan" else 1)

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
        parts = [part for part in ([z[..., :split], zr] if zn is None else [zn]) if part is not None and part.shape[-1]]
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
