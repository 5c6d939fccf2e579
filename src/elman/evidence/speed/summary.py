"""The benchmark as a page of Markdown: every target beside what was reached, and how cost grows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from elman.errors import OptionError
from elman.evidence.speed.bench import points_of, shorten
from elman.evidence.speed.parts.growth import exponents
from elman.evidence.speed.plan import FULL
from elman.evidence.speed.point import Point
from elman.evidence.speed.targets import TARGETS, Target
from elman.files import write_atomic

MARKS = ("<!-- bench -->", "<!-- /bench -->")


def summarise(kept: Mapping[str, Any]) -> str:
    """Markdown from what `bench.run` returns: machine, table of targets, accuracy, growth, what was left out."""
    parts = kept["parts"]
    points = [point for part in parts.values() for point in points_of(part)]
    threads = sorted({count for part in parts.values() for count in part["threads"]})
    lines = [*_machines(parts), "", *_table(points, threads)]
    lines += _block("Share of the peak", _shares(points))
    lines += _block("Errors of float32 against float64", _errors(points))
    lines += _block("Growth of forward + backward, as powers of the size", _growth(points))
    lines += _block("No number", _problems(points))
    return "\n".join(lines)


def put_between(page: Path, text: str) -> None:
    """Replaces what stands between the marks in a page. Raises `OptionError` where it has no such marks."""
    old = read_page(page)
    before, rest = old.split(MARKS[0], 1)
    write_atomic(page, f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.split(MARKS[1], 1)[1]}".encode())


def read_page(page: Path) -> str:
    """The page; raises `OptionError` unless it has the marks."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as problem:
        raise OptionError(f"elman bench: --page {page} cannot be read: {problem.strerror}.") from problem
    if MARKS[0] not in text or MARKS[1] not in text.split(MARKS[0], 1)[1]:
        raise OptionError(f"elman bench: --page {page} needs the lines {MARKS[0]} and {MARKS[1]}, it has no such pair.")
    return text


def _machines(parts: Mapping[str, Any]) -> list[str]:
    """One line for each machine or day that parts were measured on."""
    found: dict[str, list[str]] = {}
    for name, part in parts.items():
        m = part["machine"]
        peak = ", ".join(
            f"{v['registers']:.0f} ({v['product']:.0f} in a large product)" for v in m["peak_gflops"].values()
        )
        vectors = f"torch {m['torch_vectors']}, ours {8 * (m['our_vector_bytes'] or 0)} bits"
        text = (
            f"{m['processor']}, {m['cores']} cores, vectors: {vectors}; "
            f"peak {peak} GFLOP/s on {' and '.join(map(str, m['peak_gflops']))} thread(s); "
            f"torch {m['torch']}, {m['compiler']}, elman {m['elman']}, {m['date'][:10]}"
        )
        whole = json.loads(json.dumps(part.get("plan"))) == json.loads(json.dumps(asdict(FULL)))
        found.setdefault(text, []).append(
            f"{name} ({'' if whole else 'some shapes only, '}load {m['load']} → {m['load_after']})"
        )
    return [f"{text}: {', '.join(names)}." for text, names in found.items()]


def _table(points: list[Point], threads: Sequence[int]) -> list[str]:
    heads = [f"{n} thread{'s' * (n > 1)}: worst, median" for n in threads]
    lines = ["| against | | target | " + " | ".join(heads) + " | worst at | reached |"]
    lines.append("|---|---|---|" + "---|" * (len(heads) + 2))
    lines += [_line(target, target.points(points), threads) for target in TARGETS]
    return lines


def _line(target: Target, points: list[Point], threads: Sequence[int]) -> str:
    values = [(value, p) for p in points if (value := target.value(p)) is not None]
    red = [p for p in points if p.error is not None and p.problem]
    columns = []
    for count in threads:
        mine = [value for value, p in values if p.threads == count]
        columns.append(f"{_show(_worst(target, mine))}, {_show(median(mine))}" if mine else "")
    if not values:
        state, where = ("**red**" if red else "not measured"), ""
    else:
        worst, at = (min if target.least else max)(values, key=lambda pair: pair[0])
        good = sum(target.reached(value) for value, _ in values)
        sure = "" if not at.values.get("given up") else ", given up"
        where = f"{at.cell} {at.shape}, {at.threads} thr.{sure}"
        state = "yes" if target.reached(worst) and not red else f"**{good} of {len(values) + len(red)}**"
    return " | ".join(["| " + target.against, target.mode or "both", target.words, *columns, where, f"{state} |"])


def _worst(target: Target, values: Sequence[float]) -> float:
    return min(values) if target.least else max(values)


def _show(value: float) -> str:
    return shorten(value) if value >= 0.1 or value == 0 else f"{value:.2g}"


def _shares(points: list[Point]) -> list[str]:
    lines = []
    for against, mode in dict.fromkeys((p.against, p.mode) for p in points if "share of peak" in p.values):
        mine = [p for p in points if (p.against, p.mode) == (against, mode) and "share of peak" in p.values]
        best = max(mine, key=lambda p: p.values["share of peak"])
        middle = median(p.values["share of peak"] for p in mine)
        text = f"median {middle:.0%}, at most {best.values['share of peak']:.0%} ({best.shape}, {best.threads} thr.)"
        lines.append(f"ours on the work of {against}, {mode}: {text}")
    return lines


def _errors(points: list[Point]) -> list[str]:
    mine = [p for p in points if p.part == "accuracy" and p.values]
    lines = []
    for kind, words in (("output", "outputs and states"), ("gradient", "gradients, as a share of the largest")):
        for who, of in (("ours", mine), ("peer", mine)):
            found = [(p.values[f"{who} {kind}"], p) for p in of]
            if found:
                error, p = max(found, key=lambda pair: pair[0])
                name = "ours" if who == "ours" else "the peers (torch.nn, or the same cell op by op)"
                lines.append(f"{words}, {name}: at most {error:.1e} ({p.cell}, {p.shape})")
    return lines


def _growth(points: list[Point]) -> list[str]:
    found = exponents([p for p in points if p.part == "growth"])
    return [
        f"{name}: time ~ {axis}^{time:.2f}, peak memory ~ {axis}^{memory:.2f}"
        for (name, axis), (time, memory) in found.items()
    ]


def _problems(points: list[Point]) -> list[str]:
    found: dict[str, list[Point]] = {}
    for p in points:
        if p.problem:
            found.setdefault(
                "left out, too long" if p.problem.startswith("left out: a call") else p.problem, []
            ).append(p)
    return [
        f"{problem}: {len(where)} ({', '.join(sorted({p.against for p in where}))}"
        + (f"; {where[0].cell}, {where[0].mode}, {where[0].shape})" if len(where) == 1 else ")")
        for problem, where in found.items()
    ]


def _block(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}:", "", *(f"- {line}" for line in lines)] if lines else []
