"""Layers of a cell, unrolled over a batch of sequences."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.backends import Pass, Stepper, check_backend, explain, select
from elman.cells import Cell, find_cell
from elman.errors import OptionError, ShapeError
from elman.graph import keeper, trace
from elman.recurrent.layer import Layer, autocasts, check_shape

State = tuple[Tensor, ...]


class Recurrent(nn.Module):
    """A stack of L recurrent layers of one cell, in one direction or two.

    cell                 name in `elman.CATALOGUE`, or a `Cell` of your own
    input_size           F, features per step
    hidden_size          H, units per layer and direction
    num_layers           L; each layer reads the outputs of the one below
    bidirectional        D = 2: a second net per layer runs from the last valid step back, outputs side by side
    batch_first          x is (B, T, F), else (T, B, F)
    dropout              between layers, on their outputs, new at every step
    recurrent_dropout    on h before R, the same units at every step (Gal & Ghahramani 2016, arXiv:1512.05287)
    zoneout              chance that a unit keeps its previous state (Krueger et al. 2016, arXiv:1606.01305)
    layer_norm           of the pre-activations W x and R h (Ba et al. 2016, arXiv:1607.06450)
    residual             each layer above the first adds its input to its output (He et al. 2015, arXiv:1512.03385)
    forget_bias          where the bias of the gate that keeps the state starts: at b, 1 part in e^b + 1 is forgotten at
                         a step, so log(T - 1) remembers T steps (Tallec & Ollivier 2018, arXiv:1804.11188, who draw it
                         up to there); at -b where an open gate forgets, as the MGU's does; None: as the cell starts
    heads                parts that the units fall into; R h is within each, so that R has a heads-th of the weights
                         and a GPU can hold it (Beck et al. 2024, arXiv:2405.04517)
    learn_initial_state  the state before the first step is a parameter
    checkpoint           recompute in backward: "auto" stores √T states, a number k one every k steps
    backend              "auto", or one by name that then runs or raises

    Raises `UnknownNameError`, `OptionError`, `CellError`; from a call, `ShapeError`.

    >>> import elman, torch
    >>> rnn = elman.Recurrent("gru", input_size=8, hidden_size=16, num_layers=2)
    >>> y, state = rnn(torch.zeros(4, 10, 8), lengths=[10, 7, 3, 0])
    >>> y.shape, state[0].shape
    (torch.Size([4, 10, 16]), torch.Size([2, 4, 16]))
    """

    def __init__(
        self,
        cell: str | type[Cell] | Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        batch_first: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        layer_norm: bool = False,
        residual: bool = False,
        forget_bias: float | None = None,
        heads: int = 1,
        learn_initial_state: bool = False,
        checkpoint: Literal["auto"] | int | None = None,
        backend: str = "auto",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.traced = trace(find_cell(cell, "Recurrent"))
        self._where = f"Recurrent({self.traced.name})"
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers, "heads": heads}
        _check_options(
            self._where, sizes, {"dropout": dropout, "recurrent_dropout": recurrent_dropout, "zoneout": zoneout}
        )
        flags = {"bidirectional": bidirectional, "batch_first": batch_first, "layer_norm": layer_norm}
        _check_flags(self._where, flags | {"residual": residual, "learn_initial_state": learn_initial_state})
        _check_dtype(self._where, dtype)
        if hidden_size % heads:
            raise OptionError(f"{self._where}: hidden_size must be a multiple of heads, got {hidden_size} and {heads}.")
        _check_checkpoint(self._where, checkpoint)
        _check_forget_bias(self._where, self.cell, forget_bias)
        check_backend(backend, self._where)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.batch_first, self.residual = bidirectional, batch_first, residual
        self.dropout, self.recurrent_dropout, self.zoneout = dropout, recurrent_dropout, zoneout
        self.layer_norm, self.learn_initial_state = layer_norm, learn_initial_state
        self.forget_bias, self.heads, self.checkpoint, self.backend = forget_bias, heads, checkpoint, backend
        self.layers = nn.ModuleList(
            Layer(
                self.traced,
                size,
                hidden_size,
                layer_norm=layer_norm,
                learn_initial_state=learn_initial_state,
                forget_bias=forget_bias,
                heads=heads,
            )
            for layer in range(num_layers)
            for size in [input_size if layer == 0 else hidden_size * self.directions] * self.directions
        )
        try:
            self.layers.to(device=device, dtype=dtype)
        except (AssertionError, RuntimeError) as problem:  # no such device, none here, or no room on it
            reason = str(problem).strip().split("\n")[0].rstrip(".")
            raise OptionError(f"{self._where}: device {device!r} cannot be used: {reason}. Take 'cpu'.") from None

    @property
    def cell(self) -> Cell:
        """The cell that is unrolled."""
        return self.traced.cell

    @property
    def directions(self) -> int:
        """D: 2 when bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """D·H, features of each output step."""
        return self.directions * self.hidden_size

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | Sequence[int] | None = None
    ) -> tuple[Tensor, State]:
        """Outputs (B, T, D·H) and the last state, a tuple in the order of `cell.states`, each (L·D, B, H).

        x        (B, T, F), or (T, B, F) without `batch_first`
        state    what an earlier call returned, to go on from; None: the initial state
        lengths  (B,) valid steps of each row: past them outputs are 0 and the state stays; 0 gives the state back

        Raises `ShapeError` where an axis does not fit.
        """
        self._check_input(x)
        x = x.transpose(0, 1) if self.batch_first else x
        valid = self._check_lengths(x, lengths)
        state = self.initial_state(x.shape[1]) if state is None else self.check_state(state, x.shape[1])
        finals: list[State] = []
        for number, layers in enumerate(self._by_layer()):
            below = F.dropout(x, self.dropout, self.training) if number else x
            outputs = []
            for way, layer in enumerate(layers):
                row = number * self.directions + way
                y, final = layer(
                    below, tuple(s[row] for s in state), self._pass(x, valid, reverse=way == 1), self.backend
                )
                outputs.append(y)
                finals.append(final)
            y = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            x = x + y if self.residual and number else y
        last = tuple(_side_by_side(parts) for parts in zip(*finals, strict=True))
        return (x.transpose(0, 1) if self.batch_first else x), last

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One step: x (B, F) to the output (B, H) and the new state. Raises `OptionError` when bidirectional."""
        self.check_causal()
        check_shape(self._where, "x", x, {"B": None, "F": self.input_size}, "Give one time step.")
        y, new = self(x.unsqueeze(1 if self.batch_first else 0), state)
        return y.squeeze(1 if self.batch_first else 0), new

    def stream(self, state: State | None = None) -> Any:
        """A `Stream` over one sequence, from `state` or the initial one: NumPy in, NumPy out, one step at a time.

        Raises `OptionError` as `step`, `ShapeError` for a state that is not of one sequence, each part (L, 1, H).
        """
        from elman.recurrent.stream import Stream

        return Stream(self, state)

    def stepper(self) -> Stepper | None:
        """The backend's own form of `step` for one sequence, weights taken as they are now, or None."""
        x = self._weight.new_zeros(1, 1, self.input_size)
        weights = [layer.weights() for layers in self._by_layer() for layer in layers]
        backend = select(self.backend, self.traced, weights[0], x, Pass())
        zoneout = dict.fromkeys(self.cell.states, self.zoneout) if self.zoneout else {}
        return backend.stepper(self.traced, weights, zoneout, residual=self.residual)

    def initial_state(self, rows: int) -> State:
        """The state before the first step, for `rows` sequences; each part (L·D, B, H)."""
        if not self.learn_initial_state:
            like, initial = self._weight, self.cell.initial
            shape = len(self.layers), rows, self.hidden_size
            return tuple(like.new_full(shape, initial.get(name, 0.0)) for name in self.cell.states)
        parts = [layer.first_state(rows) for layers in self._by_layer() for layer in layers]
        return tuple(torch.stack(values) for values in zip(*parts, strict=True))

    def reset(self, state: State, rows: Tensor) -> State:
        """The state with those rows set back to the initial one; rows (B,) of bool."""
        fresh = self.initial_state(len(rows))
        return tuple(torch.where(rows[None, :, None], new, old) for new, old in zip(fresh, state, strict=True))

    def explain_backend(self) -> str:
        """Which backend runs this net, and why each other was refused."""
        x = self._weight.new_zeros(1, 1, self.input_size)
        return explain(
            self.backend, self.traced, self._by_layer()[0][0].weights(), x, self._pass(x, None, reverse=False)
        )

    @classmethod
    def from_torch(cls, module: nn.RNNBase) -> Recurrent:
        """The same net as a `torch.nn.RNN`, `LSTM` or `GRU`, its weights copied."""
        from elman.recurrent.torch_weights import from_torch

        return from_torch(cls, module)

    def to_torch(self) -> nn.RNNBase:
        """The same net as `torch.nn`'s module, weights copied; raises `OptionError` where it has no such thing."""
        from elman.recurrent.torch_weights import to_torch

        return to_torch(self)

    def extra_repr(self) -> str:
        """What was asked for beyond the defaults."""
        return ", ".join(self._described())

    def __repr__(self) -> str:
        return f"Recurrent({self.extra_repr()})"

    def _described(self) -> Iterator[str]:
        yield from (self.traced.name, str(self.input_size), str(self.hidden_size))
        defaults = {"num_layers": 1, "batch_first": True, "forget_bias": None, "heads": 1, "checkpoint": None}
        defaults |= {"backend": "auto"}
        options = (
            *("num_layers", "bidirectional", "batch_first", "dropout", "recurrent_dropout", "zoneout", "layer_norm"),
            *("residual", "forget_bias", "heads", "learn_initial_state", "checkpoint", "backend"),
        )
        for name in options:
            if (value := getattr(self, name)) != defaults.get(name, False):  # 0.0 is False, too
                yield f"{name}={value!r}"

    @property
    def _weight(self) -> Tensor:
        return cast(Layer, self.layers[0]).W

    def check_causal(self) -> None:
        """Raises `OptionError` when bidirectional."""
        if self.bidirectional:
            raise OptionError(
                f"{self._where}: a bidirectional net needs the whole sequence, it cannot step. Call it on x."
            )

    def _axes(self) -> dict[str, int | None]:
        return (
            {"B": None, "T": None, "F": self.input_size}
            if self.batch_first
            else {"T": None, "B": None, "F": self.input_size}
        )

    def _by_layer(self) -> list[list[Layer]]:
        flat: list[Any] = list(self.layers)
        return [flat[at : at + self.directions] for at in range(0, len(flat), self.directions)]

    def _check_input(self, x: Tensor) -> None:
        if not isinstance(x, Tensor):
            packed = isinstance(x, nn.utils.rnn.PackedSequence)
            mend = "Give it padded, and lengths=, or use elman.nn." if packed else "Write torch.as_tensor(x)."
            raise ShapeError(f"{self._where}: x must be a tensor, got {type(x).__name__}. {mend}")
        if x.ndim != 3 or x.shape[-1] != self.input_size:
            check_shape(self._where, "x", x, self._axes(), _axis_to_add(self.batch_first) if x.ndim == 2 else "")
        weight = self._weight
        dtype = weight.dtype
        if x.device != weight.device:
            raise _elsewhere(self._where, "x", x, weight.device)
        if x.dtype != dtype and not autocasts(x.device.type):
            raise ShapeError(
                f"{self._where}: x must be {dtype} as the weights are, got {x.dtype}. Write x.to({dtype})."
            )

    def _check_lengths(self, x: Tensor, lengths: Tensor | Sequence[int] | None) -> Tensor | None:
        """The lengths as a tensor."""
        if lengths is None:
            return None
        steps, rows = x.shape[:2]
        allowed = f"{self._where}: lengths must be whole numbers in 0 … "
        try:
            valid = torch.as_tensor(lengths)
        except (TypeError, ValueError, RuntimeError):  # text, None, lists of unlike lengths
            shown = " ".join(reprlib.repr(lengths).split())
            raise ShapeError(f"{allowed}{steps}, got {shown}. Give one length per row.") from None
        check_shape(self._where, "lengths", valid, {"B": rows}, "Give one length per row.")
        if valid.dtype == torch.bool or valid.is_floating_point() or valid.is_complex():
            raise ShapeError(f"{allowed}{steps}, got {valid.dtype}. Write torch.as_tensor(lengths).long().")
        if torch.compiler.is_compiling():  # a branch on values would break the graph, T in the text would fix T
            torch.ops.aten._assert_async.msg(((valid >= 0) & (valid <= steps)).all(), f"{allowed}T, got others.")
        elif not valid.is_meta and bool(((valid < 0) | (valid > steps)).any()):  # where they are: a GPU is waited for
            raise ShapeError(f"{allowed}{steps}, got {valid.tolist()}.")
        return valid.to(x.device)

    def check_state(self, state: State, rows: int) -> State:
        """The state as a tuple; raises `ShapeError` unless its parts are (L·D, B, H) for so many rows."""
        names = self.cell.states
        state = (state,) if isinstance(state, Tensor) else tuple(state)
        if odd := [part for part in state if not isinstance(part, Tensor)]:
            got = type(odd[0]).__name__
            raise ShapeError(f"{self._where}: state must be a tuple of tensors {names}, got a {got} among them.")
        if len(state) != len(names):
            raise ShapeError(f"{self._where}: state must have {len(names)} part(s) {names}, got {len(state)}.")
        expected = {"L·D": len(self.layers), "B": rows, "H": self.hidden_size}
        for name, part in zip(names, state, strict=True):
            check_shape(self._where, f"state {name!r}", part, expected, "Pass what an earlier call returned.")
            if part.device != self._weight.device:
                raise _elsewhere(self._where, f"state {name!r}", part, self._weight.device)
            if part.dtype != self._weight.dtype and not autocasts(part.device.type):
                wanted = f"{self._weight.dtype} as the weights are"
                raise ShapeError(f"{self._where}: state {name!r} must be {wanted}, got {part.dtype}. Write .to().")
        return tuple(part.to(self._weight.dtype) for part in state)  # autocast narrows products, no sum over time

    def _pass(self, x: Tensor, lengths: Tensor | None, *, reverse: bool) -> Pass:
        """The options of one layer's pass, with this call's random masks drawn; x (T, B, ·)."""
        steps, rows = x.shape[:2]

        def kept(chance: float, *shape: int) -> Tensor:
            return self._weight.new_empty(*shape, self.hidden_size).bernoulli_(chance)

        mask = None
        if self.training and self.recurrent_dropout:
            mask = kept(1 - self.recurrent_dropout, rows) / (1 - self.recurrent_dropout)
        zoneout: dict[str, Tensor | float] = {}
        if self.zoneout:
            zoneout = {s: kept(self.zoneout, steps, rows) if self.training else self.zoneout for s in self.cell.states}
        segment = math.isqrt(max(steps - 1, 0)) + 1 if isinstance(self.checkpoint, str) else self.checkpoint
        return Pass(lengths, reverse, mask, zoneout, segment)


