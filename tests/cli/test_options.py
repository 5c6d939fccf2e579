"""What several verbs share: options by name, `--set`, and the folder that is written."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from elman.cli.app import app
from elman.cli.jobs import build, run_folder
from elman.errors import OptionError


def test_what_is_not_given_stays_at_its_default():
    model = build("SequenceClassifier", None, None, None, hidden_size=None, max_steps=7)
    assert (model.cell, model.hidden_size, model.max_steps) == ("lstm", 100, 7)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pooling=attention", "attention"),
        ("learning-rate = 1e-3", 1e-3),
        ("bidirectional=false", False),
        ("bidirectional=False", False),
        ("average=null", None),
        ("average=None", None),
        ('class_weight={"good": 2, "bad": 1}', {"good": 2, "bad": 1}),
        ("hidden_size=12", 12),
    ],
)
def test_any_argument_can_be_set(text, value):
    model = build("SequenceClassifier", "gru", None, [text], hidden_size=64)
    assert getattr(model, text.partition("=")[0].strip().replace("-", "_")) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("poling=max", "did you mean 'pooling'?"),
        ("pooling", "expected NAME=VALUE, got 'pooling'. Write --set pooling=…."),
        ("bidirectional=flase", "bidirectional must be true or false, got 'flase'."),
    ],
)
def test_what_cannot_be_set_is_told_in_one_line(text, told):
    with pytest.raises(OptionError, match=r"^--set: ") as problem:
        build("SequenceClassifier", None, None, [text])
    assert told in str(problem.value) and "\n" not in str(problem.value)


def test_a_run_is_never_written_over_and_a_share_is_a_share(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = tmp_path / "runs" / "sales"
    wanted.mkdir(parents=True)
    assert run_folder("classify", tmp_path / "sales.csv", None, resume=False).name == "sales-2"
    with pytest.raises(OptionError, match=r"--share must be between 0 and 1, got 1\.5"):
        run_folder("classify", tmp_path / "sales.csv", None, resume=False, share=1.5)
    with pytest.raises(OptionError, match="--resume needs the run to go on with"):
        run_folder("classify", tmp_path / "sales.csv", None, resume=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("tune tag x --trials two", "elman tune: --trials must be a whole number, got 'two'."),
        ("tune tag x --trials=2.5", "elman tune: --trials must be a whole number, got '2.5'."),
        ("compare tag x --seconds soon", "elman compare: --seconds must be a number, got 'soon'."),
        ("compare tag x --layers 1 --layers b", "elman compare: --layers must be a whole number, got 'b'."),
        ("bench cpu --threads x", "elman bench cpu: --threads must be a whole number, got 'x'."),
        ("forecast x.csv", "elman forecast: missing option '--time'. See elman forecast --help."),
        ("nosuch", "elman: no such command 'nosuch'. See elman --help."),
        ("tune tag x --trials", "elman tune: option '--trials' requires an argument. See elman tune --help."),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(words, told):
    said = CliRunner().invoke(app, words.split())
    assert (said.exit_code, said.stderr) == (2, told + "\n")


def test_help_is_still_a_page_and_a_command_still_ends_as_it_did():
    assert "Usage:" in CliRunner().invoke(app, ["tune", "--help"]).stdout
    assert CliRunner().invoke(app, ["version"]).exit_code == 0
    assert len(CliRunner().invoke(app, []).output.splitlines()) > 10
