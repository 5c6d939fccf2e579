"""All rows in order of importance, behind the checks and within the minutes that there are."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from elman.errors import OptionError, suggest
from elman.evidence.speed.bench import shorten
from elman.evidence.speed.clock import settled
from elman.evidence.speed.gpu import against, checks, custom, linear, memory, roofline, sweep
from elman.evidence.speed.gpu.device import describe_gpu, required_gpu
from elman.evidence.speed.gpu.record import Record, guarded
from elman.evidence.speed.gpu.rows import Lab, Row, in_order, key_of
from elman.evidence.speed.point import Point

PARTS: dict[str, Callable[[], list[Row]]] = {
    checks.PART: checks.rows,
    "cudnn": against.rows,
    "custom": custom.rows,
    "linear": linear.rows,
    "memory": memory.rows,
    "roofline": roofline.rows,
    "sweep": sweep.rows,
}
"""FlashRNN is in "cudnn" """
SANITIZER = "sanitizer"
WHERE = "benchmarks/gpu.py"
CONTRACTS = 0.25  # of the minutes, at most, and no more than two of them
ROW = 90.0  # seconds after which a row is taken for one that never ends


@dataclass(frozen=True)
class Order:
    """What was asked for: parts and cells (all if none), minutes, processes that compile ahead, rows at most.

    Raises `OptionError` for what would measure nothing.
    """

    out: Path
    root: Path
    minutes: float = 8.0
    only: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    dry: bool = False
    workers: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        if self.most is not None and self.most < 1:
            raise OptionError(f"{WHERE}: --rows must be 1 or more, got {self.most}.")
        if self.minutes < 0:
            raise OptionError(f"{WHERE}: --minutes must be 0 or more, got {self.minutes}.")

    def rows(self) -> list[Row]:
        """The checks of the cells, and the rows, the most important first."""
        known = [*PARTS, SANITIZER]
        for name in self.only:
            if name not in known:
                raise OptionError(f"{WHERE}: unknown part {name!r}, {suggest(name, known)}")
        parts = [make for name, make in PARTS.items() if name == checks.PART or not self.only or name in self.only]
        rows = in_order([row for make in parts for row in make()])
        here = {row.point.cell for row in rows}
        for cell in self.cells:
            if cell not in here:
                raise OptionError(f"{WHERE}: no row of a cell {cell!r}, {suggest(cell, here)}")
        return [row for row in rows if not self.cells or row.point.cell in (*self.cells, "none")]


def measure(order: Order, say: Console | None = None) -> int:
    """Does it all and writes `out`/bench-gpu.json after every row; 0 when all is green, 1 when a check is red.

    Raises `OptionError` without a GPU, unless only to be tried (`dry`).
    """
    say = say or Console(highlight=False, width=140)
    device = torch.device("cpu") if order.dry and not torch.cuda.is_available() else required_gpu(WHERE)
    until = time.monotonic() + 60 * order.minutes
    lab, rows = Lab(device, tried=order.dry), order.rows()[: order.most]
    record = Record(order.out / "bench-gpu.json", describe_gpu(device), dry=order.dry)
    first = [row for row in rows if row.point.part == checks.PART]
    rest = [row for row in rows if row.point.part != checks.PART]
    with Crew(order) as crew:
        good = _contracts(order, record, say) and _checks(first, lab, record, crew, say, until)
        if not good:
            say.print("A check is red: no time is told.", style="bold red")
            return 1
        left = _times(rest, lab, record, crew, say, until)
    if SANITIZER in order.only:
        record.note(SANITIZER, checks.sanitize(order.root, seconds=max(until - time.monotonic(), 30)))
    say.print(summary(record, left), markup=False)
    return 0


def _contracts(order: Order, record: Record, say: Console) -> bool:
    """The contract tests; where nothing is interpreted anew that already passed with this code."""
    known = record.kept["parts"].get("contracts", {})
    if not known.get("good"):
        most = min(120.0, 60 * order.minutes * CONTRACTS)
        on_cpu = order.dry and not torch.cuda.is_available()
        found = checks.contract_tests(order.root, seconds=most, workers=order.workers, only_list=on_cpu)
        record.note("contracts", found)
        known = found
    words = "would run" if record.about["dry"] else "passed"
    say.print(f"contract tests: {known['passed']} {words}, {len(known['failed'])} failed {known['problem']}")
    return bool(known["good"])


def _checks(rows: list[Row], lab: Lab, record: Record, crew: Crew, say: Console, until: float) -> bool:
    """Every form and dtype; a check that there was no time for is no check, and so is red."""
    rows = [row for row in rows if not record.done(row.key)]
    for row, point in crew.tried(rows, lab, until, whole=True):
        record.add(point, row.key)
        if point.problem:
            say.print(f"✗ {row.key}: {point.problem}", markup=False)
    found = [row for row in record.rows() if row["part"] == checks.PART]
    red = [row for row in found if row["problem"]]
    missing = [row for row in rows if not record.done(row.key)]
    say.print(f"checks: {len(found)}, red {len(red)}, no time for {len(missing)}")
    return not red and not missing


def _times(rows: list[Row], lab: Lab, record: Record, crew: Crew, say: Console, until: float) -> int:
    """Rows until the time is up; those of a chunk are compiled side by side first. How many are left."""
    rows = [row for row in rows if not record.done(row.key)]
    chunk = max(2 * crew.workers, 1)
    with settled():
        for begin in range(0, len(rows), chunk):
            if crew.workers:
                list(crew.tried(rows[begin : begin + chunk], lab, until))
            for number, row in enumerate(rows[begin : begin + chunk], begin):
                if time.monotonic() > until:
                    return len(rows) - number
                _tell(say, record.add(measured(row, lab, record), row.key), dry=lab.tried)
    return 0


def measured(row: Row, lab: Lab, record: Record | None = None) -> Point:
    """The row's point, filled; what goes wrong in it is its problem."""
    point = lab.sized(deepcopy(row.point))
    try:
        if record is None:
            row.measure(lab, point)
        else:
            with guarded(record, point, 10 * ROW if lab.dry else ROW):
                row.measure(lab, point)
    except Exception as problem:  # the rows behind it are to be measured all the same
        point.problem, point.rounds = f"{type(problem).__name__}: {' '.join(str(problem).split())[:300]}", {}
    finally:
        if lab.device.type == "cuda":
            torch.cuda.empty_cache()
    return point


