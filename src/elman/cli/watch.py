"""`elman watch`: learn what is normal, and find what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.app import Columns, command


@command
def watch(
    file: Annotated[Path, typer.Argument(help="Table (.csv, .tsv, .parquet, .jsonl), .ts or .npz, mostly normal.")],
    label: Annotated[
        str | None, typer.Option(help="Column with 1 for an anomaly, 0 for what is normal; without it, none is judged.")
    ] = None,
    input: Annotated[Columns, typer.Option(help="Column to watch; repeat for more. [all others]")] = None,
    sequence: Annotated[
        str | None, typer.Option(help="Column that names the sequence; else a table is one long signal.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column that orders the steps.")] = None,
    test: Annotated[Path | None, typer.Option(help="File to judge by; else a share of FILE.")] = None,
    share: Annotated[float, typer.Option(help="Share of FILE to judge by: of one signal, its end.")] = 0.3,
    method: Annotated[
        str, typer.Option(help="forecast (surprise at the next step) or autoencoder (of a window).")
    ] = "forecast",
    false_alarms: Annotated[float, typer.Option(help="Share of the normal that may be flagged.")] = 0.01,
    window: Annotated[
        int | None, typer.Option(help="Steps of a window; else 128 of a forecast, 32 of an autoencoder.")
    ] = None,
    smooth: Annotated[int | None, typer.Option(help="Steps whose mean surprise is a step's score.")] = None,
    cell: Annotated[str | None, typer.Option(help="Recurrent cell: lstm (default), another, or your own.")] = None,
    cells: Annotated[Path | None, typer.Option(help="Python file that defines your own cells; it is run.")] = None,
    hidden_size: Annotated[int | None, typer.Option(help="Units per layer.")] = None,
    layers: Annotated[int, typer.Option(help="Recurrent layers.")] = 1,
    steps: Annotated[int | None, typer.Option(help="Training steps; else by the amount of data.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder; else a new one under runs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")] = False,
) -> None:
    """Learn what is normal in FILE, find what is not, judge it where there are labels, write a run folder."""
    from elman.cli.jobs import check_resume, free_folder, load_cells
    from elman.cli.watch_jobs import run_watch
    from elman.data.examples import Columns as Named
    from elman.estimators import AnomalyDetector

    check_resume("watch", out, resume)
    options: dict[str, Any] = {"hidden_size": hidden_size, "smooth": smooth}
    detector = AnomalyDetector(
        method=method,
        false_alarms=false_alarms,
        window=window,
        cell=load_cells(cells, cell),
        num_layers=layers,
        max_steps=steps,
        random_state=seed,
        **{name: value for name, value in options.items() if value is not None},
    )
    columns = Named(tuple(input or ()), label, sequence, time)
    folder = out or free_folder(Path("runs") / file.name.split(".")[0])
    run_watch(detector, file, test, columns, folder, share=share, resume=resume)
    print(f"\nReport: {folder / 'report.html'}")
