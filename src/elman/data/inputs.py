"""What a sequence is made of: numbers that were measured, or names that are looked up. Learned once, then applied."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data.byte_pairs import BytePairs
from elman.data.on_disk import OnDisk, Text, each, spill
from elman.data.pictures import Pictures
from elman.data.vocabulary import UNKNOWN, Vocabulary
from elman.errors import DataError

Array = np.ndarray


# -- numbers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    """Measured features, standardised by the training data: (x - mean) / scale.

    A missing value (NaN) becomes 0, the mean; each feature that had one in training brings a column of 0 and 1 that
    says where. A feature that is constant has scale 1.

    mean, scale  (F,) of each feature
    gaps         features with such a column

    >>> numbers = Numbers.fit([np.array([[1.0], [3.0]]), np.array([[np.nan]])])
    >>> [x.tolist() for x in numbers.encode([np.array([[3.0], [np.nan]])], "here")]
    [[[1.0, 0.0], [0.0, 1.0]]]
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    gaps: tuple[int, ...] = ()

    @classmethod
    def fit(cls, sequences: Sequence[Any], where: str = "Numbers") -> Numbers:
        """Means and spreads over all steps of all sequences."""
        arrays = as_numbers(sequences, None, where)
        count = sum(np.isfinite(a).sum(0) for a in arrays)
        if not np.all(count):
            empty = int(np.argmin(count))
            raise DataError(f"{where}: every feature must have a value, feature {empty} has none. Leave it out.")
        mean = np.asarray(sum(np.nansum(a, 0) for a in arrays) / count)
        scale = np.sqrt(sum(np.nansum((a - mean) ** 2, 0) for a in arrays) / count)
        scale = np.where(scale > 1e-12 * np.maximum(1, np.abs(mean)), scale, 1.0)
        gaps = np.flatnonzero(sum(np.isnan(a).sum(0) for a in arrays))
        return cls(tuple(mean.tolist()), tuple(scale.tolist()), tuple(gaps.tolist()))

    @property
    def width(self) -> int:
        """F, and a column for each feature with gaps."""
        return len(self.mean) + len(self.gaps)

    def encode(self, sequences: Sequence[Any], where: str) -> Sequence[Tensor]:
        """Standardised features, then where they are missing."""
        return each(self._encode, as_numbers(sequences, len(self.mean), where))

    def _encode(self, _: int, a: Array) -> Tensor:
        values = np.nan_to_num((a - self.mean) / self.scale, nan=0.0)
        return torch.from_numpy(np.hstack([values, np.isnan(a)[:, self.gaps]])).float()

    def to_json(self) -> dict[str, Any]:
        """What a config file keeps."""
        return {"kind": "numbers", "mean": list(self.mean), "scale": list(self.scale), "gaps": list(self.gaps)}


def as_numbers(sequences: Sequence[Any], features: int | None, where: str) -> Sequence[Array]:
    """Each sequence as (T_i, F) float64; a vector has one feature. features: F; None: that of the first sequence."""
    if features is None and len(sequences):
        features = _as_numbers(sequences[0], 0, None, where).shape[1]
    return each(lambda row, sequence: _as_numbers(sequence, row, features, where), sequences)


def _as_numbers(sequence: Any, row: int, features: int | None, where: str) -> Array:
    try:
        if np.iscomplexobj(sequence):
            raise DataError(f"{where}: Complex data not supported, sequence {row} is. Give real and imaginary parts.")
        a = np.asarray(sequence, dtype=np.float64)
    except DataError:
        raise
    except (TypeError, ValueError):
        raise DataError(
            f"{where}: sequence {row} must be numbers, (T, F), got {_shown(sequence)}. "
            "Give numbers, or text for all sequences."
        ) from None
    a = a[:, None] if a.ndim == 1 else a
    if a.ndim != 2 or not len(a) or (features is not None and a.shape[1] != features):
        shape = f"(T, {'F' if features is None else features})"
        mend = "Leave empty sequences out." if a.size == 0 else "Give all sequences the same features."
        mend = "Reshape your data: one sequence alone goes into a list, [x]." if a.ndim == 0 else mend
        raise DataError(f"{where}: sequence {row} must be {shape} with T ≥ 1, got {a.shape}. {mend}")
    if np.isinf(a).any():
        step, feature = np.argwhere(np.isinf(a))[0]
        raise DataError(
            f"{where}: sequence {row} must be finite or NaN for missing, got {a[step, feature]} at step {step}, "
            f"feature {feature}. Mend the value."
        )
    return a


