"""The GPU's benchmark where there is none: every part is tried, interpreted; what it refuses, keeps and says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from elman.backends.native.compiler import find_compiler
from elman.cli.app import app
from elman.errors import OptionError
from elman.evidence.speed import clock
from elman.evidence.speed.bench import read
from elman.evidence.speed.gpu import PARTS, Order, checks, custom, measure, record, rows, run, versus
from elman.evidence.speed.gpu.device import describe_gpu
from elman.evidence.speed.gpu.marks import MARKS, marked
from elman.evidence.speed.gpu.picture import curve
from elman.evidence.speed.gpu.record import Record, guarded
from elman.evidence.speed.gpu.rows import Lab, Row, in_order, key_of
from elman.evidence.speed.loops import LOOPS
from elman.evidence.speed.point import INFERENCE, MODES, TRAINING, Point, agree

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="what happens where there is no GPU")

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
CUDNN = Point("cudnn", "gru", "nn.GRU", TRAINING, 0, 1024, 64, 512, 512, dtype="bfloat16")


@pytest.fixture
def say():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def green(monkeypatch):
    """The contract tests are taken for green; they run elsewhere."""
    found = {"passed": 3, "failed": [], "good": True, "problem": ""}
    monkeypatch.setattr(checks, "contract_tests", lambda *_, **__: dict(found))
    return found


@pytest.fixture
def clocked(monkeypatch):
    """This process's clock in place of the GPU's."""
    monkeypatch.setattr(rows, "events", clock.repeated)
    monkeypatch.setattr(rows, "kernel_times", lambda call: {"forward": 0.5})


def order(out, **more):
    return Order(out, ROOT, dry=True, **more)


def test_without_a_gpu_it_says_so_in_one_line(tmp_path):
    with pytest.raises(OptionError, match=r"^benchmarks/gpu.py: expected a CUDA GPU, and torch .* sees none\. Run it"):
        measure(Order(tmp_path, ROOT))
    answer = CliRunner().invoke(app, ["bench", "gpu-vs-cpu", "--out", str(tmp_path)])
    assert answer.exit_code == 2 and not answer.stdout and not list(tmp_path.iterdir())
    assert answer.stderr.startswith("elman bench gpu-vs-cpu: expected a CUDA GPU") and answer.stderr.count("\n") == 1


WRONG = {
    "unknown part 'cudn', did you mean 'cudnn'": {"only": ("cudn",)},
    "no row of a cell 'gruu', did you mean 'gru'": {"cells": ("gruu",)},
    "--rows must be 1 or more, got -3": {"most": -3},
    "--minutes must be 0 or more, got -1": {"minutes": -1},
}


@pytest.mark.parametrize("told", WRONG)
def test_what_would_measure_nothing_is_refused(tmp_path, told):
    with pytest.raises(OptionError, match=f"^benchmarks/gpu.py: {told}"):
        measure(order(tmp_path, **WRONG[told]))


def test_every_part_can_be_tried_and_nothing_is_measured(tmp_path, say, green, monkeypatch):
    """The first row of every part, two of the checks."""
    for name in PARTS:
        some = PARTS[name]()[: 2 if name == checks.PART else 1]
        monkeypatch.setitem(PARTS, name, lambda some=some: some)
    assert measure(order(tmp_path), say) == 0
    kept = read(tmp_path / "bench-gpu.json")["parts"]
    assert {"checks", "contracts", "cudnn", "custom", "linear", "memory", "roofline", "sweep"} <= set(kept)
    for part in kept.values():
        assert part["dry"] and part["gpu"] is None and len(part["code"]) == 12
        for row in part["points"]:
            assert row["ratio"] is None and not row["rounds"] and not row["marks"] and not row["problem"], row["key"]
    assert "Nothing was measured" in say.file.getvalue()


@pytest.mark.parametrize("red", ["contracts", "row", "row that raises"])
def test_a_red_check_tells_no_time(tmp_path, say, green, monkeypatch, red):
    def fails(lab, point):
        if red == "row that raises":
            raise RuntimeError("kernel")
        point.problem = "the output is off" if red == "row" else ""

    if red == "contracts":
        monkeypatch.setattr(checks, "contract_tests", lambda *_, **__: green | {"good": False, "failed": ["a"]})
    monkeypatch.setitem(PARTS, "checks", lambda: [Row(0, replace(CUDNN, part="checks"), fails)])
    assert measure(order(tmp_path), say) == 1
    kept = read(tmp_path / "bench-gpu.json")["parts"]
    assert not set(kept) - {"checks", "contracts"}
    assert "no time is told" in say.file.getvalue()


def test_checks_that_there_was_no_time_for_are_red(tmp_path, say, green):
    assert measure(order(tmp_path, minutes=0.0, only=("cudnn",)), say) == 1


def test_a_wrong_kernel_is_found_by_the_checks(monkeypatch):
    from elman.backends.triton import render

    row = next(r for r in checks.rows() if r.point.cell == "mingru" and r.point.dtype == "float16")
    assert not run.measured(row, Lab(CPU, tried=True)).problem
    monkeypatch.setitem(render.OPERATIONS, "sigmoid", "sigmoid({} * 1.05)")
    monkeypatch.setattr("elman.backends.triton.modules._open", {})
    assert "off by" in run.measured(row, Lab(CPU, tried=True)).problem


def test_a_timed_row_has_ratio_errors_kernels_and_marks(tmp_path, clocked):
    held = Record(tmp_path / "a.json", describe_gpu(CPU), dry=False)
    row = next(r for r in PARTS["cudnn"]() if r.point.cell == "gru")
    point = run.measured(row, Lab(CPU), held)
    assert not point.problem and point.ratio and point.values["peer error"] < 0.01
    assert point.values["forward kernel, µs a step"] == pytest.approx(0.5 / point.T * 1e6)
    kept = held.add(replace(point, H=512, B=64), row.key)
    assert [mark["value"] for mark in kept["marks"]] == [pytest.approx(point.ratio, rel=1e-3)]
    assert json.loads((tmp_path / "a.json").read_text())["parts"]["cudnn"]["points"] == [kept]


def test_one_row_that_fails_does_not_end_the_others(tmp_path, say, green, clocked, monkeypatch):
    def breaks(lab, point):
        raise RuntimeError("out of memory")

    good = next(r for r in PARTS["linear"]())
    monkeypatch.setattr(run, "PARTS", {"checks": list, "cudnn": lambda: [Row(1, CUDNN, breaks), good]})
    assert measure(order(tmp_path), say) == 0
    found = {row["part"]: row for row in Record(tmp_path / "bench-gpu.json", describe_gpu(CPU), dry=True).rows()}
    assert found["cudnn"]["problem"] == "RuntimeError: out of memory" and not found["linear"]["problem"]


def test_a_second_run_goes_on_and_other_kernels_begin_anew(tmp_path, say, green, monkeypatch):
    seen = []
    made = [Row(1, replace(CUDNN, H=H), lambda lab, point: seen.append(point.H)) for H in (256, 512)]
    monkeypatch.setattr(run, "PARTS", {"checks": list, "cudnn": lambda: made})
    assert measure(order(tmp_path, most=1), say) == 0 and len(seen) == 1
    assert measure(order(tmp_path), say) == 0 and len(seen) == 2
    monkeypatch.setattr(record, "code", lambda: "other")
    assert measure(order(tmp_path), say) == 0 and len(seen) == 4


def test_when_the_time_is_up_the_rest_is_counted(tmp_path, say, monkeypatch):
    held = Record(tmp_path / "a.json", {}, dry=True)
    made = [Row(1, replace(CUDNN, H=H), lambda lab, point: None) for H in (256, 512, 768)]
    with run.Crew(order(tmp_path)) as crew:
        assert run._times(made, Lab(CPU, tried=True), held, crew, say, time.monotonic() - 1) == 3
    assert not held.rows()


def test_a_row_that_never_ends_is_written_down(tmp_path, monkeypatch):
    ended = []
    monkeypatch.setattr(record.os, "_exit", ended.append)
    held = Record(tmp_path / "a.json", {}, dry=False)
    with guarded(held, CUDNN, 0.01):
        until = time.monotonic() + 10
        while not ended and time.monotonic() < until:
            time.sleep(0.01)
    assert ended == [3]
    [row] = Record(tmp_path / "a.json", {}, dry=False).rows()
    assert row["problem"].startswith("did not end") and row["key"] == key_of(CUDNN)
    CUDNN.problem = ""


def test_rows_come_once_and_in_order():
    every = in_order([row for make in PARTS.values() for row in make()])
    assert len({row.key for row in every}) == len(every) > 300
    assert [row.rank for row in every] == sorted(row.rank for row in every)
    for mark in MARKS:
        assert any(mark.part == r.point.part and mark.points([r.point]) for r in every), mark.words


def test_marks_hold_for_their_rows_alone():
    timed = replace(CUDNN, rounds={"peer": [2.0, 2.0, 2.0], "ours": [1.6, 1.6, 1.6]})
    assert [m["met"] for m in marked(timed)] == [False]
    assert [m["met"] for m in marked(replace(timed, rounds={"peer": [2.0], "ours": [1.0]}))] == [True]
    for other in ({"form": "steps"}, {"F": 8}, {"mode": INFERENCE}, {"dtype": "float16"}, {"problem": "red"}):
        assert not marked(replace(timed, **other)), other
    memory = replace(timed, part="memory", against="own full storage", values={"checkpointed ÷ cuDNN": 0.4})
    assert [(m["value"], m["met"]) for m in marked(memory)] == [(0.4, True), (0.8, True)]
    assert {mark.mode for mark in MARKS if mark.mode} <= set(MODES)


@pytest.mark.parametrize("name", LOOPS)
def test_torchs_scan_is_the_same_cell(name):
    point = Point("custom", name, custom.SCAN, TRAINING, 0, 5, 2, 16, 16)
    assert not custom.against_scan(Lab(CPU, tried=True), point).problem and point.error < 1e-5


@pytest.mark.slow
def test_the_script_itself_can_be_tried(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/gpu.py", tmp_path, "--dry", "--cells", "mingru", "--only", "linear"]
    done = subprocess.run(
        [*command, "--rows", "5"], capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = read(tmp_path / "bench-gpu.json")["parts"]
    assert kept["contracts"]["good"] and kept["contracts"]["passed"] > 50 and len(kept["linear"]["points"]) == 2


# -- a GPU against its host -------------------------------------------------------------------------------------------


def _measured(H, B, ratio, threads=2):
    rounds = {"peer": [ratio], "ours": [1.0]} if ratio else {}
    return Point("gpu-vs-cpu", "lstm", f"{threads} cores", TRAINING, threads, 64, B, H, H, rounds)


def test_the_sentence_says_where_it_is_true():
    some = [_measured(16, 1, 0.2), _measured(1024, 128, 251.0), _measured(256, 1024, 400.0), _measured(64, 1, None)]
    text = versus.sentence([*some, _measured(16, 1, 0.1, 16), _measured(256, 64, 90.0, 16)], "a GPU", "a CPU")
    assert text == (
        '"250 times faster", a GPU against a CPU: of 2 cores at 2 of 3 shapes (H ≥ 256, B ≥ 128: 251 to 400 times), '
        "elsewhere 0.20 times, slower at 1; of 16 cores at none of 2 shapes, 0.10 to 90 times, slower at 1."
    )
    assert "at all 1 shapes" in versus.sentence([_measured(64, 64, 300.0)], "a", "b")
    assert versus.sentence([_measured(64, 64, None)], "a", "b").endswith("no shape was measured.")


def test_the_picture_has_a_panel_for_each_host_and_a_line_for_each_batch():
    points = [_measured(H, B, H * B / 1000 / c, c) for H in (16, 256) for B in (1, 128) for c in (2, 16)]
    figure = curve([*points, _measured(1024, 1024, None)], "title", claim=250.0)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["against 2 cores", "against 16 cores"]
    for axes, count in zip(figure.axes, (2, 16), strict=True):
        lines = {
            line.get_label(): list(line.get_ydata()) for line in axes.lines if not line.get_label().startswith("_")
        }
        assert lines["B = 128"] == pytest.approx([16 * 128 / 1000 / count, 256 * 128 / 1000 / count])
        assert axes.get_ylim()[1] > 250


@pytest.mark.skipif(find_compiler() is None, reason="the host runs compiled cells")
def test_both_train_the_same_cell_on_the_same_data(monkeypatch):
    point = Point("gpu-vs-cpu", "lstm", "1 cores", TRAINING, 1, 4, 2, 8, 8)
    monkeypatch.setattr(versus, "contest", lambda point, sides, **_: agree(point, sides))
    assert versus.against_host(point, CPU) is True and point.error < 1e-5
