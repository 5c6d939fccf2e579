"""Options that several verbs take, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Columns = list[str] | None

Cell = Annotated[
    str | None, typer.Option(help="Recurrent cell: lstm (default), another of the catalogue, or your own.")
]
Cells = Annotated[Path | None, typer.Option(help="Python file that defines your own cells; it is run.")]
HiddenSize = Annotated[int | None, typer.Option(help="Units per layer and direction.")]
Layers = Annotated[int | None, typer.Option(help="Recurrent layers.")]
Steps = Annotated[int | None, typer.Option(help="Training steps; else by the amount of data.")]
Seed = Annotated[int, typer.Option(help="Random seed.")]
More = Annotated[
    Columns,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other argument of the estimator; repeat for more."),
]
Title = Annotated[str | None, typer.Option(help="Heading of the report; else the name of FILE.")]
Out = Annotated[Path | None, typer.Option(help="Run folder; else a new one under runs/.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")]

Test = Annotated[Path | None, typer.Option(help="File to judge by; else a share of FILE.")]
Share = Annotated[float, typer.Option(help="Share of FILE to judge by: of one signal or text, its end.")]
Label = Annotated[str | None, typer.Option(help="Column with the label, of a table.")]
Inputs = Annotated[
    Columns, typer.Option("--input", help="Column to read: a text, or a feature; repeat for more. [all others]")
]
Sequence = Annotated[str | None, typer.Option(help="Column that names the sequence, if a row is a step.")]
Time = Annotated[str | None, typer.Option(help="Column that orders the steps.")]
