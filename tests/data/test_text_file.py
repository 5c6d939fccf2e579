"""Lines of text files, and the one line for a file that is missing, damaged or no text."""

from __future__ import annotations

import gzip

import pytest

from elman.data.text_file import read_lines
from elman.errors import DataError

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_end_at_a_newline_alone(tmp_path, pack):
    path = tmp_path / ("a.txt.gz" if pack is gzip.compress else "a.txt")
    path.write_bytes(pack(BOM + "one\r\ntw\u0085o\n\nthree".encode()))
    assert read_lines(path, "here") == ["one", "tw\u0085o", "", "three"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.conll", b"", "expected data, got an empty file"),
        ("a.conll", b" \n\n", "blank lines only"),
        ("a.conll.gz", gzip.compress(b"the\tDET\n", mtime=0)[:-9], "gzip data are damaged"),
        ("a.conll", b"a\n\xe9\n", r"byte 0xe9 in line 2.*iconv .* a\.conll > utf8\.conll$"),
        ("a b.txt", BOM + b"a\nb\n\xff", r"byte 0xff in line 3.* 'a b\.txt' > utf8\.txt$"),
        ("a.jsonl", "{}\n".encode("utf-16"), "got UTF-16.*iconv -f UTF-16"),
        ("a.jsonl", "{}\n{}\n".encode("utf-16-le"), "zero byte in line 1"),
    ],
)
def test_what_is_no_text_is_one_line(tmp_path, name, data, says):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=says) as problem:
        read_lines(path, "here")
    assert str(problem.value).startswith("here: ")
    assert "\n" not in str(problem.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    for path, says in (
        (tmp_path / "no.txt", "no such file. Check"),
        (tmp_path / "nowhere" / "no.txt", "there is no folder .*nowhere"),
        (tmp_path, "the file cannot be read"),
    ):
        with pytest.raises(DataError, match=says):
            read_lines(path, "here")
