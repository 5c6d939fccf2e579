"""`SequenceTagger`: a class, or a number, for each step of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.batch import Batch
from elman.data.inputs import Names, Numbers
from elman.errors import DataError, OptionError
from elman.estimators.losses import ClassLoss, NumberLoss
from elman.estimators.sequences.base import SequenceEstimator
from elman.estimators.sequences.crf import ChainField
from elman.estimators.sequences.network import Network
from elman.steps.parts import Chain, Probabilities, Says, Units


class ChainedNetwork(nn.Module):
    """A net's scores of each step's labels, and a chain over them."""

    def __init__(self, scores: Network, chain: ChainField) -> None:
        super().__init__()
        self.scores, self.chain = scores, chain

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, K)."""
        return self.scores(x, lengths)

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """The chain's, per label."""
        return self.chain.loss(self(batch.x, batch.lengths), batch.y, batch.valid()), None

    def best(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The labels of the most probable path, (B, T), 0 past the lengths."""
        return self.chain.best(self(x, lengths), lengths)


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceTagger(SequenceEstimator):
    """A class for each step, or a number where y holds floats.

    crf       whether labels depend on the one before: a linear chain, decoded by Viterbi's recursion

    classes_  the classes, sorted; None for numbers

    y is a list of N sequences of T_i labels. X and the other arguments are those of `SequenceEstimator`; of text, every
    sequence must be a list of names, one for each label. Raises `DataError`, `OptionError`, `DivergenceError`.

    >>> X, y = [["the", "cat", "sat"], ["a", "dog", "ran"]] * 5, [["DET", "NOUN", "VERB"]] * 10
    >>> [tags.tolist() for tags in SequenceTagger(hidden_size=16, max_steps=80).fit(X, y).predict([["a", "cat"]])]
    [['DET', 'NOUN']]
    """

    crf: bool = False

    classes_: np.ndarray | None = field(init=False)

    per_step = True

    def predict(self, X: Any) -> list[np.ndarray]:
        """The label of each step, N arrays (T_i,)."""
        self._check_fitted()
        if self.classes_ is not None and self.crf:
            return [self.classes_[path.numpy()] for path in self._raw(X, "predict", self.network_.best)]
        raw = self._raw(X, "predict")
        if self.classes_ is None:
            return [z[:, 0].double().numpy() * self.scale_ + self.mean_ for z in raw]
        return [self.classes_[z.argmax(1).numpy()] for z in raw]

    def predict_proba(self, X: Any) -> list[np.ndarray]:
        """The probability of each class at each step, N arrays (T_i, K); not with `crf`, nor for numbers."""
        raw = self._raw(X, "predict_proba")
        if self.classes_ is None or self.crf:
            what = "crf=True gives whole paths" if self.crf else "numbers have no classes"
            raise OptionError(f"SequenceTagger.predict_proba: {what}. Use predict.")
        return [torch.softmax(z.double(), 1).numpy() for z in raw]

    def score(self, X: Any, y: Any) -> float:
        """Accuracy over all steps; of numbers R², the share of the variance that is explained."""
        truth, found = (np.concatenate([np.asarray(s) for s in v]) for v in (y, self.predict(X)))
        if self.classes_ is not None:
            return float(np.mean(truth.astype(found.dtype) == found))
        return float(1 - np.sum((truth - found) ** 2) / np.sum((truth - truth.mean()) ** 2))

    def _learn_inputs(self, sequences: Sequence[Any]) -> Numbers | Names:
        if isinstance(sequences[0], str):
            raise DataError(
                f"{self._at('fit')}: a text to be tagged must be a list of names, one for each label, got a string. "
                "Split it as y is split."
            )
        return super()._learn_inputs(sequences)

    def _read_targets(self, y: Any, encoded: Sequence[Tensor]) -> list[np.ndarray]:
        where = self._at("fit")
        if len(y) != len(encoded):
            raise DataError(f"{where}: y must have labels for each of {len(encoded)} sequences, got {len(y)}.")
        labels = [np.asarray(one) for one in y]
        for row, (one, x) in enumerate(zip(labels, encoded, strict=True)):
            if one.shape != (len(x),):
                raise DataError(f"{where}: y[{row}] must have {len(x)} labels, one for each step, got {one.shape}.")
            if one.dtype.kind == "f" and not np.isfinite(one).all():
                raise DataError(f"{where}: y[{row}] must be finite, got NaN or infinity. Leave the sequence out.")
        return labels

    def _learn_targets(self, values: list[np.ndarray]) -> None:
        every = np.concatenate(values)
        numbers = every.dtype.kind == "f"
        self.classes_ = None if numbers else np.unique(every)
        self.mean_, self.scale_ = (float(every.mean()), float(every.std()) or 1.0) if numbers else (0.0, 1.0)

    def _encode_targets(self, values: list[np.ndarray]) -> list[Tensor]:
        if self.classes_ is None:
            return [torch.from_numpy((one - self.mean_) / self.scale_).float().unsqueeze(1) for one in values]
        odd = np.setdiff1d(np.concatenate(values), self.classes_)
        if len(odd):
            raise DataError(f"{self._at('partial_fit')}: y has {odd.tolist()[0]!r}, not one of the known classes.")
        return [torch.from_numpy(np.searchsorted(self.classes_, one)).long() for one in values]

    def _network(self) -> Any:
        network = super()._network()
        chained = self.crf and self.classes_ is not None
        return ChainedNetwork(network, ChainField(self._outputs())) if chained else network

    def _says(self) -> Says:
        if self.classes_ is None:
            return Units(self.mean_, self.scale_)
        names = self.classes_.tolist()
        if not self.crf:
            return Probabilities(names)
        chain = self.network_.chain
        return Chain(names, chain.after, chain.first, chain.last)

    def _outputs(self) -> int:
        return 1 if self.classes_ is None else len(self.classes_)

    def _criterion(self) -> nn.Module:
        return NumberLoss(float("inf")) if self.classes_ is None else ClassLoss()

    def _state(self) -> dict[str, Any]:
        classes = None if self.classes_ is None else self.classes_.tolist()
        return super()._state() | {"classes": classes, "mean": self.mean_, "scale": self.scale_}

    def _restore_targets(self, state: Mapping[str, Any]) -> None:
        self.classes_ = None if state["classes"] is None else np.array(state["classes"])
        self.mean_, self.scale_ = state["mean"], state["scale"]
