"""The loop against hand-written ones, and its rules: clipping, schedule, average, early stopping, carried state."""

from __future__ import annotations

import io
import math
import signal

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman.data.batch import Batch
from elman.errors import DataError, OptionError
from elman.training.average import WeightAverage
from elman.training.loop import fit
from elman.training.progress import progress_for
from elman.training.schedule import learning_rate_at, total_steps
from elman.training.settings import TrainingSettings

from .tiny import TinyLearner, padded, truncated


def settings(**changed) -> TrainingSettings:
    return TrainingSettings(**{"accelerator": "cpu", "learning_rate": 0.01, "max_epochs": 2, **changed})


def by_hand(model, batches, asked, *, steps):
    """The same training in the plainest words: one tensor at a time, no fabric. Returns norms before clipping."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": asked.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        foreach=False,
        fused=False,
    )
    norms, averages, n, epoch = [], [p.detach().clone() for p in model.parameters()], 0, 0
    while n < steps:
        state, rows = None, 0
        for batch in batches.epoch(epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(n, asked, total_steps(asked, len(batches)))
            optimizer.zero_grad()
            loss, after = model.loss(batch, state if len(batch) == rows else None)
            loss.backward()
            norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), asked.clip_norm or math.inf)))
            optimizer.step()
            n, rows = n + 1, len(batch)
            state = tuple(s.detach() for s in after) if batch.reset is not None else None
            if asked.average:
                beta = min(asked.average, (1 + n) / (10 + n))
                averages = [
                    beta * a + (1 - beta) * p.detach() for a, p in zip(averages, model.parameters(), strict=True)
                ]
        epoch += 1
    return norms, averages


@pytest.mark.parametrize("source", [padded, truncated])
@pytest.mark.parametrize("clip_norm", [1.0, 0.05, None])
def test_it_takes_the_steps_of_a_loop_by_hand(source, clip_norm):
    asked = settings(clip_norm=clip_norm, validate_every=1, warmup=2, weight_decay=0.1)
    ours, theirs, data = TinyLearner(), TinyLearner(), source()
    history = fit(ours, data, settings=asked)
    norms, _ = by_hand(theirs, data, asked, steps=total_steps(asked, len(data)))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    assert history.column("grad_norm") == pytest.approx(norms, rel=1e-4)
    assert max(norms) > 0.05  # so that clipping at 0.05 was at work, and the norm logged is the one before it


def test_the_kept_average_is_that_of_a_hand_loop():
    asked = settings(average=0.9)
    ours, theirs, data = TinyLearner(), TinyLearner(), padded()
    fit(ours, data, settings=asked)
    _, averages = by_hand(theirs, data, asked, steps=total_steps(asked, len(data)))
    for mine, other in zip(ours.parameters(), averages, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(ours.head.weight, theirs.head.weight)


def test_validation_sees_the_average_and_training_does_not():
    model = nn.Linear(1, 1)
    average = WeightAverage(model, 0.5)
    own = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    average.update(model, step=1)
    beta = 2 / 11
    with average.in_place(model):
        torch.testing.assert_close(model.weight.detach(), own + 1 - beta)
    torch.testing.assert_close(model.weight.detach(), own + 1)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("warmup", [0, 4, 0.25])
def test_the_learning_rate_follows_its_formula(schedule, warmup):
    asked = settings(schedule=schedule, warmup=warmup, max_steps=16, max_epochs=None, validate_every=1)
    history = fit(TinyLearner(), padded(), settings=asked)
    w = 4 if warmup else 0
    shape = {
        "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
        "linear": lambda u: 1 - u,
        "constant": lambda u: 1.0,
    }[schedule]
    expected = [0.01 * ((s + 1) / (w + 1) if s < w else shape((s - w) / (16 - w))) for s in range(16)]
    assert history.column("lr") == pytest.approx(expected)


class Scripted:
    """Validation data whose loss is told in advance: a target that the constant learner below misses by so much."""

    def __init__(self, losses):
        self.losses, self.asked = list(losses), 0

    def __len__(self):
        return 1

    def epoch(self, epoch, start=0):
        loss = self.losses[min(self.asked, len(self.losses) - 1)]
        self.asked += 1
        yield Batch(torch.zeros(1, 1, 1), torch.full((1, 1, 1), float(loss)))


class Counter(nn.Module):
    """Its weight goes up by the learning rate each step (Adam's sign step), so that it tells which step it is of."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def loss(self, batch, state=None):
        return (batch.y.mean() if not self.training else -self.w.sum()), None


def test_early_stopping_keeps_the_best_weights():
    asked = settings(patience=2, validate_every=1, schedule="constant", max_epochs=50, learning_rate=0.5)
    model = Counter()
    history = fit(model, padded(), settings=asked, validation=Scripted([5, 3, 1, 2, 1.5, 0]))
    assert (history.stopped, history.best_step, history.best_loss) == ("patience", 3, 1.0)
    assert history.column("val_loss") == [5, 3, 1, 2, 1.5]
    assert model.w.item() == pytest.approx(1.5, rel=1e-4)  # three steps of 0.5
    assert not model.training


def test_without_patience_it_goes_to_the_end_and_still_keeps_the_best():
    asked = settings(validate_every=1, schedule="constant", max_steps=5, learning_rate=0.5)
    model = Counter()
    history = fit(model, padded(), settings=asked, validation=Scripted([5, 1, 3, 2, 4]))
    assert (history.stopped, history.best_step, model.w.item()) == ("steps", 2, pytest.approx(1.0, rel=1e-4))


def test_state_is_carried_without_its_past_and_dropped_at_the_end_of_an_epoch():
    model, data = TinyLearner(), truncated()
    fit(model, data, settings=settings())
    carried = [came for came, _ in model.seen]
    assert carried == ([False] + [True] * (len(data) - 1)) * 2
    assert not any(past for _, past in model.seen)


def test_state_is_not_carried_between_whole_sequences():
    model = TinyLearner()
    fit(model, padded(), settings=settings())
    assert not any(came for came, _ in model.seen)


class Shrinking:
    """A source whose last batch has fewer rows: the state of the others must not reach it."""

    def __len__(self):
        return 3

    def epoch(self, epoch, start=0):
        for rows in (3, 3, 2)[start:]:
            yield Batch(torch.ones(rows, 4, 2), torch.ones(rows, 4, 1), reset=torch.zeros(rows, dtype=torch.bool))


def test_state_is_dropped_when_the_batch_size_changes():
    model = TinyLearner()
    fit(model, Shrinking(), settings=settings(max_epochs=1))
    assert [came for came, _ in model.seen] == [False, True, False]


def test_the_same_settings_give_the_same_bits_and_learn():
    models = [TinyLearner(dropout=0.2) for _ in range(2)]
    histories = [fit(m, padded(), settings=settings(max_epochs=20)) for m in models]
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))
    losses = histories[0].column("loss")
    assert losses[-1] < losses[0] / 2


