"""torch.nn's own loops: fast on a GPU (cuDNN) and where there is no C compiler, for the cells that torch has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from elman.backends.base import Pass, Weights, refuse_tracing, refuse_transforms, watched
from elman.backends.eager import blank
from elman.cells import GRU, LSTM, Cell, Elman, ElmanRelu
from elman.graph import Traced


class Twin(NamedTuple):
    """What torch calls a cell: its `mode`, module and option, and the function that runs it."""

    mode: str
    module: type[nn.RNNBase]
    options: dict[str, Any]
    run: Callable[..., Any]


# The gates of these cells stand in torch's order, traced too.
TWINS: dict[type[Cell], Twin] = {
    Elman: Twin("RNN_TANH", nn.RNN, {"nonlinearity": "tanh"}, torch.rnn_tanh),
    ElmanRelu: Twin("RNN_RELU", nn.RNN, {"nonlinearity": "relu"}, torch.rnn_relu),
    LSTM: Twin("LSTM", nn.LSTM, {}, torch.lstm),
    GRU: Twin("GRU", nn.GRU, {}, torch.gru),
}


class Torch:
    """One layer and direction at a time, of the cells in `TWINS`, without the options that torch.nn has not."""

    name = "torch"

    def refusal(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> str | None:
        """Cells and options of ours alone, and everyone who wants to look inside the step."""
        if type(traced.cell) not in TWINS:
            return f"torch.nn has no {traced.name}"
        ours = {"layer_norm": weights.gain_x is not None, "recurrent_dropout": how.mask is not None}
        ours |= {"zoneout": bool(how.zoneout), "checkpoint": how.segment is not None}
        if used := [option for option, on in ours.items() if on]:
            return f"torch.nn has no {used[0]}"
        if x.is_meta:
            return "x is on meta and torch reads the lengths"
        if watched():
            return "torch.compile and torch.export unroll plain operations themselves"
        if isinstance(traced.cell, LSTM) and x.device.type == "cpu" and _cannot_narrow():
            return "under autocast torch's LSTM needs a processor with instructions for that number type"
        return refuse_tracing() or refuse_transforms()

    def note(self, traced: Traced, weights: Weights, x: Tensor, how: Pass) -> None:
        """None: it has one way."""

    def unroll(
        self, traced: Traced, weights: Weights, x: Tensor, state: tuple[Tensor, ...], how: Pass
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (T, B, F) and the first state, each part (B, H), to the outputs (T, B, H) and the last state."""
        if x.numel() == 0 and 0 in x.shape[:2]:
            return x.new_zeros(*x.shape[:2], state[0].shape[-1]) + 0 * x.sum(), state
        run = TWINS[type(traced.cell)].run
        flat = weights.W, weights.R, *weights.biases()
        trains = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (*flat, x, *state))
        order = None if how.lengths is None else _order(x, how.lengths, reverse=how.reverse)
        x = _turn(blank(x, how.lengths), order, reverse=how.reverse)
        first = [part.unsqueeze(0).contiguous() for part in state]
        if how.lengths is None:
            y, *last = run(x, _hidden(first), flat, True, 1, 0.0, trains, False, False)
        else:
            y, last = _run_packed(run, x, how.lengths, first, (flat, True, 1, 0.0, trains, False))
            ended = (how.lengths == 0).unsqueeze(-1)
            last = [torch.where(ended, before, after) for before, after in zip(first, last, strict=True)]
        kind = state[0].dtype
        return _turn(y, order, reverse=how.reverse).to(kind), tuple(part.squeeze(0).to(kind) for part in last)

    def stepper(
        self, traced: Traced, layers: Sequence[Weights], zoneout: Mapping[str, float], *, residual: bool
    ) -> None:
        """None: a step is a call."""


def _cannot_narrow() -> bool:
    """Whether autocast is on for a number type that oneDNN, which runs torch's LSTM, does not have here."""
    if not torch.is_autocast_enabled("cpu"):
        return False
    half = torch.get_autocast_dtype("cpu") == torch.float16
    ops: Any = torch.ops.mkldnn
    return not (ops._is_mkldnn_fp16_supported() if half else ops._is_mkldnn_bf16_supported())


def _run_packed(
    run: Callable[..., Any], x: Tensor, lengths: Tensor, first: Sequence[Tensor], rest: tuple[Any, ...]
) -> tuple[Tensor, list[Tensor]]:
    """Outputs (T, B, H), 0 past each row's length, and the last state; that of an empty row is not its own."""
    packed = pack_padded_sequence(x, lengths.clamp(min=1).cpu(), enforce_sorted=False)
    order: Any = packed.sorted_indices
    back: Any = packed.unsorted_indices
    y, *last = run(packed.data, packed.batch_sizes, _hidden([p.index_select(1, order) for p in first]), *rest)
    y, _ = pad_packed_sequence(packed._replace(data=y), total_length=len(x))
    return y.masked_fill((lengths == 0).unsqueeze(-1), 0.0), [part.index_select(1, back) for part in last]


def _hidden(parts: Sequence[Tensor]) -> Any:
    """A state as torch wants it: a cell with one part gives the part itself."""
    return tuple(parts) if len(parts) > 1 else parts[0]


def _order(x: Tensor, lengths: Tensor, *, reverse: bool) -> Tensor | None:
    """(T, B, 1): for each step of a row read back to front, the step that it reads; past the length the step itself."""
    steps = torch.arange(len(x), device=x.device).unsqueeze(1)
    return torch.where(steps < lengths, lengths - 1 - steps, steps).unsqueeze(-1) if reverse else None


def _turn(values: Tensor, order: Tensor | None, *, reverse: bool) -> Tensor:
    """Each row's valid steps the other way round; its own inverse."""
    if order is not None:
        return values.gather(0, order.expand_as(values))
    return values.flip(0) if reverse else values
