"""Training on a GPU: a resumed run is the same run, half precision and the card's random numbers included."""

from __future__ import annotations

import pytest
import torch

from elman.data.batching import PaddedBatches
from elman.errors import DivergenceError
from elman.recurrent import Recurrent
from elman.training import randomness
from elman.training.loop import fit
from elman.training.settings import TrainingSettings
from elman.training.signals import Interrupted

from .stopping import StopAfter
from .tiny import TinyLearner, padded, truncated

HOW = {"max_steps": 7, "validate_every": 3, "learning_rate": 0.01, "average": 0.9, "accelerator": "cuda"}


class Stack(torch.nn.Module):
    """A `Recurrent` net with all that draws at random, its state carried from window to window."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            options = {"dropout": 0.2, "zoneout": 0.1, "recurrent_dropout": 0.1, "layer_norm": True}
            self.rnn = Recurrent("lstm", 2, 6, 2, learn_initial_state=True, **options)
            self.head = torch.nn.Linear(6, 1)

    def loss(self, batch, state=None):
        state = None if state is None else self.rnn.reset(state, batch.reset)
        y, state = self.rnn(batch.x, state, batch.lengths)
        return ((self.head(y) - batch.y).square() * batch.weight).sum() / batch.weight.sum(), state


def trained(make, folder, precision: str, stop: int | None = None, **changed):
    """The net after a training that, with `stop`, was stopped after so many steps and resumed."""
    settings = TrainingSettings(**{**HOW, "precision": precision, **changed})
    given = {"validation": padded(seed=2), "settings": settings, "folder": folder}
    if stop is not None:
        with pytest.raises(Interrupted):
            fit(make(), truncated(), progress=StopAfter(stop), **given)
        torch.cuda.manual_seed(99)  # as in a new process
    model = make()
    fit(model, truncated(), resume=True, **given)
    return model


@pytest.mark.parametrize("precision", ["16-mixed", pytest.param("32-true", marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [lambda: TinyLearner(dropout=0.3), Stack])
def test_a_run_on_a_gpu_is_resumed_to_the_same_bits(card, tmp_path, make, precision):
    whole = trained(make, tmp_path / "whole", precision)
    resumed = trained(make, tmp_path / "resumed", precision, stop=5)
    other = trained(make, tmp_path / "other", precision, seed=1)
    pairs = list(zip(whole.parameters(), resumed.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in zip(whole.parameters(), other.parameters(), strict=True))


def test_float16_that_overflows_lowers_the_scale_and_moves_nothing(card):
    model = TinyLearner()
    before = [p.detach().clone() for p in model.parameters()]
    loud = PaddedBatches([torch.ones(4, 2)] * 4, [torch.full((4, 1), 3e3)] * 4, batch_size=2, seed=0)
    fit(model, loud, settings=TrainingSettings(max_steps=2, accelerator="cuda", precision="16-mixed"))
    assert all(torch.equal(a, b.cpu()) for a, b in zip(before, model.parameters(), strict=True))


def test_what_diverges_on_a_gpu_is_diagnosed(card):
    sequences = [torch.ones(6, 2) for _ in range(4)]
    sequences[2][3, 1] = torch.nan
    data = PaddedBatches(sequences, [torch.ones(6, 1)] * 4, batch_size=4, seed=0)
    with pytest.raises(DivergenceError, match="time step 3, feature 1"):
        fit(TinyLearner(), data, settings=TrainingSettings(max_steps=2, accelerator="cuda"))
    model = TinyLearner()
    with torch.no_grad():
        model.head.weight.fill_(3e38)
    with pytest.raises(DivergenceError, match="layer 'head'"):
        fit(model, padded(), settings=TrainingSettings(max_steps=2, accelerator="cuda"))


def test_the_callers_random_numbers_are_not_touched(card):
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    with randomness.isolated(0):
        torch.rand(2, device=card)
    assert torch.equal(torch.cuda.get_rng_state(), before)
