"""What the subcommands do, apart from reading their options."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console

from elman import estimators
from elman.cells import Cell
from elman.data.examples import Columns, read_examples, read_names
from elman.errors import DataError, ElmanError, MissingExtraError, OptionError, UnknownNameError, suggest
from elman.estimators import Forecaster
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.board import Board
from elman.evidence.label_study import Examples, label_study, labels_frame
from elman.evidence.study import study
from elman.files import leads
from elman.training.progress import progress_for
from elman.training.run import MANIFEST, RunFolder

COLUMNS = "columns.json"
"""in a run of labels: which columns of a table hold what"""


def run_forecast(
    forecaster: Forecaster, table: Any, folder: Path, *, title: str, windows: int, future: Any, resume: bool
) -> None:
    """A study of a table into a folder, with progress, and its scoreboard printed."""
    panel = forecaster.read(table)
    judged = study(
        forecaster,
        panel,
        folder,
        title=title,
        n_windows=windows,
        future=future,
        resume=resume,
        **talk(),
    )
    print_board(judged.scoreboard)
    for note in judged.notes:
        print(f"Note: {note}")


def run_labels(
    estimator: SequenceEstimator,
    file: Path,
    test: Path | None,
    columns: Columns,
    folder: Path,
    *,
    title: str,
    share: float,
    resume: bool,
) -> None:
    """A study of labelled sequences into a folder, with progress, and its scoreboard printed."""
    examples, found = read_labelled(file, test, columns, each_step=estimator.per_step, share=share)
    judged = label_study(estimator, examples, folder, title=title, resume=resume, **talk())
    write_columns(folder, found)
    print_board(judged.scoreboard)


def read_labelled(
    file: Path, test: Path | None, columns: Columns, *, each_step: bool, share: float
) -> tuple[Examples, Columns]:
    """Sequences to learn from, others to judge by (those of `test`, else a share), and the columns that were read."""
    X, y, found = read_examples(file, columns, each_step=each_step)
    if y is None:
        raise OptionError(f"{file}: a label is needed to learn from. Name its column: --label COL.")
    if test is None:
        return Examples.split(X, y, share, 0), found
    X_test, y_test, _ = read_examples(test, columns, each_step=each_step)
    return Examples(X, y, X_test, y_test), found


def predict_labels(estimator: Any, run: Path, file: Path | None) -> Any:
    """A table of what the run says of the sequences in a file, read by the columns that it was trained with."""
    if not isinstance(estimator, SequenceEstimator):
        kind = type(estimator).__name__
        raise OptionError(f"elman predict: {run} holds a {kind}, which generates. Use it so: elman generate {run}")
    if file is None:
        raise OptionError(f"elman predict: {run} labels sequences; name a file with some: elman predict {run} FILE.")
    columns = kept_columns(run)
    X, _, _ = read_examples(file, columns, each_step=estimator.per_step)
    return with_names(labels_frame(estimator, X), file, columns)


def with_names(table: Any, file: Path, columns: Columns) -> Any:
    """A table of what was said, with the names of the sequences in place of their numbers where a column tells them."""
    names = read_names(file, columns)
    if names is None:
        return table
    return table.assign(sequence=[names[i] for i in table["sequence"]]).rename(columns={"sequence": columns.sequence})


def write_columns(run: Path, columns: Columns) -> None:
    """Keeps beside a model by which columns its table was read."""
    RunFolder(run).write_text(COLUMNS, json.dumps(asdict(columns), indent=2))


def kept_columns(run: Path, *, labelled: bool = False) -> Columns:
    """The columns that a run was trained with; the label's only where it is wanted."""
    kept: dict[str, Any] = json.loads((run / COLUMNS).read_text("utf-8")) if (run / COLUMNS).is_file() else {}
    label = kept.get("label") if labelled else None
    return Columns(**kept | {"inputs": tuple(kept.get("inputs", ())), "label": label})


def talk() -> dict[str, Any]:
    """How a study reports to a terminal: `progress`, a bar for each training, and `say`, lines on stderr."""
    return {
        "progress": lambda: progress_for("auto"),
        "say": Console(stderr=True, highlight=False, soft_wrap=True, quiet=not leads()).print,
    }


def print_board(board: Board) -> None:
    """A scoreboard: coloured on a terminal, else plain."""
    print()
    if sys.stdout.isatty():
        Console(highlight=False).print(board.to_rich())
        print("\n" + board.to_text().split("\n\n", 1)[1], end="")
    else:
        print(board.to_text(), end="")


