"""`elman diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command


@command
def diagnose(
    run: Annotated[Path, typer.Argument(help="Run folder of classify, regress or tag.")],
    file: Annotated[Path, typer.Argument(help="Sequences with labels, as the run was trained on.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Train again with the remedies, and see if one helps.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Run folder for the mended model. [RUN-mended]")] = None,
    cells: options.Cells = None,
) -> None:
    """Tell how far gradients go back through time, how far the data need it, and what to do about it."""
    from elman.cli.diagnose_jobs import run_diagnose

    run_diagnose(run, file, apply, out, cells)
