"""`elman compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command
from elman.cli.options import Columns

Numbers = list[int] | None


@command
def compare(
    verb: Annotated[
        str, typer.Argument(help="The problem: classify, regress, tag, forecast, generate, watch, translate, ….")
    ],
    file: Annotated[Path, typer.Argument(help="What that verb reads.")],
    target_file: Annotated[Path | None, typer.Argument(help="The texts, line by line, where FILE is lines.")] = None,
    cell: Annotated[Columns, typer.Option(help="Cell; repeat for more. [elman, gru, lstm]")] = None,
    cells: options.Cells = None,
    layers: Annotated[Numbers, typer.Option(help="Recurrent layers; repeat for more. [1, 2]")] = None,
    hidden_size: Annotated[Numbers, typer.Option(help="Units; repeat for more. [the estimator's]")] = None,
    parameters: Annotated[int | None, typer.Option(help="Weights that each net is to have.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds of training that each net is to have.")] = None,
    seeds: Annotated[int, typer.Option(help="Starts of each model that draws any.")] = 3,
    label: options.Label = None,
    input: options.Inputs = None,
    sequence: options.Sequence = None,
    time: options.Time = None,
    text: Annotated[str | None, typer.Option(help="Column with the text to write.")] = None,
    target: Annotated[str | None, typer.Option(help="Column to forecast.")] = None,
    series: Annotated[str | None, typer.Option(help="Column that names the series to forecast.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Steps to forecast.")] = None,
    windows: Annotated[int, typer.Option(help="Test windows of a forecast.")] = 3,
    test: options.Test = None,
    share: options.Share = 0.2,
    steps: options.Steps = None,
    more: options.More = None,
    title: options.Title = None,
    out: options.Out = None,
    resume: options.Resume = False,
) -> None:
    """Hold cells, depths and widths against each other and against every baseline, and tell what to use on FILE."""
    from elman.cli.compare_jobs import Asked, run_compare
    from elman.data.examples import Columns as Read

    columns = Read(tuple(input or ()), text if label is None else label, sequence, time)
    forecast = {"time": time, "target": target, "series": series, "horizon": horizon}
    asked = Asked(verb, (file, target_file), test, columns, share, forecast, windows)
    grid = {"depths": layers, "widths": hidden_size, "parameters": parameters, "seconds": seconds, "seeds": seeds}
    run_compare(asked, cell, cells, grid, steps, more, title or file.name, out, resume=resume)
