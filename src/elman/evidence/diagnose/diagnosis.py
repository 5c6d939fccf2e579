"""A look at a net on a batch of data: how far gradients go, how far they would have to, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from elman.cells import name_of
from elman.data.batch import Batch
from elman.data.inputs import Names
from elman.errors import OptionError
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.diagnose.flow import Flow, flows
from elman.evidence.diagnose.need import Need, need_of
from elman.evidence.diagnose.units import Units, units_of
from elman.evidence.diagnose.verdict import Verdict, judge
from elman.recurrent import Recurrent

ROWS = 64
"""sequences that gradients are followed through"""
JUDGED = 500
"""sequences that the model is judged on"""
NAMES = 50
"""of a vocabulary, the most frequent ones, that a linear reading of the data sees apart"""


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    flows    the gradient in each layer and direction
    units    its gates, units and matrices
    need     of the data; None where there are none to learn from
    explained  R² of the model on the data; None likewise
    verdict  in one sentence, with remedies
    """

    flows: list[Flow]
    units: list[Units]
    need: Need | None
    explained: float | None
    verdict: Verdict
    clipped: float | None = field(default=None)
    """share of the training's records in which the gradient was longer than the limit"""

    def __str__(self) -> str:
        lines = [self.verdict.sentence]
        lines += [f"Remedy: {remedy}" for remedy in self.verdict.remedies[:1]]
        lines += [f"Or:     {remedy}" for remedy in self.verdict.remedies[1:]]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All numbers, as a run folder keeps them."""
        layers = [
            {
                "layer": flow.layer,
                "reverse": flow.reverse,
                "decay": flow.decay,
                "horizon": flow.horizon if np.isfinite(flow.horizon) else None,
                "reach": flow.reach,
                "loss": _rounded(flow.loss),
                "memory": _rounded(flow.memory),
                **asdict(units),
            }
            for flow, units in zip(self.flows, self.units, strict=True)
        ]
        need = (
            None if self.need is None else {k: v if np.isscalar(v) else _rounded(v) for k, v in vars(self.need).items()}
        )
        verdict = {"fault": self.verdict.fault, "sentence": self.verdict.sentence}
        remedies = [{"change": r.change, "why": r.why} for r in self.verdict.remedies]
        known = {"need": need, "explained": self.explained, "clipped": self.clipped}
        return {"verdict": verdict | {"remedies": remedies}, **known, "layers": layers}


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{v:.4g}") for v in np.asarray(values, float)]


def diagnose(model: Any, batch: Any) -> Diagnosis:
    """Looks into a model on data.

    model  a fitted `SequenceClassifier`, `SequenceRegressor` or `SequenceTagger`, and as
    batch  its (X, y), of which what the data need is measured, too;
           or a `Recurrent` net and x (B, T, F), or any module with `loss(batch, state)` and a `Batch`

    Raises `OptionError` for another model, and what the model raises for data that it does not read.

    >>> import elman, torch
    >>> net = elman.Recurrent("leaky", 1, 4)
    >>> found = diagnose(net, torch.zeros(2, 60, 1))
    >>> round(found.flows[0].decay, 3), found.flows[0].horizon                # 1 - σ(-2), and ln 0.01 / ln 0.881
    (0.881, 37.0)
    """
    subject = _subject(model, batch)
    found, records = flows(subject.net, subject.loss, subject.stack)
    if not found:
        raise OptionError(f"diagnose: {type(model).__name__} has no recurrent layer. Give a model with one.")
    history = getattr(model, "history_", None)
    norms = [] if history is None else history.column("grad_norm")
    limit = subject.params.get("clip_norm")
    verdict = judge(
        found,
        subject.need,
        subject.explained,
        each_step=subject.each_step,
        stride=subject.stride,
        norms=norms,
        clip_norm=limit,
        params=dict(subject.params),
    )
    clipped = None if limit is None or not norms else float(np.mean(np.array(norms) > limit))
    units = [units_of(record) for record in records]
    return Diagnosis(found, units, subject.need, subject.explained, verdict, clipped)


@dataclass(frozen=True)
class _Subject:
    """What is looked into: a net, a loss to follow, what its data need, and the estimator's arguments."""

    net: nn.Module
    loss: Callable[[], Tensor]
    need: Need | None = None
    explained: float | None = None
    each_step: bool = False
    stride: int = 1
    stack: nn.Module | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


def _subject(model: Any, batch: Any) -> _Subject:
    if isinstance(model, SequenceEstimator):
        if model.body != "recurrent":
            raise OptionError(f"diagnose: body={model.body!r} has no gradients through time. Give a recurrent model.")
        return _of_estimator(model, *batch)
    if isinstance(model, Recurrent):
        return _Subject(model, lambda: _half_square(model, batch), params={"cell": name_of(model.cell)})
    if isinstance(model, nn.Module) and isinstance(batch, Batch) and hasattr(model, "loss"):
        each_step = batch.y.dim() >= 2 and batch.y.shape[1] == batch.x.shape[1]
        return _Subject(model, lambda: model.loss(batch)[0], each_step=each_step)  # type: ignore[operator]
    known = (
        "a fitted classifier, regressor or tagger with (X, y), a Recurrent with x, or a module with a loss and a Batch"
    )
    raise OptionError(f"diagnose: expected {known}, got {type(model).__name__}.")


def _half_square(net: Recurrent, x: Tensor) -> Tensor:
    """½ ‖h_T‖² of the last layer, the mean over rows: a loss where there is none."""
    return net(x)[1][0][-net.directions :].square().sum() / (2 * x.shape[0 if net.batch_first else 1])


def _of_estimator(model: SequenceEstimator, X: Any, y: Any) -> _Subject:
    data = model.batches(X, y, "diagnose")
    x, targets, net = _read(model.inputs_, data.sequences), _told(model, data.targets), model.network_
    chosen = np.random.default_rng(0).permutation(len(x))[:ROWS]
    batch = data.batch(chosen).to(next(net.parameters()).device)
    params = {name: value for name, value in model.get_params(deep=False).items() if name != "random_state"}
    inner: Any = getattr(net, "scores", net)
    need, explained = need_of(x, targets), _explained(model, X, targets)
    stride, stack = inner.front.stride, inner.body.net  # not the letters of a name, which have a net of their own
    return _Subject(net, lambda: net.loss(batch)[0], need, explained, model.per_step, stride, stack, params)


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
