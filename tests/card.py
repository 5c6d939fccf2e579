"""A CUDA card that is not there: real values on the CPU, in tensors that say `cuda:0` and do as CUDA's do.

Mistakes about devices show on a machine without a GPU: a tensor of the CPU that meets one of the card, `.numpy()` of
one on the card, a generator or lengths on the wrong side, a random state that no checkpoint holds. Whole fits run
through, since values are computed; `torch.autocast("cuda")` narrows what CUDA's own list says, and the scaler scales.

Why so. `FakeTensorMode` raises on mixed devices too, but has no values: a training loop that asks whether its loss is
finite ends there. The `meta` device likewise. A dispatch mode that remembers a device for each tensor sees no autocast
of CUDA's and no `x.device`, and while one is on our backends take tensors for symbols (`backends.base.watched`). A
backend of one's own for `PrivateUse1` has another name, other autocast lists, and what is asked of `torch.cuda` is
asked in vain. A wrapper subclass that says `cuda:0` has all of it, for the price of a few lines of C++ (`card.cpp`).

Not seen: Triton's kernels and cuDNN's (their place is taken by torch's loops on the CPU, cast as cuDNN casts), memory,
streams, speed, and the order of sums, which on a GPU is another one.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch._dynamo  # it learns torch's functions by heart when it is loaded: not those that stand in for some
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing

from elman.backends.base import gather, spread
from elman.backends.given import Given, Kept, Manner
from elman.backends.native import kernel as native
from elman.backends.operator import ENGINES

aten = torch.ops.aten
CARD = torch.device("cuda", 0)
TWO_DEVICES = {aten.copy_.default, aten._pack_padded_sequence.default, aten._pad_packed_sequence.default}
"""operations that take tensors from both sides"""
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
"""operations whose indices may lie on the CPU: CUDA brings them over"""
MADE = ("eye", "eye.m", "arange", "arange.start", "arange.start_step", "linspace", "randperm", "full", "scalar_tensor")
"""what makes a tensor whose size it finds out too late for a wrapper to follow"""
LOOPS = {f"{name}.{form}" for name in ("lstm", "gru", "rnn_tanh", "rnn_relu") for form in ("input", "data")}
"""what cuDNN would run"""


OTHERS = {aten._use_cudnn_ctc_loss, aten._use_miopen_ctc_loss}
"""whether someone else's kernel is to be used"""
CPU_CANNOT: dict[Any, Callable[..., Tensor]] = {
    aten._softmax.default: lambda x, dim, wide: aten._softmax(x.float() if wide else x, dim, False),
    aten._log_softmax.default: lambda x, dim, wide: aten._log_softmax(x.float() if wide else x, dim, False),
    aten._softmax_backward_data.default: lambda g, y, dim, kind: aten._softmax_backward_data(g, y, dim, y.dtype).to(
        kind
    ),
    aten._log_softmax_backward_data.default: (
        lambda g, y, dim, kind: aten._log_softmax_backward_data(g, y, dim, y.dtype).to(kind)
    ),
}
"""from half precision to float32 and back in one, as CUDA's kernels can"""


class OnCard(Tensor):
    """A tensor on the card; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnCard:
        form = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = torch.Tensor._make_wrapper_subclass(cls, held.size(), device=CARD, **form)  # pyright: ignore
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket in OTHERS:
            return False
        _check(func, args, kwargs)
        device = kwargs.get("device")
        here = {**kwargs, **({} if device is None else {"device": "cpu"})}
        with _dice() if torch.Tag.nondeterministic_seeded in func.tags else nullcontext():
            found = CPU_CANNOT.get(func, func)(*_held(args), **{name: _held(value) for name, value in here.items()})
        if func is aten._pack_padded_sequence.default:
            return OnCard(found[0]), found[1]
        if device is not None and torch.device(device).type == "cpu":
            return found
        return return_and_correct_aliasing(func, args, kwargs, _map(OnCard, found))

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: Any) -> OnCard:
        return OnCard(inner["held"])

    def __repr__(self, **_: Any) -> str:
        return f"{self.held!r} on the card"

    def __format__(self, form: str) -> str:
        return format(self.held, form)

    def numpy(self, **_: Any) -> Any:
        """Refused, as CUDA refuses it."""
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it first.")

    def tolist(self) -> Any:
        """As CUDA: a copy, and a wait."""
        return self.held.tolist()


def _each(values: Any) -> Iterator[Tensor]:
    """The tensors among arguments; torch's own pytrees take ten times as long."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _each(value)


