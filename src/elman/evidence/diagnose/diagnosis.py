"""A look at a net on a batch of data: how far gradients go, how far they would have to, what is wrong, what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from elman.errors import OptionError
from elman.evidence.diagnose.flow import Flow, flows
from elman.evidence.diagnose.need import Need
from elman.evidence.diagnose.subjects import subject_of
from elman.evidence.diagnose.units import Units, units_of
from elman.evidence.diagnose.verdict import Verdict, judge


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    flows    the gradient in each layer and direction
    units    its gates, units and matrices
    need     of the data; None where there are none to learn from
    explained  R² of the model on the data; None likewise
    verdict  in one sentence, with remedies
    clipped  share of the training's records in which the gradient was longer than the limit
    norms, limit   of the gradient before clipping, in each record of the training; what it was clipped to
    """

    flows: list[Flow]
    units: list[Units]
    need: Need | None
    explained: float | None
    verdict: Verdict
    clipped: float | None = field(default=None)
    norms: tuple[float, ...] = field(default=())
    limit: float | None = field(default=None)

    def __str__(self) -> str:
        lines = [self.verdict.sentence]
        lines += [f"Remedy: {remedy}" for remedy in self.verdict.remedies[:1]]
        lines += [f"Or:     {remedy}" for remedy in self.verdict.remedies[1:]]
        return "\n".join(lines)

    def rows(self) -> list[tuple[str, ...]]:
        """Of each layer and direction what `COLUMNS` says, in words."""
        return [_said(flow, units) for flow, units in zip(self.flows, self.units, strict=True)]

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
        known |= {"norms": _rounded(np.array(self.norms)), "limit": self.limit}
        return {"verdict": verdict | {"remedies": remedies}, **known, "layers": layers}


COLUMNS = ("layer", "memory horizon", "decay per step", "radius of R", "gates: mean", "dead units")


def _said(flow: Flow, units: Units) -> tuple[str, ...]:
    horizon = "unbounded" if np.isinf(flow.horizon) else f"{flow.horizon:.0f} steps"
    radius = ", ".join(f"{gate} {value:.2f}" for gate, value in units.radius.items()) or "none"
    gates = ", ".join(f"{gate.name} {round(gate.mean, 2) + 0.0:.2f}" for gate in units.gates) or "none"
    name = f"{flow.layer + 1}{' reverse' if flow.reverse else ''}"
    return name, horizon, f"{flow.decay:.3f}", radius, gates, f"{units.dead:.0%}"


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{v:.4g}") for v in np.asarray(values, float)]


def diagnose(model: Any, batch: Any) -> Diagnosis:
    """Looks into a model on data.

    model  a fitted estimator, and as
    batch  its data, (X, y) or X, a table, texts; of labels, forecasts and texts what the data need is measured, too;
           or a `Recurrent` net and x (B, T, F), or any module with `loss(batch, state)` and a `Batch`

    Raises `OptionError` for another model, and what the model raises for data that it does not read.

    >>> import elman, torch
    >>> net = elman.Recurrent("leaky", 1, 4)
    >>> found = diagnose(net, torch.zeros(2, 60, 1))
    >>> round(found.flows[0].decay, 3), found.flows[0].horizon                # 1 - σ(-2), and ln 0.01 / ln 0.881
    (0.881, 37.0)
    """
    subject = subject_of(model, batch)
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
        cut=subject.cut,
        given=subject.given,
    )
    clipped = None if limit is None or not norms else float(np.mean(np.array(norms) > limit))
    units = [units_of(record) for record in records]
    return Diagnosis(found, units, subject.need, subject.explained, verdict, clipped, tuple(norms), limit)
