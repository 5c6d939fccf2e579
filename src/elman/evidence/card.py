"""A run's card in Markdown: on what data, how split, how good, what it is not good for, and how to have it again."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data.inputs import Names, Numbers
from elman.evidence.board import markdown_cell, markdown_line

if TYPE_CHECKING:
    from elman.evidence.report import Report

FEW = 30
"""test examples below which only large differences are seen"""
NAMED = 12
"""classes, or series, that are told by name"""
SAME_SOURCE = (
    "It was judged on data of the same source as it learned from. Elsewhere, or later, it may be worse: judge it there."
)


@dataclass(frozen=True)
class About:
    """What a card says besides the scoreboard; sentences.

    data      what was learned from
    split     what was judged by, and how it was chosen
    verdicts  of other looks at the model than the scoreboard
    limits    what a reader must not conclude
    """

    data: Sequence[str]
    split: str
    verdicts: Sequence[str] = ()
    limits: Sequence[str] = field(default=(SAME_SOURCE,))


def card(report: Report, manifest: Mapping[str, Any]) -> str:
    """`card.md`: verdicts, data, split, scoreboard, limits, how to have it again, configuration; empty parts left out.

    manifest: of the run, for command, seeds, the data's hash and the environment; {}: none is known

    >>> from elman.evidence.report import Report
    >>> print(card(Report("Demand", configuration={"cell": {"name": "lstm"}}), {}))
    # Demand
    <BLANKLINE>
    ## Configuration
    <BLANKLINE>
    | setting | value |
    | --- | --- |
    | cell.name | lstm |
    <BLANKLINE>
    """
    about, board = report.about, report.scoreboard
    parts = [f"# {markdown_line(report.title)}"]
    if board is not None:
        parts.append(f"**{markdown_line(board.sentence())}**")
    if about is not None:
        parts += _listed("Verdicts", about.verdicts)
    for heading, lines in told(about, manifest).items():
        parts += _listed(heading, lines)
    if board is not None:
        parts += ["## Scoreboard", board.to_markdown()]
    parts += _listed("Notes", report.notes)
    if about is not None:
        parts += _listed("Limits", [*about.limits, *_seeded(manifest)])
    parts += _again(manifest)
    if report.configuration:
        lines = [f"| {markdown_cell(k)} | {markdown_cell(v)} |" for k, v in flat(report.configuration)]
        parts += ["## Configuration", "\n".join(["| setting | value |", "| --- | --- |", *lines])]
        parts += [markdown_line(line) for line in unset(report.configuration)]
    return "\n\n".join(parts) + "\n"


def told(about: About | None, manifest: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """What card and report say of data and split: heading and sentences."""
    if about is None:
        return {}
    known = manifest or {}
    return {"Data": [*about.data, *_files(known), *_hash(known)], "Split": [about.split]}


def _files(manifest: Mapping[str, Any]) -> list[str]:
    """Files that a command of elman named and that are there, but for those that it wrote."""
    words = list(manifest.get("command") or [""])
    if "elman" not in (Path(words[0]).name, Path(words[0]).parent.name):
        return []  # a program of the user's, whose words may mean anything
    written = {b for a, b in pairwise(words) if a in ("--out", "--cells")}
    files = [Path(word.partition("=")[2] if word.startswith("--") else word) for word in words[1:]]
    names = [file.name for file in files if str(file) not in written and file.is_file()]
    return [f"From {', '.join(dict.fromkeys(names))}."] if names else []


def _listed(heading: str, lines: Iterable[str]) -> list[str]:
    said = "\n".join(f"- {markdown_line(line)}" for line in lines)
    return [f"## {heading}", said] if said else []


def _hash(manifest: Mapping[str, Any]) -> list[str]:
    known = manifest.get("data_sha256")
    return [f"SHA-256 of what was learned from, as the net reads it: {known}."] if known else []


def _seeded(manifest: Mapping[str, Any]) -> list[str]:
    seeds = manifest.get("seeds") or {}
    shown = ", ".join(f"{name} {seed}" for name, seed in seeds.items())
    return [
        f"One training, from one seed ({shown}): another may be better or worse. `elman compare` tells by how much."
    ] * bool(seeds)


def _again(manifest: Mapping[str, Any]) -> list[str]:
    if not manifest:
        return []
    program, *words = manifest["command"] or [""]
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    place = f"{manifest['platform']}, {manifest['processor']}, {manifest['device']}, {manifest['threads']} threads"
    command = shlex.join([Path(program).name, *words])
    rows = [f"Environment: {versions}; {place}.", f"Started {manifest['started']}."]
    return ["## Reproduce", f"```bash\n{command}\n```", "\n".join(f"- {row}" for row in rows)]


def flat(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings that have a value, as names and texts; nested ones with dots.

    >>> flat({"cell": {"name": "lstm", "heads": None}, "sizes": [1, 2]}), unset({"cell": {"heads": None}})
    ([('cell.name', 'lstm'), ('sizes', '[1, 2]')], ['Without a value of its own: cell.heads.'])
    """
    return [
        (name, value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
        for name, value in _settings(settings)
        if _is_set(value)
    ]


def unset(settings: Mapping[str, Any]) -> list[str]:
    """The others, in a sentence; [] where there are none. Such a setting is off, or is found from the data."""
    names = [name for name, value in _settings(settings) if not _is_set(value)]
    return [f"Without a value of its own: {', '.join(names)}."] if names else []


def _is_set(value: Any) -> bool:
    return value is not None and not (isinstance(value, (list, tuple, Mapping)) and not value)


def _settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# -- what the studies say of their data ----------------------------------------------------------------------------


def of_pairs(estimator: Any, examples: Any, *, verdicts: Sequence[str] = (), labels: bool = True) -> About:
    """Of sequences with labels or texts; estimator: fitted; examples: `Examples`."""
    data = [
        f"{len(examples.X)} sequences to learn from, the longest of {estimator.longest_} steps; {reads(estimator)}."
    ]
    if labels and hasattr(estimator, "classes_"):
        every = np.concatenate([np.asarray(v) for v in examples.y]) if estimator.per_step else np.asarray(examples.y)
        data.append(f"Classes: {shares(every.tolist())}.")
    return About(
        data,
        f"{len(examples.X_test)} sequences to judge by: {examples.how}.",
        verdicts,
        limits(len(examples.X_test), "sequences"),
    )


def limits(count: int, unit: str) -> list[str]:
    """What holds of every run that was judged by so many."""
    few = f"Only {count} {unit} to judge by: a difference must be large to be seen."
    return [SAME_SOURCE, *([few] if count < FEW else [])]


def reads(estimator: Any) -> str:
    """What a step of its sequences is."""
    inputs = estimator.inputs_
    if isinstance(inputs, Numbers):
        gaps = f", {len(inputs.gaps)} of which have gaps" if inputs.gaps else ""
        return f"a step is {len(inputs.mean)} number{'s' * (len(inputs.mean) > 1)}{gaps}"
    if isinstance(inputs, Names):
        return f"a step is one of {len(inputs)} names that are known"
    return "a step is a frame of notes" if inputs is None else "a sequence is a picture"


def shares(labels: Sequence[Any]) -> str:
    """How often each label occurs, the most frequent first.

    >>> shares(["a", "b", "a"])
    'a 2, b 1'
    """
    counts = Counter(labels).most_common()
    said = ", ".join(f"{name} {count}" for name, count in counts[:NAMED])
    rest = sum(count for _, count in counts[NAMED:])
    return said + (f", {len(counts) - NAMED} others {rest}" if rest else "")