def _map(move: Callable[[Any], Any], values: Any) -> Any:
    """Arguments or results with their tensors moved."""
    if isinstance(values, Tensor):
        return move(values)
    if isinstance(values, (tuple, list)):
        return getattr(values, "_make", type(values))(_map(move, value) for value in values)
    return values


def _held(values: Any) -> Any:
    return _map(lambda t: t.held if isinstance(t, OnCard) else t, values)


def _check(func: Any, args: Any, kwargs: Any) -> None:
    """What CUDA refuses; a number, which has no axes, may come from the CPU."""
    if func is aten._pack_padded_sequence.default and isinstance(args[1], OnCard):
        raise RuntimeError("'lengths' argument should be a 1D CPU int64 tensor, but got 1D cuda:0 Long tensor")
    if kwargs.get("generator") is not None:
        raise RuntimeError(f"{func}: Expected a 'cuda' device type for generator but found 'cpu'")
    if func is aten.native_layer_norm.default and args[2] is not None and args[2].dtype != args[0].dtype:
        raise RuntimeError(f"expected scalar type {args[0].dtype} but found {args[2].dtype}")
    if func in TWO_DEVICES:
        return
    if func in INDEXED and isinstance(args[0], OnCard):
        args = (args[0], *args[2:])
    given = _each((args, *kwargs.values()))
    odd = [t for t in given if not isinstance(t, OnCard) and t.dim()]
    if odd:
        raise RuntimeError(
            f"{func}: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
            f"From the CPU came {tuple(odd[0].shape)} of {odd[0].dtype}."
        )


# -- the card's own random numbers -----------------------------------------------------------------------------------

_states = [torch.Generator().manual_seed(0).get_state()]


@contextmanager
def _dice() -> Iterator[None]:
    """Within the block torch draws from the card's generator."""
    outside = torch.get_rng_state()
    torch.set_rng_state(_states[0])
    try:
        yield
    finally:
        _states[0] = torch.get_rng_state()
        torch.set_rng_state(outside)


def _seed(seed: int) -> None:
    _states[0] = torch.Generator().manual_seed(seed).get_state()


def _set_state(state: Tensor, device: Any = None) -> None:
    if state.dtype != torch.uint8 or isinstance(state, OnCard):
        raise TypeError("RNG state must be a torch.ByteTensor")
    _states[0] = state.clone()


# -- what stands in for torch.cuda -----------------------------------------------------------------------------------

STANDS_IN: dict[str, Callable[..., Any]] = {
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "set_device": lambda device: None,
    "synchronize": lambda device=None: None,
    "empty_cache": lambda: None,
    "_lazy_init": lambda: None,
    "get_device_capability": lambda device=None: (9, 0),
    "get_device_name": lambda device=None: "a card that is not there",
    "get_device_properties": lambda device=None: SimpleNamespace(multi_processor_count=132, name="no card"),
    "is_bf16_supported": lambda *_, **__: True,
    "manual_seed": _seed,
    "manual_seed_all": _seed,
    "get_rng_state": lambda device=None: _states[0].clone(),
    "set_rng_state": _set_state,
}


_compatible = torch._has_compatible_shallow_copy_type


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether `module.to` may put b's values into a: not across classes."""
    return isinstance(a, OnCard) == isinstance(b, OnCard) and _compatible(a, b)


def _empty(size: Any, **options: Any) -> Tensor:
    kept = {name: value for name, value in options.items() if name in ("dtype", "memory_format") and value is not None}
    return OnCard(torch.empty(size, device="cpu", **kept))


def _empty_strided(size: Any, stride: Any, *, dtype: Any = None, **_: Any) -> Tensor:
    return OnCard(torch.empty_strided(size, stride, dtype=dtype, device="cpu"))


def _made(operation: Any, *args: Any, **options: Any) -> Tensor:
    with _dice():
        return OnCard(operation(*args, **{**options, "device": "cpu", "pin_memory": False}))


def _loop(operation: Any, *args: Any) -> Any:
    """As cuDNN: all on the card but for the sizes of a packed batch, and all in half precision under autocast."""
    packed = [args[1]] if operation._overloadname == "data" else []
    leaves = [t for t in _each(args) if t is not (packed or [None])[0]]
    if (packed and isinstance(packed[0], OnCard)) or not all(isinstance(t, OnCard) for t in leaves):
        raise RuntimeError(f"{operation}: Input and parameter tensors are not at the same device")
    half = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else None
    if half is None and len({t.dtype for t in leaves}) > 1:
        raise RuntimeError(f"{operation}: Input and parameter tensors are not the same dtype")
    wide = torch.float32 if half else leaves[0].dtype
    narrow = _map(lambda t: (t.to(half) if half else t).cpu().to(wide) if isinstance(t, OnCard) else t, args)
    return tuple(t.to(CARD, half or wide) for t in operation(*narrow))


