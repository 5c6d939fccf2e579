"""What `elman diagnose` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from elman.cells import find_cell
from elman.cli.jobs import COLUMNS as KEPT
from elman.cli.jobs import define_cells, kept_columns, load_cells, write_columns
from elman.data import read_table
from elman.data.corpus import read_corpus
from elman.data.examples import read_examples
from elman.data.pairs import read_pairs
from elman.errors import OptionError
from elman.estimators import AnomalyDetector, Forecaster, LanguageModel, load
from elman.estimators.transduction.base import TextEstimator
from elman.evidence.compare.kept import OUTCOMES
from elman.evidence.diagnose import diagnose
from elman.evidence.diagnose.diagnosis import COLUMNS, Diagnosis
from elman.evidence.diagnose.picture import to_html
from elman.evidence.diagnose.remedies import R2, try_remedies
from elman.evidence.report import Report
from elman.evidence.tune.search import STUDY
from elman.files import make_folder
from elman.recurrent import Recurrent
from elman.training.run import RunFolder

NOISE = (16, 500, 16)
"""sequences, steps and numbers at a step of what a cell without a run is looked at with"""


def run_diagnose(name: str, file: Path | None, apply: bool, out: Path | None, cells: Path | None) -> None:
    """The verdict on the terminal; numbers and pictures beside the run; with `apply`, a mended run."""
    run = Path(name)
    if not run.is_dir():
        if file is not None or run.is_file():
            raise OptionError(
                f"elman diagnose: {name}: expected a run folder, got none. Write elman diagnose RUN FILE."
            )
        _of_cell(load_cells(cells, name), out)
        return
    define_cells(cells)
    _check_model(run)
    model = load(run)
    if file is None:
        raise OptionError(
            f"elman diagnose: {run} holds a run; name the data it learned from: elman diagnose {run} FILE."
        )
    data = _data(model, run, file)
    found = diagnose(model, data)
    print(f"{found}\n\nMeasured on {file.name}: on other data, as those of a report, it may be otherwise.")
    _write(found, f"Diagnosis of {run.resolve().name}", RunFolder(run), file.name)
    if apply and not found.verdict.remedies:
        print("Nothing to apply: there is no remedy for what is no fault of the gradient.")
    elif apply:
        _apply(model, run, data, out or run.with_name(f"{run.name}-mended"))


def _check_model(run: Path) -> None:
    """Raises `OptionError` for a folder of `compare`, or of a `tune` that is not over: there is no model yet."""
    if (run / OUTCOMES).is_file():
        mend = "Train the one that it recommends (its last line is the command), and diagnose that run."
        raise OptionError(f"elman diagnose: {run} must hold a model, got a comparison of several. {mend}")
    if (run / STUDY).is_file() and not RunFolder(run).finished:
        mend = "Let elman tune end (--resume), which trains the best, or train what it found."
        raise OptionError(f"elman diagnose: {run} must hold a model, got a search. {mend}")


def _of_cell(name: str, out: Path | None) -> None:
    """A cell with the weights that it starts with, on noise."""
    cell = find_cell(name, "elman diagnose: no such run folder, and as a cell")
    torch.manual_seed(0)
    found = diagnose(Recurrent(cell, NOISE[2], 64), torch.randn(NOISE[1], NOISE[0], NOISE[2]))
    print(f"{type(cell).__name__}, 64 units as they start, on {NOISE[1]} steps of noise")
    rows = [COLUMNS, *found.rows()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if out is not None:
        make_folder(out)
        _write(found, f"Diagnosis of {type(cell).__name__}", RunFolder(out), "noise")


def _data(model: Any, run: Path, file: Path) -> Any:
    """What `diagnose` takes besides the model, from a file as the run's verb reads it."""
    if isinstance(model, Forecaster):
        return (read_table(file),)
    if isinstance(model, LanguageModel):
        return (list(read_corpus(file).pieces),)
    if isinstance(model, AnomalyDetector):
        return (read_examples(file, kept_columns(run), each_step=True, one=True)[0],)
    columns = kept_columns(run, labelled=True)
    if isinstance(model, TextEstimator):
        pairs = read_pairs(file, None, columns)
        X, y = pairs.X, pairs.y
    else:
        X, y, _ = read_examples(file, columns, each_step=model.per_step)
    if y is None:
        mend = "such as the run learned from" if columns.label is None else f"with a column {columns.label!r}"
        raise OptionError(f"{file}: labels are needed to follow the loss back, got none. Give a file {mend}.")
    return X, y


def _write(found: Diagnosis, title: str, folder: RunFolder, on: str) -> None:
    report = Report(title, sections={"Gradients through time": to_html(found, on)})
    folder.write_text("diagnosis.json", json.dumps({"on": on, **found.to_json()}, indent=1))
    folder.write_text("diagnosis.html", report.to_html())
    print(f"\nPictures: {folder.path / 'diagnosis.html'}")


def _apply(model: Any, run: Path, data: Sequence[Any], folder: Path) -> None:
    before, *_, after = try_remedies(model, *data, say=lambda line: print(line, file=sys.stderr))
    print(f"\nBefore:   {before} {'of' if before.measure == R2 else 'on'} what it has not seen")
    if after.loss >= before.loss:
        print("After:    no remedy helped; the run stays as it is")
        return
    flags = "" if after.remedy is None else after.remedy.flags
    print(f"After:    {after}, with {flags}")
    after.model.save(folder)
    if (run / KEPT).is_file():
        write_columns(folder, kept_columns(run, labelled=True))
    print(f"Mended:   {folder}")
