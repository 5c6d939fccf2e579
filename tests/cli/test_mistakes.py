"""Wrong inputs of every verb: one clear line and exit code 2."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from elman.cli.app import app
from elman.estimators import SequenceClassifier


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A run of labels, and files beside it: sequences without labels, numbers that are no classes."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    X, y = [rng.normal(size=(6, 1)) for _ in range(20)], np.arange(20) % 2
    SequenceClassifier(hidden_size=4, max_steps=2, bidirectional=False).fit(X, y).save(folder / "run")
    pd.DataFrame({"x": rng.normal(size=9)}).to_csv(folder / "bare.csv", index=False)
    id, t = np.repeat(np.arange(20), 6), np.tile(np.arange(6), 20)
    table = pd.DataFrame({"id": id, "t": t, "x": rng.normal(size=120), "size": np.repeat(rng.normal(size=20), 6)})
    table.to_csv(folder / "sized.csv", index=False)
    (folder / "file").touch()
    return folder


MISTAKES = {
    "diagnose bare.csv bare.csv": "elman diagnose: bare.csv: expected a run folder, got none. Write elman diagnose RUN",
    "diagnose none bare.csv": "elman diagnose: none: expected a run folder, got none.",
    "diagnose run bare.csv": "labels are needed to follow the loss back, got none. Give a file such as the run learned",
    "diagnose lstm --out file/x": "file/x: could not be written, got Not a directory",
    "explain run": "run holds a run; say what it is asked about: --on TEXT or --on FILE --row N.",
    "explain lstm --out file/x": "file/x cannot be a folder: Not a directory",
    "export run --to c --out file/x": "file/x: could not be written, got Not a directory",
    "serve run --port 99999": "elman serve: --port must be in 0 to 65535, got 99999.",
    "classify sized.csv --label size --sequence id --time t --out new": "y must be classes, got",
    "compare classify sized.csv --label size --sequence id --time t --seeds 1 --out new": "y must be classes, got",
    "compare classify sized.csv --label id --sequence id --time t --cell lstmm": "did you mean 'lstm'?",
    "tune classify sized.csv --method genetic": "elman tune: --method must be search or evolve, got 'genetic'.",
    "predict run none.npz": "no such file",
    "generate run": "holds a SequenceClassifier. Use it so: elman predict run",
    "stream run --every 0": "elman stream: --every must be 1 or more, got 0.",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_a_line_and_never_a_traceback(words, labelled, monkeypatch):
    monkeypatch.chdir(labelled)
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 2, (done.stderr, done.exception)
    *_, last = done.stderr.splitlines()
    assert MISTAKES[words] in last and last.startswith("elman")


def test_a_cell_is_explained_also_beside_a_folder_of_its_name(labelled, monkeypatch):
    monkeypatch.chdir(labelled)
    (labelled / "gru").mkdir()
    assert CliRunner().invoke(app, ["explain", "gru"]).stdout.startswith("gru: ")
    assert "unknown cell ''" in CliRunner().invoke(app, ["explain", ""]).stderr