# -- names ---------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_SPACED = re.compile(rf"▁?(?:{_WORD.pattern})")
ANALYZERS: dict[str, Callable[[str], list[str]]] = {
    "word": lambda text: _WORD.findall(text),
    "spaced": lambda text: _SPACED.findall("".join(f"▁{word}" for word in text.replace("▁", " ").split())),
    "space": lambda text: text.split(),
    "character": list,
}
"""how a text is cut"""
JOINERS: dict[str, Callable[[Sequence[str]], str]] = {
    "word": " ".join,
    "spaced": lambda names: "".join(names).replace("▁", " ").strip(),
    "space": " ".join,
    "character": "".join,
}
"""how a text is put together again; of "word" the spaces around marks are not what they were"""
NO_NAMES = Vocabulary(())
"""what knows no name"""


@dataclass(frozen=True)
class Names:
    """Text, or sequences of names: each is looked up in a vocabulary, 0 for what is not in it.

    analyzer   "word" (letters and digits together, every other mark alone), "space" (as spaces cut it), "character";
               sequences that are lists of names are taken as they are
    lowercase  whether capitals are ignored; the spelling keeps them
    letters    the characters that names are spelt with, and
    spelling   how many of a name's are read, its first and last ones where it has more; 0: none

    >>> names = Names.fit(["so be it", "be it so", "be"], least=2)
    >>> [x.flatten().tolist() for x in names.encode(["Be sooner!"], "here")]
    [[1, 0, 0]]
    """

    vocabulary: Vocabulary
    analyzer: str = "word"
    lowercase: bool = True
    letters: Vocabulary = NO_NAMES
    spelling: int = 0

    @classmethod
    def fit(
        cls,
        sequences: Sequence[Any],
        *,
        analyzer: str = "word",
        lowercase: bool = True,
        least: int = 1,
        most: int = 50_000,
        spelling: int = 0,
    ) -> Names:
        """The names that occur at least so often; of more than `most`, the most frequent ones."""
        blank = cls(NO_NAMES, analyzer, lowercase)
        raw = Counter(name for sequence in sequences for piece in _pieces(sequence) for name in blank.cut(piece))
        counts: Counter[str] = Counter()
        for name, count in raw.items():
            counts[blank.key(name)] += count
        kept = sorted((name for name, n in counts.items() if n >= least), key=lambda name: (-counts[name], name))
        letters = Vocabulary.fit(letter for name in raw for letter in name) if spelling else NO_NAMES
        return cls(Vocabulary(tuple(sorted(kept[:most]))), analyzer, lowercase, letters, spelling)

    @property
    def width(self) -> int:
        """The code, and one for each letter that is read."""
        return 1 + self.spelling

    def __len__(self) -> int:
        return len(self.vocabulary)

    def cut(self, sequence: Any) -> list[str]:
        """The names of one sequence, as they are spelt."""
        return ANALYZERS[self.analyzer](sequence) if isinstance(sequence, str) else [str(name) for name in sequence]

    def pieces(self, sequence: Any) -> list[str]:
        """The names of one sequence as they are written one after another: joined, they are its text."""
        return list(self._continued(self.cut(sequence), []))

    def spell(self, codes: Iterable[int], after: int = 0) -> Iterator[str]:
        """The names that have these codes, likewise; after: the code of the name before them, if there is one.

        >>> names = Names.fit(["so be it"])
        >>> list(names.spell([3, 0, 1])), list(names.spell([3], after=2))
        (['so', ' �', ' be'], [' so'])
        """
        before = [self.vocabulary.names[after - 1]] if after else []
        return self._continued((self.vocabulary.names[code - 1] if code else UNKNOWN for code in codes), before)

    def _continued(self, names: Iterable[str], before: list[str]) -> Iterator[str]:
        """What each name adds to the text when it is joined to the one before."""
        join = JOINERS[self.analyzer]
        for name in names:
            yield join([*before, name])[len(join(before)) :]
            before = [name]

    def key(self, name: str) -> str:
        """What is looked up."""
        return name.lower() if self.lowercase else name

    def encode(self, sequences: Sequence[Any], where: str) -> Sequence[Tensor]:
        """The code of each name, then its letters': 0 after the last, 1 for an unknown one; (T_i, width) int64."""
        return each(lambda row, sequence: self._encode(sequence, row, where), sequences)

    def _encode(self, sequence: Any, row: int, where: str) -> Tensor:
        if not isinstance(sequence, (str, Text, list, tuple, np.ndarray)):
            raise DataError(f"{where}: sequence {row} must be text or a list of names, got {_shown(sequence)}.")
        codes = map(self._code, filter(len, map(self.cut, _pieces(sequence))))
        found = spill(codes) if isinstance(sequence, Text) else next(codes, np.empty(0))
        if not len(found):
            raise DataError(f"{where}: sequence {row} is empty, got {_shown(sequence)}. Leave it out.")
        return torch.from_numpy(found)

    def _code(self, names: list[str]) -> Array:
        codes = [self.vocabulary.encode(map(str.lower, names) if self.lowercase else names)[:, None]]
        if self.spelling:
            codes.append(np.stack([self._spell(name) for name in names]))
        return np.hstack(codes)

    def _spell(self, name: str) -> Array:
        half = self.spelling // 2
        read = name if len(name) <= self.spelling else name[: self.spelling - half] + name[-half:]
        found = np.zeros(self.spelling, dtype=np.int64)
        found[: len(read)] = self.letters.encode(read) + 1
        return found

    def to_json(self) -> dict[str, Any]:
        """What a config file keeps."""
        known = {"names": self.vocabulary.to_json(), "letters": self.letters.to_json()}
        options = {"analyzer": self.analyzer, "lowercase": self.lowercase, "spelling": self.spelling}
        return {"kind": "names", **known, **options}


