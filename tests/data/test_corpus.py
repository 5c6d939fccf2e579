"""Texts and piano rolls from files, and one line for those that are neither."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pytest
from scipy.io import savemat

from elman.data.corpus import Corpus, read_corpus
from elman.errors import DataError

ROLLS = [np.eye(5, 3, k) for k in range(3)]


def cells(*rolls):
    found = np.empty((1, len(rolls)), dtype=object)
    found[0, :] = rolls
    return found


def test_a_text_is_one_piece_plain_or_gzipped(tmp_path):
    text = "To be, or not\r\nto be – that\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    assert read_corpus(tmp_path / "a.txt") == read_corpus(tmp_path / "b.txt.gz") == Corpus((text,))


def test_each_tune_is_a_piece_plain_or_gzipped(tmp_path):
    first, second = "X:1\nT:Up\nK:C\nCDEF|\nGABc|]\n\n", "X:2\nT:Down\nK:C\ncBAG|\n\n"
    (tmp_path / "a.abc").write_text(f"%abc-2.1\nH:not of a tune\n\n{first}\n{second}")
    (tmp_path / "b.abc.gz").write_bytes(gzip.compress(f"{first}{second}".rstrip().replace("\n", "\r\n").encode()))
    assert read_corpus(tmp_path / "a.abc") == read_corpus(tmp_path / "b.abc.gz") == Corpus((first, second))


def test_rolls_come_back_by_their_parts(tmp_path):
    first, second, third = ROLLS
    np.savez(tmp_path / "a.npz", train_0=first, valid=second, test=third, train_1=second.astype(bool))
    savemat(
        tmp_path / "b.mat", {"traindata": cells(first, second), "validdata": cells(second), "testdata": cells(third)}
    )
    for name in ("a.npz", "b.mat"):
        found = read_corpus(tmp_path / name)
        assert [len(part) for part in (found.learn, found.validation, found.test)] == [2, 1, 1]
        assert (found.learn[0] == first).all() and (found.learn[1] == second).all() and (found.test[0] == third).all()
        assert found.test[0].dtype == np.uint8
    np.savez(tmp_path / "c.npz", *ROLLS)
    assert len(read_corpus(tmp_path / "c.npz").learn) == 3


def test_the_published_splits(shared_data):
    found = read_corpus(shared_data / "music" / "JSB_Chorales.mat")
    assert [len(part) for part in (found.learn, found.validation, found.test)] == [229, 76, 77]
    assert all(roll.shape[1] == 88 for roll in found.pieces)
    text = read_corpus(shared_data / "language" / "tinyshakespeare.txt.gz")
    assert len(text.learn[0]) == 1_115_394


def test_a_split_takes_the_end_of_a_text_and_whole_pieces_of_many():
    text = Corpus(("abcdefghij",)).split(0.3, 0)
    assert (text.learn, text.test) == (("abcdefg",), ("hij",))
    pieces = Corpus(tuple(map(str, range(40))))
    many = pieces.split(0.25, 1)
    assert len(many.test) == 10 and sorted(many.learn + many.test) == sorted(pieces.learn)
    assert many == pieces.split(0.25, 1) != pieces.split(0.25, 2)
    assert many.split(0.5, 0) is many
    with pytest.raises(DataError, match="a text of 3 steps is too short"):
        Corpus(("abc",)).split(0.5, 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.txt", None, "no such file"),
        ("no.npz", None, "no such file"),
        ("no.mat", None, "no such file"),
        ("a.txt", b"", "empty"),
        ("a.txt", "Köln".encode("latin-1"), "expected UTF-8 text, got byte 0xf6 in line 1"),
        ("a.docx", b"x", r"expected .txt, .abc, .npz or .mat, got .docx"),
        ("a.abc", b"CDEF GABc|\n", "expected tunes in ABC notation, got none"),
        ("a.npz", b"PK\x03\x04 cut", "not a readable .npz"),
        ("a.npz", pickle.dumps([1]), "not a readable .npz"),
        ("a.mat", b"nothing of MATLAB's" * 20, "the MATLAB data cannot be read"),
        ("a.npz", {"train": np.zeros(4)}, r"train: expected a piano roll \(T, notes\) with T ≥ 2, got \(4,\)"),
        ("a.npz", {"train": np.full((4, 2), 0.5)}, "train: expected 0 and 1, got other values"),
        ("a.npz", {"a": np.eye(4), "b": np.eye(3)}, "b: expected 4 notes like the first piece, got 3"),
        ("a.npz", {"test": np.eye(3)}, "expected pieces to learn from, got none"),
        ("a.mat", {"x": np.eye(3)}, "expected pieces to learn from, got none"),
    ],
)
def test_a_bad_file_is_one_line_with_its_name(name, content, message, tmp_path):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        (savemat if name.endswith(".mat") else lambda p, arrays: np.savez(p, **arrays))(path, content)
    with pytest.raises(DataError, match=message) as problem:
        read_corpus(path)
    assert str(path) in str(problem.value) and "\n" not in str(problem.value)
