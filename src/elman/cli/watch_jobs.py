"""What `elman watch` does, and `elman predict` with what it left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from elman.cli.jobs import kept_columns, print_board, talk, with_names, write_columns
from elman.data.examples import Columns, read_examples
from elman.errors import OptionError, UnknownNameError
from elman.estimators import AnomalyDetector
from elman.evidence.anomaly_study import WatchExamples, anomalies_frame, anomaly_study


def run_watch(
    detector: AnomalyDetector,
    file: Path,
    test: Path | None,
    columns: Columns,
    folder: Path,
    *,
    title: str,
    share: float,
    resume: bool,
) -> None:
    """A study of sequences into a folder, with progress, and its scoreboard printed."""
    examples, found = read_watched(file, test, columns, share)
    judged = anomaly_study(detector, examples, folder, title=title, resume=resume, **talk())
    write_columns(folder, found)
    if judged.scoreboard is not None:
        print_board(judged.scoreboard)
        return
    alarms = np.concatenate(judged.said.alarms)
    print(f"\n{alarms.sum()} alarms in {len(alarms)} test steps, {alarms.mean():.2%}.")
    for note in judged.notes:
        print(f"Note: {note}")


def read_watched(file: Path, test: Path | None, columns: Columns, share: float) -> tuple[WatchExamples, Columns]:
    """Sequences to learn what is normal from, others to judge by, and the columns that they were read by."""
    if test is None:
        X, y, found = read_examples(file, columns, each_step=True, one=True)
        examples = WatchExamples.split(X, y, share, 0)
    else:
        X, y, found = _read_normal(file, columns)
        X_test, y_test, _ = read_examples(test, replace(found, label=columns.label), each_step=True, one=True)
        examples = WatchExamples.of_files(X, y, X_test, y_test)
    return replace(examples, names=found.inputs), found


def _read_normal(file: Path, columns: Columns) -> tuple[Sequence[Any], Any, Columns]:
    """What is learned from needs no label: it is all normal where it has none."""
    try:
        return read_examples(file, columns, each_step=True, one=True)
    except UnknownNameError:
        if columns.label is None:
            raise
        return read_examples(file, replace(columns, label=None), each_step=True, one=True)


def predict_anomalies(detector: AnomalyDetector, run: Path, file: Path | None) -> Any:
    """A table of score and alarm of each step in a file, read by the columns that the run was trained with."""
    if file is None:
        raise OptionError(f"elman predict: {run} watches signals; name a file with some: elman predict {run} FILE.")
    columns = kept_columns(run)
    X, _, _ = read_examples(file, columns, each_step=True, one=True)
    return with_names(anomalies_frame(detector, X), file, columns)
