"""Tensors to the compiled loop and back: buffers, padded units, sorted rows. Nothing here knows autograd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.backends.given import Given, Gradients, Kept, Manner
from elman.backends.native import library as libraries
from elman.backends.native.library import Library, library
from elman.backends.native.rows import Rows
from elman.graph import Traced

SMALL = 1 << 20  # multiplications that can be shared, below which a second thread costs more than it brings
MOST_THREADS = 64  # as in c/team.h


@dataclass
class Frame:
    """One call's sizes: gates G, apart Ga, recurrent Gr, params P, units H, padded to ld, inputs F; rows and threads.

    crew  threads that share the units of all sequences; 1: they share the sequences
    """

    lib: Library
    rows: Rows
    gates: int
    apart: int
    recurrent: int
    params: int
    units: int
    inputs: int
    threads: int
    crew: int

    @property
    def padded(self) -> int:
        """Units in whole vectors."""
        return self.lib.padded(self.units)

    @classmethod
    def of(cls, lib: Library, given: Given, how: Manner) -> Frame:
        """The sizes that the tensors have."""
        steps, batch, width = given.x.shape
        units = given.state[0].shape[1]
        inputs = 0 if given.W is None else width
        gates = (width if given.W is None else given.W.shape[0]) // units
        apart, recurrent = (0 if w is None else w.shape[0] // units for w in (given.b_r, given.R))
        threads, weights = torch.get_num_threads(), recurrent * units * units
        crew = 1 if lib.norm else _crew(threads, batch, weights)
        # One sequence without a crew shares no more than W x.
        shared = steps * batch * (units * gates * inputs + (weights if batch > 1 or crew > 1 else 0))
        if shared < SMALL:
            threads = crew = 1
        rows = Rows.of(steps, batch, how.lengths, threads if crew == 1 else 1)
        params = 0 if given.params is None else given.params.shape[0]
        return cls(lib, rows, gates, apart, recurrent, params, units, inputs, threads, crew)

    def room(self, like: Tensor, columns: int) -> Tensor | None:
        """A buffer with so many padded columns for each row; None for no column."""
        return torch.empty(self.rows.total, columns * self.padded, dtype=like.dtype) if columns else None

    def pad(self, values: Tensor) -> Tensor:
        """(·, H) to (·, ld), in memory of its own."""
        return F.pad(values, (0, self.padded - self.units)).contiguous() if self.padded > self.units else values.clone()

    def read(self, values: Tensor) -> Tensor:
        """(·, H) to (·, ld), to be read only."""
        return self.pad(values) if self.padded > self.units else values.contiguous()

    def cut(self, values: Tensor, units: int | None = None) -> Tensor:
        """(·, ld) back to (·, H)."""
        units = units or self.units
        return values if values.shape[1] == units else values[:, :units].contiguous()

    def by_gate(self, values: Tensor, gates: int) -> Tensor:
        """(·, gates·ld) to (·, gates·H)."""
        return self.cut(values.reshape(-1, self.padded)).reshape(len(values), gates * self.units)

    def weight(self, padded: Tensor, gates: int, columns: int) -> Tensor:
        """A weight's gradient (gates·ld, ·) cut to (gates·H, columns)."""
        if padded.shape == (gates * self.units, columns):
            return padded
        cut = padded.reshape(gates, self.padded, -1)[:, : self.units, :columns]
        return cut.reshape(gates * self.units, columns).contiguous()  # reshape may give a view with gaps between rows

    def fields(self, given: Given, how: Manner) -> dict[str, Any]:
        """What both directions hand to C."""
        rows, moving = self.rows, any(z is not None and z.ndim == 3 for z in how.zone)
        zone = [z if z is None else self.read(rows.pack(z)) if z.ndim == 3 else self.read(z) for z in how.zone]
        weights = zip(Given._fields[1:7], given[1:7], strict=True)
        x = rows.pack(given.x)
        openmp, team_size = libraries.openmp() if self.threads > 1 else (0, 0)
        return {name: value.contiguous() for name, value in weights if value is not None} | {
            "x": None if given.W is None else x,
            "pre": self.read(x.reshape(-1, self.units)) if given.W is None else None,
            "x_step": self.inputs,
            "segment": how.segment,
            "steps": rows.steps,
            "rows": rows.batch,
            "inputs": self.inputs,
            "units": self.units,
            "padded": self.padded,
            "total": rows.total,
            "threads": self.threads,
            "parts": rows.parts,
            "crew": self.crew,
            "reverse": how.reverse,
            "zone": zone,
            "zone_step": self.padded if moving else 0,
            "openmp": openmp,
            "team_size": team_size,
            "sizes": rows.sizes,
            "offsets": rows.offsets,
            "cuts": rows.cuts,
            "drop": None if how.drop is None else self.read(rows.sort(how.drop)),
        }


