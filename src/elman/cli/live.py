"""`elman stream` and `elman export`: a trained run where data come, and where there is no Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command

Run = Annotated[Path, typer.Argument(help="Run folder of another verb.")]


@command
def stream(
    run: Run,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the state: goes on from it, and leaves it there.")
    ] = None,
    every: Annotated[int, typer.Option(help="Steps after which the state is written, and at the end.")] = 1000,
    series: Annotated[str | None, typer.Option(help="Which of a forecaster's series goes on.")] = None,
    cells: options.Cells = None,
) -> None:
    """Answer each line of JSON on stdin, a step, with one on stdout, at once."""
    from elman.cli.live_jobs import run_stream

    run_stream(run, state, every, series, cells)


@command
def export(
    run: Run,
    to: Annotated[str, typer.Option(help="c: one C99 file and a header.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to. [RUN/export]")] = None,
    name: Annotated[str | None, typer.Option(help="Of the files, and of the functions in C. [that of RUN]")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="C: weights in 8 bits; what that costs is told.")] = False,
    main: Annotated[bool, typer.Option("--main", help="C: with a program to try it, -DNAME_MAIN.")] = False,
    cells: options.Cells = None,
) -> None:
    """Write a trained RUN for where there is no Python."""
    from elman.cli.live_jobs import run_export

    run_export(run, to, out, name, cells, int8=int8, main=main)
