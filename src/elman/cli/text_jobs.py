"""What the verbs that write texts do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elman.cli.jobs import kept_columns, print_board, talk, write_columns
from elman.data.examples import Columns
from elman.data.pairs import Pairs, read_pairs
from elman.errors import OptionError
from elman.estimators.transduction.base import TextEstimator
from elman.evidence.label_study import Examples
from elman.evidence.text_study import text_study


def run_texts(
    estimator: TextEstimator,
    learn: tuple[Path, Path | None],
    test: tuple[Path | None, Path | None],
    columns: Columns,
    folder: Path,
    *,
    title: str,
    share: float,
    resume: bool,
) -> None:
    """A study of pairs into a folder, with progress, and its scoreboard printed."""
    examples, read = with_texts(learn, test, columns, share)
    found = text_study(estimator, examples, folder, title=title, resume=resume, **talk())
    write_columns(folder, read)
    print_board(found.scoreboard)


def with_texts(
    learn: tuple[Path, Path | None], test: tuple[Path | None, Path | None], columns: Columns, share: float
) -> tuple[Examples, Columns]:
    """Pairs to learn from and to judge by, and the columns that they were read by."""
    pairs = _with_texts(*learn, columns)
    if test[0] is None:
        return Examples.split(pairs.X, pairs.y, share, 0), pairs.columns
    judged = _with_texts(test[0], test[1], pairs.columns)
    return Examples(pairs.X, pairs.y, judged.X, judged.y), pairs.columns


def predict_texts(estimator: TextEstimator, run: Path, file: Path | None) -> Any:
    """A table of what the run writes of the sequences in a file, read by the columns that it was trained with."""
    import pandas as pd

    if file is None:
        raise OptionError(f"elman predict: {run} writes texts; name a file to read: elman predict {run} FILE.")
    texts = estimator.predict(read_pairs(file, None, kept_columns(run)).X)
    return pd.DataFrame({"sequence": range(len(texts)), "text": texts})


def _with_texts(file: Path, target: Path | None, columns: Columns) -> Pairs:
    pairs = read_pairs(file, target, columns)
    if pairs.y is None:
        raise OptionError(
            f"{file}: texts are needed to learn from. Name their column, --text COL, or their file after this one."
        )
    return pairs
