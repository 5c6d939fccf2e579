"""How fast the compiled cells are: peers and ours in turn, in one process, and no ratio on a red check.

clock → point → parts → bench → targets → summary, pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from elman.errors import OptionError, suggest
from elman.evidence.speed.bench import Bench, points_of, run
from elman.evidence.speed.machine import describe, peaks, required_compiler, restrict
from elman.evidence.speed.parts import PARTS
from elman.evidence.speed.parts.custom import LOOP
from elman.evidence.speed.pictures import growth, heat_map
from elman.evidence.speed.plan import FULL, QUICK, Plan
from elman.evidence.speed.point import Point
from elman.evidence.speed.summary import put_between, read_page, summarise
from elman.files import write_atomic

__all__ = ["FULL", "PARTS", "QUICK", "Plan", "Point", "bench_cpu", "restrict", "summarise"]


def bench_cpu(
    out: Path,
    *,
    only: Sequence[str] = (),
    threads: Sequence[int] = (1, 2),
    plan: Plan = FULL,
    page: Path | None = None,
    say: Console | None = None,
) -> dict[str, Any]:
    """Measures on the CPU and writes bench-cpu.json, .md and pictures into `out`; what the JSON holds comes back.

    only  the parts to measure, of `PARTS`; those that an earlier run left in the JSON stay
    page  a page whose text between <!-- bench --> and <!-- /bench --> becomes the summary

    Raises `OptionError` for what cannot be used, `RunError` for a folder that cannot be written.
    """
    say = say or _console()
    names = _checked(only, threads)
    required_compiler()
    if page is not None:
        read_page(page)
    isa = describe()["isa"]
    stem = "bench-cpu" if isa == "native" else f"bench-cpu-{isa}"
    bench = Bench(plan, tuple(threads), say, peaks(tuple(threads)))
    for count, peak in bench.peak.items():
        numbers = f"{peak['registers']:.0f} GFLOP/s in registers, {peak['product']:.0f} in a large product"
        say.print(f"Peak of {count} thread(s): {numbers}")
    kept = run({name: PARTS[name] for name in names}, bench, out / f"{stem}.json")
    text = summarise(kept)
    write_atomic(out / f"{stem}.md", (text + "\n").encode())
    if page is not None:
        put_between(page, text)
    pictures = _draw(kept, out, stem)
    say.print(f"\nWritten: {', '.join(str(path) for path in (out / f'{stem}.json', out / f'{stem}.md', *pictures))}")
    return kept


def _console() -> Console:
    """Into a file or a pipe, tables are as wide as they need."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def _checked(only: Sequence[str], threads: Sequence[int]) -> list[str]:
    """The parts to run, in their order."""
    for name in only:
        if name not in PARTS:
            raise OptionError(f"elman bench: unknown part {name!r}, {suggest(name, PARTS)}")
    if not threads or min(threads) < 1:
        raise OptionError(f"elman bench: --threads must be numbers ≥ 1, got {', '.join(map(str, threads)) or 'none'}.")
    return [name for name in PARTS if not only or name in only]


def _draw(kept: dict[str, Any], out: Path, stem: str) -> list[Path]:
    """The pictures of the parts that are there."""
    written = []
    for name in ("grid", "custom", "growth"):
        points = points_of(kept["parts"][name]) if name in kept["parts"] else []
        if name == "custom":
            points = [p for p in points if p.against == LOOP]
        if not points:
            continue
        machine = kept["parts"][name]["machine"]
        aside = f"{machine['processor']}, {machine['isa']} vectors, float32"
        if name == "growth":
            figure = growth(points, f"LSTM, forward + backward\n{aside}")
        else:
            figure = heat_map(points, f"The peer's time ÷ ours\n{aside}")
        written.append(out / f"{stem}-{name}.png")
        figure.savefig(written[-1], dpi=130, facecolor="white")
    return written
