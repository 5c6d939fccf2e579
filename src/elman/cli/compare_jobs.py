"""What `elman compare` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.cells import find_cell, name_of
from elman.cli import labels, texts
from elman.cli.again import trained_by
from elman.cli.jobs import build, load_cells, print_board, read_labelled, run_folder, talk
from elman.cli.language_jobs import read_judged_corpus
from elman.cli.text_jobs import with_texts
from elman.cli.watch_jobs import read_watched
from elman.data import read_table
from elman.data.examples import Columns
from elman.errors import OptionError, UnknownNameError, suggest
from elman.evidence.compare import Comparison, compare
from elman.evidence.compare.entrants import CELLS
from elman.evidence.compare.pictures import sections
from elman.evidence.report import Report
from elman.training.run import RunFolder

KINDS = {
    "forecast": "Forecaster",
    "generate": "LanguageModel",
    "watch": "AnomalyDetector",
    **{verb: kind for verbs in (labels.VERBS, texts.VERBS) for verb, (kind, _) in verbs.items()},
}

VARIED = ("cell", "num_layers", "hidden_size", "random_state")
"""arguments of the estimator that a comparison sets"""


@dataclass(frozen=True)
class Asked:
    """A problem: its verb, the files, and how they are read; forecast: columns and horizon of that verb."""

    verb: str
    files: tuple[Path, Path | None]
    test: Path | None
    columns: Columns
    share: float
    forecast: Mapping[str, Any]
    windows: int

    def data(self, estimator: Any) -> tuple[Any, dict[str, Any]]:
        """What `elman.compare` takes besides the estimator."""
        file = self.files[0]
        if self.verb == "forecast":
            return read_table(file), {"n_windows": self.windows}
        if self.verb == "generate":
            return read_judged_corpus(file, self.test, self.share), {}
        if self.verb == "watch":
            return read_watched(file, self.test, self.columns, self.share)[0], {}
        if self.verb in texts.VERBS:
            return with_texts(self.files, (self.test, None), self.columns, self.share)[0], {}
        return read_labelled(file, self.test, self.columns, each_step=estimator.per_step, share=self.share)[0], {}


def run_compare(
    asked: Asked,
    names: Sequence[str] | None,
    cells: Path | None,
    grid: Mapping[str, Any],
    steps: int | None,
    more: Sequence[str] | None,
    title: str,
    out: Path | None,
    *,
    resume: bool,
) -> None:
    """The board on the terminal, report and outcomes in a folder, and the command that trains what it recommends."""
    if asked.verb not in KINDS:
        raise UnknownNameError(f"elman compare: unknown problem {asked.verb!r}, {suggest(asked.verb, KINDS)}")
    given: dict[str, Any] = {"max_steps": steps}
    if asked.verb == "forecast":
        if missing := [f"--{name}" for name in ("time", "target", "horizon") if asked.forecast[name] is None]:
            raise OptionError(f"elman compare forecast: {', '.join(missing)} must be given, as for elman forecast.")
        given |= asked.forecast
    own = [] if cells is None else [load_cells(cells, names[0] if names else None)]
    chosen = list(names or [*own, *CELLS])
    estimator = build(KINDS[asked.verb], chosen[0], None, more, **given)
    data, options = asked.data(estimator)
    folder = run_folder("compare", asked.files[0], out, resume=resume, share=asked.share)
    wanted = {name: value for name, value in grid.items() if value is not None}
    say = talk()["say"]
    found = compare(estimator, data, cells=chosen, **wanted, **options, folder=folder, resume=resume, say=say)
    shown = {"cells": chosen, **wanted}
    configuration = shown | {name: v for name, v in estimator._params().items() if name not in VARIED}
    Report(title, scoreboard=found, sections=sections(found), configuration=configuration).write(RunFolder(folder))
    print_board(found)
    print(f"\nReport: {folder / 'report.html'}")
    _next(found)


def _next(found: Comparison) -> None:
    row = next(row for row in found.rows if row.model == found.recommendation.model)
    if row.group is not None:
        shape = {"--cell": name_of(find_cell(row.group)), "--layers": row.depth, "--hidden-size": row.width}
        print(f"Train it: {trained_by([str(word) for pair in shape.items() for word in pair], shape)}")
