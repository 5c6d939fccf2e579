"""What estimators that learn from pairs (x, y) share: reading X, holding some back, training, predicting in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.batching import PaddedBatches, pad
from elman.data.inputs import ANALYZERS, Names, Numbers, as_sequences, inputs_from_json, is_text
from elman.errors import DataError, OptionError
from elman.estimators.base import Estimator, one_of, seed_of, seeded, whole
from elman.estimators.front import Front
from elman.training.progress import Progress

Targets = Sequence[Tensor] | Tensor
"""one for each sequence; those of whole sequences as one tensor (N, …)"""
AT_ONCE = 256
"""sequences that are predicted side by side"""
LONG = 200
"""steps from which on they are joined, and no noise is added to them"""
ENOUGH = 200
"""sequences from which on some are held back to stop by: of fewer, all are needed to learn from"""


@dataclass(kw_only=True, eq=False, repr=False)
class PairEstimator(Estimator, ABC):
    """Sequences in, something for each of them out.

    X is a list (or array) of N sequences, each a text, a list of names, numbers (T, F) or, for one feature, (T,);
    lengths may differ; a missing number is NaN.

    bidirectional   whether the net also reads from the end
    embedding_size  parts of a name's vector
    embedding_dropout   probability of dropping a part of the vectors, the same of a whole sequence
    spelling        letters of a name that are read besides the name itself; 0: none
    unknown         probability of taking a name for an unknown one in training
    analyzer, lowercase, min_count   of text: "word", "space" or "character"; whether capitals are ignored; names that
                    occur less often are unknown
    stride          of numbers: steps that a convolution joins into one; None: 1 up to 200 steps, else so many that
                    about 32 remain, 16 at most
    noise           of numbers, in their standard deviations: how much is added at random to each in training; None: 0.2
                    up to 200 steps, else 0, for single steps of long signals say little against their spread
                    (Bishop 1995, doi:10.1162/neco.1995.7.1.108)
    validation      share of the sequences that is held back to choose the best weights by, from 200 sequences on

    inputs_    how X becomes numbers
    longest_   steps of the longest sequence of the training data

    The other arguments are those of every estimator: see `Estimator`.
    """

    bidirectional: bool = True
    embedding_size: int = 100
    embedding_dropout: float = 0.3
    spelling: int = 12
    unknown: float = 0.05
    analyzer: str = "word"
    lowercase: bool = True
    min_count: int = 2
    stride: int | None = None
    noise: float | None = 0.0
    validation: float = 0.1
    batch_size: int = 32
    learning_rate: float = 0.002
    hidden_size: int = 100
    dropout: float = 0.5

    inputs_: Any = field(init=False)
    longest_: int = field(init=False)

    passes: ClassVar[int] = 4  # through the data, where max_steps is None

    # -- fitting ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        X_validation: Any = None,
        y_validation: Any = None,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Any:
        """Trains on sequences X and targets y; with a folder, into a run folder that `elman.load` reads.

        `resume` goes on from the folder's checkpoint; the result is the same as if it had not been interrupted.

        X_validation, y_validation   pairs to choose the best weights by; then nothing of X is held back
        """
        self.check()
        sequences = as_sequences(X, self._at("fit"))
        self.seed_ = seed_of(self.random_state)
        self.inputs_ = self._learn_inputs(sequences)
        if y is None:
            raise DataError(f"{self._at('fit')}: requires y to be passed, but the target y is None.")
        encoded = self.inputs_.encode(sequences, self._at("fit"))
        values = self._read_targets(y, encoded)
        self._learn_targets(values)
        self.longest_ = max(map(len, encoded))
        targets = self._encode_targets(values)
        if X_validation is None:
            learn, held = self._split(len(targets))
            train = self._batches(encoded, targets, learn)
            validation = self._batches(encoded, targets, held) if len(held) else None
        else:
            train = self._batches(encoded, targets, np.arange(len(targets)))
            validation = self._encoded_batches(X_validation, y_validation, "fit")
        self.hash_ = train.fingerprint()
        steps = self.max_steps or enough_steps(len(train), self.passes)
        self._train(seeded(self.seed_, self._network), train, validation, steps, folder, resume, progress)
        return self

    def partial_fit(self, X: Any, y: Any) -> Any:
        """Goes on with more data, once through (or `max_steps`); the first call learns names, classes and scales."""
        if not hasattr(self, "network_"):
            return self.fit(X, y)
        batches = self.batches(X, y, "partial_fit")
        self._train(self.network_, batches, None, self.max_steps or len(batches), None, False, None)
        return self

    def batches(self, X: Any, y: Any, method: str = "batches") -> PaddedBatches:
        """Sequences and targets as the fitted net takes them; raises `DataError` for what it does not know."""
        self._check_fitted()
        return self._encoded_batches(X, y, method)

    def _encoded_batches(self, X: Any, y: Any, method: str) -> PaddedBatches:
        encoded = self.inputs_.encode(as_sequences(X, self._at(method)), self._at(method))
        targets = self._encode_targets(self._read_targets(y, encoded))
        return self._batches(encoded, targets, np.arange(len(targets)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags

    def check(self) -> None:
        """Raises `OptionError` for arguments that cannot be used."""
        where = type(self).__name__
        one_of(where, "analyzer", self.analyzer, list(ANALYZERS))
        for name, least in (("embedding_size", 1), ("min_count", 1), ("spelling", 0)):
            whole(where, name, getattr(self, name), least)
        for name in ("embedding_dropout", "unknown", "validation"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value < 1:
                raise OptionError(f"{where}: {name} must be in [0, 1), got {value!r}.")
        if self.stride is not None:
            whole(where, "stride", self.stride)
        if self.noise is not None and not (isinstance(self.noise, (int, float)) and 0 <= self.noise < np.inf):
            raise OptionError(f"{where}: noise must be 0 or more, got {self.noise!r}.")
        self.check_common()

    def _learn_inputs(self, sequences: Sequence[Any]) -> Any:
        if is_text(sequences):
            spelling = 0 if self.analyzer == "character" else self.spelling
            options = {"analyzer": self.analyzer, "lowercase": self.lowercase, "spelling": spelling}
            return Names.fit(sequences, least=self.min_count, **options)
        return Numbers.fit(sequences, self._at("fit"))

    @abstractmethod
    def _read_targets(self, y: Any, encoded: Sequence[Tensor]) -> Any:
        """y as arrays; raises `DataError` where it does not fit the sequences."""

    @abstractmethod
    def _learn_targets(self, values: Any) -> None:
        """Sets what is learned from them: classes, scales."""

    @abstractmethod
    def _encode_targets(self, values: Any) -> Targets:
        """A target for each sequence as the loss takes it; raises `DataError` for a class that is not known."""

    def held_back(self, count: int) -> int:
        """How many of so many sequences `fit` holds back to choose the best weights by."""
        return int(self.validation * count) if count >= ENOUGH else 0

    def _split(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the sequences to learn from and of those held back, drawn by the seed."""
        held = self.held_back(count)
        order = np.random.default_rng(self.seed_).permutation(count)
        return np.sort(order[held:]), np.sort(order[:held])

    @abstractmethod
    def _batches(self, encoded: Sequence[Tensor], targets: Targets, chosen: np.ndarray) -> PaddedBatches:
        """The chosen pairs, padded."""

    def _front(self) -> Front:
        """What the net reads x by."""
        noise = self.noise if self.noise is not None else 0.2 if self.longest_ <= LONG else 0.0
        dropped = self.embedding_dropout, self.unknown
        return Front(self.inputs_, self.embedding_size, *dropped, self._stride(), noise)

    def _stride(self) -> int:
        """How many steps are joined into one."""
        if self.stride is not None:
            return self.stride
        return 1 if self.longest_ <= LONG else min(self.longest_ // 32, 16)

    @abstractmethod
    def _network(self) -> nn.Module:
        """The net that the arguments and what was learned from X and y ask for."""

    # -- predicting ------------------------------------------------------------------------------------------------

    def _through(self, X: Any, method: str, apply: Callable[[Tensor, Tensor], Sequence[Any]]) -> list[Any]:
        """What `apply` gives for each sequence; it is called with (B, T, width) and lengths of many of like length."""
        self._check_fitted()
        encoded = self.inputs_.encode(as_sequences(X, self._at(method)), self._at(method))
        device = next(self.network_.parameters()).device
        found: list[Any] = [None] * len(encoded)
        with torch.no_grad():
            for chosen, x, lengths in by_length(encoded):
                for i, one in zip(chosen, apply(x.to(device), lengths.to(device)), strict=True):
                    found[i] = one
        return found

    def _at(self, method: str) -> str:
        return f"{type(self).__name__}.{method}"

    # -- the run folder --------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {"inputs": self.inputs_.to_json(), "longest": self.longest_}

    def _restore(self, state: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.inputs_, self.longest_ = inputs_from_json(state["inputs"]), state["longest"]
        self._restore_targets(state)
        self.network_ = self._network()

    @abstractmethod
    def _restore_targets(self, state: Mapping[str, Any]) -> None:
        """Sets again what `_learn_targets` set, from `_state`."""


def enough_steps(batches: int, passes: int = 4) -> int:
    """Training steps for data of so many batches: so many passes, more where data are few."""
    return min(max(passes * batches, 1000), 20_000)


def by_length(encoded: Sequence[Tensor], at_once: int = AT_ONCE) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Sequences of like length together: their numbers, padded x, and lengths."""
    sizes = np.array([len(x) for x in encoded])
    order = np.argsort(sizes, kind="stable")
    for start in range(0, len(order), at_once):
        chosen = order[start : start + at_once]
        yield chosen, pad([encoded[i] for i in chosen]), torch.from_numpy(sizes[chosen])
