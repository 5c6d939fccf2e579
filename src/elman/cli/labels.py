"""`elman classify`, `regress` and `tag`: three verbs, one study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.app import Columns, command

VERBS = {
    "classify": ("SequenceClassifier", "Learn a class for each sequence in FILE, judge it, write a run folder."),
    "regress": ("SequenceRegressor", "Learn a number for each sequence in FILE, judge it, write a run folder."),
    "tag": ("SequenceTagger", "Learn a label for each step of the sequences in FILE, judge it, write a run folder."),
}


def _verb(name: str, kind: str, words: str) -> Callable[..., None]:
    def run(
        file: Annotated[Path, typer.Argument(help="Table (.csv, .tsv, .parquet, .jsonl), .ts, .npz or .conll.")],
        label: Annotated[str | None, typer.Option(help="Column with the label, of a table.")] = None,
        input: Annotated[
            Columns, typer.Option(help="Column to read: a text, or a feature; repeat for more. [all others]")
        ] = None,
        sequence: Annotated[
            str | None, typer.Option(help="Column that names the sequence, if a row is a step.")
        ] = None,
        time: Annotated[str | None, typer.Option(help="Column that orders the steps.")] = None,
        test: Annotated[Path | None, typer.Option(help="File to judge by; else a share of FILE.")] = None,
        share: Annotated[float, typer.Option(help="Share of FILE to judge by.")] = 0.2,
        cell: Annotated[str | None, typer.Option(help="Recurrent cell: lstm (default), another, or your own.")] = None,
        cells: Annotated[Path | None, typer.Option(help="Python file that defines your own cells; it is run.")] = None,
        hidden_size: Annotated[int | None, typer.Option(help="Units per layer and direction.")] = None,
        layers: Annotated[int, typer.Option(help="Recurrent layers.")] = 1,
        steps: Annotated[int | None, typer.Option(help="Training steps; else by the amount of data.")] = None,
        seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
        out: Annotated[Path | None, typer.Option(help="Run folder; else a new one under runs/.")] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")] = False,
    ) -> None:
        from elman import estimators
        from elman.cli.jobs import free_folder, load_cells, run_labels
        from elman.data.examples import Columns as Named

        options: dict[str, Any] = {"num_layers": layers, "max_steps": steps, "random_state": seed}
        options |= {} if hidden_size is None else {"hidden_size": hidden_size}
        estimator = getattr(estimators, kind)(cell=load_cells(cells, cell), **options)
        columns = Named(tuple(input or ()), label, sequence, time)
        folder = out or free_folder(Path("runs") / file.name.split(".")[0])
        run_labels(estimator, file, test, columns, folder, share=share, resume=resume)
        print(f"\nReport: {folder / 'report.html'}")

    run.__name__, run.__doc__ = name, words
    return command(run)


for _name, (_kind, _words) in VERBS.items():
    _verb(_name, _kind, _words)
