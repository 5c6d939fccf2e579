"""Why a detector finds a step strange: its score, owed to the steps before it and to itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.estimators import AnomalyDetector
from elman.estimators.anomalies.network import CHUNK, AutoencoderNetwork, NextStepNetwork, Said
from elman.estimators.anomalies.parts import windows
from elman.evidence.explain.attribution import integrated_gradients
from elman.evidence.explain.example import Example, Inside, Watched
from elman.evidence.explain.passes import copied, inside, step_of, within_reason


class Scored(NamedTuple):
    """The steps that a score is divided among, begin to end, the score from these steps, and the layers meanwhile."""

    begin: int
    end: int
    score: Callable[[Tensor], Tensor]
    layers: Callable[[], list[Inside]]


def of_anomaly(model: AnomalyDetector, x: Any, step: int | None) -> Example:
    """The score at a step, that of the greatest score unless one is named, owed to a window that ends there.

    What came before the window is kept as it was; of an autoencoder all of the windows count that the score is of.
    """
    (read,), (judged,) = model.pairs([x], "explain")
    watched = model.steps([x])[0]
    at = step_of(step, len(read), int(watched.scores.argmax()))
    v, there = read.double(), judged[:, judged.shape[1] // 2 :].double()
    within_reason(v)
    net: Any = copied(model.network_)
    judge = _after_the_past if isinstance(model.network_, NextStepNetwork) else _of_windows
    scored = judge(model, net, v, there, at)
    given = v[scored.begin : scored.end]
    found = integrated_gradients(scored.score, given, torch.zeros_like(given))
    values = np.asarray(x, float).reshape(len(read), -1)
    alarm = "above" if watched.alarms[at] else "not above"
    said = f"score {watched.scores[at]:.4g} at step {at}, {alarm} the threshold of {model.alarm_.step:.4g}"
    return Example(
        [str(t) for t in range(scored.begin, scored.end)],
        tuple(f"feature {k}" for k in range(values.shape[1])),
        values[scored.begin : scored.end],
        said,
        f"The score at step {at}",
        found.with_gaps(values.shape[1], model.inputs_.gaps),
        scored.layers(),
        watched=Watched(watched.scores[scored.begin : scored.end], model.alarm_.calm, model.alarm_.step),
    )


def _after_the_past(model: AnomalyDetector, net: NextStepNetwork, v: Tensor, there: Tensor, at: int) -> Scored:
    """Of a forecast: as many steps as were learned from at once, and at least those that the score looks at."""
    begin, end = max(0, at + 1 - max(model.window_, model.smooth + net.lags)), at + 1
    past: Any = None
    with torch.no_grad():
        for start in range(0, begin, CHUNK):
            past = net.read(v[None, start : min(start + CHUNK, begin)], past)[1]
    known = _known(there, max(begin, end - model.smooth), end)

    def said(many: Tensor) -> Said:
        rows = len(many)
        before = past and (past[0].expand(rows, -1, -1), tuple(part.expand(-1, rows, -1) for part in past[1]))
        return net.read(many, before)[0]

    def score(many: Tensor) -> Tensor:
        p, location = said(many)
        own = known - begin
        return model.alarm_.score_of(_surprise(net, Said(p[:, own], location[:, own]), many[:, own], there[known]))

    def layers() -> list[Inside]:
        return inside(net.recurrent, lambda: said(v[None, begin:end]), steps=[str(t) for t in range(begin, end)])

    return Scored(begin, end, score, layers)


def _of_windows(model: AnomalyDetector, net: AutoencoderNetwork, v: Tensor, there: Tensor, at: int) -> Scored:
    """Of an autoencoder: the window that judges each of the steps that the score is the mean of, the last that can."""
    size, steps = min(model.window_, len(v)), len(v)
    places = windows(steps, size, size)
    known = _known(there, max(0, at + 1 - model.smooth), at + 1)
    judges = {int(s): max(b for b in places if b <= s) for s in [*known, at]}
    begin, end = min(judges.values()), max(judges.values()) + size

    def score(many: Tensor) -> Tensor:
        found = []
        for b in sorted(set(judges.values())):
            own = torch.tensor([s for s in known.tolist() if judges[s] == b], dtype=torch.long)
            part = many[:, b - begin : b - begin + size]
            p, location = net(part, torch.full((len(many),), size))
            found.append(_surprise(net, Said(p[:, own - b], location[:, own - b]), part[:, own - b], there[own]))
        return model.alarm_.score_of(torch.cat(found, 1))

    def layers() -> list[Inside]:
        b = judges[at]
        named = [str(t) for t in range(b, b + size)]

        def run() -> None:
            net(v[None, b : b + size], torch.tensor([size]))

        back = inside(net.decoder, run, "Decoder, which goes back", named[::-1])
        return inside(net.encoder, run, "Encoder", named) + back

    return Scored(begin, end, score, layers)


def _known(there: Tensor, begin: int, end: int) -> Tensor:
    """Steps at which something was measured that can be judged: of the others there is no surprise."""
    return torch.arange(begin, end)[there[begin:end].sum(1) > 0]


def _surprise(net: Any, said: Said, x: Tensor, there: Tensor) -> Tensor:
    """(M, steps), as the net itself gives it of what it reads."""
    values = x[..., : net.features]
    return net.judge(said, torch.cat([values, there.expand_as(values)], -1))[0]
