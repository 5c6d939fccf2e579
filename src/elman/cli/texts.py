"""`elman translate`, `transcribe` and `caption`: three verbs, one study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.app import command

VERBS = {
    "translate": ("Translator", "Learn a text for each text, judge it, write a run folder."),
    "transcribe": ("Transcriber", "Learn the text of each sound or signal, judge it, write a run folder."),
    "caption": ("Captioner", "Learn a text for each picture, judge it, write a run folder."),
}


def _verb(name: str, kind: str, words: str) -> Callable[..., None]:
    def run(
        file: Annotated[Path, typer.Argument(help="Table (.csv, .tsv, .parquet, .jsonl), .npz, or lines of text.")],
        target: Annotated[Path | None, typer.Argument(help="The texts, line by line, where FILE is lines.")] = None,
        input: Annotated[
            str | None,
            typer.Option(help="Column with what is read: a text, or the name of a sound's or picture's file."),
        ] = None,
        text: Annotated[str | None, typer.Option(help="Column with the text to write.")] = None,
        test: Annotated[Path | None, typer.Option(help="File to judge by; else a share of FILE.")] = None,
        test_target: Annotated[Path | None, typer.Option(help="Its texts, where it is lines.")] = None,
        share: Annotated[float, typer.Option(help="Share of FILE to judge by.")] = 0.1,
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
        from elman.cli.jobs import check_resume, free_folder, load_cells
        from elman.cli.text_jobs import run_texts
        from elman.data.examples import Columns as Named

        check_resume(name, out, resume)
        options: dict[str, Any] = {"num_layers": layers, "max_steps": steps, "random_state": seed}
        options |= {} if hidden_size is None else {"hidden_size": hidden_size}
        estimator = getattr(estimators, kind)(cell=load_cells(cells, cell), **options)
        columns = Named(() if input is None else (input,), text)
        folder = out or free_folder(Path("runs") / file.name.split(".")[0])
        files = (file, target), (test, test_target)
        run_texts(estimator, *files, columns, folder, share=share, resume=resume)
        print(f"\nReport: {folder / 'report.html'}")

    run.__name__, run.__doc__ = name, words
    return command(run)


for _name, (_kind, _words) in VERBS.items():
    _verb(_name, _kind, _words)
