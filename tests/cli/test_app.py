"""The command as a user meets it, on real files; in a process of its own where that is what counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from elman.cli.app import app

QUICK = ("--steps", "4", "--hidden-size", "4", "--windows", "1")
COLUMNS = ("--time", "day", "--target", "sold", "--series", "shop")


@pytest.fixture
def elman(tmp_path, monkeypatch):
    """Runs the command in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object, code: int = 0):
        done = CliRunner().invoke(app, [*map(str, args)])
        assert done.exit_code == code, (done.stderr, done.exception)
        return done

    return run


@pytest.fixture
def table(tmp_path):
    day = np.arange(120)
    parts = [
        pd.DataFrame({"day": pd.date_range("2024", periods=120), "shop": name, "sold": 20 + k + day % 7})
        for k, name in enumerate(["north", "south"])
    ]
    pd.concat(parts).to_csv(tmp_path / "sales.csv", index=False)
    return tmp_path / "sales.csv"


def test_forecast_then_predict(elman, table, tmp_path):
    done = elman("forecast", table, *COLUMNS, "--horizon", 7, "--out", "run", *QUICK)
    for name in ("LSTM", "last value", "seasonal naive", "ETS", "Kalman", "linear autoregression", "feed-forward"):
        assert name in done.stdout
    run = tmp_path / "run"
    names = {p.name for p in run.iterdir()}
    assert names == {
        *("model.safetensors", "config.json", "metrics.jsonl", "manifest.json", "report.html", "card.md"),
        *("forecast.csv", "scoreboard.json", "backtest"),
    }
    forecast = pd.read_csv(run / "forecast.csv")
    assert forecast.columns.tolist() == ["shop", "day", "median", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert forecast.day.iloc[0] == "2024-04-30" and len(forecast) == 14
    assert "sales.csv" in (run / "report.html").read_text()
    assert json.loads((run / "scoreboard.json").read_text())["network"] == "LSTM"

    printed = elman("predict", "run").stdout
    pd.testing.assert_frame_equal(pd.read_csv(pd.io.common.StringIO(printed)), forecast)
    elman("predict", "run", table, "--horizon", 3, "--level", 50, "--out", "next.csv")
    assert pd.read_csv(tmp_path / "next.csv").columns.tolist() == ["shop", "day", "median", "lo-50", "hi-50"]
    again = elman("forecast", table, *COLUMNS, "--horizon", 7, "--out", "run", *QUICK, code=2)
    assert "holds a finished run" in again.stderr


# A process that has never met the cell, asked without its file and with it.
PREDICT = """
from typer.testing import CliRunner
from elman.cli.app import app

for cells in ([], ["--cells", "mine.py"]):
    done = CliRunner().invoke(app, ["predict", "run", *cells])
    print(done.exit_code, done.output.count("\\n"), "unknown cell 'Tiny'" in done.stderr)
"""


def test_a_users_cell_from_a_file(elman, table, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch, elman\n"
        "class Tiny(elman.Cell):\n"
        "    gates = ('h',)\n"
        "    def step(self, x, r, s, p):\n"
        "        return torch.tanh(x.h + r.h)\n"
        "class Other(Tiny):\n"
        "    '''Which of the two is a run's, it says itself.'''\n"
    )
    options = (*COLUMNS, "--horizon", 3, "--cells", "mine.py", "--cell", "Tiny")
    assert "Tiny" in elman("forecast", table, *options, "--out", "run", *QUICK).stdout
    done = subprocess.run([sys.executable, "-c", PREDICT], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["2 1 True", "0 7 False"], done.stderr


@pytest.mark.slow
def test_an_interrupted_run_says_how_to_go_on_and_goes_on(elman, table, tmp_path):
    """A real process and a real signal; how it goes on, and what would have come without, need neither."""
    pd.read_csv(table).head(60).to_csv(table, index=False)  # one series, for baselines in a second
    options = (*COLUMNS, "--horizon", 7, "--hidden-size", 4, "--windows", 1, "--steps", 200)
    command = ["forecast", str(table), *map(str, options), "--out"]
    # One thread: two processes that share two cores would spend their time waiting for each other.
    process = subprocess.Popen(
        [sys.executable, "-m", "elman.cli.app", *command, "run"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint = tmp_path / "run" / "backtest" / "checkpoint.safetensors"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, stderr
    assert "--resume" in stderr.splitlines()[-1]
    elman(*command, "run", "--resume")
    elman(*command, "whole")
    for folder in (".", "backtest"):
        resumed, whole = ((tmp_path / run / folder / "model.safetensors").read_bytes() for run in ("run", "whole"))
        assert resumed == whole


BAD = {
    "no such file": (["nothing.csv"], "nothing.csv"),
    "misspelt column": (["sales.csv", "--target", "slod"], "did you mean 'sold'?"),
    "horizon 0": (["sales.csv", "--horizon", "0"], "horizon"),
    "horizon too long": (["sales.csv", "--horizon", "100"], "every series must have at least"),
    "unknown cell": (["sales.csv", "--cell", "ltsm"], "did you mean 'lstm'?"),
    "unknown frequency": (["sales.csv", "--freq", "fortnight"], "fortnight"),
    "unknown gaps": (["sales.csv", "--gaps", "zeros"], "did you mean 'zero'?"),
    "text as target": (["sales.csv", "--target", "shop", "--series", "sold"], "shop"),
    "a column twice": (["sales.csv", "--time", "sold"], "sold"),
    "series not named": (["unnamed.csv"], "2024-01-01 twice"),
    "empty": (["empty.csv"], "empty"),
    "only a header": (["header.csv"], "header.csv"),
    "wrong encoding": (["latin.csv"], "UTF-8"),
    "not a date": (["dates.csv"], "row"),
    "gaps": (["gaps.csv"], "--gaps"),
    "irregular": (["irregular.csv"], "freq"),
    "constant": (["constant.csv"], "no model is needed"),
    "all missing": (["missing.csv"], "has none"),
    "resume without a run": (["sales.csv", "--resume"], "--out"),
    "missing future rows": (["sales.csv", "--future", "day"], "day"),
    "cells file": (["sales.csv", "--cells", "none.py"], "--cells"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(case, table, tmp_path, monkeypatch):
    good = pd.read_csv(table)
    good.drop(columns="shop").to_csv(tmp_path / "unnamed.csv", index=False)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("day,shop,sold\n")
    (tmp_path / "latin.csv").write_bytes("day,shop,sold\n2024-01-01,Köln,3\n".encode("latin-1"))
    good.assign(day=good.day.where(good.index != 5, "tomorrow")).to_csv(tmp_path / "dates.csv", index=False)
    good.drop(index=range(40, 50)).to_csv(tmp_path / "gaps.csv", index=False)
    rng = np.random.default_rng(0)
    odd = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(rng.uniform(1, 9, len(good))), unit="h")
    good.assign(day=odd).to_csv(tmp_path / "irregular.csv", index=False)
    good.assign(sold="").to_csv(tmp_path / "missing.csv", index=False)
    good.assign(sold=3).to_csv(tmp_path / "constant.csv", index=False)
    args, expected = BAD[case]
    defaults = {"--time": "day", "--target": "sold", "--horizon": "7"} | (
        {} if case == "series not named" else {"--series": "shop"}
    )
    given = [arg for option, value in defaults.items() if option not in args for arg in (option, value)]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["forecast", *args, *given, *QUICK])
    assert done.exit_code == 2, done.exception
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(("elman: ", "elman forecast: "))
    assert expected in done.stderr, done.stderr
    assert not done.stdout


@pytest.mark.parametrize("compiler", [True, False])
def test_the_versions_are_one_line(compiler, tmp_path, monkeypatch):
    from importlib.metadata import version

    from elman.backends.native.compiler import find_compiler

    if not compiler:
        monkeypatch.setenv("CC", "")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = find_compiler()
    assert compiler or found is None
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0, done.exception
    own = f"elman {version('elman')}, torch {version('torch')}, Python {sys.version.split()[0]}, "
    assert done.stdout == own + (f"compiler {found}\n" if found else "no C compiler (elman cache says why)\n")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_versions_and_help_come_without_torch(option, tmp_path):
    code = (
        "import sys\nfrom elman.cli.app import app\n"
        f"app([{option!r}], standalone_mode=False)\nprint('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_list_of_cells_has_every_one():
    from elman import CATALOGUE

    lines = CliRunner().invoke(app, ["cells"]).stdout.splitlines()
    assert [line for line in lines if line and line[0] != " "] == list(CATALOGUE)
    assert "def step" not in "".join(lines)


@pytest.mark.parametrize("name", ["lstm", "LSTM", "slstm", "indrnn", "lru", "leaky"])
def test_one_cell_with_the_code_of_its_step(name):
    import inspect

    from elman.cells import find_cell

    cell = type(find_cell(name))
    done = CliRunner().invoke(app, ["cells", name])
    assert done.exit_code == 0, done.exception
    assert done.stdout.startswith(f"{name.lower()}: {cell.__doc__.splitlines()[0]}\n\n  ")
    lines = [line.strip() for line in done.stdout.splitlines()]
    text, _, _ = cell.__doc__.partition(">>>")
    for line in text.splitlines()[1:] + inspect.getsource(cell.step).splitlines():
        assert line.strip() in lines  # whole, never wrapped
    assert "Source: " in done.stdout and ">>>" not in done.stdout
    for what, names in {"gates": cell.gates, "states": cell.states, "params": tuple(cell.params)}.items():
        (shown,) = (line for line in lines if line.startswith(f"{what} "))
        assert [part.split(" (")[0] for part in shown[len(what) :].strip().split(", ")] == list(names or ["none"])
    assert ("def init" in done.stdout) == ("init" in vars(cell))


def test_an_unknown_cell_is_one_line_with_the_nearest_name():
    done = CliRunner().invoke(app, ["cells", "ltsm"])
    assert done.exit_code == 2 and not done.stdout
    assert done.stderr == "elman cells: unknown cell 'ltsm', did you mean 'lstm'?\n"


def test_the_cache_is_shown_and_cleared(tmp_path, monkeypatch):
    from elman.backends.native import cache
    from elman.backends.native.compiler import find_compiler, no_compiler_reason

    folder = tmp_path / "cache"
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(folder))
    compiler = find_compiler()
    if compiler is None:
        pytest.skip(no_compiler_reason())
    path = cache.library("int one(void) { return 1; }" + 999_999 * "\n", compiler, "gru")
    done = CliRunner().invoke(app, ["cache"])
    assert done.exit_code == 0, done.exception
    assert f"Folder:    {folder}\nLibraries: 1, 1.0 MB with their C sources\n" in done.stdout
    assert " MB  gru\n" in done.stdout
    assert f"Compiler:  {compiler.version}, {compiler.command[0]}" in done.stdout
    done = CliRunner().invoke(app, ["cache", "--clear"])
    assert done.stdout.startswith(f"Removed from {folder}: 1 library, ") and done.stdout.endswith("B freed.\n")
    assert not path.exists()
    assert "Libraries: 0, 0 kB" in CliRunner().invoke(app, ["cache"]).stdout


def test_the_cache_says_why_a_compiler_is_not_used_and_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "$CC (no-such-compiler) was passed over" in CliRunner().invoke(app, ["cache"]).stdout
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["cache"])
    assert done.exit_code == 0
    assert "Compiler:  none: no C compiler was found" in done.stdout
    assert "pip install ziglang" in done.stdout


@pytest.mark.parametrize("options", [[], ["--clear"]])
def test_a_cache_that_others_may_write_is_one_line_and_exit_code_2(options, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(folder))
    done = CliRunner().invoke(app, ["cache", *options])
    assert done.exit_code == 2, done.exception
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"elman: {folder}: expected")
    assert not done.stdout
