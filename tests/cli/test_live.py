"""`elman stream`, `export` and `serve` as a shell has them; in processes where pipes and signals are what counts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import elman
from elman.cli.app import app
from tests.steps.models import classifier, detector, forecaster, tagger


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("up", classifier()), ("tags", tagger()), ("wave", detector()), ("days", forecaster())):
        model.save(folder / name)
    elman.SequenceClassifier(hidden_size=4, max_steps=2).fit([[1.0], [2.0]] * 5, [0, 1] * 5).save(folder / "both")
    return folder


@pytest.fixture
def run(runs, monkeypatch):
    """Runs the command among the runs."""
    monkeypatch.chdir(runs)
    stopping = signal.getsignal(signal.SIGTERM)  # which `elman stream` changes, for a process of its own

    def invoke(*arguments, given=""):
        done = CliRunner().invoke(app, [*map(str, arguments)], input=given)
        assert done.exit_code == 0, (done.stderr, done.exception)
        return done

    yield invoke
    signal.signal(signal.SIGTERM, stopping)


def test_a_pipe_goes_on_where_it_stopped(run, runs, tmp_path):
    steps = "[0.5, 1000]\noops\n[1.5, null]\n"
    whole = run("stream", "up", given=steps + "[2, 1010]\n")
    command = [sys.executable, "-X", "importtime", "-m", "elman", "stream", "up", "--state", tmp_path / "s"]
    first = subprocess.run(command, cwd=runs, input=steps, capture_output=True, text=True, timeout=120, check=True)
    second = run("stream", "up", "--state", tmp_path / "s", given="[2, 1010]\n")
    assert whole.stdout == first.stdout + second.stdout
    lines = [json.loads(line) for line in whole.stdout.splitlines()]
    assert [line.get("step") for line in lines] == [1, None, 2, 3] and lines[1]["line"] == 2
    assert "Going on after step 2" in second.stderr
    loaded = {line.rpartition("|")[2].strip() for line in first.stderr.splitlines()}
    assert "torch" in loaded  # and nothing that only training or torch.compile needs, which would take seconds more
    assert not loaded & {"torch._dynamo", "sympy", "lightning_fabric", "statsmodels", "matplotlib"}


def test_each_line_is_answered_at_once_and_a_stop_keeps_the_state(run, runs, tmp_path):
    command = [sys.executable, "-m", "elman", "stream", "tags", "--state", tmp_path / "s"]
    with subprocess.Popen(command, cwd=runs, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for word in ("the", "dog"):
            process.stdin.write(f'"{word}"\n')
            process.stdin.flush()
            assert "label" in json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert '"step": 3' in run("stream", "tags", "--state", tmp_path / "s", given='"sat"').stdout


def test_scores_and_forecasts(run):
    assert "alarm" in json.loads(run("stream", "wave", given="[0.5, 90]").stdout)
    assert len(json.loads(run("stream", "days", "--series", "a", given="12").stdout)["median"]) == 3


def test_export_tells_what_it_wrote(run, tmp_path):
    said = run("export", "up", "--to", "c", "--out", tmp_path, "--main", "--int8")
    assert (tmp_path / "up.c").exists() and (tmp_path / "up.h").exists()
    assert all(word in said.stdout for word in ("Flash:", "RAM:", "Parity:", "most probable answer"))
    said = run("export", "both", "--to", "onnx", "--out", tmp_path)
    assert "both.onnx" in said.stdout and "Left out: " in said.stdout and "bidirectional" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stream", "nowhere"), "no such run folder"),
        (("stream", "both"), "Train with --set bidirectional=false"),
        (("stream", "days"), "name one: --series a"),
        (("stream", "up", "--series", "a"), "--series is for forecasts"),
        (("stream", "up", "--every", "0"), "--every must be 1 or more"),
        (("stream", "up", "--state", "up/config.json"), "not a state that was saved"),
        (("export", "up", "--to", "tflite"), "--to must be c, onnx or wasm"),
        (("export", "up", "--to", "onnx", "--int8"), "--int8, --main and --on are for --to c"),
        (("export", "wave", "--to", "c"), "C is written for a recurrent stack"),
        (("export", "days", "--to", "onnx"), "cannot be exported"),
        (("export", "days", "--to", "c"), "elman export: days holds a forecaster"),
        (("export", "up", "--to", "c", "--name", "my model"), "name must be a name in C"),
        (("serve", "up", "--host", "0.0.0.0"), "needs a token"),
        (("serve", "both"), "Train with --set bidirectional=false"),
        (("serve", "up", "--store", "up/config.json"), "not a store of sessions"),
        (("serve", "up", "--most", "0"), "most must be"),
        (("serve", "up", "tags/../up"), "runs must have names of their own"),
        (("serve", "up", "tags", "--store", "s.db"), "--store s.db would be of several runs"),
        (("serve", "up", "--series", "a"), "elman serve: --series is for forecasts"),
        (("serve", "days"), "name one: --series a"),
        (("serve", "up", "--store", "redis://127.0.0.1:1/0"), "no Redis that can be used"),
        (("export", "wave", "--to", "wasm"), "C is written for a recurrent stack"),
    ],
)
def test_a_mistake_is_one_line(runs, arguments, message, monkeypatch):
    monkeypatch.chdir(runs)
    said = CliRunner().invoke(app, list(arguments))
    assert said.exit_code == 2 and message in said.stderr
    assert said.stderr.count("\n") == 1 and not said.stdout
