"""What estimators with an attending decoder share: the net, and texts from it by a search or one token at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.data.batching import pad
from elman.data.inputs import as_sequences
from elman.decode import Choice, beam_search, generate
from elman.errors import OptionError
from elman.estimators.base import one_of, whole
from elman.estimators.transduction.attention import ATTENTIONS
from elman.estimators.transduction.base import TextEstimator
from elman.estimators.transduction.decoder import AttentiveDecoder, State, Transducer


class Written(NamedTuple):
    """The words of a text, the code of each, and where the decoder looked for each, (T, S)."""

    words: list[str]
    codes: list[int]
    looked: Tensor


@dataclass(kw_only=True, eq=False, repr=False)
class Writer(TextEstimator, ABC):
    """An encoder, and a decoder that attends to its steps and writes a text word by word.

    attention       "multiplicative" or "additive"
    sampling        share of its own guesses that the decoder reads in training (scheduled sampling); 0: none
    num_beams, length_penalty   of the search that `predict` does
    label_smoothing share of a target that is spread over all words

    X and the other arguments are those of `TextEstimator`.
    """

    attention: str = "multiplicative"
    sampling: float = 0.0
    num_beams: int = 5
    length_penalty: float = 1.0
    label_smoothing: float = 0.1
    hidden_size: int = 256
    embedding_size: int = 256
    embedding_dropout: float = 0.2
    dropout: float = 0.3
    batch_size: int = 64

    passes = 8

    def predict(self, X: Any) -> list[str]:
        """The most probable text for each sequence that a search by `num_beams` beams finds."""
        return self.generate(X)

    def generate(
        self,
        X: Any,
        *,
        num_beams: int | None = None,
        length_penalty: float | None = None,
        max_new_tokens: int | None = None,
        seed: int | None = 0,
        **options: Any,
    ) -> list[str]:
        """A text for each sequence, by a beam search, or with `num_beams=1` token by token.

        max_new_tokens  where a text ends at the latest; None: twice the steps that it looks at and ten more
        options         of `elman.decode.Choice`, for num_beams=1: do_sample, temperature, top_k, …
        """
        beams = whole(self._at("generate"), "num_beams", self.num_beams if num_beams is None else num_beams)
        if options and beams > 1:
            raise OptionError(f"{self._at('generate')}: {next(iter(options))} needs num_beams=1, got {beams}.")
        penalty = self.length_penalty if length_penalty is None else length_penalty
        choice = Choice(**{"do_sample": False, **options}) if beams == 1 else None

        def write(state: State, most: int) -> list[list[int]]:
            most = most if max_new_tokens is None else max_new_tokens
            if choice is not None:
                return _token_by_token(self.network_, state, most, choice, seed)
            return _by_beam(self.network_, state, most, beams, penalty)

        return [self._join(one.words) for one in self._texts(X, "generate", write)]

    def align(self, X: Any) -> list[tuple[list[str], np.ndarray]]:
        """The words of what `predict` gives for each sequence, and where it looked for each of them, (T, S)."""
        return [(one.words, one.looked.numpy()) for one in self.written(X, "align")]

    def written(self, X: Any, method: str = "written") -> list[Written]:
        """What `predict` gives for each sequence, with its codes and where it looked."""

        def write(state: State, most: int) -> list[list[int]]:
            return _by_beam(self.network_, state, most, self.num_beams, self.length_penalty)

        return self._texts(X, method, write, look=True)

    def _texts(self, X: Any, method: str, write: Any, *, look: bool = False) -> list[Written]:
        """The words for each sequence and, with `look` or to copy, where the decoder looked for them."""
        self._check_fitted()
        copies = self._copies()
        look, self.network_.unknown = look or copies, copies

        def apply(x: Tensor, lengths: Tensor) -> list[tuple[list[int], Tensor]]:
            state = self.network_.begin(x, lengths)
            codes = write(state, 2 * state.memory.shape[1] + 10)
            if not look:
                return [(row, torch.empty(0)) for row in codes]
            ended = pad([torch.tensor([*row, self.network_.end]) for row in codes]).to(x.device)
            looked, sizes = self.network_.attend(ended, state).cpu(), state.valid.sum(1).tolist()
            return [(row, a[: len(row), :size]) for row, a, size in zip(codes, looked, sizes, strict=True)]

        sequences = as_sequences(X, self._at(method))
        found = self._through(sequences, method, apply)
        names = ("", *self.targets_.vocabulary.names)
        return [
            Written(self._known([names[code] for code in codes], x, looked), codes, looked)
            for x, (codes, looked) in zip(sequences, found, strict=True)
        ]

    def _copies(self) -> bool:
        """Whether an unknown word is written, for something to be put in its place."""
        return False

    def _known(self, words: list[str], x: Any, weights: Tensor) -> list[str]:
        """The words with something in place of an unknown one, ""."""
        return words

    def check(self) -> None:
        where = type(self).__name__
        one_of(where, "attention", self.attention, list(ATTENTIONS))
        whole(where, "num_beams", self.num_beams)
        for name in ("sampling", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(f"{where}: {name} must be in [0, 1), got {getattr(self, name)!r}.")
        super().check()

    def _encode_targets(self, values: list[str]) -> list[Tensor]:
        end = torch.tensor([len(self.targets_)])
        return [torch.cat([codes, end]) for codes in self._codes(values)]

    @abstractmethod
    def _encoder(self) -> Any:
        """From x and lengths to the steps to look at and which are valid; `size` parts each."""

    def _network(self) -> Transducer:
        encoder = self._encoder()
        decoder = AttentiveDecoder(
            len(self.targets_) + 1, self.embedding_size, encoder.size, self.attention, **self.stack()
        )
        options = {"sampling": self.sampling, "smoothing": self.label_smoothing}
        return Transducer(encoder, decoder, len(self.targets_), **options)


def _token_by_token(network: Transducer, state: State, most: int, choice: Choice, seed: int | None) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in state.memory]
    prompts = [[network.end] for _ in rows]
    for tokens in generate(
        network, prompts, state, max_new_tokens=most, choice=choice, eos_token_id=network.end, seed=seed
    ):
        for row, token in zip(rows, tokens, strict=True):
            if token is not None and token != network.end:
                row.append(token)
    return rows


def _by_beam(network: Transducer, state: State, most: int, beams: int, penalty: float) -> list[list[int]]:
    options: Any = {"num_beams": beams, "max_new_tokens": most, "length_penalty": penalty}
    end, rows = network.end, len(state.memory)
    return [best[0].tokens for best in beam_search(network, end, state, rows=rows, eos_token_id=end, **options)]
