"""Labelled sequences from files of every kind, and one line for each that is broken."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.csv
import pytest

import elman
from elman.data.examples import Columns, read_columns, read_examples
from elman.data.ts_file import read_ts
from elman.errors import DataError, ElmanError, OptionError

TS = "# a comment\n@problemName X\n@timeStamps false\n@classLabel true up down\n@data\n1,2,?:4,5,6:up\n1:2:down\n"
CSV = "id,t,a,b,kind\nx,1,0.5,1,up\nx,0,0.25,2,up\ny,0,3,,down\n"
CONLL = "the\tDET\ncat\tNOUN\n\n\ndogs\tNOUN\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_ts(tmp_path):
    X, y, _ = read_examples(write(tmp_path / "a.ts", TS), Columns())
    assert [x.shape for x in X] == [(3, 2), (1, 2)]
    assert np.isnan(X[0][2, 0])
    assert X[0][:, 1].tolist() == [4, 5, 6]
    assert y.tolist() == ["up", "down"]


def test_a_table_whose_rows_are_steps(tmp_path):
    path = write(tmp_path / "a.csv", CSV)
    X, y, _ = read_examples(path, Columns(("a", "b"), "kind", "id", "t"))
    assert X[0].tolist() == [[0.25, 2], [0.5, 1]]
    assert np.isnan(X[1][0, 1])
    assert y.tolist() == ["up", "down"]
    _, steps, _ = read_examples(path, Columns(("a",), "kind", "id"), each_step=True)
    assert [s.tolist() for s in steps] == [["up", "up"], ["down"]]
    assert read_examples(path, Columns(("a",), None, "id"))[1] is None


@pytest.mark.parametrize("read", [pd.read_csv, pl.read_csv, pyarrow.csv.read_csv])
def test_a_frame_is_read_as_its_file_is(tmp_path, read):
    path = write(tmp_path / "a.csv", CSV)
    columns = Columns(label="kind", sequence="id", time="t")
    for each_step in (False, True):
        X, y, found = elman.data.read_examples(read(path), columns, each_step=each_step)
        X_file, y_file, found_file = read_examples(path, columns, each_step=each_step)
        assert found == found_file
        for mine, theirs in zip([*X, *y], [*X_file, *y_file], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_missing_values_of_every_kind_of_column():
    columns = {"id": ["a", "a"], "x": pd.array([1, None], dtype="Int64"), "y": [True, True]}
    X, y, _ = read_examples(pd.DataFrame(columns), Columns(("x",), "y", "id"))
    np.testing.assert_array_equal(X[0], [[1], [np.nan]])
    assert y.tolist() == [True]
    for kind in ("string", "str", object):
        labels = pd.array(["a", None], dtype=kind)
        with pytest.raises(DataError, match="row 2 has no 'y'"):
            read_examples(pd.DataFrame({"id": ["a", "a"], "x": [1, 2], "y": labels}), Columns(("x",), "y", "id"))


def test_what_is_no_frame_is_one_line():
    with pytest.raises(DataError, match=r"read_examples: expected a pandas, polars or pyarrow table, got dict"):
        read_examples({"a": [1]}, Columns())
    with pytest.raises(ElmanError, match=r"read_examples: no column 'knd', did you mean 'kind'"):
        read_examples(pd.DataFrame({"text": ["so"], "kind": [1]}), Columns(label="knd"))


def test_the_columns_that_were_read_read_a_wider_table_alike(tmp_path):
    columns = Columns(label="kind", sequence="id", time="t")
    X, _, found = read_examples(write(tmp_path / "a.csv", CSV), columns)
    assert found == Columns(("a", "b"), "kind", "id", "t")
    wider = "extra," + CSV.replace("\n", "\n9,", 3)
    again, _, same = read_examples(write(tmp_path / "b.csv", wider), found)
    assert same == found
    np.testing.assert_array_equal(np.concatenate(again), np.concatenate(X))
    rows, _, _ = read_examples(write(tmp_path / "c.csv", "t,s1,s2\n0,1,2\n"), Columns(time="t"))
    assert [row.tolist() for row in rows] == [[1, 2]]
    assert read_examples(write(tmp_path / "a.ts", TS), columns)[2] == columns


def test_a_table_whose_rows_are_sequences(tmp_path):
    X, y, _ = read_examples(write(tmp_path / "a.tsv", "text\tlabel\nso it is\t1\nno\t0\n"), Columns(label="label"))
    assert X == ["so it is", "no"]
    assert y.tolist() == [1, 0]
    X, _, _ = read_examples(write(tmp_path / "b.csv", "s1,s2,label\n1,2,a\n3,4,b\n"), Columns(label="label"))
    assert [x.tolist() for x in X] == [[1, 2], [3, 4]]
    lines = "\n".join(json.dumps({"text": t, "y": n}) for t, n in (("a b", 1.5), ("c", 2.5)))
    X, y, _ = read_examples(write(tmp_path / "c.jsonl", lines + "\n\n"), Columns(("text",), "y"))
    assert (X, y.tolist()) == (["a b", "c"], [1.5, 2.5])


def test_arrays_and_tagged_sentences(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((3, 4, 2)), y=np.arange(3))
    X, y, _ = read_examples(tmp_path / "a.npz", Columns())
    assert [x.shape for x in X] == [(4, 2)] * 3
    assert y.tolist() == [0, 1, 2]
    path = tmp_path / "a.conll.gz"
    path.write_bytes(gzip.compress(CONLL.encode()))
    X, y, _ = read_examples(path, Columns(), each_step=True)
    assert (X, y) == ([["the", "cat"], ["dogs"]], [["DET", "NOUN"], ["NOUN"]])


def test_conll_u_has_ranges_and_comments(tmp_path):
    text = "# text = don't\n1-2\tdon't\t_\n1\tdo\tAUX\n2\tn't\tPART\n2.1\tghost\tX\n"
    assert read_columns(write(tmp_path / "a.conllu", text), 1, 2) == ([["do", "n't"]], [["AUX", "PART"]])


BROKEN = {
    "a.ts": [
        ("@data\n1,b:up\n", "line 2: expected numbers with commas between"),
        ("@data\n1,2:3:up\n", "all channels must have the same number of steps"),
        ("@data\n1:2:up\n1:up\n", "line 3: expected 2 channels like the first line, got 1"),
        ("@classLabel true a b\n@data\n1:c\n", "label 'c' is not among those of @classLabel: a, b"),
        ("@timeStamps true\n@data\n", "time stamps are not read"),
        ("1,2:up\n", "expected a header line"),
        ("@data\n", "expected series after @data, got none"),
        ("", "got an empty file"),
    ],
    "a.conll": [("the\tDET\ncat\n", "line 2 must have 2 columns or more, got 1: 'cat'")],
    "a.jsonl": [
        ('{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        ('{"a": 1}\n[1]\n', "line 2 must be an object"),
        ('{"a": 1}\n{"b": 2}\n', "line 2: all objects must have the same names"),
    ],
    "a.txt": [("hello", "expected .csv")],
    "a.npz": [("not a zip", "not a readable .npz")],
}


@pytest.mark.parametrize(("name", "text", "message"), [(n, t, m) for n, cases in BROKEN.items() for t, m in cases])
def test_a_broken_file_is_one_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message) as problem:
        read_examples(write(tmp_path / name, text), Columns())
    assert "\n" not in str(problem.value)
    assert name in str(problem.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(("a",), "knd", "id"), "no column 'knd', did you mean 'kind'"),
        (Columns(("a", "kind"), None, "id"), "row 1: 'kind' must be a number, got 'up'"),
        (Columns(("a",), "t", "id"), "'t' must be the same in all rows of sequence 'x'"),
        (Columns(("a",), "b", "id"), "row 3 has no 'b'"),
        (Columns(label="a"), "Name the one with the text"),
    ],
)
def test_wrong_columns_are_one_line(tmp_path, columns, message):
    with pytest.raises(ElmanError, match=message):
        read_examples(write(tmp_path / "a.csv", CSV), columns)


def test_a_stray_word_in_a_column_of_numbers_is_named_by_row(tmp_path):
    rows = [f"{i // 6},{i % 6},{i}" for i in range(24)]
    columns = Columns(("x",), None, "id", "t")
    for column, good, bad in (("x", "1,5,11", "1,5,oops"), ("t", "1,5,11", "1,oops,11")):
        text = "\n".join(["id,t,x", *rows]).replace(good, bad)
        path = write(tmp_path / f"{column}.csv", text)
        for on_disk in (False, True):
            with pytest.raises(DataError, match=f"row 12: '{column}' must be a number as in most rows, got 'oops'"):
                read_examples(path, columns, on_disk=on_disk)
    hexadecimal = "\n".join(f"{i // 16},{i % 16},{i % 16:x}" for i in range(32))
    X, _, _ = read_examples(write(tmp_path / "hex.csv", f"id,t,x\n{hexadecimal}"), columns)
    assert X[1] == list("0123456789abcdef")


def test_what_pandas_calls_missing_is_a_missing_number():
    steps = pd.DataFrame({"id": [0, 0], "x": pd.Series([1.5, pd.NA], dtype=object), "z": [1.0, 2.0]})
    X, _, _ = read_examples(steps, Columns(sequence="id"))
    np.testing.assert_array_equal(X[0], [[1.5, 1.0], [np.nan, 2.0]])


def test_missing_files():
    for name in ("no.ts", "no.npz", "no.conll", "no.csv", "no.jsonl"):
        with pytest.raises(DataError, match="no such file"):
            read_examples(name, Columns())


def test_real_files(shared_data):
    X, y = read_ts(shared_data / "series" / "BasicMotions_TRAIN.ts")
    assert (len(X), X[0].shape, len(set(y))) == (40, (100, 6), 4)
    X, y = read_columns(shared_data / "tagging" / "ud_ewt" / "en_ewt-dev.form_upos_xpos.tsv.gz")
    assert len(X) == 2001
    assert (X[0][:3], y[0][:3]) == (["From", "the", "AP"], ["ADP", "DET", "PROPN"])


def test_npz_of_sequences_of_several_lengths(tmp_path):
    steps = np.arange(12).reshape(6, 2)
    np.savez(tmp_path / "a.npz", X=steps, lengths=[1, 3, 2], y=["a", "b", "c"])
    X, y, _ = read_examples(tmp_path / "a.npz", Columns())
    assert [x.tolist() for x in X] == [steps[:1].tolist(), steps[1:4].tolist(), steps[4:].tolist()]
    assert y.tolist() == ["a", "b", "c"]
    for wrong in ([1, 3], [0, 6], [1.0, 5.0], [[6]]):
        np.savez(tmp_path / "b.npz", X=steps, lengths=wrong)
        with pytest.raises(DataError, match="lengths must be whole numbers"):
            read_examples(tmp_path / "b.npz", Columns())


def test_rows_of_numbers_with_a_label_each_are_the_steps_of_one_sequence(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,label\n1,2,x\n3,4,y\n5,6,x\n")
    X, y, _ = read_examples(tmp_path / "t.csv", Columns(label="label"), each_step=True)
    assert [x.tolist() for x in X] == [[[1, 2], [3, 4], [5, 6]]] and [list(each) for each in y] == [["x", "y", "x"]]
    X, y, _ = read_examples(tmp_path / "t.csv", Columns(inputs=("a", "b")), each_step=True)
    assert len(X) == 1 and y is None


def test_one_label_for_a_whole_text_is_no_label_of_its_steps(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\nso it goes,x\n")
    with pytest.raises(OptionError, match="'label' must be a list with a label for each"):
        read_examples(tmp_path / "t.csv", Columns(label="label"), each_step=True)
    (tmp_path / "t.jsonl").write_text('{"words": ["so", "it"], "tags": ["x", "y"]}\n')
    X, y, _ = read_examples(tmp_path / "t.jsonl", Columns(label="tags"), each_step=True)
    assert [list(x) for x in X] == [["so", "it"]] and [list(each) for each in y] == [["x", "y"]]
