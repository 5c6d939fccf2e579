"""`Translator`: a text for each text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from elman.data.inputs import Names
from elman.estimators.front import Front
from elman.estimators.sequences.bodies import within
from elman.estimators.transduction.measures import bleu
from elman.estimators.transduction.writer import Writer
from elman.recurrent import Recurrent


class StepsEncoder(nn.Module):
    """A sequence's steps as a recurrent stack gives them."""

    def __init__(self, front: Front, **stack: Any) -> None:
        super().__init__()
        self.front = front
        self.net = Recurrent(input_size=front.size, **stack)
        self.size = self.net.output_size

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, S, width) to (B, S, size), and which of them are valid."""
        read, lengths = self.front(x, lengths)
        y, _ = self.net(read, lengths=lengths)
        return y, within(y, lengths)


@dataclass(kw_only=True, eq=False, repr=False)
class Translator(Writer):
    """A text for each text: an encoder reads it from both ends, a decoder that attends to its words writes another.

    copy  whether a word for which it has no name is taken over from where it looks
          (Luong et al. 2015, doi:10.3115/v1/P15-1002)

    X is texts, y texts; the other arguments are those of `Writer`. Raises `DataError`, `OptionError`,
    `DivergenceError`. Sources: Sutskever et al. 2014, arXiv:1409.3215; Bahdanau et al. 2014, arXiv:1409.0473.

    >>> german, english = ["ein hund", "eine katze", "ein haus"], ["a dog", "a cat", "a house"]
    >>> small = {"hidden_size": 16, "embedding_size": 16, "min_count": 1, "target_min_count": 1}
    >>> model = Translator(**small, max_steps=80, learning_rate=0.01).fit(german * 4, english * 4)
    >>> model.predict(["eine katze"])
    ['a cat']
    """

    copy: bool = True

    kind = "translation"

    def score(self, X: Any, y: Any) -> float:
        """BLEU of the translations, 0 to 100; see `measures.bleu`."""
        return bleu(list(y), self.predict(X))

    def _encoder(self) -> StepsEncoder:
        return StepsEncoder(self._front(), bidirectional=self.bidirectional, **self.stack())

    def _copies(self) -> bool:
        return self.copy and isinstance(self.inputs_, Names)

    def _known(self, words: list[str], x: Any, weights: Tensor) -> list[str]:
        if not self._copies():
            return words
        source, looked = self.inputs_.cut(x), weights.argmax(1).tolist()
        space = "▁" if self.target_analyzer == "spaced" else ""
        return [word or space + source[place] for word, place in zip(words, looked, strict=True)]
