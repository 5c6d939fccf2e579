"""aten's spellings of pointwise operations, reduced to the few of `expression.ARITY`.

aten writes 1 - x as `rsub`, x² as `pow` or `square`, max(x, 0) as `relu`, `clamp` or `threshold`. Here each becomes one
form, so that a backend needs to know one operation and not five.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from elman.graph.expression import ARITY, Builder

Argument = Any  # a node's number wrapped in Ref, or a Python number, as aten passed it


class Ref(int):
    """A node's number, told apart from a Python number that aten passes as a plain argument."""


def _plain(build: Builder, value: Argument) -> int:
    """A number; true is 1 and false is 0, as everywhere in torch."""
    if not isinstance(value, Ref):
        return build.const(float(value))
    return build.op("where", value, build.const(1.0), build.const(0.0)) if build.is_truth(value) else value


def _truth(build: Builder, value: Argument) -> int:
    """A truth; every number but 0 is true."""
    number = _plain(build, value) if not isinstance(value, Ref) else value
    return number if build.is_truth(number) else build.op("ne", number, build.const(0.0))


def _logic(op: str) -> Callable[..., int]:
    return lambda build, *args: build.op(op, *(_truth(build, a) for a in args))


def _scaled(op: str) -> Callable[..., int]:
    """a + alpha b and its kin."""

    def write(build: Builder, a: Argument, b: Argument, alpha: float = 1) -> int:
        first, second = _plain(build, a), _plain(build, b)
        second = second if alpha == 1 else build.op("mul", build.const(float(alpha)), second)
        return build.op("sub", second, first) if op == "rsub" else build.op(op, first, second)

    return write


def _pow(build: Builder, base: Argument, exponent: Argument) -> int:
    a = _plain(build, base)
    if not isinstance(exponent, Ref):
        whole = {0.0: lambda: build.const(1.0), 1.0: lambda: a, 2.0: lambda: build.op("mul", a, a)}
        whole |= {0.5: lambda: build.op("sqrt", a), -1.0: lambda: build.op("reciprocal", a)}
        whole |= {3.0: lambda: build.op("mul", a, build.op("mul", a, a))}
        if float(exponent) in whole:
            return whole[float(exponent)]()
    return build.op("pow", a, _plain(build, exponent))


def _clamp(build: Builder, x: Argument, min: Argument = None, max: Argument = None) -> int:
    value = _plain(build, x)
    value = value if min is None else build.op("maximum", value, _plain(build, min))
    return value if max is None else build.op("minimum", value, _plain(build, max))


def _masked_fill(build: Builder, x: Argument, mask: Argument, value: Argument) -> int:
    return build.op("where", _truth(build, mask), _plain(build, value), _plain(build, x))


def _tanh_backward(build: Builder, d: Argument, y: Argument) -> int:
    square = build.op("mul", _plain(build, y), _plain(build, y))
    return build.op("mul", _plain(build, d), build.op("sub", build.const(1.0), square))


def _sigmoid_backward(build: Builder, d: Argument, y: Argument) -> int:
    rest = build.op("sub", build.const(1.0), _plain(build, y))
    return build.op("mul", _plain(build, d), build.op("mul", _plain(build, y), rest))


def _log_base(base: float) -> Callable[..., int]:
    return lambda build, x: build.op("div", build.op("log", _plain(build, x)), build.const(base))


def _same(build: Builder, x: Argument, dtype: torch.dtype | None = None, **_: Any) -> int:
    if dtype is not None and not dtype.is_floating_point:
        raise TypeError("a conversion to whole numbers is not the value itself")
    return _plain(build, x)


def _constant(value: float) -> Callable[..., int]:
    return lambda build, x, **_: build.const(value)


SPELLINGS: dict[str, Callable[..., int]] = {
    "add": _scaled("add"),
    "sub": _scaled("sub"),
    "rsub": _scaled("rsub"),
    "pow": _pow,
    "square": lambda build, x: _pow(build, x, 2.0),
    "sgn": lambda build, x: build.op("sign", _plain(build, x)),
    "clamp": _clamp,
    "clamp_min": lambda build, x, low: _clamp(build, x, min=low),
    "clamp_max": lambda build, x, high: _clamp(build, x, max=high),
    "masked_fill": _masked_fill,
    "where": lambda build, mask, a, b: build.op("where", _truth(build, mask), _plain(build, a), _plain(build, b)),
    # In pieces by torch's own table like other derivatives, these two of almost every cell would load sympy.
    "tanh_backward": _tanh_backward,
    "sigmoid_backward": _sigmoid_backward,
    "log2": _log_base(0.6931471805599453),
    "log10": _log_base(2.302585092994046),
    "bitwise_and": _logic("and"),
    "bitwise_or": _logic("or"),
    "bitwise_not": _logic("not"),
    "logical_and": _logic("and"),
    "logical_or": _logic("or"),
    "logical_not": _logic("not"),
    "scalar_tensor": lambda build, value, **_: build.const(value),
    "full_like": lambda build, x, value, **_: build.const(value),
    "fill": lambda build, x, value: build.const(value),
    "empty_like": _constant(float("nan")),  # filled next; a NaN would show that it was not
    "zeros_like": _constant(0.0),
    "new_zeros": lambda build, x, size, **_: build.const(0.0),
    "ones_like": _constant(1.0),
    **dict.fromkeys(("clone", "alias", "detach", "_to_copy", "to", "lift_fresh", "lift_fresh_copy"), _same),
}


def is_known(op: Any) -> bool:
    """Whether an aten operator can be written into a graph."""
    name = _name(op)
    return name in SPELLINGS or name in ARITY


def _name(op: Any) -> str:
    return op.overloadpacket.__name__.removesuffix("_")  # derivatives may write into what they have just made


def write(build: Builder, op: Any, args: tuple[Argument, ...], kwargs: Mapping[str, Any]) -> Ref:
    """Adds one aten operation to the graph and returns the number of its value.

    Raises `TypeError` for an argument that changes the meaning to something a graph cannot say.
    """
    name = _name(op)
    if name in SPELLINGS:
        return Ref(SPELLINGS[name](build, *args, **kwargs))
    if kwargs or len(args) != ARITY[name]:
        raise TypeError(f"{name} takes {ARITY[name]} arguments and no option")
    return Ref(build.op(name, *(_plain(build, a) for a in args)))
