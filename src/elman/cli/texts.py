"""`elman translate`, `transcribe` and `caption`: three verbs, one study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
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
        test: options.Test = None,
        test_target: Annotated[Path | None, typer.Option(help="Its texts, where it is lines.")] = None,
        share: options.Share = 0.1,
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
        from elman.cli.jobs import build, run_folder
        from elman.cli.text_jobs import run_texts
        from elman.data.examples import Columns

        shape = {"hidden_size": hidden_size, "num_layers": layers}
        estimator = build(kind, cell, cells, more, **shape, max_steps=steps, random_state=seed)
        columns = Columns(() if input is None else (input,), text)
        folder = run_folder(name, file, out, resume=resume, share=share)
        files = (file, target), (test, test_target)
        run_texts(estimator, *files, columns, folder, title=title or file.name, share=share, resume=resume)
        print(f"\nReport: {folder / 'report.html'}")

    run.__name__, run.__doc__ = name, words
    return command(run)


for _name, (_kind, _words) in VERBS.items():
    _verb(_name, _kind, _words)
