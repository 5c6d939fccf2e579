"""Weights without gradients: what is known in closed form is found, by the loss and by what has no gradient."""

from __future__ import annotations

import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from elman.data.batching import PaddedBatches
from elman.errors import MissingExtraError, OptionError, RunError
from elman.training import evolution
from elman.training.evolution import FULL, MOST, Evolution, put, strategy_for
from elman.training.settings import TrainingSettings
from elman.training.signals import Interrupted
from tests.training.stopping import StopAfter


class Line(nn.Module):
    """y = a x + b, whose best weights are the least squares'."""

    def __init__(self, inputs: int = 1) -> None:
        super().__init__()
        self.line = nn.Linear(inputs, 1)

    def loss(self, batch, state=None):
        return (self.line(batch.x) - batch.y).square().mean(), None


def points(inputs: int = 1, noise: float = 0.3) -> tuple[PaddedBatches, np.ndarray, np.ndarray]:
    dice = np.random.default_rng(0)
    X = dice.normal(size=(64, 1, inputs))
    y = X.sum(2, keepdims=True) * 2 - 1 + noise * dice.normal(size=(64, 1, 1))
    pairs = [torch.tensor(x, dtype=torch.float32) for x in X], [torch.tensor(v, dtype=torch.float32) for v in y]
    return PaddedBatches(*pairs, batch_size=64, seed=0), X[:, 0], y[:, 0, 0]


@pytest.mark.parametrize("inputs", [1, 8])
def test_the_least_squares_are_found_without_a_gradient(inputs):
    data, X, y = points(inputs)
    model = Line(inputs)
    how = Evolution(generations=200)
    history = how(model, data, settings=TrainingSettings(max_steps=1))
    exact = np.linalg.lstsq(np.hstack([X, np.ones((64, 1))]), y, rcond=None)[0]
    got = np.concatenate([model.line.weight[0].detach().numpy(), model.line.bias.detach().numpy()])
    assert got == pytest.approx(exact, abs=1e-3)
    assert how.evaluations_ == 200 * how.population_ == history.records[-1]["evaluations"]
    assert not model.training and history.stopped == "steps"


def test_what_has_no_gradient_is_evolved_towards():
    data, _, _ = points(noise=0.0)
    model = Line()

    def wrong_signs(net, batch):
        return ((net.line(batch.x) > 0) != (batch.y > 0)).float().mean()

    Evolution(generations=100, fitness=wrong_signs)(model, data, settings=TrainingSettings(max_steps=1))
    assert wrong_signs(model, next(data.epoch(0))) < 0.05


def test_the_best_by_validation_is_kept_and_a_seed_decides():
    data, _, _ = points()
    nets = [Line(), Line()]
    nets[1].load_state_dict(nets[0].state_dict())
    histories = []
    for net in nets:
        how = Evolution(generations=40)
        histories.append(how(net, data, settings=TrainingSettings(max_steps=1, seed=3), validation=data))
    assert torch.equal(nets[0].line.weight, nets[1].line.weight)
    losses = histories[0].column("val_loss")
    assert len(losses) == 20 and histories[0].best_loss == min(losses)
    with torch.no_grad():
        assert float(nets[0].loss(next(data.epoch(0)))[0]) == pytest.approx(min(losses), rel=1e-5)


def test_it_stops_when_its_time_is_over_and_tells_of_it(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(evolution, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 1000))
    data, _, _ = points()
    history = Evolution(seconds=0.2)(Line(), data, settings=TrainingSettings(max_steps=1), folder=tmp_path)
    assert 0.2 <= history.records[-1]["seconds"] < 0.21
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == len(history.records) <= 20


def test_many_weights_are_refused_and_few_are_correlated(monkeypatch):
    assert type(strategy_for(np.zeros(FULL), 0.1, 0)).__name__ == "CMA"
    assert type(strategy_for(np.zeros(FULL + 1), 0.1, 0)).__name__ == "SepCMA"
    with pytest.raises(OptionError, match=f"at most {MOST} weights to be evolved, got {MOST + 1}.*--hidden-size"):
        strategy_for(np.zeros(MOST + 1), 0.1, 0)
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(MissingExtraError, match=r"needs cmaes. pip install 'elman\[tune\]'"):
        strategy_for(np.zeros(3), 0.1, 0)


@pytest.mark.parametrize("inputs", [3, FULL + 20])  # all correlations, and variances alone
@pytest.mark.parametrize("stops", [[7], [1, 2, 30]])
def test_an_evolution_that_was_stopped_ends_with_the_same_weights(inputs, stops, tmp_path):
    some = points(inputs)[0]
    data = PaddedBatches(some.sequences, some.targets, batch_size=10, seed=0)

    def evolve(folder, progress=None, **how):
        torch.manual_seed(0)
        net, settings = Line(inputs), TrainingSettings(max_steps=1, seed=3)
        strategy = Evolution(generations=60)
        history = strategy(net, data, settings=settings, validation=data, folder=folder, progress=progress, **how)
        return net, history

    whole, told = evolve(tmp_path / "whole")
    for number, after in enumerate(stops):
        with pytest.raises(Interrupted, match=r"stopped after generation \d+, checkpoint in .* resume=True"):
            evolve(tmp_path / "cut", StopAfter(after), resume=number > 0)
    again, more = evolve(tmp_path / "cut", resume=True)
    assert torch.equal(whole.line.weight, again.line.weight) and torch.equal(whole.line.bias, again.line.bias)
    assert more.best_loss == told.best_loss and more.best_step == told.best_step

    def without_time(history):
        return [{name: value for name, value in record.items() if name != "seconds"} for record in history.records]

    assert without_time(more) == without_time(told)
    assert not list(tmp_path.rglob("*.pkl")) and (tmp_path / "cut" / "checkpoint.safetensors").is_file()


def test_only_the_same_evolution_goes_on(tmp_path):
    data, _, _ = points()
    settings = TrainingSettings(max_steps=1)
    with pytest.raises(Interrupted):
        Evolution(generations=40)(Line(), data, settings=settings, folder=tmp_path, progress=StopAfter(3))
    with pytest.raises(RunError, match=r"sigma was 0\.2, is 0\.5"):
        Evolution(generations=40, sigma=0.5)(Line(), data, settings=settings, folder=tmp_path, resume=True)
    with pytest.raises(RunError, match="holds an evolution"):
        Evolution(generations=40)(Line(), data, settings=settings, folder=tmp_path)
    with pytest.raises(Interrupted, match="this training has no folder of its own and begins anew"):
        Evolution(generations=40)(Line(), data, settings=settings, progress=StopAfter(3))


def test_what_would_never_end_is_refused():
    data, _, _ = points()
    with pytest.raises(OptionError, match="both unlimited, it would never end"):
        Evolution()(Line(), data, settings=TrainingSettings(max_steps=1))


def test_weights_are_put_in_their_order_and_told_to_have_changed():
    net = Line(2)
    before = net.line.weight._version
    with torch.no_grad():
        put(list(net.parameters()), np.array([1.0, 2.0, 3.0]))
    assert net.line.weight.tolist() == [[1.0, 2.0]] and net.line.bias.tolist() == [3.0]
    assert net.line.weight._version > before
