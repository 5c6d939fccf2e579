"""One sequence, one step at a time."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import ShapeError
from elman.recurrent.stack import Recurrent, State


class Stream:
    """Feeds one sequence to a net as it arrives and carries the state, with the weights the net had when it was opened.

    rnn    the net as it was then, a copy: training the original changes no stream, nor a copy or pickle of one
    state  where to start, what the net or another stream gave, each part (L, 1, H); None: the initial state

    The attribute `state` is a copy; assign it to go on from a state that was kept. `copy.deepcopy` and `pickle` give a
    stream that goes on from the same state by itself; `copy.copy` one that also shares the weights.

    Raises `OptionError` for a bidirectional net, `ShapeError` for a state that does not fit or a step that is not (F,).

    >>> import copy, elman, numpy as np
    >>> stream = elman.Recurrent("gru", 3, 5).stream()
    >>> stream.push(np.zeros(3)).shape
    (5,)
    >>> branch = copy.deepcopy(stream)
    >>> bool((branch.push(np.ones(3)) == stream.push(np.ones(3))).all())
    True
    """

    def __init__(self, rnn: Recurrent, state: State | None = None) -> None:
        rnn.check_causal()
        self._open(_as_it_is(rnn), state)

    def _open(self, rnn: Recurrent, state: State | None) -> None:
        self.rnn = rnn
        self._steps = rnn.stepper() or _Calls(rnn)
        self._x, self._y = self._steps.x.numpy(), self._steps.y.numpy()
        self._shape, self._step = self._x.shape, self._steps.step
        if state is None:
            self.reset()
        else:
            self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (type(self), self.rnn, self.state)  # memory that C knows by address is made anew

    def push(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """The output (H,) after one more step x (F,); with `out`, written there, and no memory is asked for."""
        shape = x.shape if isinstance(x, np.ndarray) else np.shape(x)
        if shape != self._shape:
            name = self.rnn.traced.name
            raise ShapeError(f"Stream({name}): a step must be {self._shape}, got {shape}. Push one time step.")
        self._x[...] = x
        self._step()
        if out is None:
            return self._y.copy()
        out[...] = self._y
        return out

    @property
    def state(self) -> State:
        """The net's state, each part (L, 1, H)."""
        return self._steps.state

    @state.setter
    def state(self, new: State) -> None:
        with torch.no_grad():
            self._steps.state = self.rnn.check_state(new, 1)

    def reset(self) -> None:
        """Back to the initial state."""
        with torch.no_grad():
            self._steps.state = self.rnn.initial_state(1)


class _Calls:
    """A step as a call of the net, for backends that have no faster form: what it reads and writes stays in its place,
    so that on a GPU the whole step can be recorded once and started as one."""

    def __init__(self, rnn: Recurrent) -> None:
        like = next(rnn.parameters())
        self.rnn = rnn
        self.x, self.y = (torch.zeros(n, dtype=like.dtype) for n in (rnn.input_size, rnn.hidden_size))
        self._in, self._out = self.x[None].to(like.device), self.y[None].to(like.device)
        with torch.no_grad():
            self._state = tuple(part.clone() for part in rnn.initial_state(1))
        self._run = recorded(self._call) if like.device.type == "cuda" else self._call

    @property
    def state(self) -> State:
        """A copy of the state, each part (L, 1, H)."""
        return tuple(part.clone() for part in self._state)

    @state.setter
    def state(self, new: State) -> None:
        for part, value in zip(self._state, new, strict=True):
            part.copy_(value.detach())

    def step(self) -> None:
        """From `x` and the state to `y` and the next state."""
        self._in.copy_(self.x[None])
        self._run()
        self.y.copy_(self._out[0])

    def _call(self) -> None:
        with torch.no_grad():
            y, new = self.rnn.step(self._in, self._state)
            self._out.copy_(y)
            self.state = new


def recorded(call: Callable[[], None], times: int = 3) -> Callable[[], None]:
    """A call that is the same work on the GPU at every time, recorded as a CUDA graph: one start for all its launches.

    It runs `times` before, in which kernels are compiled and libraries choose; what cannot be recorded is warned of,
    and goes on as it is.
    """
    try:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(times):
                call()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
    except RuntimeError as problem:
        reason = " ".join(str(problem).split())[:200]
        warnings.warn(f"Stream: its step is no CUDA graph, its launches start one by one: {reason}", stacklevel=2)
        return call
    return graph.replay


def _as_it_is(rnn: Recurrent) -> Recurrent:
    """A copy of the net for inference alone."""
    memo: dict[int, Any] = {id(rnn.traced): rnn.traced}  # it never changes
    for module in rnn.modules():  # deepcopy refuses what is computed, such as the weight of a pruned layer
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(rnn, memo).eval().requires_grad_(False)


def _reopened(kind: type[Stream], rnn: Recurrent, state: State) -> Stream:
    """A stream over `rnn` itself, which belongs to streams already."""
    stream = kind.__new__(kind)
    stream._open(rnn, state)
    return stream
