"""Every demo, with a few steps: a report that can be looked at, and data whose source is told."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from elman.cli.app import app
from elman.cli.demos import DEMOS, SHIPPED, join_digits, start_demo
from elman.data.examples import Columns, read_examples
from elman.errors import OptionError

FEW = ("--steps", "2", "--hidden-size", "4")


@pytest.mark.parametrize("name", DEMOS)
def test_demo_leaves_a_report(name, tmp_path, capsys):
    start_demo(name, tmp_path / "run", FEW)
    said = capsys.readouterr().out
    assert f"The same as: elman {name} " in said
    assert f"Report: {tmp_path / 'run' / 'report.html'}" in said
    assert "<svg" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert json.loads((tmp_path / "run" / "scoreboard.json").read_text())["network"].endswith("LSTM")


def test_the_list_names_all():
    said = CliRunner().invoke(app, ["demo", "--list"]).stdout
    assert [line.split()[0] for line in said.splitlines()] == ["forecast", *DEMOS]


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


def test_what_ships_is_small_and_its_source_is_told():
    told = (SHIPPED / "README.md").read_text("utf-8")
    files = [path for path in SHIPPED.iterdir() if path.name != "README.md"]
    assert not [path.name for path in files if path.name not in told]
    assert sum(path.stat().st_size for path in files) < 4e6
