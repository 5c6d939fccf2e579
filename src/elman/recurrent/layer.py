"""One layer in one direction: its weights, how they start, and a pass over a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from elman.backends import Pass, Weights, select
from elman.backends.base import gather
from elman.cells.base import Fields
from elman.errors import CellError, ShapeError
from elman.graph import Traced, keeper


class Layer(nn.Module):
    """A traced cell with weights, H units over F inputs, unrolled in one direction.

    W (G·H, F), R (Gr·H, H / heads), b (G·H,), b_r (Ga·H,), p.name (H,), gain_x (G·H,), gain_r (Gr·H,), initial.state
    (H,); those that the cell or the options do not need are absent. Gates stand in the order of `Traced.gates`.
    """

    def __init__(
        self,
        traced: Traced,
        input_size: int,
        hidden_size: int,
        *,
        layer_norm: bool,
        learn_initial_state: bool,
        forget_bias: float | None = None,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.traced, self.hidden_size, self.forget_bias, self.heads = traced, hidden_size, forget_bias, heads
        rows, recurrent, apart = (n * hidden_size for n in map(len, (traced.gates, traced.recurrent, traced.apart)))
        self.W = nn.Parameter(torch.empty(rows, input_size))
        self.R = nn.Parameter(torch.empty(recurrent, hidden_size // heads)) if recurrent else None
        self.b = nn.Parameter(torch.empty(rows))
        self.b_r = nn.Parameter(torch.empty(apart)) if apart else None
        self.p = nn.ParameterDict({name: nn.Parameter(torch.empty(hidden_size)) for name in traced.cell.params})
        self.gain_x = nn.Parameter(torch.empty(rows)) if layer_norm else None
        self.gain_r = nn.Parameter(torch.empty(recurrent)) if layer_norm and recurrent else None
        states = traced.cell.states if learn_initial_state else ()
        self.initial = nn.ParameterDict({name: nn.Parameter(torch.empty(hidden_size)) for name in states})
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Starting weights: each gate's R orthogonal, W uniform in ±sqrt(3 / F), biases 0, then the cell's own `init`,
        then the bias of the gate that keeps the state, where `forget_bias` is given.

        Source: Saxe, McClelland & Ganguli 2013, arXiv:1312.6120 (orthogonal R); LeCun et al. 1998 (W of variance 1/F).
        """
        cell, bound = self.traced.cell, math.sqrt(3.0 / max(self.W.shape[1], 1))
        nn.init.uniform_(self.W, -bound, bound)
        if self.R is not None:
            for block in self.R.split(self.hidden_size // self.heads):
                nn.init.orthogonal_(block)
        for zero in (self.b, self.b_r):
            if zero is not None:
                zero.zero_()
        for gain in (self.gain_x, self.gain_r):
            if gain is not None:
                gain.fill_(1.0)
        for name, start in cell.params.items():
            self.p[name].copy_(torch.as_tensor(start(self.hidden_size) if callable(start) else start))
        for name, value in self.initial.items():
            value.fill_(cell.initial.get(name, 0.0))
        by_gate = self.by_gate()
        try:
            cell.init(by_gate)
        except CellError as problem:
            raise CellError(f"{self.traced.name}.init: {problem}") from None
        if self.R is not None and self.heads > 1:  # by_gate then has copies of R
            self.R.copy_(gather(torch.cat(list(vars(by_gate.R).values())), self.R.shape[1]))
        kept = None if self.forget_bias is None else keeper(cell)
        if kept is not None and self.forget_bias is not None:
            vars(self.by_gate().b)[kept.gate].fill_(kept.sign * self.forget_bias)

    def by_gate(self) -> Fields:
        """Views of the weights by gate, as `Cell.init` sees them: w.W.i, w.R.i, w.b.i, w.b_r.n, w.p.name.

        Of several heads w.R.i is a copy, (H, H) with 0 between them.
        """
        t = self.traced

        def split(values: Tensor | None, gates: tuple[str, ...]) -> Fields:
            parts = () if values is None else values.detach().split(self.hidden_size)
            return Fields(**dict(zip(gates, parts, strict=False)))

        params = Fields(**{name: value.detach() for name, value in self.p.items()})
        return Fields(
            W=split(self.W, t.gates),
            R=split(self.weights().R, t.recurrent),
            b=split(self.b, t.gates),
            b_r=split(self.b_r, t.apart),
            p=params,
        )

    def weights(self) -> Weights:
        """The parameters as a backend takes them."""
        return Weights(self.W, self.R, self.b, self.b_r, dict(self.p.items()), self.gain_x, self.gain_r, self.heads)

    def first_state(self, rows: int) -> tuple[Tensor, ...]:
        """The learned state before the first step, each part (B, H)."""
        return tuple(self.initial[name].expand(rows, -1) for name in self.traced.cell.states)

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...], how: Pass, backend: str = "auto"
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (T, B, F) and the first state, each part (B, H), to the outputs (T, B, H) and the last state."""
        weights = self.weights()
        return select(backend, self.traced, weights, x, how).unroll(self.traced, weights, x, state, how)


def check_shape(where: str, what: str, value: Tensor, expected: Mapping[str, int | None], mend: str) -> None:
    """Raises `ShapeError` unless `value` has these axes, in order; None allows any size."""
    sizes = tuple(expected.values())
    if value.ndim != len(sizes) or any(e not in (None, g) for e, g in zip(sizes, value.shape, strict=True)):
        wanted = ", ".join(name if size is None else str(size) for name, size in expected.items())
        raise ShapeError(f"{where}: {what} must be ({wanted}), got {tuple(value.shape)}. {mend}".rstrip())


def autocasts(kind: str) -> bool:
    """Whether autocast is on for this kind of device; asked about one that has none, such as "meta", torch raises."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
