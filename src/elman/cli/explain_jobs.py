"""What `elman explain RUN --on EXAMPLE` does."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from elman.cli.jobs import define_cells, kept_columns
from elman.data import Columns, read_corpus, read_examples, read_table
from elman.data.examples import read_names
from elman.data.inputs import Names
from elman.data.pairs import read_one, read_pairs
from elman.data.table import TABLES
from elman.data.text_file import file_kind
from elman.errors import OptionError
from elman.estimators import AnomalyDetector, Forecaster, LanguageModel, load
from elman.estimators.base import Estimator, of_kind
from elman.estimators.sequences.base import SequenceEstimator
from elman.estimators.transduction.base import TextEstimator
from elman.evidence.explain.example_page import to_html
from elman.evidence.explain.kinds import explain_example
from elman.files import make_folder
from elman.training.run import RunFolder

HISTORY = "history"
"""in place of an example: the history that a forecaster keeps"""
FILES = {".csv", ".tsv", ".npz", ".mat", ".ts", ".parquet", ".jsonl", ".conll", ".txt", ".abc", ".wav", ".png", ".jpg"}
"""suffixes of what is meant to be a file, where there is none of that name"""


SHOWN = 40
"""letters of a text in the heading of its page"""


class Asked(NamedTuple):
    """An example, how it is called, and the names of its features and the times of its steps where they are known."""

    x: Any
    called: str
    names: tuple[str, ...] = ()
    times: tuple[str, ...] = ()


def run_example(run: Path, on: str, row: int, step: int | None, cells: Path | None, out: Path | None) -> None:
    """What the answer is owed to, on the terminal; numbers and pictures beside the run, or in `out`."""
    define_cells(cells)
    model = load(run)
    reader = of_kind(model, _READERS) or _of_sequences
    asked = reader(run, model, on, row)
    found = explain_example(model, asked.x, step)
    if asked.names and len(asked.names) == len(found.features):
        found = replace(found, features=asked.names)
    if asked.times and len(asked.times) == len(asked.x):
        found = found.at_times(asked.times)
    called = asked.called
    if found.watched is not None:  # a part of a signal
        called += f", {'' if asked.times else 'steps '}{found.steps[0]} to {found.steps[-1]}"
    print(found)
    if out is None:
        folder = RunFolder(run)
    else:
        make_folder(out)
        folder = RunFolder(out)
    kept = {"run": run.resolve().name, "example": called, **found.to_json()}
    folder.write_text("explanation.json", json.dumps(kept, indent=1))
    folder.write_text("explanation.html", to_html(found, f"Why {run.resolve().name} says so of {called}"))
    print(f"\nPictures: {folder.path / 'explanation.html'}")


def _said(text: str) -> Asked:
    """A text that stands in the command itself."""
    return Asked(text, repr(textwrap.shorten(text, SHOWN, placeholder=" …")))


def _of_sequences(run: Path, model: Any, on: str, row: int) -> Asked:
    """A row of a file of sequences, or the text itself."""
    if _is_text(run, model, on):
        return _said(on)
    columns, each_step = kept_columns(run), getattr(model, "per_step", False)
    return _row_of(on, row, columns, read_examples(Path(on), columns, each_step=each_step)[0])


def _of_signals(run: Path, model: Any, on: str, row: int) -> Asked:
    """A signal of a table whose rows are steps."""
    _file(run, on)
    columns = kept_columns(run)
    X = read_examples(Path(on), columns, each_step=True, one=True)[0]
    asked = _row_of(on, row, columns, X)
    if len(X) == 1 and columns.sequence is None:
        asked = asked._replace(called=Path(on).name)
    if columns.time is None or file_kind(Path(on)) not in (*TABLES, ".jsonl"):
        return asked
    told = read_examples(Path(on), replace(columns, label=columns.time), each_step=True, one=True)[1][row]
    return asked._replace(times=tuple(f"{columns.time} {t}" if str(t).isdecimal() else str(t) for t in told))


def _of_texts(run: Path, model: TextEstimator, on: str, row: int) -> Asked:
    """What a row or a line holds or names; a sound or a picture itself; or the text itself."""
    if _is_text(run, model, on):
        return _said(on)
    alone = read_one(Path(on))
    if alone is not None:
        return Asked(alone, Path(on).name)
    columns = kept_columns(run)
    return _row_of(on, row, columns, read_pairs(Path(on), None, columns).X)


def _of_pieces(run: Path, model: LanguageModel, on: str, row: int) -> Asked:
    """A text or a roll of a corpus, or the text itself."""
    if model.inputs_ is not None and _is_text(run, model, on):
        return _said(on)
    _file(run, on)
    return _row_of(on, row, Columns(), read_corpus(on).pieces)


def _of_series(run: Path, model: Forecaster, on: str, row: int) -> Asked:
    """A series of a table, or one whose history the run keeps: by its name, or by its number."""
    if Path(on).is_file():
        panel = model.read(read_table(Path(on)), model.panel_.freq)
        where = f" in {Path(on).name}"
    elif on == HISTORY or on in model.panel_.ids:
        panel, where = model.panel_, ""
        row = row if on == HISTORY else panel.ids.index(on)
    else:
        ids = model.panel_.ids
        shown = ", ".join(ids[:5]) + ", …" * (len(ids) > 5)
        raise OptionError(
            f"elman explain: --on: expected a table, a series of {run} ({shown}) or {HISTORY!r}, got {on!r}. "
            "Check the name."
        )
    _check_row(on, row, len(panel))
    return Asked(panel.select([row]), f"{panel.ids[row]}{where}")


_READERS: dict[type[Estimator], Callable[[Path, Any, str, int], Asked]] = {
    SequenceEstimator: _of_sequences,
    AnomalyDetector: _of_signals,
    TextEstimator: _of_texts,
    LanguageModel: _of_pieces,
    Forecaster: _of_series,
}


def _is_text(run: Path, model: Any, on: str) -> bool:
    """Whether it is no file but a text that the model can read; raises `OptionError` where it is neither."""
    if Path(on).is_file():
        return False
    if isinstance(getattr(model, "inputs_", None), Names) or hasattr(model.inputs_, "pieces"):
        if Path(on).suffix in FILES:
            raise OptionError(f"elman explain: --on: no such file, {on}. Check the name, or give a text.")
        return True
    _file(run, on)
    return False


def _file(run: Path, on: str) -> None:
    if not Path(on).is_file():
        raise OptionError(f"elman explain: --on: no such file, {on}, and {run} reads no text. Check the name.")


def _row_of(on: str, row: int, columns: Columns, X: Sequence[Any]) -> Asked:
    _check_row(on, row, len(X))
    names = None if columns.sequence is None else read_names(Path(on), columns)
    called = f"row {row}" if names is None else str(names[row])
    return Asked(X[row], f"{called} in {Path(on).name}", columns.inputs)


def _check_row(on: str, row: int, count: int) -> None:
    if not 0 <= row < count:
        raise OptionError(f"elman explain: --row must be in 0 to {count - 1}, for {on} has {count}; got {row}.")