class Engine:
    """In the place of the Triton kernels: the C loop, between dtypes as theirs."""

    @staticmethod
    def forward(traced: Any, given: Given, how: Manner, *, keep: bool) -> tuple[Tensor, tuple[Tensor, ...], Kept]:
        """Outputs, last state and what backward needs, which stays on the CPU."""
        y, last, kept = native.forward(traced, _wide(given), _brought(how), keep=keep)
        kinds = [s.dtype for s in given.state]
        return OnCard(y.to(kinds[0])), tuple(OnCard(s.to(k)) for s, k in zip(last, kinds, strict=True)), kept

    @staticmethod
    def backward(
        traced: Any, given: Given, how: Manner, y: Any, kept: Kept, grads: Any, *, x_too: bool = True
    ) -> tuple[Tensor | None, ...]:
        """Gradients of all that was given, each in its dtype."""
        wide = _wide(given)
        y, *grads = (None if t is None else _brought(t).to(wide.x.dtype) for t in (y, *grads))
        found = list(native.backward(traced, wide, _brought(how), y, kept, grads, x_too=x_too))
        if given.R is not None and found[2] is not None:
            found[2] = gather(found[2], given.R.shape[1])
        pairs = zip(found, given.flat(), strict=True)
        return tuple(None if g is None or v is None else OnCard(g.to(v.dtype)) for g, v in pairs)


def _brought(values: Any) -> Any:
    """From the card, where all of it must be."""
    if odd := [t for t in _each(values) if not isinstance(t, OnCard)]:
        raise RuntimeError(f"elman::unroll: expected all tensors on cuda:0, got one of the CPU, {tuple(odd[0].shape)}")
    return _held(values)


def _wide(given: Given) -> Given:
    """What the loop is given, in a dtype that it computes in, R whole."""
    kind = torch.float64 if given.x.dtype == torch.float64 else torch.float32
    held = _map(lambda t: t.to(kind), _brought(given))
    return held if held.R is None else held._replace(R=spread(held.R, held.state[0].shape[1]))


@functools.cache
def _switch() -> Any:
    """The compiled `card.cpp`, made anew for another torch."""
    source, root = Path(__file__).with_suffix(".cpp"), Path(torch.__file__).parent
    key = hashlib.sha256(source.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    made = Path(tempfile.mkdtemp(prefix="elman-card-")) / f"{key}.so"
    how = ["-std=c++20", "-shared", "-fPIC", f"-I{root / 'include'}", f"-L{root / 'lib'}", "-lc10", "-ltorch_cpu"]
    subprocess.run([str(compiler()), str(source), "-o", str(made), *how], check=True, capture_output=True, text=True)
    return ctypes.CDLL(str(made)).pretend


def compiler() -> str | None:
    """The machine's C++ compiler."""
    return shutil.which("c++") or shutil.which("g++")


@contextmanager
def pretended() -> Iterator[torch.device]:
    """Within the block there is a CUDA card. Where there is a real one, it is that."""
    if torch.cuda.is_available():
        yield CARD
        return
    switch, library = _switch(), torch.library.Library("aten", "IMPL")
    library.impl("empty.memory_format", _empty, "CUDA")
    library.impl("empty_strided", _empty_strided, "CUDA")
    for names, stand_in, key in ((MADE, _made, "CUDA"), (LOOPS, _loop, "AutogradCUDA")):
        for name in names:
            packet, _, overload = name.partition(".")
            operation = getattr(getattr(aten, packet), overload or "default")
            library.impl(name, functools.partial(stand_in, operation), key)
    _seed(0)
    switch(1)
    torch._C._set_only_lift_cpu_tensors(
        True
    )  # torch.tensor makes its values on the CPU, then asks for them to be moved
    try:
        with ExitStack() as patches:
            patches.enter_context(mock.patch.multiple(torch.cuda, **STANDS_IN))
            patches.enter_context(mock.patch.dict(ENGINES, triton=Engine))
            patches.enter_context(mock.patch.object(torch.backends.cudnn, "is_acceptable", lambda tensor: False))
            patches.enter_context(mock.patch.object(torch, "_has_compatible_shallow_copy_type", _alike))
            # In one thread: the engine made its threads for devices when it ran first, and there was no card yet.
            patches.enter_context(torch.autograd.set_multithreading_enabled(False))
            yield CARD
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        switch(0)
        library._destroy()
