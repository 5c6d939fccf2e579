"""`Transcriber`: a text for each signal, without being told where in it which character is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.batch import Batch
from elman.decode import ctc_beam, ctc_greedy
from elman.errors import DataError
from elman.estimators.base import one_of, whole
from elman.estimators.front import Front
from elman.estimators.losses import whole_digits
from elman.estimators.sequences.bodies import STEP_BODIES, Body
from elman.estimators.transduction.base import TextEstimator
from elman.estimators.transduction.measures import error_rate


class TranscriptionNetwork(nn.Module):
    """log p of each label, or of none (0, the blank), at each step that the front leaves."""

    def __init__(self, front: Front, body: Body, labels: int, dropout: float) -> None:
        super().__init__()
        self.front, self.body, self.dropout = front, body, dropout
        self.head = nn.Linear(body.size, labels)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, width) to (B, T', labels) and the lengths there."""
        read, joined = self.front(x, lengths)
        steps, _ = self.body(read, joined)
        z = whole_digits(self.head(F.dropout(steps, self.dropout, self.training)), self.head)
        return torch.log_softmax(z, 2), lengths if joined is None else joined

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """-log p of the labels, summed over all paths that spell them, per label; the mean over the batch."""
        logs, lengths = self(batch.x, batch.valid())
        spelt = (batch.y > 0).sum(1)
        return F.ctc_loss(logs.transpose(0, 1), batch.y, lengths, spelt, zero_infinity=True), None


@dataclass(kw_only=True, eq=False, repr=False)
class Transcriber(TextEstimator):
    """A text for each signal by connectionist temporal classification: the net gives a label or none at each step, and
    learns from the sum over all paths that spell the text.

    body       what goes through time: "recurrent"; the scoreboard's baselines are "feed-forward" and "convolution"
    num_beams  prefixes that are kept while the text is looked for; 1: the most probable path alone

    stride_    steps that are joined into one; at most 4, and so few that every text of the training data has twice as
               many steps as labels

    X is numbers, such as `elman.data.audio.log_mel` gives; y texts. The other arguments are those of `TextEstimator`.
    Raises `DataError`, `OptionError`, `DivergenceError`. Source: Graves et al. 2006, doi:10.1145/1143844.1143891.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> texts = ["".join(rng.choice(list("abc"), 4)) for _ in range(60)]
    >>> X = [np.repeat(np.eye(3)[["abc".index(k) for k in t]], 5, 0) + rng.normal(0, 0.1, (20, 3)) for t in texts]
    >>> Transcriber(hidden_size=16, max_steps=150, learning_rate=0.02).fit(X, texts).score(X, texts) > 0.8
    True
    """

    body: str = "recurrent"
    num_beams: int = 10
    target_analyzer: str = "character"
    target_min_count: int = 1
    hidden_size: int = 128

    stride_: int = field(init=False)

    kind = "transcript"

    def predict(self, X: Any) -> list[str]:
        """The most probable text of each signal."""
        found = self.codes(X, "predict")
        names = self.targets_.vocabulary.names
        return [self._join([names[code - 1] for code in codes]) for codes in found]

    def codes(self, X: Any, method: str = "codes") -> list[list[int]]:
        """The codes of the most probable labels of each signal, from 1."""
        self._check_fitted()

        def apply(x: Tensor, lengths: Tensor) -> list[list[int]]:
            logs, lengths = self.network_(x, lengths)
            logs, lengths = logs.cpu(), lengths.cpu()
            if self.num_beams == 1:
                return ctc_greedy(logs, lengths)
            sizes = lengths.tolist()
            return [ctc_beam(one, size, num_beams=self.num_beams)[0][0] for one, size in zip(logs, sizes, strict=True)]

        return self._through(X, method, apply)

    def score(self, X: Any, y: Any) -> float:
        """1 less the error rate of the characters; below 0 where there are more errors than characters."""
        return 1 - error_rate(list(y), self.predict(X))

    def check(self) -> None:
        one_of(type(self).__name__, "body", self.body, list(STEP_BODIES))
        whole(type(self).__name__, "num_beams", self.num_beams)
        super().check()

    def _read_targets(self, y: Any, encoded: Sequence[Tensor]) -> list[str]:
        texts = super()._read_targets(y, encoded)
        sizes = [len(self.targets_.cut(text)) if hasattr(self, "targets_") else len(text) for text in texts]
        room = [len(x) / size for x, size in zip(encoded, sizes, strict=True)]
        if not hasattr(self, "network_"):
            self.stride_ = self.stride or int(min(4, max(1, min(room) // 2)))
        if min(room) < self.stride_:
            row = room.index(min(room))
            raise DataError(
                f"{self._at('fit')}: y[{row}] must be shorter than its signal, got {sizes[row]} labels for "
                f"{len(encoded[row])} steps, of which {self.stride_} are joined into one. Leave it out."
            )
        return texts

    def _encode_targets(self, values: list[str]) -> list[Tensor]:
        codes = self._codes(values)
        for row, one in enumerate(codes):
            if not one.all():
                raise DataError(
                    f"{self._at('partial_fit')}: y[{row}] has a label that the first call did not: {values[row]!r}."
                )
        return codes

    def _stride(self) -> int:
        return self.stride_

    def _network(self) -> TranscriptionNetwork:
        front = self._front()
        longest = -(-self.longest_ // self.stride_)
        body = STEP_BODIES[self.body](front.size, longest, bidirectional=self.bidirectional, **self.stack())
        return TranscriptionNetwork(front, body, len(self.targets_), self.dropout)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"stride": self.stride_}

    def _restore_targets(self, state: Mapping[str, Any]) -> None:
        super()._restore_targets(state)
        self.stride_ = state["stride"]
