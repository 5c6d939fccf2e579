"""One sequence, one step at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from elman.errors import ShapeError
from elman.recurrent.stack import Recurrent, State


class Stream:
    """Feeds one sequence to a net as it arrives and carries the state, with the weights the net had when it was opened.

    state  the net's state, each part (L, 1, H), a copy; assign it to go on from a state that was kept

    Raises `OptionError` for a bidirectional net, `ShapeError` for a step that is not (F,).

    >>> import elman, numpy as np
    >>> stream = elman.Recurrent("gru", 3, 5).stream()
    >>> stream.push(np.zeros(3)).shape
    (5,)
    """

    def __init__(self, rnn: Recurrent) -> None:
        self.rnn = rnn
        self._steps = rnn.stepper() or _Calls(rnn)
        self._x, self._y = self._steps.x.numpy(), self._steps.y.numpy()
        self._shape, self._step = self._x.shape, self._steps.step
        self.reset()

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
        self.state: State = ()

    def step(self) -> None:
        """From `x` and the state to `y` and the next state."""
        training = self.rnn.training
        self.rnn.eval()
        with torch.no_grad():
            y, self.state = self.rnn.step(self.x.to(self._like.device)[None], self.state)
        self.rnn.train(training)
        self.y.copy_(y[0])