def _crew(threads: int, batch: int, weights: int) -> int:
    """How many threads go through time together, each with some units of all sequences; 1: each with its own sequences.

    Two meetings at each step pay where a thread has no sequence of its own, or few and an R beyond the nearer caches.
    """
    each = batch // threads
    pays = threads > 1 and each < 16 and weights >= 1 << (13 + 2 * min(each, 2))
    return min(threads, MOST_THREADS) if pays else 1


def forward(traced: Traced, given: Given, how: Manner, *, keep: bool) -> tuple[Tensor, tuple[Tensor, ...], Kept]:
    """Outputs (T, B, H), the last state and, with `keep`, what backward needs."""
    lib = library(traced, given.x.dtype, layer_norm=given.gain is not None)
    frame = Frame.of(lib, given, how)
    rows, like = frame.rows, given.x
    all_steps = keep and how.segment is None
    y = torch.empty(rows.total, frame.padded, dtype=like.dtype)
    state = [frame.pad(rows.sort(s)) for s in given.state]
    kept = Kept(
        z=frame.room(like, frame.gates * all_steps),
        zr=frame.room(like, frame.apart * all_steps),
        zn=frame.room(like, frame.recurrent * lib.norm * all_steps),
        begins=like.new_empty(-(-rows.steps // how.segment), len(state), *state[0].shape)
        if keep and how.segment is not None
        else None,
        states=tuple(torch.empty_like(y) if all_steps else None for _ in state[1:]),
    )
    fields = frame.fields(given, how) | kept._asdict() | {"state": state, "kept": [y, *kept.states], "states": None}
    args, _scratch = lib.arrange(fields, backward=False)
    lib.forward(args)
    return rows.unpack(frame.cut(y)), tuple(rows.unsort(frame.cut(s)) for s in state), kept


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
    """Gradients from those of outputs and last state; y and `kept` are what forward gave, and `kept` is used up.

    With segments y is not read.
    """
    lib = library(traced, given.x.dtype, layer_norm=given.gain is not None)
    frame = Frame.of(lib, given, how)
    rows, like = frame.rows, given.x
    carried = [frame.pad(rows.sort(d)) for d in grads[1:]]
    found: dict[str, Any] = _buffers(frame, like, x_too=x_too, segments=kept.begins is not None)
    fields: dict[str, Any] = frame.fields(given, how) | kept._asdict() | found
    del fields["states"]
    wide = lib.padded(frame.inputs)
    if wide > frame.inputs:  # the product with x reads whole vectors of it
        fields |= {"x": F.pad(fields["x"], (0, wide - frame.inputs)), "x_step": wide}
    fields |= {
        "kept": None if y is None else [frame.read(rows.pack(y)), *kept.states],
        "first": [frame.read(rows.sort(s)) for s in given.state],
        "d_y": frame.read(rows.pack(grads[0])),
        "d_state": carried,
    }
    args, _scratch = lib.arrange(fields, backward=True)
    lib.backward(args)
    d_x, d_W, d_R = found["d_x"], found["d_W"], found["d_R"]
    names = frame.gates, frame.apart, frame.params, frame.recurrent * lib.norm
    b, b_r, params, gain = (part if len(part) else None for part in frame.cut(found["d_shared"]).split(names))
    flat = (None if v is None else v.reshape(-1) for v in (None if given.b is None else b, b_r, gain))
    if d_x is not None:
        d_x = rows.unpack(frame.cut(d_x, frame.inputs) if frame.inputs else frame.by_gate(d_x, frame.gates))
    return (
        d_x,
        None if d_W is None else frame.weight(d_W, frame.gates, frame.inputs),
        None if d_R is None else frame.weight(d_R, frame.recurrent, frame.units),
        *flat,
        params,
        *(rows.unsort(frame.cut(d)) for d in carried),
    )


def _buffers(frame: Frame, like: Tensor, *, x_too: bool, segments: bool) -> dict[str, Tensor | None]:
    """Where backward writes gradients, with padded columns."""
    wide = frame.lib.padded(frame.inputs)
    lines = frame.gates + frame.apart + frame.params + frame.recurrent * frame.lib.norm
    return {
        "h_before": frame.room(like, int(frame.recurrent > 0 and not segments)),
        "d_x": like.new_empty(frame.rows.total, wide or frame.gates * frame.padded) if x_too else None,
        "d_W": like.new_empty(frame.gates * frame.padded, wide) if wide else None,
        "d_R": like.new_empty(frame.recurrent * frame.padded, frame.padded) if frame.recurrent else None,
        "d_shared": like.new_empty(lines, frame.padded),
    }
