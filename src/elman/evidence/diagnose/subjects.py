"""What a diagnosis looks into, of each kind of model: its net, a loss to follow back, and what its data need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.cells import name_of
from elman.data.batch import Batch
from elman.data.inputs import Names
from elman.data.on_disk import take
from elman.errors import DataError, OptionError
from elman.estimators import AnomalyDetector, Forecaster, LanguageModel
from elman.estimators.base import Estimator, of_kind
from elman.estimators.forecasting.windows import CYCLES
from elman.estimators.sequences.base import SequenceEstimator
from elman.estimators.transduction.base import TextEstimator
from elman.evidence.diagnose.need import Need, need_of
from elman.recurrent import Recurrent

ROWS = 64
"""sequences that gradients are followed through"""
JUDGED = 500
"""sequences that the model is judged on"""
NAMES = 50
"""of a vocabulary, the most frequent ones, that a reading of the data sees apart"""
WINDOWS = 600
"""windows of a forecaster or of a text that what the data need is read off"""
WILD = 5.0
"""spreads of a forecaster's window beyond which a value to forecast counts as that many"""
FURTHER = 4
"""times the steps after which a language model's gradient is cut: so far its texts are looked at"""


@dataclass(frozen=True)
class Subject:
    """What is looked into: a net, a loss to follow, what its data need, and the estimator's arguments.

    cut  steps after which backpropagation through time was cut in training; None: never
    given  what of earlier steps a step brings with it, in a sentence
    """

    net: nn.Module
    loss: Callable[[], Tensor]
    need: Need | None = None
    explained: float | None = None
    each_step: bool = False
    stride: int = 1
    stack: nn.Module | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    cut: int | None = None
    given: str = ""


def subject_of(model: Any, batch: Any) -> Subject:
    """What `diagnose` looks into; raises `OptionError` for what it cannot."""
    if isinstance(model, SequenceEstimator):
        if model.body != "recurrent":
            raise OptionError(f"diagnose: body={model.body!r} has no gradients through time. Give a recurrent model.")
        return _of_estimator(model, *batch)
    if isinstance(model, Recurrent):
        return Subject(model, lambda: _half_square(model, batch), params={"cell": name_of(model.cell)})
    if isinstance(model, nn.Module) and isinstance(batch, Batch) and hasattr(model, "loss"):
        each_step = batch.y.dim() >= 2 and batch.y.shape[1] == batch.x.shape[1]
        return Subject(model, lambda: model.loss(batch)[0], each_step=each_step)  # type: ignore[operator]
    if isinstance(model, Estimator):
        data = batch if isinstance(batch, tuple) else (batch,)
        subject = of_kind(model, _OTHERS)
        if subject is not None:
            return subject(model, *data)
    known = "a fitted estimator with its data, a Recurrent with x, or a module with a loss and a Batch"
    raise OptionError(f"diagnose: expected {known}, got {type(model).__name__}.")


def _half_square(net: Recurrent, x: Tensor) -> Tensor:
    """½ ‖h_T‖² of the last layer, the mean over rows: a loss where there is none."""
    return net(x)[1][0][-net.directions :].square().sum() / (2 * x.shape[0 if net.batch_first else 1])


def _of_estimator(model: SequenceEstimator, X: Any, y: Any) -> Subject:
    X, y = _known(model, X, y)
    data = model.batches(X, y, "diagnose")
    x, targets, net = _read(model.inputs_, data.sequences), _told(model, data.targets), model.network_
    chosen = np.random.default_rng(0).permutation(len(x))[:ROWS]
    batch = data.batch(chosen).to(_device(net))
    inner: Any = getattr(net, "scores", net)
    need, explained = need_of(x, targets), _explained(model, X, targets)
    stride, stack = inner.front.stride, inner.body.net  # not the letters of a name, which have a net of their own
    return Subject(net, lambda: net.loss(batch)[0], need, explained, model.per_step, stride, stack, _arguments(model))


