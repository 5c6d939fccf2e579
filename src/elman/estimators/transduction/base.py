"""What estimators that give a text for each sequence share: the texts to learn from, and their vocabulary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from elman.data.batching import PaddedBatches
from elman.data.inputs import ANALYZERS, JOINERS, Names, inputs_from_json
from elman.data.on_disk import take
from elman.errors import DataError, OptionError
from elman.estimators.base import one_of
from elman.estimators.pairs import PairEstimator, Targets
from elman.steps import Causal


@dataclass(kw_only=True, eq=False, repr=False)
class TextEstimator(PairEstimator, ABC):
    """Sequences in, a text for each of them out.

    target_analyzer  how the texts to be given are cut: "spaced" (words, each with the space before it), "character", …
    target_min_count words that occur less often are unknown

    targets_  the vocabulary of the texts to be given

    X and the other arguments are those of `PairEstimator`.
    """

    target_analyzer: str = "spaced"
    target_min_count: int = 2

    targets_: Names = field(init=False)

    kind: ClassVar[str]  # what its texts are: "translation", "transcript", "caption"

    @abstractmethod
    def predict(self, X: Any) -> list[str]:
        """A text for each sequence."""

    def causal(self) -> Causal:
        """Raises `OptionError`: there is no answer before the end."""
        raise OptionError(
            f"{type(self).__name__}.stream: it answers after it has read the whole, and cannot while that comes."
        )

    def check(self) -> None:
        one_of(type(self).__name__, "target_analyzer", self.target_analyzer, list(ANALYZERS))
        super().check()

    def _read_targets(self, y: Any, encoded: Sequence[Tensor]) -> list[str]:
        where, texts = self._at("fit"), list(y)
        if len(texts) != len(encoded):
            raise DataError(
                f"{where}: y must have a text for each of {len(encoded)} sequences, got {len(texts)}. Pair them."
            )
        for row, text in enumerate(texts):
            if not isinstance(text, str) or not ANALYZERS[self.target_analyzer](text):
                raise DataError(
                    f"{where}: y[{row}] must be a text that is not empty, got {text!r}. Leave the pair out."
                )
        return texts

    def _learn_targets(self, values: list[str]) -> None:
        self.targets_ = Names.fit(values, analyzer=self.target_analyzer, lowercase=False, least=self.target_min_count)

    def _batches(self, encoded: Sequence[Tensor], targets: Targets, chosen: np.ndarray) -> PaddedBatches:
        x, y = take(encoded, chosen), take(targets, chosen)
        return PaddedBatches(x, y, self.batch_size, self.seed_, aligned=False)

    def _codes(self, values: list[str]) -> list[Tensor]:
        return [codes[:, 0] for codes in self.targets_.encode(values, self._at("fit"))]

    def _join(self, words: Sequence[str]) -> str:
        return JOINERS[self.target_analyzer](words)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"targets": self.targets_.to_json()}

    def _restore_targets(self, state: Mapping[str, Any]) -> None:
        self.targets_ = inputs_from_json(state["targets"])
