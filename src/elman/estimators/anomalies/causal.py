"""One step of a detector: what was measured in, its score and what was expected out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data.inputs import Numbers
from elman.estimators.anomalies.alarm import Alarm
from elman.estimators.anomalies.network import NextStepNetwork, Said
from elman.steps.causal import Causal, as_step, first_of, frozen, parts_of, step_of
from elman.steps.parts import Measured, Part


class DetectorStep(Causal):
    """The surprise at a step after those before it, smoothed as the detector does it.

    y   the score, the surprise before smoothing (NaN where nothing was measured), then what was expected, in the
        data's units (F,)
    """

    where = "AnomalyDetector.stream"

    def __init__(self, network: NextStepNetwork, inputs: Numbers, alarm: Alarm) -> None:
        super().__init__()
        self.network, self.reads, self.alarm = frozen(network), Measured(inputs), alarm
        features = network.features
        self.inputs, self.outputs = features, 2 + features
        self.parts = (
            *parts_of(network.recurrent),
            Part("past", (network.lags, network.width)),
            Part("value", (features,)),
            Part("above", (max(1, alarm.smooth - 1),)),
            Part("begun", (1,)),
        )

    def initial(self, rows: int) -> tuple[Tensor, ...]:
        """The state before the first step."""
        own = first_of(self.network.recurrent, rows)
        return own + super().initial(rows)[len(own) :]

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step."""
        *own, past, value, above, begun = state
        features, there = self.network.features, ~x.isnan()
        read = self.reads(x)
        value = torch.where(there, read[:, :features], value)  # a better guess for a missing one than the mean
        read = torch.cat([value, read[:, features:]], 1)
        past = torch.where(begun.unsqueeze(2) > 0, past, read.unsqueeze(1))
        h, new = step_of(self.network.recurrent, past[:, -1], own)
        p = self.network.head(h).unflatten(-1, (features, -1)).unsqueeze(1)
        location = self.network.linear(past.transpose(1, 2)).transpose(1, 2)
        counts = (there & (begun > 0)).float()  # of the first step nothing can be said
        judged = torch.cat([value, counts], 1).unsqueeze(1)
        surprise, expected = (part[:, 0] for part in self.network.judge(Said(p, location), judged))
        surprise = surprise.unsqueeze(1)
        excess = torch.where(surprise.isfinite(), surprise - self.alarm.calm, 0.0)
        recent = torch.cat([above, excess], 1)[:, -self.alarm.smooth :]
        score = recent.sum(1, keepdim=True) / self.alarm.smooth + self.alarm.calm
        expected = expected * self.reads.scale + self.reads.mean
        y = torch.cat([score, surprise, expected.float()], 1)
        kept = torch.cat([above, excess], 1)[:, -above.shape[1] :]
        past = torch.cat([past[:, 1:], read.unsqueeze(1)], 1)
        return y, (*new, past, value, kept, torch.ones_like(begun))

    def encode(self, step: Any) -> np.ndarray:
        """Numbers as they are."""
        return as_step(step, self.inputs, self.where)

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        """The score, whether it is above the threshold, and what was expected."""
        score = float(y[0])
        expected = y[2:].tolist()
        found = {"score": score, "alarm": score > self.alarm.step, "threshold": self.alarm.step}
        return found | {"expected": expected[0] if len(expected) == 1 else expected}
