"""One call of the Triton kernels: its layout, its buffers, its launches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.backends.eager import blank
from elman.backends.given import Given, Kept, Manner
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
        plans = {
            name: plan(traced, given.x, (units, head), rows, norm=given.gain is not None, back=name == "backward")
            for name in ("forward", "backward")
        }
        return cls(traced, given, how, plans, rows, units, head, wide)

    @property
    def norm(self) -> bool:
        """Whether R h is normalised."""
        return self.given.gain is not None

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

        def run(kernel: Any, grid: tuple[int, ...], **more: Any) -> None:
            every = found | more
            kernel[grid](
                *(like if every[key] is None else every[key] for key in kernel.arg_names), **self.options(name)
            )

        if plan.form == "scan":
            self._scan(name, run, grid, found)
            return
        turns = [(n, n + 1) for n in range(steps)] if plan.form == "steps" else [(0, steps)]
        blocks = plan.blocks or grid[1]
        for (begin, end), group in product(turns, range(0, grid[1], blocks)):
            run(self.kernel(name), (grid[0], min(blocks, grid[1] - group), grid[2]), begin=begin, end=end, group=group)

    def _scan(self, name: str, run: Callable[..., None], grid: tuple[int, int, int], found: dict[str, Any]) -> None:
        """The steps of a scan in one launch or, of few sequences, in two: what each span of them does to a state, then
        the spans at once, each led to its first state by those before it."""
        state: Tensor = found["state" if name == "forward" else "d_state"]
        many, found["span"] = self.plans[name].split(found["steps"], grid[0] * grid[1])
        found |= {"d_y": found.get("d_y"), "last": state, "totals": None, "BACK": name == "backward"}
        grid = *grid[:2], many
        if many > 1:
            found["last"] = torch.empty_like(state)  # others still read the first state when the last one is known
            found["totals"] = state.new_empty(many, len(state) ** 2 + len(state), self.rows, self.units)
            run(kernels(self.traced, 1).totals_scan, grid)
        run(self.kernel(name), grid)
        if many > 1:
            state.copy_(found["last"])

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
        found |= {"BB": plan.BB, "BT": plan.BB, "BU": plan.BU, "BK": plan.BK, "HOLD": plan.hold}
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
