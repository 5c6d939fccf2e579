"""One sequence, one step at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from elman.errors import ShapeError
from elman.recurrent.stack import Recurrent, State


class Stream:
    """Feeds one sequence to a net as it arrives and carries the state.

    state  the net's state, each part (L, 1, H); assign it to go on from a state that was kept

    Raises `OptionError` for a bidirectional net, `ShapeError` for a step that is not (F,).

    >>> import elman, numpy as np
    >>> stream = elman.Recurrent("gru", 3, 5).stream()
    >>> stream.push(np.zeros(3)).shape
    (5,)
    """

    def __init__(self, rnn: Recurrent) -> None:
        self.rnn = rnn
        self.state: State = rnn.initial_state(1)
        self._like = next(rnn.parameters())
        self.reset()

    def push(self, x: Any) -> np.ndarray:
        """The output (H,) after one more step x (F,)."""
        x = np.asarray(x)
        if x.shape != (self.rnn.input_size,):
            raise ShapeError(f"Stream({self.rnn.traced.name}): a step must be ({self.rnn.input_size},), got {x.shape}.")
        training = self.rnn.training
        self.rnn.eval()
        with torch.no_grad():
            y, self.state = self.rnn.step(torch.as_tensor(x).to(self._like)[None], self.state)
        self.rnn.train(training)
        return y[0].cpu().numpy()

    def reset(self) -> None:
        """Back to the initial state."""
        with torch.no_grad():
            self.state = self.rnn.initial_state(1)
