"""The cell contract: one step of a recurrent network, written as plain pointwise PyTorch."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from torch import Tensor, nn

from elman.cells.check import check_step
from elman.errors import CellError, suggest

# What makes a cell: a class that declares any of these is checked when it is defined.
DECLARED = frozenset({"step", "gates", "states", "params", "initial", "__init__"})
# Parameters and learned first states live in a ParameterDict, whose own attributes their names must not hide.
TAKEN = frozenset(dir(nn.ParameterDict()))


class Fields(SimpleNamespace):
    """Tensors by name (`x.i`, `s.h`): an unknown name is refused with a suggestion.

    >>> Fields(i=1, f=2).f
    2
    """

    def __getattr__(self, name: str) -> Any:  # called only for what is not there
        raise CellError(f"{name!r} is not declared here: {suggest(name, vars(self))}")


class Cell:
    """One step of a recurrent network: pre-activations and the previous state in, the new state out.

    Subclass it, name the gates, write `step` in pointwise PyTorch. Everything else (the backward pass, the products
    with W and R, compilation, streaming, export) is derived from that one method.

    For each gate g, elman forms x.g = W_g x_t + b_g from the input and r.g = R_g h_{t-1} from the output fed back.
    Where the step uses r.g apart from the sum x.g + r.g, a second bias is learned: r.g = R_g h_{t-1} + b_r,g. A gate
    whose r.g is never read has no R_g.

    gates    names of the pre-activations, each of H units
    states   names of the state's parts, each (B, H); the first is the output h, fed back through R
    params   per-unit parameters p.name: the value they start at, or a function of H that gives it
    initial  where a state starts when it is not 0

    Raises `CellError` when the class is defined, if the step is not pointwise or does not return its states.

    >>> import torch, elman
    >>> class MinimalGate(elman.Cell):                       # Zhou et al. 2016, reset after the product
    ...     gates = ("f", "h")
    ...     def step(self, x, r, s, p):
    ...         f = torch.sigmoid(x.f + r.f)
    ...         return (1 - f) * s.h + f * torch.tanh(x.h + f * r.h)
    >>> rnn = elman.Recurrent(MinimalGate, input_size=3, hidden_size=5)
    >>> y, (h,) = rnn(torch.zeros(2, 7, 3))
    >>> y.shape, h.shape
    (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    gates: ClassVar[tuple[str, ...]] = ()
    states: ClassVar[tuple[str, ...]] = ("h",)
    params: ClassVar[Mapping[str, float | Callable[[int], Tensor]]] = {}
    initial: ClassVar[Mapping[str, float]] = {}

    _traces: ClassVar[dict[str, Any]]  # `graph.trace` keeps here what it found

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if DECLARED & set(vars(cls)):
            _check_declaration(cls)
            check_step(build(cls), Fields)

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        """The new state from pre-activations `x`, `r` (by gate), the previous state `s` and parameters `p`.

        Every value is a tensor of one shape, (B, H). Returns the states in their declared order, or the state itself
        where there is only one.
        """
        raise CellError(f"{type(self).__name__}: a cell needs a method step(self, x, r, s, p); define one.")

    def init(self, w: Any) -> None:
        """Sets what the paper prescribes, in place, after the defaults: `w.b.f.fill_(1.0)`.

        `w.W.g` (H, F), `w.R.g` (H, H), `w.b.g`, `w.b_r.g` and `w.p.name` (H,) are views of one layer's weights.
        """


def build(cell: type[Cell]) -> Cell:
    """The cell of that class; raises `CellError` if its `__init__` does not do without arguments.

    >>> class Sharp(Cell):
    ...     gates = ("a",)
    ...     def __init__(self, slope=2.0):
    ...         self.slope = slope
    ...     def step(self, x, r, s, p):
    ...         return self.slope * x.a
    >>> build(Sharp).slope
    2.0
    """
    try:
        return cell()
    except TypeError as problem:
        raise CellError(
            f"{cell.__name__}: its __init__ must do without arguments, got: {problem}. Give each one a default."
        ) from problem


def _check_declaration(cls: type[Cell]) -> None:
    for right in ("gates", "states", "params"):
        if right[:-1] in vars(cls):
            raise CellError(f"{cls.__name__}.{right[:-1]}: a cell has no such thing. Write {right} = ….")
    for kind in ("gates", "states"):
        names = getattr(cls, kind)
        if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(n, str) for n in names):
            raise CellError(f'{cls.__name__}.{kind}: expected a tuple of names, got {names!r}. Write {kind} = ("h",).')
        setattr(cls, kind, tuple(names))
        _check_names(f"{cls.__name__}.{kind}", getattr(cls, kind), frozenset() if kind == "gates" else TAKEN)
    _check_names(f"{cls.__name__}.params", tuple(cls.params), TAKEN)
    if unknown := set(cls.initial) - set(cls.states):
        raise CellError(f"{cls.__name__}.initial: {unknown.pop()!r} is no state of it; states are {cls.states}.")


def _check_names(where: str, names: tuple[str, ...], taken: frozenset[str]) -> None:
    if not names and not where.endswith("params"):
        raise CellError(f"{where}: expected at least one name, got none.")
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise CellError(f"{where}: {name!r} is not a name; use letters, digits and _, and no keyword of Python.")
        if name in taken:
            raise CellError(f"{where}: {name!r} is taken by torch's ParameterDict; choose another name, as {name}_.")
        if names.count(name) > 1:
            raise CellError(f"{where}: {name!r} stands twice; each name once.")