def free_folder(wanted: Path) -> Path:
    """The folder, or the first of wanted-2, wanted-3 … that does not exist: no run is ever overwritten."""
    names = (wanted if n == 1 else wanted.with_name(f"{wanted.name}-{n}") for n in count(1))
    return next(folder for folder in names if not folder.exists())


@contextlib.contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    """Within the block, an option or data that are refused leave no new folder behind that holds nothing."""
    new = not folder.exists()
    try:
        yield
    except (OptionError, UnknownNameError, DataError, MissingExtraError):
        if new and folder.is_dir() and {path.name for path in folder.iterdir()} <= {MANIFEST}:
            (folder / MANIFEST).unlink(missing_ok=True)
            folder.rmdir()
        raise


def run_folder(verb: str, file: Path, out: Path | None, *, resume: bool, share: float | None = None) -> Path:
    """Where a verb writes: --out, or a new folder that is named after its file.

    Raises `OptionError` where there is nothing to go on with, and for a share that leaves nothing of the file.
    """
    if resume and (out is None or not out.exists()):
        raise OptionError(f"elman {verb}: --resume needs the run to go on with. Name one that exists: --out RUN.")
    if share is not None and not 0 < share < 1:
        raise OptionError(f"elman {verb}: --share must be between 0 and 1, got {share}. A fifth is 0.2.")
    return out or free_folder(Path("runs") / file.name.split(".")[0])


def check_together(future: Sequence[str] | None, future_file: Path | None) -> None:
    """Raises `OptionError` for options that mean nothing without another one."""
    if future_file is not None and not future:
        raise OptionError("elman forecast: --future-file needs the columns to read from it. Name them: --future COL.")


def build(kind: str, cell: str | None, cells: Path | None, more: Sequence[str] | None, **given: Any) -> Any:
    """The estimator of that name; an argument that is None stays at its default.

    more: any of its arguments as "name=value", the value as in JSON or Python, else a text. Raises `OptionError`.
    """
    options = {"cell": load_cells(cells, cell)} | {name: value for name, value in given.items() if value is not None}
    known = inspect.signature(getattr(estimators, kind)).parameters
    for pair in more or ():
        name, sign, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not sign:
            raise OptionError(f"--set: expected NAME=VALUE, got {pair!r}. Write --set {name}=….")
        if name not in known:
            raise OptionError(f"--set: {kind} has no argument {name!r}, {suggest(name, known)}")
        options[name] = parse_value(text.strip())
        if isinstance(known[name].default, bool) and not isinstance(options[name], bool):
            raise OptionError(f"--set: {name} must be true or false, got {text!r}.")
    return getattr(estimators, kind)(**options)


def parse_value(text: str) -> Any:
    """What a text says in JSON or in Python, else the text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return text


def load_cells(path: Path | None, cell: str | None) -> str:
    """Names the cell to use, and defines those of a user's file: the one asked for, else the file's only one, else the
    LSTM."""
    found = define_cells(path)
    if cell is None and len(found) > 1:
        raise OptionError(f"--cells: {path} defines several cells. Choose: --cell {found[0]}.")
    return cell or (found[0] if found else "lstm")


def define_cells(path: Path | None) -> list[str]:
    """Runs a user's Python file, so that the cells it defines are known, and names them; a run says itself which of
    them is its own."""
    if path is None:
        return []
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise OptionError(f"--cells: expected a Python file (.py) that defines your cells, got {path}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:
        if isinstance(problem, ElmanError):
            raise
        reason = " ".join(str(problem).split())
        raise OptionError(f"--cells: {path} does not run: {type(problem).__name__} {reason}.") from None
    found = [
        v for v in vars(module).values() if isinstance(v, type) and v.__module__ == path.stem and issubclass(v, Cell)
    ]
    if not found:
        raise OptionError(f"--cells: {path} defines no cell. Subclass elman.Cell in it.")
    return [cell.__name__ for cell in found]


def percentages(level: Sequence[str] | None) -> tuple[float, ...]:
    """Interval levels from the command line."""
    try:
        return tuple(float(v) for v in level) if level else (80, 95)
    except ValueError as problem:
        raise DataError(f"elman predict: level must be percentages such as 80, {problem}.") from None