def test_bfloat16_is_used_inside_and_only_there():
    seen = {}

    class Looking(TinyLearner):
        def loss(self, batch, state=None):
            seen["targets"], seen["inside"] = batch.y.dtype, nn.functional.linear(batch.x, self.rnn.weight_ih_l0).dtype
            return super().loss(batch, state)

    models = Looking(), TinyLearner()
    histories = [
        fit(m, padded(), settings=settings(precision=p)) for m, p in zip(models, ("bf16-mixed", "32-true"), strict=True)
    ]
    assert seen == {"targets": torch.float32, "inside": torch.bfloat16}
    half, full = (h.column("loss") for h in histories)
    assert half != full and half == pytest.approx(full, rel=0.05)
    assert models[0].head.weight.dtype == torch.float32


def test_a_source_that_breaks_its_promise_is_told():
    class Short(Shrinking):
        def __len__(self):
            return 5

    with pytest.raises(DataError, match="must have 5 batches, ended before number 3"):
        fit(TinyLearner(), Short(), settings=settings())


def test_what_cannot_be_trained_is_one_clear_line():
    with pytest.raises(OptionError, match="Linear has none"):
        fit(nn.Linear(1, 1), padded(), settings=settings())
    frozen = TinyLearner().requires_grad_(False)
    with pytest.raises(OptionError, match="requires a gradient"):
        fit(frozen, padded(), settings=settings())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"learning_rat": 1}, "unknown setting 'learning_rat', did you mean 'learning_rate'?"),
        ({"learning_rate": -1}, "learning_rate must be greater than 0, got -1."),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number, got nan."),
        ({"schedule": "cosin"}, "got 'cosin'; did you mean 'cosine'?"),
        ({"precision": "fp16"}, "precision must be one of"),
        ({"max_epochs": None}, "would never end; give one"),
        ({"warmup": 1.5}, "must be below 1, got 1.5"),
        ({"batch_size": "many"}, "batch_size must be a valid integer"),
        ({"average": 1.0}, "average must be less than 1, got 1.0."),
    ],
)
def test_a_wrong_setting_is_one_clear_line(given, said):
    with pytest.raises(OptionError) as problem:
        TrainingSettings(**given)
    assert said in str(problem.value) and "\n" not in str(problem.value)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_plain_lines_for_a_pipe():
    stream = io.StringIO()
    fit(TinyLearner(), padded(), settings=settings(), validation=padded(), progress=progress_for("auto", stream))
    first, last = stream.getvalue().splitlines()
    assert first == "training: 6 steps"
    assert all(word in last for word in ("epoch 2", "step 6/6", "loss", "val_loss", "grad", "items/s"))


def test_progress_is_drawn_for_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    fit(TinyLearner(), padded(), settings=settings(), validation=padded(), progress=progress_for("auto", stream))
    shown = stream.getvalue()
    assert all(word in shown for word in ("epoch", "loss", "grad", "items/s", "val", "6/6", "\x1b["))


def test_progress_is_silent_by_default_and_an_unknown_mode_is_told(capsys):
    fit(TinyLearner(), padded(), settings=settings(max_steps=1))
    assert capsys.readouterr() == ("", "")
    with pytest.raises(OptionError, match="did you mean 'plain'"):
        progress_for("plane")  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "rmsprop", "sgd"])
def test_every_optimiser_learns_and_goes_on_as_if_it_had_not_stopped(optimizer, tmp_path):
    X = [np.full(4, value) for value in np.linspace(-1, 1, 40)]
    given = {"hidden_size": 4, "optimizer": optimizer, "learning_rate": 0.01, "dropout": 0.0, "noise": 0.0}
    y = [float(x[0]) for x in X]
    whole = elman.SequenceRegressor(**given, max_steps=60).fit(X, y)
    assert whole.score(X, y) > 0.5
    run = tmp_path / "run"

    class Stops:
        """A progress that asks for the end half-way, as Ctrl-C does."""

        def step(self, step, epoch, loss, norm, items):
            if step == 30:
                signal.raise_signal(signal.SIGINT)

        def begin(self, *_):
            pass

        record = end = begin

    with pytest.raises(KeyboardInterrupt):
        elman.SequenceRegressor(**given, max_steps=60).fit(X, y, folder=run, progress=Stops())
    assert (run / "checkpoint.safetensors").exists()
    again = elman.SequenceRegressor(**given, max_steps=60).fit(X, y, folder=run, resume=True)
    assert again.predict(X).tolist() == whole.predict(X).tolist()
