"""What `elman explain RUN --on EXAMPLE` does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from elman.cli.jobs import kept_columns, load_cells
from elman.data.examples import read_examples
from elman.data.inputs import Names
from elman.errors import OptionError
from elman.estimators import load
from elman.evidence.explain.example import explain_example
from elman.evidence.explain.example_page import to_html
from elman.training.run import RunFolder


def run_example(run: Path, on: str, row: int, step: int | None, cells: Path | None, out: Path | None) -> None:
    """What the answer is owed to, on the terminal; numbers and pictures beside the run, or in `out`."""
    load_cells(cells, None)
    model = load(run)
    x, names = _example(run, model, on, row)
    found = explain_example(model, x, step)
    if names and len(names) == len(found.features):
        found = replace(found, features=names)
    print(found)
    if out is None:
        folder = RunFolder(run)
    else:
        out.mkdir(parents=True, exist_ok=True)
        folder = RunFolder(out)
    folder.write_text("explanation.json", json.dumps(found.to_json(), indent=1))
    folder.write_text("explanation.html", to_html(found, f"Why {run.resolve().name} says so"))
    print(f"\nPictures: {folder.path / 'explanation.html'}")


def _example(run: Path, model: Any, on: str, row: int) -> tuple[Any, tuple[str, ...]]:
    """A sequence and the names of its features: of a file the one asked for, else the text itself."""
    if not Path(on).is_file():
        if not isinstance(getattr(model, "inputs_", None), Names):
            raise OptionError(f"elman explain: --on: no such file, {on}, and {run} reads numbers. Check the name.")
        if Path(on).suffix in {".csv", ".tsv", ".npz", ".ts", ".parquet", ".jsonl", ".conll"}:
            raise OptionError(f"elman explain: --on: no such file, {on}. Check the name, or give a text.")
        return on, ()
    columns = kept_columns(run)
    X, _, _ = read_examples(Path(on), columns, each_step=getattr(model, "per_step", False))
    if not 0 <= row < len(X):
        raise OptionError(f"elman explain: --row must be in 0 to {len(X) - 1}, for {on} has {len(X)}; got {row}.")
    return X[row], columns.inputs
