"""`elman classify`, `regress` and `tag`: three verbs, one study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command

VERBS = {
    "classify": ("SequenceClassifier", "Learn a class for each sequence in FILE, judge it, write a run folder."),
    "regress": ("SequenceRegressor", "Learn a number for each sequence in FILE, judge it, write a run folder."),
    "tag": ("SequenceTagger", "Learn a label for each step of the sequences in FILE, judge it, write a run folder."),
}


def _verb(name: str, kind: str, words: str) -> Callable[..., None]:
    def run(
        file: Annotated[Path, typer.Argument(help="Table (.csv, .tsv, .parquet, .jsonl), .ts, .npz or .conll.")],
        label: options.Label = None,
        input: options.Inputs = None,
        sequence: options.Sequence = None,
        time: options.Time = None,
        test: options.Test = None,
        share: options.Share = 0.2,
        cell: options.Cell = None,
        cells: options.Cells = None,
        hidden_size: options.HiddenSize = None,
        layers: options.Layers = None,
        steps: options.Steps = None,
        more: options.More = None,
        seed: options.Seed = 0,
        title: options.Title = None,
        out: options.Out = None,
        resume: options.Resume = False,
    ) -> None:
        from elman.cli.jobs import build, run_folder, run_labels
        from elman.data.examples import Columns

        shape = {"hidden_size": hidden_size, "num_layers": layers}
        estimator = build(kind, cell, cells, more, **shape, max_steps=steps, random_state=seed)
        columns = Columns(tuple(input or ()), label, sequence, time)
        folder = run_folder(name, file, out, resume=resume, share=share)
        run_labels(estimator, file, test, columns, folder, title=title or file.name, share=share, resume=resume)
        print(f"\nReport: {folder / 'report.html'}")

    run.__name__, run.__doc__ = name, words
    return command(run)


for _name, (_kind, _words) in VERBS.items():
    _verb(_name, _kind, _words)
