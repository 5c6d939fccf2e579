"""The benchmark: its parts one after another, what they find printed as it comes and kept as JSON."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from elman.errors import OptionError, RunError
from elman.evidence.speed.clock import Call, settled
from elman.evidence.speed.machine import describe, load
from elman.evidence.speed.plan import Plan
from elman.evidence.speed.point import TRAINING, Point, Side, contest
from elman.files import write_atomic


@dataclass
class Bench:
    """What the parts share.

    peak    GFLOP/s by number of threads, as `machine.peaks` finds them
    points  what the part that runs has found
    """

    plan: Plan
    threads: tuple[int, ...]
    say: Console
    peak: Mapping[int, Mapping[str, float]]
    points: list[Point] = field(default_factory=list)

    def each_threads(self) -> Iterator[int]:
        """The numbers of threads, torch set to each in turn and back."""
        before = torch.get_num_threads()
        try:
            for count in self.threads:
                torch.set_num_threads(count)
                yield count
        finally:
            torch.set_num_threads(before)

    def add(self, point: Point) -> Point:
        """Keeps it; a red check is said at once."""
        self.points.append(point)
        if point.error is not None and point.problem:
            self.say.print(f"[red]no ratio[/red] {point.against}, {point.mode}, {point.shape}: {point.problem}")
        return point

    def contest(
        self, point: Point, sides: Mapping[str, Side], *, others: Mapping[str, Call] | None = None, flops: float = 0.0
    ) -> Point:
        """Checks and times peer and ours on one shape; `flops` of one call give its share of the peak."""
        plan = self.plan
        with self.say.status(f"{point.part}: {point.against}, {point.mode}, {point.threads} threads, {point.shape}"):
            contest(point, sides, rounds=plan.rounds, at_least=plan.at_least, patience=plan.patience, others=others)
        seconds = point.seconds("ours")
        if flops and seconds:
            reached = flops / seconds / 1e9
            point.values |= {"GFLOP/s": reached, "share of peak": reached / self.peak[point.threads]["registers"]}
        return self.add(point)

    def too_long(self, point: Point, flops: float) -> bool:
        """Whether a call with so many operations would take too long; then the point is kept without times."""
        seconds = flops / (0.35e9 * self.peak[point.threads]["product"])
        if seconds > self.plan.longest:
            point.problem = f"left out: a call would take about {seconds:.1f} s"
            self.add(point)
        return bool(point.problem)

    def table(self, title: str, points: Sequence[Point], value: Callable[[Point], float | None] | None = None) -> None:
        """Prints a number for each point, H across; the peer's time ÷ ours unless told."""
        show = value or (lambda point: point.ratio)
        sizes = sorted({p.H for p in points})
        table = Table(header_style="bold")
        table.add_column("T × B")
        for H in sizes:
            table.add_column(f"H={H}", justify="right")
        rows = dict.fromkeys((p.T, p.B) for p in points)
        for T, B in rows:
            found = {p.H: p for p in points if (p.T, p.B) == (T, B)}
            table.add_row(f"{T} × {B}", *(_coloured(found.get(H), show) for H in sizes))
        self.say.print(f"\n{title}", style="bold")
        self.say.print(table)

    def lines(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Prints a plain table."""
        table = Table(header_style="bold")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*map(str, row))
        self.say.print(f"\n{title}", style="bold")
        self.say.print(table)


def shorten(number: float | None) -> str:
    """Three digits.

    >>> [shorten(v) for v in (0.98765, 12.345, 123.4, None)]
    ['0.99', '12.3', '123', '–']
    """
    if number is None:
        return "–"
    return f"{number:.2f}" if number < 9.995 else f"{number:.1f}" if number < 99.95 else f"{number:.0f}"


def flops(mode: str, T: int, B: int, F: int, H: int, gates: int, recurrent: int) -> float:
    """Floating-point operations of the products W x and R h of a layer; backward does each twice more."""
    return (3.0 if mode == TRAINING else 1.0) * 2 * T * B * H * (gates * F + recurrent * H)


def run(parts: Mapping[str, Callable[[Bench], None]], bench: Bench, file: Path) -> dict[str, Any]:
    """Runs the parts and writes what each found to the JSON file as soon as it ends; parts of an earlier run stay.

    Raises `OptionError` for a file that is no such JSON, `RunError` when it cannot be written.
    """
    kept = read(file) if file.exists() else {"parts": {}}
    for name, part in parts.items():
        bench.points = []
        machine, began = describe(), time.perf_counter()
        bench.say.rule(name)
        with settled():
            part(bench)
        kept["parts"][name] = {
            "machine": machine | {"load_after": load(), "peak_gflops": bench.peak},
            "threads": bench.threads,
            "plan": asdict(bench.plan),
            "seconds": round(time.perf_counter() - began, 1),
            "points": [point.to_json() for point in bench.points],
        }
        write(file, kept)
    return kept


def read(file: Path) -> dict[str, Any]:
    """What `run` has written."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        for part in kept["parts"].values():
            points_of(part)
        return kept
    raise OptionError(f"elman bench: {file} is not what `elman bench` writes. Move it away.")


def write(file: Path, kept: Mapping[str, Any]) -> None:
    """JSON with a line for every point."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RunError(f"elman bench: --out {file.parent} cannot be made: {problem.strerror}.") from problem
    parts = []
    for name, part in kept["parts"].items():
        rest = json.dumps({k: v for k, v in part.items() if k != "points"}, ensure_ascii=False)
        points = ",\n".join(json.dumps(point, ensure_ascii=False) for point in part["points"])
        parts.append(f'{json.dumps(name)}: {rest[:-1]}, "points": [\n{points}\n]}}')
    write_atomic(file, ('{"parts": {\n' + ",\n".join(parts) + "\n}}\n").encode())


def points_of(part: Mapping[str, Any]) -> list[Point]:
    """The points of one part of that JSON."""
    return [Point.from_json(point) for point in part["points"]]


def _coloured(point: Point | None, show: Callable[[Point], float | None]) -> str:
    if point is None:
        return ""
    number = show(point)
    if number is None:
        return "[dim]–[/dim]" if point.error is None else "[red]✗[/red]"
    return f"[{'green' if number >= 1 else 'red'}]{shorten(number)}[/]"
