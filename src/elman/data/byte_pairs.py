"""Text as pieces of words that occur often: byte-pair encoding, by the optional package `tokenizers`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.data.vocabulary import UNKNOWN
from elman.errors import DataError, MissingExtraError


@dataclass(frozen=True)
class BytePairs:
    """Pieces of words, learned by joining the most frequent pair of pieces again and again, from single bytes on.

    No text has an unknown piece, for every byte is one. Code 0 is left free, as in a `Vocabulary`.

    tokenizer  of the package `tokenizers`

    Sources: Gage 1994; Sennrich, Haddow & Birch 2016, arXiv:1508.07909; over bytes: Radford et al. 2019.

    >>> pairs = BytePairs.fit(["so it goes, so it goes"], size=260)
    >>> codes = pairs.encode(["it goes – so"], "here")[0][:, 0].tolist()
    >>> "".join(pairs.spell(codes)), len(pairs), BytePairs.from_json(pairs.to_json()).encode(["so"], "")[0].shape
    ('it goes – so', 261, torch.Size([1, 1]))
    """

    tokenizer: Any

    @classmethod
    def fit(cls, texts: Iterable[str], *, size: int, lowercase: bool = False) -> BytePairs:
        """Learns so many pieces, 256 of them single bytes. Raises `MissingExtraError` without `tokenizers`."""
        package = _package()
        made = package.Tokenizer(package.models.BPE())
        made.normalizer = package.normalizers.Lowercase() if lowercase else None
        made.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = package.decoders.ByteLevel()
        letters = package.pre_tokenizers.ByteLevel.alphabet()
        trainer = package.trainers.BpeTrainer(vocab_size=size, initial_alphabet=letters, show_progress=False)
        made.train_from_iterator(texts, trainer)
        return cls(made)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size() + 1

    def encode(self, sequences: Sequence[Any], where: str) -> list[Tensor]:
        """The code of each piece, (T_i, 1) int64; raises `DataError` for what is no text, or empty."""
        for row, text in enumerate(sequences):
            if not isinstance(text, str) or not text:
                got = "an empty one" if text == "" else type(text).__name__
                raise DataError(f"{where}: sequence {row} must be a text for the analyzer 'bpe', got {got}.")
        return [torch.tensor(self.tokenizer.encode(text).ids)[:, None] + 1 for text in sequences]

    def spell(self, codes: Iterable[int], after: int = 0) -> Iterator[str]:
        """The text of each piece; that of a character which several pieces make up comes with the last of them.

        after: the piece before, which changes nothing: a piece has its space in front.
        """
        pending: list[int] = []
        for code in codes:
            pending.append(code - 1)
            text = self.tokenizer.decode(pending)
            if text.endswith(UNKNOWN):
                yield ""
            else:
                yield text
                pending = []

    def pieces(self, sequence: str) -> list[str]:
        """The pieces of one text; joined, they are the text."""
        return list(self.spell(self.encode([sequence], "BytePairs")[0][:, 0].tolist()))

    def to_json(self) -> dict[str, Any]:
        """What a config file keeps."""
        return {"kind": "bpe", "tokenizer": json.loads(self.tokenizer.to_str())}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> BytePairs:
        """What `to_json` wrote. Raises `MissingExtraError` without `tokenizers`."""
        return cls(_package().Tokenizer.from_str(json.dumps(kept["tokenizer"])))


def _package() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise MissingExtraError("analyzer='bpe' needs the package tokenizers: pip install tokenizers") from None
    return tokenizers
