"""`elman diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command


@command
def diagnose(
    run: Annotated[str, typer.Argument(help="Run folder; or a cell of the catalogue or of --cells, as it starts.")],
    file: Annotated[Path | None, typer.Argument(help="Data such as the run was trained on.")] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Train again with the remedies, and see if one helps.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Run folder for the mended model [RUN-mended]; of a cell, for pictures.")
    ] = None,
    cells: options.Cells = None,
) -> None:
    """Tell how far gradients go back through time, how far the data need it, and what to do about it."""
    from elman.cli.diagnose_jobs import run_diagnose

    run_diagnose(run, file, apply, out, cells)
