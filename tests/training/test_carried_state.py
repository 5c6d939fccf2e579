"""Truncated backpropagation through time with our own recurrent stack: the state is carried, row by row."""

from __future__ import annotations

import torch
from torch import nn

import elman
from elman.data.batching import TruncatedBatches
from elman.training.loop import fit
from elman.training.settings import TrainingSettings
from tests.conftest import assert_close


class NextValue(nn.Module):
    """Forecasts the next value of each sequence, window by window."""

    def __init__(self, cell: str = "gru") -> None:
        super().__init__()
        self.rnn = elman.Recurrent(cell, 1, 12, learn_initial_state=True)
        self.head = nn.Linear(12, 1)

    def outputs(self, batch, state):
        if state is not None and batch.reset is not None:
            state = self.rnn.reset(state, batch.reset)
        h, state = self.rnn(batch.x, state, batch.lengths)
        return self.head(h), state

    def loss(self, batch, state=None):
        said, state = self.outputs(batch, state)
        return ((said - batch.y).square() * batch.weight).sum() / batch.weight.sum().clamp(min=1), state


def sequences(lengths):
    waves = [torch.sin(0.4 * torch.arange(n + 1.0) + k).unsqueeze(-1) for k, n in enumerate(lengths)]
    return [w[:-1] for w in waves], [w[1:] for w in waves]


def test_windows_with_a_carried_state_say_what_whole_sequences_say():
    x, y = sequences([23, 7, 40, 16, 9])
    model = NextValue()
    whole = {round(v[0].item(), 6): model.head(model.rnn(v[None])[0])[0] for v in x}
    rows: dict[int, float] = {}
    state, found = None, {key: [] for key in whole}
    for batch in TruncatedBatches(x, y, batch_size=2, steps=8, seed=0).epoch(0):
        out, state = model.outputs(batch, state)
        for row in range(len(batch)):
            length = int(batch.lengths[row])
            if batch.reset[row] and length:
                rows[row] = round(batch.x[row, 0].item(), 6)
            if length:
                found[rows[row]].append(out[row, :length])
    for key, expected in whole.items():
        assert_close(torch.cat(found[key]), expected, str(key))


def test_training_through_windows_learns():
    x, y = sequences([60, 45, 80, 30])
    batches = TruncatedBatches(x, y, batch_size=2, steps=10, seed=0)
    settings = TrainingSettings(max_epochs=40, learning_rate=0.01, truncate=10, accelerator="cpu")
    losses = fit(NextValue(), batches, settings=settings).column("loss")
    assert losses[-1] < 0.1 * losses[0]
