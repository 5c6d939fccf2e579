"""Killed, interrupted or out of disk: a resumed run ends with the weights of an undisturbed one, bit for bit."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import elman
from elman.errors import RunError
from elman.training.checkpoint import NAME, Checkpoint
from elman.training.loop import fit
from elman.training.run import RunFolder
from elman.training.settings import TrainingSettings
from elman.training.signals import Interrupted

from .tiny import TinyLearner, padded, truncated

JOB = [sys.executable, str(Path(__file__).with_name("job.py"))]
SOURCE = str(Path(next(iter(elman.__path__))).parent)
ENVIRONMENT = {**os.environ, "PYTHONPATH": SOURCE}
TIMING = ("seconds", "items_per_s")


def job(*words: object, **options) -> subprocess.CompletedProcess[str]:
    command = [*JOB, *map(str, words)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, **options)


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMING} for line in lines]


def same_result(one: Path, other: Path) -> bool:
    same_bytes = (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    return same_bytes and metrics(one) == metrics(other)


@pytest.mark.parametrize("number", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_at_random_instants_it_resumes_to_the_same_bits(number, tmp_path):
    done = job("kill", tmp_path, number, 7)
    assert done.returncode == 0, done.stderr
    undisturbed, *trials = json.loads(done.stdout)
    assert undisturbed["status"] == 0 and len(trials) == number
    for trial in trials:
        assert trial["status"] == 0, (trial, done.stderr)
        assert same_result(tmp_path / "undisturbed", tmp_path / trial["name"]), trial
        assert not list((tmp_path / trial["name"]).glob("*checkpoint*"))
    # The trials say something only if many were killed indeed, and in the middle of training.
    assert sum(trial["killed"] == signal.SIGKILL for trial in trials) >= number / 2
    assert sum(trial["step"] not in (None, 0) for trial in trials) >= number / 5


def test_weights_differ_when_something_is_not_restored(tmp_path):
    """The comparison above can fail: the same run with another seed of the dropout is not the same."""
    kept = []
    for seed in (0, 1):
        model = TinyLearner(dropout=0.2)
        fit(model, truncated(), settings=TrainingSettings(max_epochs=2, seed=seed, accelerator="cpu"))
        kept.append(model.head.weight)
    assert not torch.equal(*kept)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint_and_says_how_to_resume(tmp_path, number):
    folder = tmp_path / "run"
    process = subprocess.Popen([*JOB, "run", folder], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    while not (folder / "metrics.jsonl").is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert "resume=True" in said and str(folder) in said and said.count("\n") == 1
    found = Checkpoint.load(folder)
    assert found is not None and f"step {found.notes['standing']['step']}," in said
    assert len((folder / "metrics.jsonl").read_bytes()) == found.notes["metrics_bytes"]


class StopAt:
    """Data that send a signal to this very process on the way."""

    def __init__(self, batches, at: int) -> None:
        self.batches, self.at, self.given = batches, at, 0

    def __len__(self):
        return len(self.batches)

    def fingerprint(self):
        return self.batches.fingerprint()

    def epoch(self, epoch, start=0):
        for batch in self.batches.epoch(epoch, start):
            self.given += 1
            if self.given == self.at:
                signal.raise_signal(signal.SIGTERM)
            yield batch


def test_an_interrupted_run_resumes_to_the_same_weights_and_puts_handlers_back(tmp_path):
    settings = TrainingSettings(max_epochs=3, average=0.9, accelerator="cpu")
    whole, parts = TinyLearner(dropout=0.3), TinyLearner(dropout=0.3)
    expected = fit(whole, truncated(), settings=settings)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="stopped at step 5, checkpoint in") as stop:
        fit(parts, StopAt(truncated(), 5), settings=settings, folder=tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before
    assert stop.value.exit_code == 143 and not isinstance(stop.value, Exception)
    again = TinyLearner(dropout=0.3, seed=99)  # its own beginning must not matter
    history = fit(again, truncated(), settings=settings, folder=tmp_path, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    assert history.column("loss") == expected.column("loss")
    finished = TinyLearner(seed=5, dropout=0.3)
    assert fit(finished, truncated(), settings=settings, folder=tmp_path, resume=True).column("loss") == history.column(
        "loss"
    )
    assert torch.equal(finished.head.weight, whole.head.weight)


def test_outside_the_main_thread_it_trains_without_handlers():
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append(
            fit(TinyLearner(), padded(), settings=TrainingSettings(max_steps=2, accelerator="cpu"))
        )
    )
    thread.start()
    thread.join()
    assert seen[0].column("step") == [2]


def test_a_full_disk_is_one_clear_error_and_the_last_checkpoint_stays(tmp_path):
    settings = TrainingSettings(max_epochs=3, checkpoint_every=2, accelerator="cpu")
    with pytest.raises(Interrupted):
        fit(TinyLearner(), StopAt(truncated(), 4), settings=settings, folder=tmp_path)
    good = (tmp_path / NAME).read_bytes()
    script = (
        "import resource, signal, sys, pathlib; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(good) // 2}, -1))\n"
        "from tiny import TinyLearner, truncated\n"
        "from elman.training.loop import fit\nfrom elman.training.settings import TrainingSettings\n"
        "settings = TrainingSettings(max_epochs=3, checkpoint_every=2, accelerator='cpu')\n"
        "fit(TinyLearner(), truncated(), settings=settings, folder=pathlib.Path(sys.argv[1]), resume=True)\n"
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([SOURCE, str(Path(__file__).parent)])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("elman.errors.RunError") and "no room" in last and "intact" in last and "resume" in last
    assert (tmp_path / NAME).read_bytes() == good
    assert [p.name for p in tmp_path.glob(".*")] == []
    model, whole = TinyLearner(), TinyLearner()
    fit(model, truncated(), settings=settings, folder=tmp_path, resume=True)
    fit(whole, truncated(), settings=settings)
    assert torch.equal(model.head.weight, whole.head.weight)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, where the machine lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_for_real(small_disk):
    folder = small_disk / "run"
    settings = TrainingSettings(max_epochs=3, checkpoint_every=2, accelerator="cpu")
    with pytest.raises(Interrupted):
        fit(TinyLearner(), StopAt(truncated(), 4), settings=settings, folder=folder)
    good = (folder / NAME).read_bytes()
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError as problem:
            assert problem.errno == errno.ENOSPC
    with pytest.raises(RunError, match=r"no room \(No space left on device\).* is intact\. Free disk space"):
        fit(TinyLearner(), truncated(), settings=settings, folder=folder, resume=True)
    assert (folder / NAME).read_bytes() == good


def test_a_folder_that_cannot_be_written_is_one_clear_error_before_training(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for call in (
        lambda: fit(TinyLearner(), padded(), settings=TrainingSettings(), folder=tmp_path / "file" / "run"),
        lambda: RunFolder(tmp_path / "file" / "run").create(),
    ):
        with pytest.raises(RunError, match=r"could not be written, got .*; nothing was kept\. Make"):
            call()


@pytest.fixture
def stopped(tmp_path):
    """A folder with a run that stopped at step 4."""
    with pytest.raises(Interrupted):
        fit(TinyLearner(), StopAt(truncated(), 4), settings=TrainingSettings(accelerator="cpu"), folder=tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("model", "data", "settings", "said"),
    [
        (TinyLearner, truncated, {"learning_rate": 0.1}, "learning_rate was 0.001, is 0.1"),
        (TinyLearner, lambda: truncated(seed=9), {}, "other training data"),
        (TinyLearner, lambda: truncated(steps=5), {}, "other training data"),
        (lambda: TinyLearner(hidden=9), truncated, {}, r"another model \(rnn.weight_ih_l0 was .*24, 2.*, is .*27, 2"),
        (lambda: TinyLearner(dropout=0.5), truncated, {}, "another model"),
    ],
)
def test_another_run_is_not_resumed_but_told_apart(stopped, model, data, settings, said):
    with pytest.raises(RunError, match=said):
        fit(model(), data(), settings=TrainingSettings(accelerator="cpu", **settings), folder=stopped, resume=True)


def test_how_often_to_write_may_change_on_resuming(stopped):
    settings = TrainingSettings(accelerator="cpu", checkpoint_every=7, checkpoint_seconds=None)
    with pytest.raises(Interrupted, match="step 5,"):
        fit(TinyLearner(), StopAt(truncated(), 1), settings=settings, folder=stopped, resume=True)


def test_a_run_is_not_overwritten_by_accident(stopped):
    with pytest.raises(RunError, match=r"holds a run at step 4\. Resume it"):
        fit(TinyLearner(), truncated(), settings=TrainingSettings(accelerator="cpu"), folder=stopped)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-100], "not a whole elman safetensors file"),
        (lambda content: content[:50], "not a whole elman safetensors file"),
        (lambda content: b"", "not a whole elman safetensors file"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "do not match their checksum"),
        (lambda content: b"\x80\x04cos\nsystem\n(S'touch /tmp/owned'\ntR.", "not a whole elman safetensors file"),
    ],
)
def test_a_damaged_checkpoint_is_refused(stopped, damage, said):
    path = stopped / NAME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=said):
        fit(TinyLearner(), truncated(), settings=TrainingSettings(accelerator="cpu"), folder=stopped, resume=True)


def test_metrics_cut_short_are_refused(stopped):
    fit(TinyLearner(), truncated(), settings=TrainingSettings(accelerator="cpu"), folder=stopped, resume=True)
    (stopped / "metrics.jsonl").write_text("")
    with pytest.raises(RunError, match=r"expects \d+ bytes, found 0"):
        fit(TinyLearner(), truncated(), settings=TrainingSettings(accelerator="cpu"), folder=stopped, resume=True)


def test_fitting_leaves_the_callers_random_generators_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    fit(TinyLearner(dropout=0.5), padded(), settings=TrainingSettings(max_steps=3, accelerator="cpu"))
    assert torch.equal(torch.rand(4), expected)
