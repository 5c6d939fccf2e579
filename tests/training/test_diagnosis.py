"""A NaN, an infinity or an explosion stops at once and names layer, time step and remedy."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from elman.data.batch import Batch
from elman.data.batching import PaddedBatches
from elman.errors import DivergenceError
from elman.training.diagnosis import find_cause
from elman.training.loop import fit
from elman.training.settings import TrainingSettings
from elman.training.state import LossGuard

from .tiny import TinyLearner, padded, sequences


def stopped(model, data, **changed) -> DivergenceError:
    before = [p.detach().clone() for p in model.parameters()]
    asked = {"accelerator": "cpu", "max_epochs": 3, **changed}
    with pytest.raises(DivergenceError) as problem:
        fit(model, data, settings=TrainingSettings(**asked))
    assert "\n" not in str(problem.value)
    if problem.value.step == 0:
        assert all(torch.equal(a, b) or a.isnan().any() for a, b in zip(before, model.parameters(), strict=True))
    return problem.value


def one_batch(xs, ys):
    return PaddedBatches(xs, ys, batch_size=len(xs), seed=0, bucket=False)


def test_a_nan_in_the_input_is_the_datas_fault():
    xs, ys = sequences(4)
    xs[2][3, 1] = math.nan
    problem = stopped(TinyLearner(), one_batch(xs, ys))
    assert "the input x holds nan at row" in str(problem) and "time step 3, feature 1" in str(problem)
    assert "The data are at fault, not the network" in str(problem)
    assert (problem.layer, problem.time, problem.step) == ("x", 3, 0)


def test_an_infinite_target_is_the_datas_fault_unless_it_has_no_weight():
    xs, ys = sequences(4)
    ys[1][2] = math.inf
    problem = stopped(TinyLearner(), one_batch(xs, ys))
    assert "the target y holds inf at row" in str(problem) and problem.time == 2
    batch = Batch(torch.ones(1, 2, 2), torch.tensor([[[math.nan], [1.0]]]), torch.tensor([[[0.0], [1.0]]]))
    assert "target" not in find_cause(TinyLearner(), batch, None).place


class PoisonAt(nn.Module):
    """A layer that fails from one time step on."""

    def __init__(self, step: int, backward: bool = False) -> None:
        super().__init__()
        self.step, self.backward = step, backward

    def forward(self, x):
        y = x.clone()
        if self.backward:
            y[:, self.step] = (y[:, self.step] * 0).abs().sqrt() + y[:, self.step]  # √0: finite, its slope is not
        else:
            y[:, self.step :] = math.inf
        return y


class Stacked(TinyLearner):
    """Two recurrent layers with something between them."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.below = nn.Sequential(nn.Linear(2, 2), between)

    def loss(self, batch, state=None):
        return super().loss(Batch(self.below(batch.x), batch.y, batch.weight), state)


def test_a_layer_that_gives_infinity_is_named_with_its_first_bad_step():
    problem = stopped(Stacked(PoisonAt(4)), padded())
    assert "layer 'below.1': first gives a non-finite value at time step 4" in str(problem)
    assert all(word in str(problem) for word in ("learning_rate", "clip_norm", "gated cell", "orthogonal"))
    assert (problem.layer, problem.time) == ("below.1", 4)


def test_a_gradient_that_is_not_finite_is_told_though_the_loss_is():
    problem = stopped(Stacked(PoisonAt(3, backward=True)), padded())
    assert "layer 'below.0." in str(problem) and "the forward pass is finite, but the gradient is not" in str(problem)
    assert "got loss nan" not in str(problem) and problem.time == 3


def test_a_loss_that_is_not_finite_though_all_layers_are():
    class Logarithm(TinyLearner):
        def loss(self, batch, state=None):
            loss, state = super().loss(batch, state)
            return loss + torch.log(torch.zeros(())), state

    assert stopped(Logarithm(), padded()).layer == "loss"


def test_a_weight_that_was_broken_before_is_told():
    model = TinyLearner()
    with torch.no_grad():
        model.rnn.weight_hh_l0[0, 0] = math.nan
    problem = stopped(model, padded())
    assert "the weight 'rnn.weight_hh_l0' is already not finite" in str(problem)


def test_an_exploding_recurrence_is_found_at_its_time_step():
    class Exploding(TinyLearner):
        def __init__(self):
            super().__init__()
            self.rnn = Doubling()

    class Doubling(nn.Module):
        """h_t = 1e10 h_{t−1} + x_t overflows float32 at the fourth step."""

        def __init__(self):
            super().__init__()
            self.r = nn.Parameter(torch.tensor(1e10))

        def forward(self, x, h=None):
            outputs, h = [], torch.zeros(len(x), 8)
            for x_t in x.unbind(1):
                h = self.r * h + x_t.sum(1, keepdim=True)
                outputs.append(h)
            return torch.stack(outputs, 1), h

    problem = stopped(Exploding(), padded())
    assert (problem.layer, problem.time) == ("rnn", 4)


def test_a_learning_rate_far_too_high_is_stopped_as_an_explosion():
    problem = stopped(TinyLearner(), padded(), learning_rate=1e6, schedule="constant", max_epochs=20)
    assert "leaves layer 'head' at time step" in str(problem) and "Lower learning_rate (now 1e+06)" in str(problem)
    assert 0 < problem.step < 6


def test_validation_that_is_not_finite_stops_too():
    xs, ys = sequences(4)
    xs[0][0, 0] = math.nan
    with pytest.raises(DivergenceError, match="the input x holds nan"):
        fit(TinyLearner(), padded(), settings=TrainingSettings(accelerator="cpu"), validation=one_batch(xs, ys))


@pytest.mark.parametrize(
    ("losses", "alarm"),
    [
        ([1.0] * 40 + [2e4, 2e4, 2e4], True),
        ([1.0] * 40 + [2e4, 2e4, 1.0, 2e4, 2e4], False),  # outliers
        ([1.0] * 8 + [1e-9] * 100 + [0.5] * 5, False),  # learned by heart, then back to where it began
        ([5.0, 1.0, -1.0, -3.0, 0.1, -4.0, 2.0] * 20, False),  # a likelihood that changes its sign
        ([0.0, 0.0, 1.0, 2.0, 3.0], False),  # a first batch without anything to predict
        ([1.0, 1e9, 1e11, 1e12], True),
    ],
)
def test_what_counts_as_an_explosion(losses, alarm):
    guard = LossGuard()
    assert any(guard.exploded(loss) for loss in losses) is alarm
