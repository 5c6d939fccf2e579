"""What estimators of labels share: one prediction for each sequence, or for each of its steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from elman.data.batching import PaddedBatches
from elman.data.on_disk import take
from elman.errors import OptionError
from elman.estimators.base import one_of
from elman.estimators.front import Front
from elman.estimators.pairs import PairEstimator, Targets
from elman.estimators.sequences.bodies import BODIES, STEP_BODIES
from elman.estimators.sequences.network import POOLINGS, Network, Pooling
from elman.steps.parts import Looked, Measured, Pool, PoolAttention, PoolMax, PoolMean, Reads, Says, Spelt
from elman.steps.pipeline import Pipeline


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceEstimator(PairEstimator, ABC):
    """Sequences in, one prediction for each or for each of its steps.

    body     what goes through time: "recurrent"; the scoreboard's baselines are "feed-forward" and "convolution"
    pooling  how the steps become one vector: the "last" state, "mean", "max" or "attention" over the steps

    X and the other arguments are those of `PairEstimator`.
    """

    body: str = "recurrent"
    pooling: str = "max"

    per_step = False  # whether there is a target for each step

    def check(self) -> None:
        where = type(self).__name__
        one_of(where, "body", self.body, list(BODIES))
        one_of(where, "pooling", self.pooling, POOLINGS)
        super().check()
        if self.per_step and (self.stride or 1) > 1:
            raise OptionError(f"{where}: stride must be 1 where every step has a label, got {self.stride!r}.")

    def _stride(self) -> int:
        return 1 if self.per_step or self.body != "recurrent" else super()._stride()

    def _batches(self, encoded: Sequence[Tensor], targets: Targets, chosen: np.ndarray) -> PaddedBatches:
        x, y = take(encoded, chosen), take(targets, chosen)
        return PaddedBatches(x, y, self.batch_size, self.seed_, per_step=self.per_step)

    def _network(self) -> Network:
        front = self._front()
        kind = (STEP_BODIES if self.per_step else BODIES)[self.body]
        body = kind(front.size, self.longest_, bidirectional=self.bidirectional, **self.stack())
        pooling = None if self.per_step else self.pooling if self.body == "recurrent" else "last"
        return Network(front, body, pooling, self._outputs(), self.dropout, self._criterion())

    def pipeline(self) -> Pipeline:
        """What `predict_proba`, or `predict` of numbers, is computed by.

        Raises `OptionError` for a net that is no recurrent one.
        """
        self._check_fitted()
        where = f"{type(self).__name__}.stream"
        if self.body != "recurrent":
            raise OptionError(f"{where}: body={self.body!r} carries no state. Train a recurrent one.")
        net = getattr(self.network_, "scores", self.network_)
        codes = self.inputs_ if net.front.table is not None else None
        reads, pooling = _reads(net.front, self.inputs_), _pool(net.pooling, net.body.size)
        parts = reads, net.front.strided, pooling, net.head, self._says(), codes
        return Pipeline(where, net.body.net, *parts, lists=self.per_step)

    @abstractmethod
    def _says(self) -> Says:
        """What the head's numbers say at a step."""

    @abstractmethod
    def _outputs(self) -> int:
        """How many numbers the net gives for each sequence, or for each step."""

    @abstractmethod
    def _criterion(self) -> nn.Module:
        """The loss: (prediction, target, weight) to the mean."""

    def _raw(self, X: Any, method: str, function: Callable[[Tensor, Tensor], Tensor] | None = None) -> list[Tensor]:
        """What the net, or a function of it, gives for each sequence; an axis of steps is cut to its length."""
        steps = self.per_step or function is not None

        def apply(x: Tensor, lengths: Tensor) -> list[Tensor]:
            z = (function or self.network_)(x, lengths).cpu()
            return [one[:length] if steps else one for one, length in zip(z, lengths.tolist(), strict=True)]

        return self._through(X, method, apply)


def _reads(front: Front, inputs: Any) -> Reads:
    if front.table is None:
        return Measured(inputs)
    return Looked(front.table.weight) if front.spelling is None else Spelt(front, front.size)


def _pool(pooling: Pooling | None, size: int) -> Pool | None:
    if pooling is None:
        return None
    if pooling.kind == "last":
        return Pool(size)
    if pooling.kind == "attention":
        return PoolAttention(pooling.look, pooling.score)
    return {"max": PoolMax, "mean": PoolMean}[pooling.kind](size)
