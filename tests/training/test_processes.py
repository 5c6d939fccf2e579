"""Several processes train as one does on all their rows; a crash of one loses nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import elman
from tests.training.test_resume import ENVIRONMENT, metrics

SCRIPT = Path(__file__).with_name("processes.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def train(folder, processes, dropout=0.0, crash=-1):
    """What each process ends with, its weights and the masks that it drew; None where one crashed."""
    folder.mkdir(exist_ok=True)
    words = [*TORCHRUN, str(processes), SCRIPT, folder, dropout, crash]
    done = subprocess.run([*map(str, words)], env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0) == (crash < 0), done.stderr
    return None if crash >= 0 else [torch.load(folder / f"rank{rank}") for rank in range(processes)]


def test_two_processes_train_as_one_does_on_sequences_of_unlike_lengths(tmp_path):
    ((one, _),) = train(tmp_path / "one", 1)
    (here, _), (there, _) = train(tmp_path / "two", 2)
    for name, weight in one.items():
        assert torch.equal(here[name], there[name])
        torch.testing.assert_close(here[name], weight, rtol=1e-4, atol=1e-5)
    losses = [[line["loss"] for line in metrics(tmp_path / name)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.slow
def test_each_process_draws_masks_of_its_own_and_again_after_a_crash(tmp_path):
    undisturbed = train(tmp_path / "whole", 2, dropout=0.5)
    train(tmp_path / "crashed", 2, dropout=0.5, crash=8)
    resumed = train(tmp_path / "crashed", 2, dropout=0.5)
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "crashed")
    for (weights, masks), (weights_again, masks_again) in zip(undisturbed, resumed, strict=True):
        assert all(torch.equal(weights[name], weights_again[name]) for name in weights)
        assert 0 < len(masks_again) < len(masks)
        assert all(torch.equal(a, b) for a, b in zip(masks[::-1], masks_again[::-1], strict=False))
    (_, here), (_, there) = undisturbed
    assert not any(torch.equal(a, b) for a, b in zip(here, there, strict=True))


@pytest.mark.slow
def test_of_processes_that_train_together_one_writes_and_speaks(tmp_path):
    rows = (f"{clip},{t},{clip % 2 + 0.1 * t},{'ab'[clip % 2]}" for clip in range(20) for t in range(6))
    (tmp_path / "clips.csv").write_text("\n".join(["clip,t,x,word", *rows]))
    columns, small = ["--label", "word", "--sequence", "clip", "--time", "t"], ["--steps", "5", "--hidden-size", "4"]
    done = subprocess.run(
        [*TORCHRUN, "2", "-m", "elman", "classify", "clips.csv", *columns, *small],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Report: ") == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["clips"]
    assert elman.load(tmp_path / "runs" / "clips").predict([[[5.0]]] * 2).tolist()