def _elsewhere(where: str, what: str, value: Tensor, device: torch.device) -> ShapeError:
    """The error for a tensor that is not on the weights' device."""
    mend = f"Write .to({str(device)!r})."
    if value.is_meta:
        mend = f"A meta tensor has no values: make it on {device}."
    elif device.type == "meta":
        mend = "Give the weights values: to_empty(device=…), then load_state_dict."
    return ShapeError(f"{where}: {what} must be on {device} as the weights are, got {value.device}. {mend}")


def _axis_to_add(batch_first: bool) -> str:
    one, steps = ("x[None]", "x[:, None]") if batch_first else ("x[:, None]", "x[None]")
    return f"Add a time axis: {steps}; or, for one sequence, a batch axis: {one}."


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)) if len(parts) > 1 else parts[0].unsqueeze(0)


def _check_options(where: str, sizes: dict[str, int], chances: dict[str, float]) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise OptionError(f"{where}: {name} must be a whole number ≥ 1, got {size!r}.")
    for name, chance in chances.items():
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0.0 <= chance < 1.0:
            what = "chance that a unit keeps its state" if name == "zoneout" else "share that is dropped"
            raise OptionError(f"{where}: {name} must be in [0, 1), got {chance!r}. It is the {what}.")


def _check_flags(where: str, flags: dict[str, bool]) -> None:
    for name, flag in flags.items():
        if not isinstance(flag, bool | np.bool_):  # "no" is true
            raise OptionError(f"{where}: {name} must be True or False, got {flag!r}.")


def _check_dtype(where: str, dtype: Any) -> None:
    if dtype is None or (isinstance(dtype, torch.dtype) and (dtype.is_floating_point or dtype.is_complex)):
        return
    raise OptionError(f"{where}: dtype must be one of torch's floating types, got {dtype!r}. Write torch.float32.")


def _check_checkpoint(where: str, checkpoint: Any) -> None:
    whole = isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint > 0
    if checkpoint not in (None, "auto") and not whole:
        raise OptionError(f"{where}: checkpoint must be 'auto', a number of steps ≥ 1 or None, got {checkpoint!r}.")


def _check_forget_bias(where: str, cell: Cell, bias: Any) -> None:
    if bias is None:
        return
    if isinstance(bias, bool) or not isinstance(bias, int | float) or not math.isfinite(bias):
        raise OptionError(f"{where}: forget_bias must be a number or None, got {bias!r}. An LSTM starts at 1.0.")
    if keeper(cell) is None:
        gates = ", ".join(cell.gates)
        raise OptionError(
            f"{where}: forget_bias needs a gate that keeps the state, got {gates}. Leave it out, or take a gru."
        )
