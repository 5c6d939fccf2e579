"""What is read from disk at access against the same in memory: sequences, errors, nets; and how little it takes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from elman.data import examples, on_disk, read_corpus, read_examples, table
from elman.data.examples import Columns
from elman.data.inputs import Names
from elman.data.on_disk import OnDisk, Text, each, is_large, spill, spill_values, take
from elman.data.pairs import read_pairs
from elman.errors import DataError, ElmanError
from elman.estimators import LanguageModel, SequenceClassifier, SequenceRegressor, SequenceTagger, Translator

WORDS = ["so", "it", "goes", "„Nacht“", "a b", "don't", "日本"]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Few rows and characters at once, so that small files come in several pieces."""
    for module in (examples, table):
        monkeypatch.setattr(module, "ROWS", 7)
    monkeypatch.setattr(on_disk, "ROWS", 7)


# -- values on disk ------------------------------------------------------------------------------------------------


def test_values_are_read_at_access():
    asked = []
    values = OnDisk(lambda i: asked.append(i) or 10 * i, 4)
    doubled = each(lambda i, value: (i, 2 * value), values)
    assert asked == []
    assert doubled[-1] == (3, 60)
    assert asked == [3]
    assert list(take(doubled, np.array([2, 0]))) == [(2, 40), (0, 0)]
    assert list(doubled[1:3][::-1]) == [(2, 40), (1, 20)]
    with pytest.raises(IndexError):
        doubled[4]
    assert each(lambda i, value: i + value, [5, 5]) == [5, 6]
    assert take(["a", "b"], np.array([1])) == ["b"]


def test_what_is_spilled_comes_back():
    dice = np.random.default_rng(0)
    parts = [dice.normal(size=(n, 3)) for n in (2, 0, 5)]
    np.testing.assert_array_equal(spill(parts), np.concatenate(parts))
    assert spill([]).shape == (0,)
    values = ["", "ü\n", "\ud800", [1.5, float("inf")], None, {"a": [1]}]
    assert list(spill_values(values)) == values
    assert spill_values([np.arange(2)])[0] == [0, 1]


