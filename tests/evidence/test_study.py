"""A whole forecasting job: who is judged the winner, what is left in the folder, and what a killed one leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elman.data import Panel
from elman.errors import RunError
from elman.estimators import Forecaster
from elman.evidence.study import judge, study

DAYS = np.arange("2023-01-01", "2024-12-31", dtype="datetime64[D]").astype("datetime64[ns]")


def panel_of(series: list[np.ndarray]) -> Panel:
    ids = tuple(f"s{k}" for k in range(len(series)))
    return Panel(ids, "D", tuple(DAYS[: len(y)] for y in series), tuple(series))


@pytest.mark.slow
def test_a_random_walk_comes_out_against_the_network():
    rng = np.random.default_rng(0)
    walks = [100 + np.cumsum(rng.normal(size=220)) for _ in range(10)]
    forecaster = Forecaster(horizon=5, hidden_size=16, max_steps=200)
    board = judge(forecaster, panel_of(walks), n_windows=4, max_series=3).scoreboard
    assert not board.network_wins
    assert "don't use this model" in board.verdict() or "prefer the simpler" in board.verdict()


def test_what_only_the_network_can_learn_comes_out_for_it():
    """The logistic map is chaotic and not linear: one step ahead is a parabola, which no linear forecast knows."""

    def logistic(start: float) -> np.ndarray:
        y = [start]
        for _ in range(299):
            y.append(3.9 * y[-1] * (1 - y[-1]))
        return 1 + np.array(y)

    series = [logistic(s) for s in np.random.default_rng(1).uniform(0.2, 0.8, 12)]
    options = {"horizon": 1, "context": 16, "calendar": False, "season_length": None, "max_steps": 600}
    forecaster = Forecaster(**options, hidden_size=32)
    board = judge(forecaster, panel_of(series), n_windows=4, season=1, max_series=3).scoreboard
    by_name = {row.model: row.mase for row in board.rows}
    assert by_name["LSTM"] < 0.2 * by_name["linear autoregression"]
    assert by_name["LSTM"] < 0.2 * by_name["ETS"]


def test_a_large_panel_is_scored_on_some_series_and_says_so():
    series = [10 + np.sin(np.arange(60) + k) for k in range(12)]
    judged = judge(Forecaster(horizon=3, hidden_size=4, max_steps=2), panel_of(series), n_windows=1, max_series=4)
    assert judged.scoreboard.windows == 4
    assert judged.notes[0] == "Scored on 4 of 12 series, evenly spread; the net learned from all."


def job(folder: Path, *, resume: bool = False) -> None:
    forecaster = Forecaster(horizon=7, hidden_size=4, max_steps=150)
    study(forecaster, panel_of([20 + np.arange(90.0) % 7]), folder, title="job", n_windows=1, resume=resume)


# Kills a study in its first training, then the resumed one in its second: in forks of a process that has imported
# everything and done nothing.
KILLER = """
import os, signal, sys, time
from pathlib import Path
import lightning_fabric, torch
sys.path.insert(0, sys.argv[1])
from tests.evidence.test_study import job

torch.set_num_threads(1)
folder = Path(sys.argv[2])
for resume, watched in enumerate(("backtest/checkpoint.safetensors", "checkpoint.safetensors")):
    child = os.fork()
    if child == 0:
        job(folder, resume=bool(resume))
        os._exit(0)
    while not (folder / watched).exists() and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@pytest.mark.slow
def test_a_study_killed_in_either_training_ends_the_same(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", KILLER, str(Path(__file__).parents[2]), str(killed)]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=120)
    assert (killed / "checkpoint.safetensors").exists() and not (killed / "model.safetensors").exists()
    job(killed, resume=True)
    job(whole)
    for name in ("model.safetensors", "backtest/model.safetensors", "forecast.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_finished_study_is_taken_as_it_is_and_another_is_refused(tmp_path):
    panel = panel_of([20 + np.arange(90.0) % 7])
    forecaster = Forecaster(horizon=7, hidden_size=4, max_steps=3)
    study(forecaster, panel, tmp_path / "run", title="t", n_windows=1)
    first = (tmp_path / "run" / "model.safetensors").read_bytes()
    study(forecaster, panel, tmp_path / "run", title="t", n_windows=1, resume=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == first
    with pytest.raises(RunError, match="holds a finished run of other options or data"):
        study(
            Forecaster(horizon=7, hidden_size=5, max_steps=3),
            panel,
            tmp_path / "run",
            title="t",
            resume=True,
            n_windows=1,
        )
    with pytest.raises(RunError, match="holds a finished run"):
        study(forecaster, panel, tmp_path / "run", title="t", n_windows=1)
