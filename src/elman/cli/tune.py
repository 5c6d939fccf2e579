"""`elman tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command
from elman.cli.options import Columns


@command
def tune(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help="classify, regress, tag, forecast or generate.")],
    file: Annotated[Path, typer.Argument(help="As the verb reads it.")],
    trials: Annotated[int, typer.Option(help="Trials, those before a --resume included.")] = 40,
    workers: Annotated[int, typer.Option(help="Processes that train, each on one thread if several.")] = 1,
    search: Annotated[
        Columns, typer.Option(metavar="NAME=LOW..HIGH|A,B|VALUE", help="Range of an argument; repeat for more.")
    ] = None,
    only: Annotated[
        Columns, typer.Option(metavar="NAME", help="Search over this argument, not the usual ones; repeat for more.")
    ] = None,
    method: Annotated[str, typer.Option(help="search; or evolve: the weights by CMA-ES, beside gradients.")] = "search",
    objective: Annotated[
        str, typer.Option(help="Of evolve: loss; or error, the share of wrong labels, which has no gradient.")
    ] = "loss",
    label: options.Label = None,
    input: options.Inputs = None,
    sequence: options.Sequence = None,
    time: options.Time = None,
    target: Annotated[str | None, typer.Option(help="Column to forecast.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Steps to forecast.")] = None,
    series: Annotated[str | None, typer.Option(help="Column that names the series to forecast.")] = None,
    freq: Annotated[str | None, typer.Option(help="Frequency of the series; else from the data.")] = None,
    windows: Annotated[int, typer.Option(help="Test windows of a forecast.")] = 3,
    test: options.Test = None,
    share: options.Share = 0.2,
    cell: Annotated[
        Columns, typer.Option(help="Cell; repeat it to search over several, the first is the default. [some are tried]")
    ] = None,
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
    """Search the arguments with which VERB learns best from FILE; judge the best beside the defaults on unseen data."""
    from elman.cli.tune_jobs import Asked, check_options, run_tune
    from elman.data.examples import Columns as Read

    sources = ((option, context.get_parameter_source(option.name or "")) for option in context.command.params)
    given = {option.name or "": option.opts[0] for option, source in sources if source and source.name == "COMMANDLINE"}
    check_options(verb, method, given)
    shape = {"hidden_size": hidden_size, "num_layers": layers, "max_steps": steps, "random_state": seed}
    table = {"time": time, "target": target, "series": series, "freq": freq, "horizon": horizon}
    columns = Read(tuple(input or ()), label, sequence, time)
    asked = Asked(verb, file, test, share, columns, table, windows, tuple(cell or ()), cells, seed)
    how = {"search": search or (), "only": only, "trials": trials, "workers": workers, "objective": objective}
    run_tune(asked, method, shape, more, how, title=title or f"{verb} {file.name}", out=out, resume=resume)
