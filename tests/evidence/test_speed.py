"""The benchmark on shapes so small that it takes seconds: what it finds, what it refuses. Nothing here is timed."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from elman.backends.native.compiler import find_compiler
from elman.errors import OptionError
from elman.evidence.speed import PARTS, QUICK, bench_cpu, child, machine, pictures, summarise
from elman.evidence.speed.bench import Bench, points_of, read
from elman.evidence.speed.loops import LOOPS, ours
from elman.evidence.speed.parts import checkpoint, custom, grid, growth, packed, step
from elman.evidence.speed.point import INFERENCE, MODES, TRAINING, Point, Side, compare, inference, training
from elman.evidence.speed.targets import TARGETS
from elman.evidence.speed.twins import TWINS, draw, pair

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="compiled cells are measured, there is no compiler")

TINY = replace(
    QUICK,
    at_least=1e-4,
    patience=0.01,
    accuracy=((5, 2, 8),),
    cells=("lstm",),
    build_steps=(4,),
    grid=((5,), (1, 2), (8,)),
    custom=((5,), (2,), (8,)),
    packed=((12, 3, 8),),
    step=(8,),
    step_calls=50,
    checkpoint=((30, 2, 8),),
    growth=(((2,), (0, 1, 8)),),
)
REST = [name for name in PARTS if name != "growth"]  # which starts a process for every size


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    said = io.StringIO()
    page = out / "page.md"
    page.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    found = bench_cpu(out, only=REST, threads=(1, 2), plan=TINY, page=page, say=Console(file=said, width=120))
    return found, out, said.getvalue()


@pytest.fixture
def bench():
    return Bench(TINY, (1,), Console(file=io.StringIO()), {1: {"registers": 100.0, "product": 80.0}})


def test_every_part_finds_what_it_says(kept):
    found, out, _ = kept
    assert list(found["parts"]) == REST
    for name, part in found["parts"].items():
        assert part["machine"]["torch"] == torch.__version__ and part["threads"] == (1, 2)
        assert {"load", "load_after", "flags", "isa", "compiler", "date"} <= set(part["machine"])
        assert part["points"] and not [p["problem"] for p in part["points"] if p["problem"]], name
    assert json.loads((out / "bench-cpu.json").read_text()) == json.loads(json.dumps(found))
    for name in ("grid", "custom"):
        assert (out / f"bench-cpu-{name}.png").read_bytes().startswith(b"\x89PNG")


def test_grid_has_every_shape_with_ratio_and_share_of_the_peak(kept):
    points = points_of(kept[0]["parts"]["grid"])
    assert len(points) == len(TWINS) * 2 * len(MODES) * 2
    for point in points:
        assert point.ratio > 0 and point.error < 1e-4 and set(point.rounds) == {"peer", "ours"}
        assert len(point.rounds["peer"]) == len(point.rounds["ours"]) >= 3
        assert point.values["GFLOP/s"] > 0
    low, middle, high = kept[0]["parts"]["grid"]["points"][0]["ratio_quartiles"]
    assert low <= middle <= high


def test_the_other_parts_have_their_own_numbers(kept):
    parts = {name: points_of(part) for name, part in kept[0]["parts"].items()}
    assert {p.cell for p in parts["custom"]} == set(LOOPS)
    assert all(p.over("ours", "padded") > 0 for p in parts["packed"])
    assert all(p.values["ours p99.9"] >= p.values["ours p50"] > 0 for p in parts["step"])
    assert all(p.values["tensor operations"] == 0 and p.values["bytes left"] == 0 for p in parts["step"])
    assert all(0 < p.values["share of bytes"] < 0.6 for p in parts["checkpoint"])
    assert all(p.values["ours gradient"] < 1e-4 for p in parts["accuracy"])
    assert parts["build"][0].seconds("ours") > 0


def test_what_is_printed_and_summarised(kept):
    found, out, said = kept
    assert "nn.GRU ÷ elman, forward+backward, 2 thread(s)" in said and "Peak of 1 thread(s)" in said
    text = summarise(found)
    page = (out / "page.md").read_text()
    assert page == f"before\n<!-- bench -->\n{text}\n<!-- /bench -->\nafter\n"
    assert (out / "bench-cpu.md").read_text() == text + "\n"
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + len(TARGETS) and all(line.count("|") == table[0].count("|") for line in table)
    assert "| nn.GRU | inference | ≥ 1.5 × at H = 512 |  |  |  | not measured |" in table
    assert "gradients, as a share of the largest, ours: at most" in text


def test_summary_gives_worst_median_and_where():
    points = [
        Point("grid", "gru", "nn.GRU", INFERENCE, 1, 20, B, 64, 64, {"peer": [B + 0.5] * 3, "ours": [1.0] * 3})
        for B in (1, 2, 3)
    ]
    part = {"machine": _machine(), "threads": [1], "points": [p.to_json() for p in points]}
    text = summarise({"parts": {"grid": part}})
    assert "| nn.GRU | inference | ≥ 2 × at H ≤ 256 | 1.50, 2.50 | gru T=20 B=1 H=64, 1 thr. | **2 of 3** |" in text
    part["points"][0] |= {"error": 0.5, "problem": "the output is off"}
    text = summarise({"parts": {"grid": part}})
    assert "| 2.50, 3.00 | gru T=20 B=2 H=64, 1 thr. | **2 of 3** |" in text  # a red check is not reached
    assert "the output is off: 1 (nn.GRU; gru, inference, T=20 B=1 H=64)" in text


def _machine():
    peak = {"1": {"registers": 1.0, "product": 1.0}}
    return machine.describe() | {"load_after": 0.0, "peak_gflops": peak}


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_net_gets_no_ratio(bench, mode, monkeypatch):
    def wrong(cell, size):
        peer, mine = pair(cell, size)
        with torch.no_grad():
            mine.weight_hh_l0.mul_(1.01)
        return peer, mine

    for part, name in ((grid, "grid"), (packed, "packed")):
        monkeypatch.setattr(part, "pair", wrong)
        point = Point(name, "gru", "nn.GRU", mode, 1, 5, 2, 8, 8)
        part.measure(bench, point, *([1.0] if part is grid else []))
        assert point.ratio is None and not point.rounds and "off by" in point.problem
        assert point.to_json()["ratio"] is None


def test_a_wrong_gradient_alone_gets_no_ratio(bench):
    peer, mine = pair("lstm", 8)
    x, d_y = draw(4, 2, 8), draw(4, 2, 8)
    side = training(mine, x, d_y)
    tampered = Side(side.call, lambda: {k: v * 1.01 if "weight_hh" in k else v for k, v in side.results().items()})
    point = bench.contest(
        Point("grid", "lstm", "nn.LSTM", TRAINING, 1, 4, 2, 8, 8), {"peer": training(peer, x, d_y), "ours": tampered}
    )
    assert point.ratio is None and point.problem.startswith("the gradient of weight_hh_l0 is off")


def test_nan_and_a_missing_result_are_red(bench):
    peer, mine = pair("gru", 8)
    x = draw(3, 1, 8)
    good, bad = inference(peer, x), inference(mine, x)
    assert compare(good, Side(bad.call, dict))[0] == math.inf
    assert compare(good, Side(bad.call, lambda: {k: v * math.nan for k, v in bad.results().items()}))[0] == math.inf


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_the_cells(name, mode):
    mine = ours(name, 8)
    loop = LOOPS[name][0](mine)
    x, d_y = draw(6, 3, 8), draw(6, 3, 8)
    make = (lambda net: training(net, x, d_y)) if mode == TRAINING else (lambda net: inference(net, x))
    if mode == TRAINING:
        assert {k for k in make(loop).results() if "gradient" in k} == {k for k in make(mine).results() if "grad" in k}
    error, where = compare(make(loop), make(mine))
    assert error < 1e-5, where


def test_a_long_shape_is_left_out_and_said(bench):
    point = Point("grid", "gru", "nn.GRU", INFERENCE, 1, 1000, 128, 512, 512)
    assert bench.too_long(point, 1e15) and bench.points == [point]
    assert point.problem.startswith("left out: a call would take about") and point.ratio is None


def test_a_loop_that_torch_cannot_compile_is_said(bench, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no\nC++ compiler")

    monkeypatch.setattr(torch, "compile", fails)
    bench.plan = replace(TINY, compiled=((3, 1, 8),))
    custom._compiled(bench)
    assert {p.problem for p in bench.points} == {"torch.compile failed: no C++ compiler"}


def test_kept_bytes_are_those_of_the_loop():
    full = checkpoint.Recurrent("lstm", 8, 8, batch_first=False, backend="native")
    few, many = (checkpoint.kept_bytes(full, draw(T, 2, 8), draw(T, 2, 8)) for T in (10, 20))
    assert many - few >= 10 * 2 * 8 * 4 * 4  # at least the four gates of each step


def test_growth_fits_its_powers(bench, monkeypatch):
    sizes = (100, 1000, 10_000)
    bench.plan = replace(TINY, growth=((sizes, (0, 1, 8)), (sizes, (5, 0, 8))))
    answers = {"ours": (1.0, 1.0), "checkpointed": (1.0, 0.5), "peer": (1.0, 1.0)}

    def start(job):
        size, (time, memory) = max(job["T"], job["B"]), answers[job["who"]]
        return {"seconds": 1e-6 * size**time, "bytes": 10.0 * size**memory}

    monkeypatch.setattr(growth, "start", start)
    growth.run(bench)
    found = growth.exponents(bench.points)
    assert found["elman, checkpoint='auto'", "T"] == pytest.approx((1.0, 0.5))
    assert found["nn.LSTM", "B"] == pytest.approx((1.0, 1.0)) and len(found) == 6
    axes = pictures.growth(bench.points, "growth").axes
    assert [a.get_xlabel() for a in axes] == ["T", "B", "T", "B"] and len(axes[0].lines) == 3
    part = {"machine": _machine(), "threads": [1], "points": [p.to_json() for p in bench.points]}
    assert "elman, checkpoint='auto': time ~ T^1.00, peak memory ~ T^0.50" in summarise({"parts": {"growth": part}})


def test_a_process_of_its_own_sees_the_memory_of_torch(capsys):
    job = {"job": "growth", "who": "ours", "T": 200, "B": 64, "H": 32, "threads": 1}
    answer = child.start(job)
    assert answer["seconds"] > 0
    assert answer["bytes"] >= 200 * 64 * 32 * 4 * 4  # the gates, four bytes each
    child.main(json.dumps(job | {"T": "many"}))  # which is what such a process does
    assert "TypeError" in json.loads(capsys.readouterr().out)["problem"]
    assert child.start(job, limit=0.01)["late"] == 0.01


def test_a_step_that_makes_tensors_is_seen():
    assert step.allocations(lambda: torch.zeros(3) + 1, count=5)["tensor operations"] >= 1
    hoard: list[bytes] = []
    assert step.allocations(lambda: hoard.append(bytes(1000)), count=50)["bytes left"] >= 50_000


def test_parts_of_an_earlier_run_stay(kept, tmp_path):
    found, out, _ = kept
    (tmp_path / "bench-cpu.json").write_bytes((out / "bench-cpu.json").read_bytes())
    again = bench_cpu(tmp_path, only=["packed"], threads=(1,), plan=TINY, say=Console(file=io.StringIO()))
    assert again["parts"]["grid"]["points"] == found["parts"]["grid"]["points"]
    assert {p["threads"] for p in again["parts"]["packed"]["points"]} == {1}


def test_users_mistakes_are_one_line(tmp_path):
    with pytest.raises(OptionError, match="unknown part 'grids', did you mean 'grid'"):
        bench_cpu(tmp_path, only=["grids"])
    with pytest.raises(OptionError, match="--threads must be numbers ≥ 1, got 0"):
        bench_cpu(tmp_path, threads=[0])
    with pytest.raises(OptionError, match=r"--page .* cannot be read"):
        bench_cpu(tmp_path, page=tmp_path / "none.md")
    (tmp_path / "page.md").write_text("no marks")
    with pytest.raises(OptionError, match="has no such pair"):
        bench_cpu(tmp_path, page=tmp_path / "page.md")
    (tmp_path / "bench-cpu.json").write_text("[]")
    with pytest.raises(OptionError, match="is not what `elman bench` writes"):
        read(tmp_path / "bench-cpu.json")
    with pytest.raises(OptionError, match="--isa must be one of native, avx2, got 'mmx'"):
        machine.restrict("mmx", [])


def test_the_command_in_a_process_of_its_own_held_to_avx2(tmp_path):
    if "avx2" not in machine.describe()["flags"]:
        pytest.skip("no AVX2 here")
    command = [sys.executable, "-m", "elman.cli.app", "bench", "cpu", "--quick", "--only", "checkpoint"]
    command += ["--threads", "1", "--isa", "avx2", "--out", "here"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    part = read(tmp_path / "here" / "bench-cpu-avx2.json")["parts"]["checkpoint"]
    assert part["machine"]["isa"] == "avx2"
    assert (part["machine"]["torch_vectors"], part["machine"]["our_vector_bytes"]) == ("AVX2", 32)