def _known(model: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """The sequences whose labels the model knows: of another one there is no loss."""
    if not hasattr(model, "classes_"):
        return X, y
    kept = np.array([i for i, label in enumerate(y) if np.isin(label, model.classes_).all()], int)
    if not len(kept):
        raise DataError("diagnose: a sequence must have labels that the model was trained on, none has.")
    return (X, y) if len(kept) == len(y) else (take(X, kept), take(y, kept))


def _explained(model: Any, X: Any, targets: list[np.ndarray]) -> float:
    """R² of what the model says: of its probabilities against which class it is, of numbers as they are."""
    some = np.random.default_rng(1).permutation(len(targets))[:JUDGED]
    given, classes = [X[i] for i in some], getattr(model, "classes_", None)
    if classes is None:
        scaled = [(np.asarray(one) - model.mean_) / model.scale_ for one in model.predict(given)]
        said = [one.reshape(targets[i].shape) for one, i in zip(scaled, some, strict=True)]
    else:
        said = list(model.predict_proba(given))
    truth = np.concatenate([np.atleast_2d(targets[i]) for i in some])
    off = np.concatenate([np.atleast_2d(one) for one in said]) - truth
    return float(1 - np.square(off).mean() / max(np.square(truth - truth.mean(0)).mean(), 1e-12))


def _read(inputs: Any, sequences: Sequence[Tensor]) -> list[np.ndarray]:
    """Numbers as they are; names as which of the most frequent ones each is."""
    if not isinstance(inputs, Names):
        return [one.double().numpy() for one in sequences]
    codes = [one[:, 0].numpy() for one in sequences]
    frequent = np.argsort(-np.bincount(np.concatenate(codes)), kind="stable")[:NAMES]
    return [(one[:, None] == frequent).astype(float) for one in codes]


def _told(model: SequenceEstimator, targets: Sequence[Tensor] | Tensor) -> list[np.ndarray]:
    """Numbers as they are, classes as which of them each is."""
    classes = getattr(model, "classes_", None)
    found = [one.numpy() for one in targets]
    return found if classes is None else [np.eye(len(classes))[one] for one in found]


# -- forecasts, texts, and nets of which the data's need is not measured -------------------------------------------


def _of_forecaster(model: Forecaster, frame: Any) -> Subject:
    """Need: of the values to forecast, in what the net is given; with it a season ago needs no memory."""
    data = model.batches(frame)
    shape, net = model.plan_.shape, model.network_
    many = _some(data.epoch(0), data.batch_size)
    with torch.no_grad():
        said = torch.cat([_median(net, batch.x.to(_device(net))) for batch in many]).cpu().numpy()[:, shape.context :]
    x, y, weight = (torch.cat(parts).numpy() for parts in zip(*((b.x, b.y, b.weight) for b in many), strict=True))
    x, y = x[:, : shape.context + 1, : net.columns.numbers], y[:, shape.context :]
    told = weight[:, shape.context :].all(1)
    # A window that has seen two values may have hardly any spread: in its units the next ones are beyond all bounds.
    x, y, said = (part[told].astype(float) for part in (x, y.clip(-WILD, WILD), said.clip(-WILD, WILD)))
    if not len(x):
        raise DataError("diagnose: no window has values to forecast after a history, got none. Give longer series.")
    explained = float(1 - np.square(said - y).sum() / max(np.square(y - y.mean(0)).sum(), 1e-12))
    need = need_of(list(x), list(y), products=0)  # the net is given a value several ways: steps apart say more
    batch, given = many[0].to(_device(net)), _seasons_given(shape.seasons)
    return Subject(
        net, lambda: net.loss(batch)[0], need, explained, True, 1, net.recurrent, _arguments(model), given=given
    )


def _seasons_given(seasons: Sequence[int]) -> str:
    """Why a forecast may owe much to values that are further back than the data need.

    >>> _seasons_given([7])
    'Each step brings the values of 7, 14, 21 and 28 steps before with it: these need no memory.'
    """
    if not seasons:
        return ""
    ago = sorted({cycle * season for season in seasons for cycle in range(1, CYCLES + 1)})
    said = f"{', '.join(map(str, ago[:-1]))} and {ago[-1]}"
    return f"Each step brings the values of {said} steps before with it: these need no memory."


def _median(net: Any, x: Tensor) -> Tensor:
    said, _ = net(x)
    half = said.location.new_full((*said.location.shape, 1), 0.5)
    return net.output.quantile(said.p, said.location, said.center, said.spread, half)[..., 0]


def _of_language(model: LanguageModel, texts: Any) -> Subject:
    """Need: of the next token, over stretches that are longer than those through which gradients were followed."""
    net, cut = model.network_, model.truncate
    many = _some(model.batches(texts, FURTHER * cut).epoch(0), model.batch_size)
    x, y = (torch.cat([part[:, : many[0].x.shape[1]] for part in parts]) for parts in
            ([b.x for b in many], [b.y for b in many]))  # fmt: skip
    if model.inputs_ is None:
        need, explained = need_of(list(x.double().numpy()), list(y.double().numpy())), None
    else:
        codes, said = x[..., 0].numpy(), y.numpy()
        frequent = np.argsort(-np.bincount(said.ravel()), kind="stable")[:NAMES]
        truth = (said[..., None] == frequent).astype(float)
        need = need_of(list((codes[..., None] == frequent).astype(float)), list(truth))
        with torch.no_grad():
            p = torch.softmax(net(x.to(_device(net)))[0], -1).cpu().numpy()[..., frequent]
        explained = float(1 - np.square(p - truth).mean() / max(np.square(truth - truth.mean((0, 1))).mean(), 1e-12))
    batch = many[0].to(_device(net))
    return Subject(net, lambda: net.loss(batch)[0], need, explained, True, 1, net.body, _arguments(model), cut)


def _of_others(model: Any, *data: Any) -> Subject:
    net, batches = model.network_, model.batches(*data)
    batch = next(iter(batches.epoch(0))).to(_device(net))
    return Subject(net, lambda: net.loss(batch)[0], each_step=True, params=_arguments(model))


_OTHERS: dict[type[Estimator], Callable[..., Subject]] = {
    Forecaster: _of_forecaster,
    LanguageModel: _of_language,
    AnomalyDetector: _of_others,
    TextEstimator: _of_others,
}


def _device(net: nn.Module) -> torch.device:
    return next(net.parameters()).device


def _some(batches: Any, rows: int) -> list[Batch]:
    """Enough batches for `WINDOWS` rows, all as wide as the first."""
    found = list(islice(batches, -(-WINDOWS // rows)))
    return [batch for batch in found if batch.x.shape[1] == found[0].x.shape[1]]


def _arguments(model: Estimator) -> dict[str, Any]:
    return {name: value for name, value in model.get_params(deep=False).items() if name != "random_state"}
