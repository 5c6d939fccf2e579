"""What a language model reads, from a file: a text, tunes, or the pieces of music that piano rolls hold."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.abc import split_tunes
from elman.data.npz_file import read_npz
from elman.data.on_disk import Text, is_large
from elman.data.text_file import decode, file_kind, read_bytes, stream_lines
from elman.errors import DataError

PARTS = ("train", "valid", "test")
"""what the arrays of a file of piano rolls are for, by how their names begin"""
ROLLS = (".mat", ".npz")


@dataclass(frozen=True)
class Corpus:
    """Texts, or piano rolls (T, notes), each from a file or a share of one.

    learn       to learn from
    validation  to choose weights by; (): the model holds back what it needs
    test        to judge by; (): none yet
    """

    learn: tuple[Any, ...]
    validation: tuple[Any, ...] = ()
    test: tuple[Any, ...] = ()

    @property
    def pieces(self) -> tuple[Any, ...]:
        """All there are."""
        return self.learn + self.validation + self.test

    def split(self, share: float, seed: int) -> Corpus:
        """With a share to judge by, unless there is one: the end of a text, or some of several pieces, by the seed.

        The end and not a random part, for a text is judged in one stretch by a model that has read what was before.

        >>> Corpus(("to be or not to be",)).split(0.3, seed=0)
        Corpus(learn=('to be or not ',), validation=(), test=('to be',))
        """
        if self.test:
            return self
        count = len(self.learn)
        if count == 1:
            (whole,) = self.learn
            cut = len(whole) - int(share * len(whole))
            if min(cut, len(whole) - cut) < 2:
                raise DataError(f"a text of {len(whole)} steps is too short to give a share of {share} to judge by.")
            return Corpus((whole[:cut],), self.validation, (whole[cut:],))
        judged = set(np.random.default_rng(seed).permutation(count)[: max(1, round(share * count))].tolist())
        learn, test = ([x for i, x in enumerate(self.learn) if (i in judged) == of] for of in (False, True))
        return Corpus(tuple(learn), self.validation, tuple(test))


def read_corpus(path: Path | str, *, on_disk: bool | None = None) -> Corpus:
    """The corpus in a file.

    on_disk   whether a text stays on disk, in a temporary file that goes when the text does; None: where the file would
              fill the memory

    .txt (also .gz)   UTF-8; the whole file is one text
    .abc (also .gz)   UTF-8; each tune in ABC notation is a text, with the empty line that ends it
    .npz              piano rolls: arrays (T, notes) of 0 and 1, whose names begin with train, valid or test; where no
                      name does, all of them are to learn from
    .mat              the same in MATLAB's cell arrays traindata, validdata and testdata, as they were published by
                      Boulanger-Lewandowski et al. 2012, arXiv:1206.6392

    Raises `DataError` with the file, and the piece where there is one.
    """
    path = Path(path)
    where = f"read_corpus({str(path)!r})"
    kind = file_kind(path)
    if kind == ".txt":
        if is_large(path) if on_disk is None else on_disk:
            return Corpus((Text.of(stream_lines(path, where)),))
        return Corpus((decode(read_bytes(path, where), path, where),))
    if kind == ".abc":
        tunes = split_tunes(decode(read_bytes(path, where), path, where))
        if not tunes:
            raise DataError(f"{where}: expected tunes in ABC notation, got none. Begin each with a line X:.")
        return Corpus(tuple(tunes))
    if path.suffix.lower() == ".mat":
        return _corpus(_read_mat(path, where), where)
    if path.suffix.lower() == ".npz":
        return _corpus(read_npz(path, where), where)
    got = path.suffix or "no suffix"
    raise DataError(f"{where}: expected .txt, .abc, .npz or .mat, got {got}. Rename or convert the file.")


def _read_mat(path: Path, where: str) -> dict[str, Any]:
    from scipy.io import loadmat

    data = read_bytes(path, where)
    try:
        found = loadmat(io.BytesIO(data))
    except Exception as problem:  # each version of the format has error classes of its own, without a common root
        reason = " ".join(str(problem).split())[:80]
        raise DataError(f"{where}: the MATLAB data cannot be read ({reason}). Save them as .npz.") from None
    cells = {name: value for name, value in found.items() if np.asarray(value).dtype.kind == "O"}
    return {f"{name}, piece {i}": piece for name, cell in cells.items() for i, piece in enumerate(cell.flatten())}


def _corpus(arrays: Mapping[str, Any], where: str) -> Corpus:
    """Pieces by what their names begin with."""
    rolls = {name: _roll(array, name, where) for name, array in arrays.items()}
    widths = {name: roll.shape[1] for name, roll in rolls.items()}
    for name, width in widths.items():
        if width != (wanted := next(iter(widths.values()))):
            raise DataError(f"{where}: {name}: expected {wanted} notes like the first piece, got {width}.")
    parts = [tuple(roll for name, roll in rolls.items() if name.lower().startswith(part)) for part in PARTS]
    if not any(parts):
        parts = [tuple(rolls.values()), (), ()]
    if not parts[0]:
        raise DataError(
            f"{where}: expected pieces to learn from, got none. Name arrays train…, valid… and test…, "
            "in .mat cell arrays traindata, validdata and testdata."
        )
    return Corpus(*parts)


def _roll(array: Any, name: str, where: str) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != 2 or array.dtype.kind not in "biuf" or len(array) < 2:
        got = f"{array.shape} of {array.dtype}"
        raise DataError(f"{where}: {name}: expected a piano roll (T, notes) with T ≥ 2, got {got}. Leave it out.")
    if not np.isin(array, (0, 1)).all():
        raise DataError(f"{where}: {name}: expected 0 and 1, got other values. Mark notes that sound with 1.")
    return array.astype(np.uint8)