def _tell(say: Console, row: dict[str, Any], *, dry: bool) -> None:
    marks = ", ".join(f"{m['mark']}: {'met' if m['met'] else 'missed'}" for m in row["marks"])
    number = "tried" if dry else "" if row["ratio"] is None else f"{shorten(row['ratio'])} ×"
    say.print(f"{row['key']}: {row['problem'] or number} {marks}", markup=False)


def summary(record: Record, left: int) -> str:
    """One line for each mark: met at how many rows, the worst; and what there was no time for."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in record.rows():
        for mark in row["marks"]:
            found.setdefault(mark["mark"], []).append(mark)
    lines = []
    for name, marks in found.items():
        values = sorted(m["value"] for m in marks)
        met = sum(m["met"] for m in marks)
        lines.append(f"{name}: {met} of {len(marks)}, from {values[0]:.3g} to {values[-1]:.3g}")
    if record.about["dry"]:
        lines.append("Nothing was measured: rows were tried, at toy size if there is no GPU.")
    problems = [row for row in record.rows() if row["problem"]]
    lines.append(f"{len(record.rows())} rows, {len(problems)} without a number, {left} not reached: {record.file}")
    return "\n".join(lines)


class Crew:
    """Processes that try rows side by side, so that kernels are compiled before the clock runs; none on the CPU."""

    def __init__(self, order: Order) -> None:
        self.order, self.workers = order, 0 if order.dry else order.workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def tried(self, rows: Sequence[Row], lab: Lab, until: float, *, whole: bool = False) -> Any:
        """Row and point of each; rows that do not end are given up, and red if they had time enough.

        whole  a check tries all that it has, once
        """
        if not self.workers:
            for row in rows:
                if time.monotonic() > until:
                    return
                yield row, measured(row, lab)
            return
        keys = [row.key for row in rows]
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"))
        futures = {self._pool.submit(_try, self.order, key): row for key, row in zip(keys, rows, strict=True)}
        patience = max(min(until - time.monotonic(), ROW * (1 + len(rows) / self.workers)), 1.0)
        done, late = wait(futures, timeout=patience)
        for future in done:
            if future.exception() is None:
                yield futures[future], future.result()
            elif whole:
                point = deepcopy(futures[future].point)
                point.problem = f"its process ended: {future.exception()}"
                yield futures[future], point
        if late:
            self._end()
            if whole and until > time.monotonic():
                for future in late:
                    point = deepcopy(futures[future].point)
                    point.problem = f"did not end within {patience:.0f} s"
                    yield futures[future], point

    def _end(self) -> None:
        """Ends the processes, those that wait for ever too."""
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            self._pool = None


def _try(order: Order, key: str) -> Point:
    """In a process of the crew: one row, without a clock."""
    torch.set_num_threads(1)
    row = next(row for row in order.rows() if key_of(row.point) == key)
    return measured(row, Lab(torch.device("cuda"), tried=True))