def inputs_from_json(kept: Mapping[str, Any]) -> Any:
    """What `to_json` of `Numbers`, `Names`, `BytePairs` or `Pictures` wrote."""
    if kept["kind"] == "pictures":
        return Pictures.from_json(kept)
    if kept["kind"] == "bpe":
        return BytePairs.from_json(kept)
    if kept["kind"] == "numbers":
        return Numbers(tuple(kept["mean"]), tuple(kept["scale"]), tuple(kept["gaps"]))
    known, letters = (Vocabulary.from_json(kept[name]) for name in ("names", "letters"))
    return Names(known, kept["analyzer"], kept["lowercase"], letters, kept["spelling"])


def as_sequences(X: Any, where: str) -> Sequence[Any]:
    """The sequences of X, the rows of an array or a frame too, as a list but for those on disk.

    Raises `DataError` where there are none.
    """
    if hasattr(X, "toarray"):
        raise DataError(f"{where}: sparse data are not supported, got {type(X).__name__}. Write X.toarray().")
    if hasattr(X, "__array__") and (not hasattr(X, "__len__") or getattr(X, "ndim", 1) > 1):
        X = np.asarray(X)  # a frame's rows, where a list of it would be its columns
    if isinstance(X, str) or not hasattr(X, "__iter__") or not hasattr(X, "__len__"):
        raise DataError(f"{where}: X must be a list of sequences, got {type(X).__name__}. Put one in a list: [x].")
    if isinstance(X, np.ndarray) and X.ndim == 2 and not X.shape[1]:
        raise DataError(f"{where}: 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    sequences = X if isinstance(X, OnDisk) else list(X)
    if not len(sequences):
        raise DataError(f"{where}: X must have at least one sequence, got none.")
    return sequences


def is_text(sequences: Sequence[Any]) -> bool:
    """Whether these are texts, or lists of names, rather than numbers; the first one tells."""
    first = sequences[0] if len(sequences) else ()
    if isinstance(first, (str, Text)):
        return True
    return isinstance(first, (list, tuple, np.ndarray)) and len(first) > 0 and isinstance(first[0], str)


def _pieces(sequence: Any) -> Iterable[Any]:
    """A text on disk in pieces, anything else whole."""
    return sequence.pieces() if isinstance(sequence, Text) else (sequence,)


def _shown(value: Any) -> str:
    """A value as an error line shows it."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
