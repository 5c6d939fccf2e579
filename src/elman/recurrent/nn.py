"""torch.nn's recurrent modules with the computation exchanged: their arguments and weights, our cells and backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from elman.backends import Pass, Weights, check_backend, explain, select
from elman.graph import Traced, trace
from elman.recurrent.layer import autocasts
from elman.recurrent.stack import State
from elman.recurrent.torch_weights import named_weights, twin_of, weights_of

# By torch's name of the cell. Filled when a module is made or unpickled, so that torch.compile finds it complete.
_TRACES: dict[str, Traced] = {}


class DropIn(nn.RNNBase):
    """`forward` for the subclasses of `torch.nn.RNNBase` in `elman.nn`; arguments, weights and checks stay torch's.

    backend  "auto", or one by name that then runs or raises; set it on a module, or on the class for all of them
    """

    backend: str = "auto"

    def __init__(self, mode: str, *args: Any, **kwargs: Any) -> None:
        if mode != "LSTM" and "proj_size" in kwargs:
            raise ValueError(f"{self._get_name()}: proj_size is an option of LSTM alone. Leave it out.")
        super().__init__(mode, *args, **kwargs)
        self._traced()

    def __setstate__(self, d: dict[str, Any]) -> None:
        super().__setstate__(d)
        self._traced()

    def flatten_parameters(self) -> None:
        """Nothing: one block of memory for all weights is what cuDNN wants, no backend of ours does."""

    def explain_backend(self) -> str:
        """Which backend runs this net, and why each other was refused."""
        check_backend(self.backend, self._get_name())
        self._update_flat_weights()
        named = named_weights(self)
        weights = weights_of(named, self._traced(), "l0")
        if self.proj_size:
            weights = _projected(weights, named["weight_hr_l0"])
        x = weights.W.new_zeros(1, 1, self.input_size)
        return explain(self.backend, self._traced(), weights, x, Pass())

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Outputs and last state, as `torch.nn`'s module of the same name gives them."""
        self._update_flat_weights()
        check_backend(self.backend, self._get_name())
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched, batch_axis = input.dim() == 3, 0 if self.batch_first else 1
        input = input if batched else input.unsqueeze(batch_axis)
        state = None if hx is None else self._with_batch(hx, batched)
        self._check(input, state, None)
        if not input.shape[1 - batch_axis]:
            raise RuntimeError(f"{self._get_name()}: input must have one time step or more, got {tuple(input.shape)}.")
        y, last = self._unroll(input.transpose(0, 1) if self.batch_first else input, state)
        y = y.transpose(0, 1) if self.batch_first else y
        if not batched:
            y, last = y.squeeze(batch_axis), tuple(part.squeeze(1) for part in last)
        return y, self._as_torch(last)

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> Any:
        data, batch_sizes, order, back = packed
        state = None if hx is None else self._parts(self.permute_hidden(hx, order))  # pyright: ignore[reportArgumentType]
        self._check(data, state, batch_sizes)
        steps, rows = len(batch_sizes), int(batch_sizes[0])
        valid = torch.arange(rows) < batch_sizes.unsqueeze(1)  # read row by row, just the order in which torch packs
        positions = valid.flatten().nonzero().squeeze(1).to(data.device)
        lengths = None if len(data) == steps * rows else valid.sum(0).to(data.device)
        y, last = self._unroll(_spread(data, positions, steps, rows), state, lengths, positions)
        y = y.flatten(0, 1).index_select(0, positions)
        hidden: Any = self._as_torch(last)
        return PackedSequence(y, batch_sizes, order, back), self.permute_hidden(hidden, back)

    def _unroll(
        self, x: Tensor, state: State | None, lengths: Tensor | None = None, positions: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """`_layers`, under autocast or not; x (T, B, F)."""
        kind = x.device.type
        if not autocasts(kind):
            return self._layers(x, state, lengths, positions)
        full, first = named_weights(self)["weight_ih_l0"].dtype, (x if state is None else state[0]).dtype
        x, state = x.to(full), None if state is None else tuple(part.to(full) for part in state)
        # Autocast may round, it need not; on the CPU the compiled loop in float32 is faster than steps in bfloat16.
        with torch.autocast(kind, enabled=kind != "cpu"):
            y, last = self._layers(x, state, lengths, positions)
        # As torch: what its list for the CPU leaves out stays in full precision when it starts there.
        left_out = self.mode == "GRU" or (self.mode == "LSTM" and positions is not None and not self.proj_size)
        dtype = full if kind == "cpu" and left_out and first == full else torch.get_autocast_dtype(kind)
        return y.to(dtype), tuple(part.to(dtype) for part in last)

    def _layers(
        self, x: Tensor, state: State | None, lengths: Tensor | None, positions: Tensor | None
    ) -> tuple[Tensor, State]:
        """x (T, B, F) through all layers; positions: where the packed steps stand in x.flatten(0, 1), if it was."""
        named, ways = named_weights(self), ("", "_reverse") if self.bidirectional else ("",)
        finals: list[State] = []
        for layer in range(self.num_layers):
            below = self._drop(x, positions) if layer else x
            outputs = []
            for way, suffix in enumerate(ways):
                start = None if state is None else tuple(part[layer * len(ways) + way] for part in state)
                y, final = self._pass(named, f"l{layer}{suffix}", below, start, Pass(lengths, reverse=way == 1))
                outputs.append(y)
                finals.append(final)
            x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
        return x, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))

    def _pass(
        self, named: Mapping[str, Tensor], suffix: str, x: Tensor, state: State | None, how: Pass
    ) -> tuple[Tensor, State]:
        """One direction of one layer, x (T, B, F); the state's parts (B, ·)."""
        traced = self._traced()
        weights, project = weights_of(named, traced, suffix), named.get(f"weight_hr_{suffix}")
        if project is not None:
            if state is not None:
                x, weights = _with_first(x, state[0], weights, how)
                state = (state[0].new_zeros(state[1].shape), state[1])
            weights = _projected(weights, project)
        if state is None:
            state = tuple(x.new_zeros(x.shape[1], self.hidden_size) for _ in traced.cell.states)
        y, last = select(self.backend, traced, weights, x, how).unroll(traced, weights, x, state, how)
        if project is not None:
            y, last = F.linear(y, project), (F.linear(last[0], project), last[1])
        return y, last

    def _drop(self, x: Tensor, positions: Tensor | None) -> Tensor:
        """Dropout between layers, random numbers drawn as torch does: for a packed sequence none fall on padding."""
        if positions is None or not self.training or not self.dropout:
            return F.dropout(x, self.dropout, self.training)
        steps, rows, size = x.shape
        return x * _spread(F.dropout(x.new_ones(len(positions), size), self.dropout), positions, steps, rows)

    def _traced(self) -> Traced:
        if self.mode not in _TRACES:
            _TRACES[self.mode] = trace(twin_of(self)())
        return _TRACES[self.mode]

    def _check(self, input: Tensor, state: State | None, batch_sizes: Tensor | None) -> None:
        """Raises what torch raises."""
        if state is None:
            self.check_input(input, batch_sizes)
            return
        hidden: Any = self._as_torch(state)
        self.check_forward_args(input, hidden, batch_sizes)
        if any(part.device != input.device for part in state):
            raise RuntimeError(f"{self._get_name()}: hx must be on {input.device} as the input is. Move it there.")
        if any(part.dtype != input.dtype for part in state) and not autocasts(input.device.type):
            raise RuntimeError(f"{self._get_name()}: hx must be {input.dtype} as the input is. Write .to(input.dtype).")

    def _with_batch(self, hx: Any, batched: bool) -> State:
        parts, axes = self._parts(hx), 3 if batched else 2
        if any(part.dim() != axes for part in parts):
            got = ", ".join(f"{part.dim()}-D" for part in parts)
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(f"{self._get_name()}: for {kind} input, hx must also be {axes}-D, got {got}.")
        return parts if batched else tuple(part.unsqueeze(1) for part in parts)

    def _parts(self, hx: Any) -> State:
        if self.mode != "LSTM":
            return (hx,)
        if len(hx) > 2:
            raise RuntimeError(f"{self._get_name()}: hx must be (h_0, c_0), got {len(hx)} parts.")
        return hx[0], hx[1]

    def _as_torch(self, state: State) -> Any:
        return state if self.mode == "LSTM" else state[0]


def _spread(data: Tensor, positions: Tensor, steps: int, rows: int) -> Tensor:
    """Packed steps (N, F) to (T, B, F), zeros elsewhere."""
    return data.new_zeros(steps * rows, data.shape[1]).index_copy(0, positions, data).view(steps, rows, -1)


def _projected(weights: Weights, project: Tensor) -> Weights:
    """R h = (R W_hr) h̃ where h = W_hr h̃: the plain cell over h̃ = o tanh(c) is the projected one over h."""
    return replace(weights, blocks=(weights.R @ project).to(weights.W.dtype))  # pyright: ignore[reportOptionalOperand]


def _with_first(x: Tensor, h: Tensor, weights: Weights, how: Pass) -> tuple[Tensor, Weights]:
    """R h_0 in by the input's door, at the first step that each row takes: no h̃ need exist that W_hr maps to h_0."""
    steps = torch.arange(len(x), device=x.device).unsqueeze(1)
    first = (len(x) if how.lengths is None else how.lengths) - 1 if how.reverse else 0
    beside = torch.where((steps == first).unsqueeze(-1), h, 0.0).expand(len(x), *h.shape)
    wide = torch.cat([weights.W, weights.R], 1)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return torch.cat([x, beside], -1), replace(weights, W=wide)
