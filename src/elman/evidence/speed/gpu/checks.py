"""What has to hold before any time is told: contract tests on the GPU, every form and dtype against eager float32."""

from __future__ import annotations

import copy
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch

from elman.backends.linear import transition
from elman.cells import CATALOGUE
from elman.evidence.speed.gpu.rows import Lab, Row
from elman.evidence.speed.loops import LOOPS, ours
from elman.evidence.speed.point import TRAINING, Point
from elman.evidence.speed.twins import TWINS
from elman.graph import trace
from elman.recurrent import Recurrent

PART = "checks"
ODD = (37, 19, 24, 72)
"""T, B, F, H, none of them a power of 2"""
SMALL, LARGE, LONG = (37, 19, 24, 40), (37, 19, 24, 200), (300, 19, 24, 200)
"""what one program holds in any format; and units for several programs, R for several chunks"""
AGAIN = 3  # more runs, which must give the same bits: programs that do not wait for each other would not
TESTS = "triton and dtype0 and equals_eager and (lstm or gru or users_own) and not (slstm or peephole or steep)"
"""the contract tests that fit into the budget, as pytest's -k; options and lengths are theirs, dtype0 is float32"""
SANITIZED = "triton and test_every_backend_equals_eager and (users_own or leaky) and plain and dtype0"


def rows() -> list[Row]:
    """Cells that are timed, in every form × dtype; the others of the catalogue in half precision once."""
    found, timed = [], [c for c in TWINS if c != "elman"]
    for cell, form, dtype in product(timed, ("alone", "spread", "steps"), ("float32", "tf32", "bfloat16", "float16")):
        found.append(_row(0, cell, form, dtype, SMALL if form == "alone" else LARGE))
    found += [_row(0, c, "spread, long", "bfloat16", LONG) for c in timed]
    found += [_row(0, name, "", dtype) for name in LOOPS for dtype in ("float32", "bfloat16")]
    linear = [name for name, cell in CATALOGUE.items() if transition(trace(cell())) is not None]
    return found + [_row(0, name, "", dtype) for name in linear for dtype in ("float32", "bfloat16", "float16")]


def _row(rank: int, cell: str, form: str, dtype: str, sizes: tuple[int, int, int, int] = ODD) -> Row:
    T, B, F, H = sizes
    point = Point(PART, cell, "eager, float32", TRAINING, 0, T, B, H if cell in LOOPS else F, H, dtype=dtype, form=form)
    return Row(rank, point, check)


def check(lab: Lab, point: Point) -> Point:
    """Outputs, state and every gradient against eager in float32 with the same weights; then the same bits again."""
    torch.manual_seed(0)
    if point.cell in LOOPS:
        mine = ours(point.cell, point.H, "triton")
    else:
        mine = Recurrent(CATALOGUE[point.cell], point.F, point.H, batch_first=False, backend="triton")
    exact = copy.deepcopy(mine).to(lab.dtype(point)).float()
    exact.backend = "eager"
    mine.zoneout = exact.zoneout = 0.0  # masks of two dtypes are not the same
    side = lab.side(mine, point)
    trial = Lab(lab.device, tried=True)
    trial.contest(point, {"ours": side}, reference=lab.side(exact, point, exact=True))
    if point.problem or lab.dry:
        return point
    with lab.as_asked(point):
        first = {name: value.clone() for name, value in side.results().items()}
        for _ in range(AGAIN):
            again = side.results()
            if other := [name for name, value in first.items() if not torch.equal(value, again[name])]:
                point.problem = f"two runs differ in {other[0]}"
    return point


def contract_tests(root: Path, *, seconds: float, workers: int, only_list: bool = False) -> dict[str, Any]:
    """Runs the contract tests chosen above for so long at most; how many passed, which failed, whether that is good."""
    command = [sys.executable, "-m", "pytest", "tests/contracts", "-k", TESTS, "-m", "slow or not slow", "-v"]
    command += ["--no-header", "-p", "no:cacheprovider"]
    if only_list:
        command += ["--collect-only"]
    elif workers > 1:
        command += ["-n", str(workers)]
    began = time.perf_counter()
    text, code = _limited(command, root, seconds)
    passed, failed = set(re.findall(r"PASSED (\S+)|(\S+) PASSED", text)), re.findall(r"(?:FAILED|ERROR) (\S+)", text)
    found = {"passed": len(passed), "failed": sorted(set(failed)), "late": code is None, "command": command[1:]}
    if only_list:
        found["passed"] = sum("<Function" in line or "::" in line for line in text.splitlines())
    good = not failed and found["passed"] > 0 and code in (0, None)
    problem = "" if good else " ".join(text.strip().splitlines()[-3:])[-600:]
    return found | {"good": good, "seconds": round(time.perf_counter() - began, 1), "problem": problem}


def sanitize(root: Path, *, seconds: float) -> dict[str, Any]:
    """A few contract tests under compute-sanitizer, where that is on the PATH; what it said of each tool."""
    binary = shutil.which("compute-sanitizer")
    if binary is None:
        return {"problem": "compute-sanitizer is not on the PATH"}
    found: dict[str, Any] = {}
    tests = [sys.executable, "-m", "pytest", "tests/contracts", "-k", SANITIZED, "-m", "slow or not slow"]
    for tool in ("memcheck", "racecheck"):
        command = [binary, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all", *tests]
        text, code = _limited(command, root, seconds / 2)
        said = [line.strip() for line in text.splitlines() if "ERROR SUMMARY" in line or "RACECHECK SUMMARY" in line]
        found[tool] = {"clean": code == 0, "late": code is None, "said": said or text.splitlines()[-3:]}
    return found


def _limited(command: list[str], root: Path, seconds: float) -> tuple[str, int | None]:
    """What a command prints and its exit code, None when it was ended at the limit; with all that it has started."""
    process = subprocess.Popen(
        command,
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        try:
            return process.communicate(timeout=seconds)[0], process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.communicate()[0], None
