"""`elman watch`: learn what is normal, and find what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command


@command
def watch(
    file: Annotated[Path, typer.Argument(help="Table (.csv, .tsv, .parquet, .jsonl), .ts or .npz, mostly normal.")],
    label: Annotated[
        str | None, typer.Option(help="Column with 1 for an anomaly, 0 for what is normal; without it, none is judged.")
    ] = None,
    input: options.Inputs = None,
    sequence: options.Sequence = None,
    time: options.Time = None,
    test: options.Test = None,
    share: options.Share = 0.3,
    method: Annotated[
        str, typer.Option(help="forecast (surprise at the next step) or autoencoder (of a window).")
    ] = "forecast",
    false_alarms: Annotated[float, typer.Option(help="Share of the normal that may be flagged.")] = 0.01,
    window: Annotated[
        int | None, typer.Option(help="Steps of a window; else 128 of a forecast, 32 of an autoencoder.")
    ] = None,
    smooth: Annotated[int | None, typer.Option(help="Steps whose mean surprise is a step's score.")] = None,
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
    """Learn what is normal in FILE, find what is not, judge it where there are labels, write a run folder."""
    from elman.cli.jobs import build, run_folder
    from elman.cli.watch_jobs import run_watch
    from elman.data.examples import Columns

    shape = {"hidden_size": hidden_size, "num_layers": layers, "window": window, "smooth": smooth}
    chosen = {"method": method, "false_alarms": false_alarms, "max_steps": steps, "random_state": seed}
    detector = build("AnomalyDetector", cell, cells, more, **shape, **chosen)
    columns = Columns(tuple(input or ()), label, sequence, time)
    folder = run_folder("watch", file, out, resume=resume, share=share)
    run_watch(detector, file, test, columns, folder, title=title or file.name, share=share, resume=resume)
    print(f"\nReport: {folder / 'report.html'}")
