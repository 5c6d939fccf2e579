"""One sequence, one step at a time."""

from __future__ import annotations

import copy
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
    """A step as a call of the net, for backends that have no faster form."""

    def __init__(self, rnn: Recurrent) -> None:
        self.rnn = rnn
        self._like = next(rnn.parameters())
        self.x, self.y = (torch.zeros(n, dtype=self._like.dtype) for n in (rnn.input_size, rnn.hidden_size))
        self._state: State = ()

    @property
    def state(self) -> State:
        """A copy of the state, each part (L, 1, H)."""
        return tuple(part.clone() for part in self._state)

    @state.setter
    def state(self, new: State) -> None:
        self._state = tuple(part.detach().clone() for part in new)

    def step(self) -> None:
        """From `x` and the state to `y` and the next state."""
        with torch.no_grad():
            y, self._state = self.rnn.step(self.x.to(self._like.device)[None], self._state)
        self.y.copy_(y[0])


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
