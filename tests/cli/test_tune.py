"""`elman tune`: what it reads, what it leaves, what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import elman
from elman.cli.app import app
from elman.cli.tune_jobs import read_range
from tests.evidence.tune.sequences import remembered

SMALL = ["--hidden-size", "4", "--set", "bidirectional=false", "--set", "pooling=last"]


def run(*words):
    return CliRunner().invoke(app, ["tune", *map(str, words)])


@pytest.fixture
def file(tmp_path):
    X, y = remembered(60)
    np.savez(tmp_path / "steps.npz", X=X, y=y)
    return tmp_path / "steps.npz"


def test_a_search_from_the_command_line_and_its_resuming(file, tmp_path):
    out = tmp_path / "run"
    words = ["classify", file, "--steps", 4, *SMALL, "--cell", "gru", "--cell", "lstm", "--only", "learning_rate"]
    said = run(*words, "--search", "dropout=0.1", "--trials", 2, "--out", out)
    assert said.exit_code == 0, said.output
    assert "Trial 1/2: loss" in said.output and "Tuning " in said.output
    kept = json.loads((out / "search.json").read_text())
    assert [sorted(t["params"]) for t in kept["trials"]] == [["cell", "learning_rate"]] * 2
    assert kept["trials"][0]["params"]["cell"] == "gru"
    model = elman.load(out)
    assert model.dropout == 0.1 and len(model.predict(np.load(file)["X"][:3])) == 3
    again = run(*words, "--search", "dropout=0.1", "--trials", 2, "--out", out, "--resume")
    assert again.exit_code == 0 and "2 of 2 trials are done" in again.output
    assert run(*words, "--trials", 2, "--out", out).exit_code == 2
    more = run(*words, "--search", "dropout=0.1", "--trials", 5, "--out", out, "--resume")
    assert "is judged, with 2 trials. Begin 5 elsewhere" in more.stderr
    assert CliRunner().invoke(app, ["predict", str(out), str(file)]).exit_code == 0


def test_evolution_from_the_command_line(file, tmp_path):
    words = ["classify", file, "--method", "evolve", "--objective", "error", "--steps", 20, *SMALL]
    said = run(*words, "--out", tmp_path / "run")
    assert said.exit_code == 0, said.output
    assert "LSTM, evolved" in said.output and "LSTM by gradients" in said.output and "Evolution tried" in said.output


def test_ranges_as_they_are_written():
    assert read_range("hidden_size", "16..64") == (16, 64)
    assert read_range("learning_rate", "1e-4 .. 1e-2") == (1e-4, 1e-2)
    assert read_range("layer_norm", "true,false") == [True, False]
    assert read_range("pooling", "max") == "max"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["clasify"], "no verb 'clasify' that can be tuned, did you mean 'classify'?"),
        (["classify", "--horizon", "3"], "--horizon is no option of classify. Leave it out."),
        (["forecast", "--target", "y", "--time", "t"], "elman tune forecast: --horizon is missing."),
        (["generate", "--label", "y"], "--label is no option of generate."),
        (
            ["forecast", "--method", "evolve", "--target", "y", "--time", "t", "--horizon", "1"],
            "--method evolve is for classify, regress, tag, generate, got forecast.",
        ),
        (["classify", "--method", "swarm"], "--method must be search or evolve, got 'swarm'."),
        (["classify", "--objective", "error"], "--objective is no option of --method search."),
        (["classify", "--method", "evolve", "--trials", "3"], "--trials is no option of --method evolve."),
        (["classify", "--search", "dropout"], "expected NAME=LOW..HIGH or NAME=A,B, got 'dropout'."),
        (["classify", "--search", "cell=a..b"], "cell must go from a number to a number, got 'a..b'."),
        (["classify", "--search", "hiden=1..2"], "has no such argument"),
        (["classify", "--trials", "0"], "trials must be a whole number"),
        (["classify", "--method", "evolve", "--hidden-size", "100"], "at most 5000 weights to be evolved"),
    ],
)
def test_what_cannot_be_tuned_is_told_in_one_line(words, told, file, tmp_path):
    said = run(words[0], file, *words[1:], "--out", tmp_path / "run")
    assert said.exit_code == 2
    line = said.stderr.strip().splitlines()[-1]
    assert line.startswith("elman") and told in line and not said.stdout
    assert not (tmp_path / "run").exists()
