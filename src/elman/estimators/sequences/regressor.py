"""`SequenceRegressor`: one number, or several, for each sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from torch import Tensor, nn

from elman.errors import DataError
from elman.estimators.base import one_of
from elman.estimators.losses import NumberLoss
from elman.estimators.sequences.base import SequenceEstimator
from elman.steps.parts import Units

LOSSES = {"squared": math.inf, "huber": 1.0}


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceRegressor(RegressorMixin, SequenceEstimator):
    """One number, or several, for each sequence, standardised inside.

    loss     "squared", or "huber", which outliers pull less

    X and the other arguments are those of `SequenceEstimator`. Raises `DataError`, `OptionError`, `DivergenceError`.

    >>> X = np.random.default_rng(0).normal(size=(40, 5))
    >>> SequenceRegressor(hidden_size=8, max_steps=20).fit(X, X.sum(1)).predict(X[:2]).shape
    (2,)
    """

    pooling: str = "last"
    loss: str = "squared"

    mean_: np.ndarray = field(init=False)
    scale_: np.ndarray = field(init=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """(N,), or (N, K) where y had K columns; in y's units."""
        z = torch.stack(self._raw(X, "predict")).double().numpy()
        found = z * self.scale_ + self.mean_
        return found[:, 0] if self.flat_ else found

    def check(self) -> None:
        super().check()
        one_of("SequenceRegressor", "loss", self.loss, list(LOSSES))

    def _read_targets(self, y: Any, encoded: Sequence[Tensor]) -> np.ndarray:
        where = self._at("fit")
        try:
            values = np.asarray(y, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{where}: y must be numbers. For classes use SequenceClassifier.") from None
        if values.ndim not in (1, 2) or len(values) != len(encoded):
            raise DataError(f"{where}: y must be (N,) or (N, K) for {len(encoded)} sequences, got {values.shape}.")
        finite = np.isfinite(values.reshape(len(values), -1)).all(1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise DataError(f"{where}: y must be finite, row {row} has {values[row].tolist()}. Leave the row out.")
        return values

    def _learn_targets(self, values: np.ndarray) -> None:
        self.flat_ = values.ndim == 1
        values = values.reshape(len(values), -1)
        self.mean_, spread = values.mean(0), values.std(0)
        self.scale_ = np.where(spread > 0, spread, 1.0)

    def _encode_targets(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy((values.reshape(len(values), -1) - self.mean_) / self.scale_).float()

    def _says(self) -> Units:
        return Units(self.mean_, self.scale_)

    def _outputs(self) -> int:
        return len(self.mean_)

    def _criterion(self) -> nn.Module:
        return NumberLoss(LOSSES[self.loss])

    def _state(self) -> dict[str, Any]:
        kept = {"mean": self.mean_.tolist(), "scale": self.scale_.tolist(), "flat": self.flat_}
        return super()._state() | {"targets": kept}

    def _restore_targets(self, state: Mapping[str, Any]) -> None:
        kept = state["targets"]
        self.mean_, self.scale_, self.flat_ = np.array(kept["mean"]), np.array(kept["scale"]), kept["flat"]
