"""Categories as numbers: each known name has one, and 0 stands for every name never seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from elman.data.columns import missing
from elman.errors import DataError

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""what is written for a name that is not known"""


@dataclass(frozen=True)
class Vocabulary:
    """The names of one categorical column, numbered from 1; 0 is unknown or missing.

    len(v) is the number of codes, the unknown one included: the row count of an embedding table.

    >>> v = Vocabulary.fit(["red", "blue", None, "red"])
    >>> v.encode(["blue", "red", "green", None]).tolist()
    [1, 2, 0, 0]
    >>> len(v), Vocabulary.from_json(v.to_json()) == v
    (3, True)
    """

    names: tuple[str, ...]

    @classmethod
    def fit(cls, values: Iterable[object]) -> Vocabulary:
        """Collects the distinct names among `values`, sorted so that their order of arrival changes nothing."""
        return cls(tuple(sorted({str(v) for v in values if not missing(v)})))

    def __len__(self) -> int:
        return len(self.names) + 1

    def encode(self, values: Iterable[object]) -> np.ndarray:
        """Codes of `values`, (N,) int64 in [0, len(self))."""
        codes = self._codes
        found = (codes.get(v, 0) if isinstance(v, str) else 0 if missing(v) else codes.get(str(v), 0) for v in values)
        return np.fromiter(found, dtype=np.int64)

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names, start=1)}

    def to_json(self) -> list[str]:
        """What a config file keeps: the names in order of their codes."""
        return list(self.names)

    @classmethod
    def from_json(cls, names: object) -> Vocabulary:
        """The vocabulary whose `to_json` gave `names`.

        Raises DataError when they are not distinct strings.
        """
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or len(set(names)) < len(names):
            raise DataError("Vocabulary: names must be a list of distinct strings. Use what `to_json` wrote.")
        return cls(tuple(names))