def test_no_room_is_one_line(monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(on_disk.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(DataError, match=r"no room for the data \(No space left on device\)\. Set TMPDIR"):
        spill([np.zeros(3)])


def test_a_text_in_pieces_loses_no_word():
    dice = np.random.default_rng(1)
    whole = "".join(dice.choice([*WORDS, " ", "\n", "\r\n", "\u2028", "-"], 300))
    text = Text.of(whole[i : i + 11] for i in range(0, len(whole), 11))
    assert (len(text), str(text), str(text[5:-5])) == (len(whole), whole, whole[5:-5])
    for at_once in (1, 2, 7, 100, 10_000):
        pieces = list(text.pieces(at_once))
        assert "".join(pieces) == whole
        assert [word for piece in pieces for word in piece.split()] == whole.split()


@pytest.mark.parametrize("analyzer", ["character", "word", "spaced", "space"])
def test_the_codes_of_a_text_on_disk(monkeypatch, analyzer):
    monkeypatch.setattr(Text.pieces, "__defaults__", (13,))
    whole = " ".join(np.random.default_rng(2).choice(WORDS, 200)) + " .\n"
    names = Names.fit([whole], analyzer=analyzer)
    assert Names.fit([Text.of([whole])], analyzer=analyzer) == names
    mine, theirs = (names.encode([x], "here")[0] for x in (Text.of([whole]), whole))
    assert mine.dtype == theirs.dtype == torch.int64
    assert torch.equal(mine, theirs)


def test_a_file_is_large_by_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(b"x" * 1000)
    monkeypatch.setattr(on_disk.os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 15)
    assert is_large(path)  # 4000 bytes unpacked, more than 61440 / 16
    assert not is_large(path.rename(tmp_path / "a.csv"))
    assert not is_large(tmp_path / "missing.csv")


# -- tables --------------------------------------------------------------------------------------------------------


def long_frame(sequences=9, seed=0):
    """Steps of several sequences, mixed, with times, a missing value, and a sign that each sequence's mean has."""
    dice = np.random.default_rng(seed)
    rows = []
    for i in range(sequences):
        rows += [(f"s{i}", t, dice.normal() + i % 2, dice.integers(9), "ab"[i % 2]) for t in range(3 + i % 4)]
    frame = pd.DataFrame(rows, columns=["id", "t", "x", "n", "kind"])
    frame.loc[4, "x"] = np.nan
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def text_frame(rows=40, seed=0):
    dice = np.random.default_rng(seed)
    texts = [" ".join(dice.choice(WORDS, 4)) + dice.choice([" good", " bad", ',\n"good"']) for _ in range(rows)]
    return pd.DataFrame({"text": texts, "kind": ["good" in x for x in texts]})


LONG = Columns(label="kind", sequence="id", time="t")


def write(folder, frame, name):
    path = folder / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    elif ".jsonl" in name:
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",")
    return path


def both(path, columns, **options):
    return [read_examples(path, columns, on_disk=there, **options) for there in (True, False)]


def assert_alike(mine, theirs):
    assert len(mine[0]) == len(theirs[0])
    for a, b in zip(mine[0], theirs[0], strict=True):
        np.testing.assert_array_equal(a, b)
    y, truth = mine[1], theirs[1]
    assert (y is None) == (truth is None)
    for a, b in zip(y if y is not None else (), truth if truth is not None else (), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.asarray(a).dtype.kind == np.asarray(b).dtype.kind
    assert mine[2] == theirs[2]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.parquet", "a.jsonl", "a.jsonl.gz"])
def test_a_table_is_read_alike(tmp_path, name):
    path = write(tmp_path, long_frame(), name)
    assert isinstance(both(path, LONG)[0][0], OnDisk)
    assert_alike(*both(path, LONG))
    assert_alike(*both(path, LONG, each_step=True))
    assert_alike(*both(path, Columns(("x", "n")), one=True))
    assert_alike(*both(path, Columns(("n", "t"), "kind")))
    path = write(tmp_path, text_frame(), f"text.{name.partition('.')[2]}")
    mine, theirs = both(path, Columns(label="kind"))
    assert isinstance(mine[0], OnDisk)
    assert_alike(mine, theirs)
    # names of steps, which stay in memory
    frame = long_frame().assign(x=lambda f: f["kind"] + f["n"].astype(str))[["id", "t", "x", "kind"]]
    assert_alike(*both(write(tmp_path, frame, name), LONG, each_step=True))


def test_rows_of_json_lines_may_be_lists(tmp_path):
    rows = [{"x": [[i, 0.5], [i, None]], "names": ["a", "b"], "y": i} for i in range(20)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    for inputs in ("x", "names"):
        mine, theirs = both(path, Columns((inputs,), "y"))
        assert list(mine[0]) == theirs[0]
        assert mine[1].tolist() == theirs[1].tolist()


@pytest.fixture
def no_memory(monkeypatch):
    """Every file is larger than a share of the memory as small as this."""
    monkeypatch.setattr(on_disk, "SHARE", 1 << 60)


def test_sentences_in_columns_are_the_same(tmp_path, no_memory):
    text = "# a comment\n\nthe\tDET\ncat's\tNOUN\n\n\nso it\tADV\r\n日本\tPROPN\n"
    (tmp_path / "a.conll").write_text(text)
    X, y, _ = read_examples(tmp_path / "a.conll", Columns())
    again, labels, _ = read_examples(tmp_path / "a.conll", Columns(), on_disk=False)
    assert isinstance(X, OnDisk) and isinstance(again, list)
    assert list(X) == again == [["the", "cat's"], ["so it", "日本"]]
    assert y == labels == [["DET", "NOUN"], ["ADV", "PROPN"]]
    (tmp_path / "b.conll").write_text("the\tDET\ncat\n")
    with pytest.raises(DataError, match="line 2 must have 2 columns"):
        read_examples(tmp_path / "b.conll", Columns())


def test_aligned_lines_and_pictures_are_the_same(tmp_path, monkeypatch):
    Image = pytest.importorskip("PIL.Image")
    (tmp_path / "a.de").write_text("ein Hund\r\neine Katze\u0085\n")
    (tmp_path / "a.en").write_text("a dog\na cat\n")
    for n in range(3):
        Image.fromarray(np.full((4, 5, 3), 50 * n, np.uint8)).save(tmp_path / f"{n}.png")
    (tmp_path / "t.csv").write_text("file,text\n" + "".join(f"{n}.png,picture {n}\n" for n in range(3)))
    files = ((tmp_path / "a.de", tmp_path / "a.en", Columns()), (tmp_path / "t.csv", None, Columns(("file",), "text")))
    held = [read_pairs(*given) for given in files]
    monkeypatch.setattr(on_disk, "SHARE", 1 << 60)
    for there, here in zip([read_pairs(*given) for given in files], held, strict=True):
        assert isinstance(there.X, OnDisk) and isinstance(here.X, list)
        assert all(np.array_equal(a, b) for a, b in zip(there.X, here.X, strict=True))
        assert list(there.y) == here.y
    (tmp_path / "a.en").write_text("a dog\n\n")
    with pytest.raises(DataError, match="line 2 is empty"):
        read_pairs(*files[0])


def test_a_columns_kind_is_that_of_all_its_rows(tmp_path):
    """Pieces of numbers before a piece with text, or with a fraction, or missing ones."""
    rows = 30
    columns = {
        "id": [*(f"{i:02}" for i in range(rows - 1)), "x"],  # 01 is no 1, for another is x
        "kind": [*range(rows - 1), 0.5],
        "x": [*range(rows - 1), ""],
    }
    path = write(tmp_path, pd.DataFrame(columns), "a.csv")
    mine, theirs = both(path, Columns(("x",), "kind", "id"))
    assert_alike((*mine,), (*theirs,))
    assert mine[1].dtype == theirs[1].dtype == np.float64
    assert_alike(*both(path, Columns(("x",), "id", "kind"), each_step=True))


BROKEN = {
    "a.csv": [
        "id,t,x,kind\n" + "s,0,1,a\n" * 9 + "s,0,1\n",
        "id,t,x,kind\n" + "s,0,1,a\n" * 9 + "s,0,1,\n",
        "id,t,x,kind\n" + "s,0,1,a\n" * 9 + "s,0,1,b\n",
        "id,t,x,kind\n",
        "id,t,y,kind\ns,0,1,a\n",
        "id,t,x,x\ns,0,1,a\n",
        "",
        "\n \n",
        b"id,t,x,kind\n" + b"s,0,1,a\n" * 9 + b"s,0,1,\xe4\n",
        b"id,t,x,kind\ns,0,1,\0\n",
        "id,t,x,kind\n".encode("utf-16"),
    ],
    "a.jsonl": [
        '{"id": 1, "t": 0, "x": 1, "kind": "a"}\n' * 9 + "{",
        '{"id": 1, "t": 0, "x": 1, "kind": "a"}\n' * 9 + "[1]\n",
        '{"id": 1, "t": 0, "x": 1, "kind": "a"}\n' * 9 + '{"id": 1, "t": 0, "x": 1, "k": "a"}\n',
        '{"id": 1, "t": 0, "x": 1, "kind": "a"}\n' * 9 + '{"id": 1, "t": 0, "x": 1, "kind": null}\n',
    ],
    "a.csv.gz": [b"no gzip", gzip.compress(b"id,t,x,kind\n" + bytes(range(48, 100)) * 4, mtime=0)[:60]],
    "a.parquet": [b"no parquet"],
}


@pytest.mark.parametrize(("name", "content"), [(n, c) for n, cases in BROKEN.items() for c in cases])
def test_a_broken_file_says_the_same(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    said = []
    for there in (False, True):
        with pytest.raises(ElmanError) as problem:
            read_examples(path, Columns(("x",), "kind", "id", "t"), on_disk=there)
        said.append(str(problem.value))
    assert "\n" not in said[1]
    if name == "a.parquet":  # its reader's own words
        assert "Parquet data are damaged" in said[1]
    else:
        assert said[1] == said[0]


def test_a_missing_file_says_the_same():
    for name in ("no.csv", "no.jsonl", "no.parquet", "no.csv.gz"):
        with pytest.raises(DataError, match="no such file"):
            read_examples(name, Columns(), on_disk=True)


# -- estimators ----------------------------------------------------------------------------------------------------

SMALL = {"hidden_size": 8, "max_steps": 12, "batch_size": 8}


@pytest.mark.parametrize("kind", ["words", "numbers", "steps", "amounts", "texts"])
def test_a_net_that_learns_from_disk_is_the_same(tmp_path, kind):
    per_step = kind == "steps"
    if kind in ("words", "texts"):
        path, columns = write(tmp_path, text_frame(240), "a.csv"), Columns(("text",), "kind")
    else:
        label = "n" if per_step else "kind"
        frame = long_frame(240)
        frame["kind"] = frame["kind"] if kind == "numbers" else (frame["kind"] == "a") / 3
        path, columns = write(tmp_path, frame, "a.csv"), Columns(("x",), label, "id", "t")
    model = {
        "words": SequenceClassifier(**SMALL),
        "numbers": SequenceClassifier(**SMALL),
        "steps": SequenceTagger(**SMALL, crf=True),
        "amounts": SequenceRegressor(**SMALL),
        "texts": Translator(**SMALL, num_beams=1),
    }[kind]
    found = []
    for X, y, _ in both(path, columns, each_step=per_step):
        model.fit(X, [str(label) for label in y] if kind == "texts" else y)
        found.append((model.hash_, model.network_.state_dict(), model.predict(X)))
    (mine, weights, said), (theirs, truth, wanted) = found
    assert mine == theirs
    assert all(torch.equal(weights[name], truth[name]) for name in truth)
    for a, b in zip(said, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("analyzer", ["character", "word"])
def test_a_language_model_that_learns_from_disk_is_the_same(tmp_path, analyzer):
    path = tmp_path / "a.txt"
    path.write_text("\ufeff" + " ".join(np.random.default_rng(0).choice(WORDS, 900)) + "\r\n", newline="")
    found = []
    for there in (True, False):
        corpus = read_corpus(path, on_disk=there).split(0.1, 0)
        assert isinstance(corpus.learn[0], Text) is there
        model = LanguageModel(**SMALL, analyzer=analyzer, embedding_size=8, truncate=20).fit(corpus.learn)
        found.append((model.hash_, model.inputs_, model.network_.state_dict(), model.score(corpus.test)))
    (mine, names, weights, score), (theirs, same_names, truth, same_score) = found
    assert (mine, names, score) == (theirs, same_names, same_score)
    assert all(torch.equal(weights[name], truth[name]) for name in truth)
    with pytest.raises(DataError, match="'bpe', got one on disk"):
        LanguageModel(analyzer="bpe").fit(read_corpus(path, on_disk=True).learn)


# -- memory --------------------------------------------------------------------------------------------------------

CHILD = """
import resource, sys
from pathlib import Path
from elman.data import Columns, read_corpus, read_examples
from elman.estimators import LanguageModel, SequenceClassifier

on_disk, size = sys.argv[1] == "disk", {"hidden_size": 8, "embedding_size": 8, "max_steps": 5, "batch_size": 8}

def learn(path):
    if path.suffix == ".txt":
        LanguageModel(**size, analyzer="space", vocabulary_size=50).fit(read_corpus(path, on_disk=on_disk).learn)
    else:
        columns = {"sequence": "id", "time": "t"} if path.suffix == ".csv" else {}
        X, y, _ = read_examples(path, Columns(label="kind", **columns), on_disk=on_disk)
        SequenceClassifier(**size, spelling=0, validation=0.5).fit(X, y).predict(X[:3])

for argument in sys.argv[2:]:
    kind, _, limit = argument.partition(":")
    learn(Path("small" + kind))  # what is loaded and compiled only once
    own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (own + int(limit), resource.RLIM_INFINITY))
    try:
        learn(Path("large" + kind))
        print(kind)
    except Exception as problem:
        assert "memory" in repr(problem).lower() or "alloc" in str(problem), problem
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)
"""


def blocks(kind, count):
    """Parts of a file, of about 20 000 bytes each."""
    dice = np.random.default_rng(0)
    if kind == ".csv":
        yield "id,t," + ",".join(f"x{k}" for k in range(24)) + ",kind\n"
        steps = "".join(f"@,{t}," + ",".join(f"{x:.15f}" for x in dice.normal(size=24)) + ",#\n" for t in range(48))
        yield from (steps.replace("@", str(i)).replace("#", "ab"[i % 2]) for i in range(count))
    else:
        texts = [" ".join("".join(dice.choice([*"aeioustn"], 9)) for _ in range(100)) + "\n" for _ in range(20)]
        lines = [json.dumps({"text": text, "kind": i % 2}) + "\n" for i, text in enumerate(texts)]
        yield from ["".join(texts if kind == ".txt" else lines)] * count


def check_memory(folder, limits):
    """From files at least three times as large as what it may take a net learns if they stay on disk, and only then."""
    for kind, (size, limit) in limits.items():
        for stem, count in (("small", 20), ("large", size // 20_000)):
            with (folder / f"{stem}{kind}").open("w") as file:
                file.writelines(blocks(kind, count))
        assert (folder / f"large{kind}").stat().st_size > 3 * limit
    arguments = [f"{kind}:{limit}" for kind, (_, limit) in limits.items()]
    for where, learned in (("disk", [*limits]), ("memory", [])):
        command = [sys.executable, "-c", CHILD, where, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == learned, where


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a process's own memory is Linux's")
def test_files_several_times_larger_than_the_memory(tmp_path):
    # pandas alone takes some 15 MB to read a few rows
    check_memory(tmp_path, {".csv": (72 << 20, 23 << 20), ".jsonl": (7 << 20, 2 << 20), ".txt": (16 << 20, 5 << 20)})


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a process's own memory is Linux's")
def test_files_many_times_larger_than_the_memory(tmp_path):
    check_memory(tmp_path, {".csv": (1 << 30, 250 << 20), ".jsonl": (60 << 20, 6 << 20), ".txt": (100 << 20, 8 << 20)})
