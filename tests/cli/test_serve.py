"""`elman serve` with several runs or one of several series, and `elman export --to wasm`, as a shell has them."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from elman.cli.app import app
from elman.errors import MissingExtraError
from elman.export import wasm
from tests.steps.models import fitted, forecaster

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    fitted("classifier max").save(folder / "up")
    fitted("letters").save(folder / "letters")
    forecaster().save(folder / "days")
    return folder


@contextmanager
def serving(folder, *arguments):
    """The command in a process of its own; gives who talks to it, and stops it as a supervisor does."""
    command = [sys.executable, "-m", "elman", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            with httpx.Client(base_url=process.stdout.readline().split(" at ")[1].strip(), timeout=60) as client:
                yield client
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in (0, -signal.SIGTERM)
        finally:
            process.kill()  # without it a test that fails would wait for ever


def test_several_runs_are_served_side_by_side(runs):
    with serving(runs, "up", "letters") as client:
        said = client.post("/runs/up/v1/sessions/a/push", json={"x": [0.5, 1000]}).json()
        assert said["answer"]["label"] in ("up", "down")
        said = client.post("/runs/letters/v1/sessions/a/push", json={"x": "s"}).json()
        assert said["answer"]["next"] and said["number"] == 1
        assert client.get("/runs/up/v1/model").json()["runs"] == ["up", "letters"]
        assert client.get("/").headers["location"] == "/runs/up/"
        assert client.get("/healthz").json() == {"status": "ok"}
    assert (runs / "up" / "sessions.db").exists() and (runs / "letters" / "sessions.db").exists()


def test_one_series_of_a_forecaster_goes_on(runs):
    with serving(runs, "days", "--series", "b") as client:
        said = client.post("/v1/sessions/x/push", json={"x": 12.0}).json()
        assert len(said["answer"]["median"]) == 3


def test_a_page_to_try_a_run_in(runs, tmp_path):
    try:
        wasm._compiler()
    except MissingExtraError as reason:
        pytest.skip(str(reason))
    said = CliRunner().invoke(app, ["export", str(runs / "up"), "--to", "wasm", "--out", str(tmp_path)])
    assert said.exit_code == 0 and "a page to try it in" in said.stdout and "Flash:" in said.stdout
    assert (tmp_path / "up.wasm").read_bytes()[:4] == b"\0asm"
    text = (tmp_path / "up.html").read_text()
    assert "http://" not in text.replace("http://www.w3.org/", "") and 'src="page/' not in text
