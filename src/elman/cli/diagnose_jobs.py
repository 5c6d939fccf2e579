"""What `elman diagnose` does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from elman.cli.jobs import kept_columns, load_cells, write_columns
from elman.data.examples import read_examples
from elman.errors import OptionError
from elman.estimators import load
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.diagnose import diagnose
from elman.evidence.diagnose.picture import to_html
from elman.evidence.diagnose.remedies import Tried, try_remedies
from elman.evidence.report import Report
from elman.training.run import RunFolder


def run_diagnose(run: Path, file: Path, apply: bool, out: Path | None, cells: Path | None) -> None:
    """The verdict on the terminal; numbers and pictures beside the run; with `apply`, a mended run."""
    load_cells(cells, None)
    model = load(run)
    if not isinstance(model, SequenceEstimator):
        kind = type(model).__name__
        raise OptionError(f"elman diagnose: reads runs of classify, regress and tag, {run} holds a {kind}.")
    columns = kept_columns(run, labelled=True)
    X, y, _ = read_examples(file, columns, each_step=model.per_step)
    if y is None:
        raise OptionError(f"{file}: labels are needed to follow the loss back. Give a file with {columns.label!r}.")
    found = diagnose(model, (X, y))
    print(found)
    report = Report(f"Diagnosis of {run.resolve().name}", sections={"Gradients through time": to_html(found)})
    RunFolder(run).write_text("diagnosis.json", json.dumps(found.to_json(), indent=1))
    RunFolder(run).write_text("diagnosis.html", report.to_html())
    print(f"\nPictures: {run / 'diagnosis.html'}")
    if apply:
        tried = try_remedies(model, X, y, say=lambda line: print(line, file=sys.stderr))
        _tell(tried)
        folder = out or run.with_name(f"{run.name}-mended")
        tried[-1].model.save(folder)
        write_columns(folder, columns)
        print(f"Mended:   {folder}")


def _tell(tried: list[Tried]) -> None:
    before, after = tried[0], tried[-1]
    print(f"\nBefore:   explains {before.explained:.1%} of what it has not seen")
    if after.remedy is None or after.explained <= before.explained:
        print("After:    no remedy helped; the model is kept as it was trained")
        return
    print(f"After:    explains {after.explained:.1%}, with {after.remedy.flags}")
