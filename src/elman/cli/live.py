"""`elman stream`, `serve`, `export`: a trained run where data come, and where there is no Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command

Series = Annotated[str | None, typer.Option(help="Which of a forecaster's series goes on.")]
Run = Annotated[Path, typer.Argument(help="Run folder of another verb.")]


@command
def stream(
    run: Run,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the state: goes on from it, and leaves it there.")
    ] = None,
    every: Annotated[int, typer.Option(help="Steps after which the state is written, and at the end.")] = 1000,
    series: Series = None,
    cells: options.Cells = None,
) -> None:
    """Answer each line of JSON on stdin, a step, with one on stdout, at once."""
    from elman.cli.live_jobs import run_stream

    run_stream(run, state, every, series, cells)


@command
def export(
    run: Run,
    to: Annotated[
        str,
        typer.Option(
            help="c: one C99 file and a header; wasm: the same for browsers, with a page to try it; "
            "onnx: whole sequences, and one step with its state."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write to. [RUN/export]")] = None,
    name: Annotated[str | None, typer.Option(help="Of the files, and of the functions in C. [that of RUN]")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="C: weights in 8 bits; what that costs is told.")] = False,
    on: Annotated[
        Path | None, typer.Option(help="C: file with sequences, and their labels, to measure on what it costs.")
    ] = None,
    main: Annotated[bool, typer.Option("--main", help="C: with a program to try it; it says how to build it.")] = False,
    cells: options.Cells = None,
) -> None:
    """Write a trained RUN for where there is no Python."""
    from elman.cli.live_jobs import run_export

    run_export(run, to, out, name, on, cells, int8=int8, main=main)


@command
def serve(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of other verbs; of several, the page lets one pick.")],
    host: Annotated[str, typer.Option(help="Address to listen at; another than this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0: any that is free.")] = 8000,
    store: Annotated[
        str | None,
        typer.Option(
            help="SQLite file that keeps the sessions, or redis://HOST:PORT/N for several servers. [RUN/sessions.db]"
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="ELMAN_TOKEN", help="What clients must send: Authorization: Bearer TOKEN.")
    ] = None,
    every: Annotated[
        int, typer.Option(help="Steps of a sequence after which it is written; 1: before its answer.")
    ] = 1,
    most: Annotated[int, typer.Option(help="Sequences held ready; of more, the idle ones wait in the store.")] = 10_000,
    rate: Annotated[float, typer.Option(help="Requests of one address in a second.")] = 1000.0,
    series: Series = None,
    cells: options.Cells = None,
) -> None:
    """Answer steps of many sequences over HTTP and WebSockets, with a page to watch them by."""
    from elman.cli.live_jobs import run_server

    run_server(runs, host, port, store, token, series, cells, every=every, most=most, rate=rate)
