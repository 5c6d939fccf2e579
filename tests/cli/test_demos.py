"""Every demo, with a few steps: a report that can be looked at, and data whose source is told."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

from elman.cli.app import app
from elman.cli.demos import DEMOS, SHIPPED, join_digits, pair_emoji, start_demo
from elman.data.examples import Columns, read_examples
from elman.errors import OptionError

FEW = ("--steps", "2", "--hidden-size", "4", "--set", "validate_every=1")
FEWER = {"forecast": ("--windows", "1"), **dict.fromkeys(("transcribe", "translate"), ("--set", "num_beams=2"))}


@pytest.mark.parametrize("name", DEMOS)
def test_demo_leaves_a_report(name, tmp_path, capsys):
    start_demo(name, tmp_path / "run", FEW + FEWER.get(name, ()))
    said = capsys.readouterr().out
    assert f"The same as: elman {DEMOS[name].words.split()[0]} " in said
    assert re.search(rf"Report: +{re.escape(str(tmp_path / 'run' / 'report.html'))}", said)
    _, listed, then = re.split(r"The run folder .*|Try next:", said)
    told = {line.split()[0].strip("/"): line.split()[1:] for line in listed.strip().split("\n")}
    assert sorted(told) == sorted(path.name for path in (tmp_path / "run").iterdir()) and all(told.values())
    for line in then.strip().split("\n"):
        words = shlex.split(line)[1:]
        if words[0] in ("predict", "generate"):
            assert CliRunner().invoke(app, words).exit_code == 0, line
    assert "<svg" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert json.loads((tmp_path / "run" / "scoreboard.json").read_text())["network"].endswith("LSTM")


def test_the_list_names_all():
    said = CliRunner().invoke(app, ["demo", "--list"]).stdout
    assert [line.split()[0] for line in said.splitlines()] == list(DEMOS)


def test_an_unknown_name():
    with pytest.raises(OptionError, match=r"no demo 'clasify'.*classify"):
        start_demo("clasify", None)


def test_a_taken_folder_is_told(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("kept")
    done = CliRunner().invoke(app, ["demo", "caption", "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_strings_are_joined_from_their_own_part(tmp_path):
    join_digits(tmp_path / "made")
    for part in ("train", "test"):
        clips, digits, _ = read_examples(SHIPPED / f"spoken_digits_{part}.npz", Columns())
        spoken = {clip.tobytes(): str(digit) for clip, digit in zip(clips, digits, strict=True)}
        sounds, texts, _ = read_examples(tmp_path / "made" / f"digit_strings_{part}.npz", Columns())
        for sound, text in zip(sounds[:5], texts, strict=False):
            found, start = "", 0
            for end in range(1, len(sound) + 1):
                digit = spoken.get(sound[start:end].tobytes())
                found, start = (found + digit, end) if digit else (found, start)
            assert (found, start) == (text, len(sound))


def test_pairs_of_emoji_are_judged_by_others_than_are_learned_from(tmp_path):
    pair_emoji(tmp_path / "made")
    pictures, names, _ = read_examples(SHIPPED / "emoji.npz", Columns())
    named = {picture.tobytes(): name for picture, name in zip(pictures, names, strict=True)}
    told = {}
    for part in ("train", "test"):
        X, told[part], _ = read_examples(tmp_path / "made" / f"emoji_pairs_{part}.npz", Columns())
        for picture, text in zip(X, told[part], strict=True):
            left, right = (named[half.tobytes()] for half in np.split(picture, 2, axis=1))
            assert text == f"{left} and {right}"
    assert not set(told["train"]) & set(told["test"])


def test_what_ships_is_small_and_its_source_is_told():
    told = (SHIPPED / "README.md").read_text("utf-8")
    files = [path for path in SHIPPED.iterdir() if path.name != "README.md"]
    assert not [path.name for path in files if path.name not in told]
    assert sum(path.stat().st_size for path in files) < 4e6
