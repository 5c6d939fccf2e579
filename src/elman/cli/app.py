"""The command `elman`. Each subcommand imports what it needs when it runs, so that help comes at once."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli import options
from elman.cli.one_line import OneLine
from elman.cli.options import Columns
from elman.files import leads

app = typer.Typer(
    name="elman",
    cls=OneLine,
    help="Recurrent networks on sequences: learned from a file, judged against simple baselines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

bench = typer.Typer(help="Measure how fast compiled cells are, beside what else there is.", no_args_is_help=True)
app.add_typer(bench, name="bench", rich_help_panel=None)


def command(run: Callable[..., None], place: typer.Typer = app) -> Callable[..., None]:
    """A subcommand whose user's mistakes are one line on stderr and exit code 2; a signal is 128 + its number."""

    @functools.wraps(run)
    def answered(**options: Any) -> None:
        from elman.cli.spoken import spoken
        from elman.errors import ElmanError

        try:
            run(**options)
        except ElmanError as problem:
            told = spoken(str(problem), run)
            print(told if told.startswith("elman ") else f"elman: {told}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as problem:  # training's own says how to go on
            told = spoken(str(problem), run) if problem.args else "stopped."
            print(f"\nelman: {told}", file=sys.stderr)
            raise typer.Exit(getattr(problem, "exit_code", 130)) from None

    return place.command()(answered)


def main() -> None:
    """Runs the command."""
    # Of processes that train together the first speaks; each tells its own errors.
    with contextlib.nullcontext() if leads() else contextlib.redirect_stdout(io.StringIO()):
        app()


def _print_versions(asked: bool) -> None:
    if asked:
        from elman.cli.versions import versions

        print(versions())
        raise typer.Exit


@app.callback()
def _elman(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_versions, is_eager=True, help="Print versions, the compiler's too."),
    ] = False,
) -> None:
    """What every subcommand takes."""


@command
def forecast(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet table, one row per series and time.")],
    time: Annotated[str, typer.Option(help="Column with the time.")],
    target: Annotated[str, typer.Option(help="Column to forecast.")],
    horizon: Annotated[int, typer.Option(help="Steps to forecast.")],
    series: Annotated[str | None, typer.Option(help="Column that names the series; without it, one series.")] = None,
    freq: Annotated[str | None, typer.Option(help="Frequency such as h, D, W-SUN, MS; else from the data.")] = None,
    cell: options.Cell = None,
    cells: options.Cells = None,
    out: options.Out = None,
    resume: options.Resume = False,
    windows: Annotated[int, typer.Option(help="Test windows for the scoreboard.")] = 3,
    past: Annotated[Columns, typer.Option(help="Covariate known up to now; repeat for more.")] = None,
    future: Annotated[Columns, typer.Option(help="Covariate known ahead; repeat for more.")] = None,
    static: Annotated[Columns, typer.Option(help="Covariate constant in a series; repeat for more.")] = None,
    future_file: Annotated[Path | None, typer.Option(help="Table with --future columns for the steps ahead.")] = None,
    gaps: Annotated[str, typer.Option(help="Missing rows: error, missing (masked) or zero (no demand).")] = "error",
    strategy: Annotated[str, typer.Option(help="direct, or recursive for any horizon later.")] = "direct",
    output: Annotated[str, typer.Option(help="quantile, gaussian, student-t or negative-binomial.")] = "quantile",
    hidden_size: options.HiddenSize = None,
    layers: options.Layers = None,
    steps: options.Steps = None,
    more: options.More = None,
    seed: options.Seed = 0,
    title: options.Title = None,
) -> None:
    """Train on FILE, backtest, judge against baselines, write a run folder with forecast and report."""
    from elman.cli.jobs import build, check_together, run_folder, run_forecast
    from elman.data import read_table

    check_together(future, future_file)
    shape = {"hidden_size": hidden_size, "num_layers": layers, "strategy": strategy, "output": output}
    columns = {"time": time, "target": target, "series": series, "freq": freq, "gaps": gaps}
    covariates = {"past": tuple(past or ()), "future": tuple(future or ()), "static": tuple(static or ())}
    given = {"horizon": horizon, "max_steps": steps, "random_state": seed, **shape, **columns, **covariates}
    forecaster = build("Forecaster", cell, cells, more, **given)
    ahead = None if future_file is None else read_table(future_file)
    folder = run_folder("forecast", file, out, resume=resume)
    run_forecast(
        forecaster, read_table(file), folder, title=title or file.name, windows=windows, future=ahead, resume=resume
    )
    if (folder / "forecast.csv").exists():
        print(f"\nForecast: {folder / 'forecast.csv'}")
    else:
        print(f"\nNo forecast yet, the covariates known ahead are: elman predict {folder} --future-file FILE")
    print(f"Report:   {folder / 'report.html'}")


@command
def predict(
    run: Annotated[Path, typer.Argument(help="Run folder of another verb.")],
    file: Annotated[
        Path | None, typer.Argument(help="Sequences to read; or newer history, else the training data's end.")
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="Steps to forecast; else as trained.")] = None,
    future_file: Annotated[Path | None, typer.Option(help="Table with covariates known ahead.")] = None,
    level: Annotated[Columns, typer.Option(help="Prediction interval in percent; repeat for more. [80, 95]")] = None,
    cells: options.Cells = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write; else it is printed.")] = None,
) -> None:
    """Forecast from a trained RUN, after the end of FILE or of its training data; or read the sequences in FILE."""
    from elman.cli.jobs import define_cells, percentages, predict_labels
    from elman.cli.text_jobs import predict_texts
    from elman.cli.watch_jobs import predict_anomalies
    from elman.data import read_table, write_csv
    from elman.estimators import AnomalyDetector, Forecaster, load
    from elman.estimators.transduction.base import TextEstimator

    define_cells(cells)
    model = load(run)
    if isinstance(model, Forecaster):
        frame = None if file is None else read_table(file)
        ahead = None if future_file is None else read_table(future_file)
        options: dict[str, Any] = {"horizon": horizon, "future": ahead, "level": percentages(level)}
        table = model.predict(frame, backend="pandas", **options)
    elif isinstance(model, AnomalyDetector):
        table = predict_anomalies(model, run, file)
    elif isinstance(model, TextEstimator):
        table = predict_texts(model, run, file)
    else:
        table = predict_labels(model, run, file)
    if out is not None:
        write_csv(table, out)
        print(f"Written: {out}")
    else:
        table.to_csv(sys.stdout, index=False)


@command
def demo(
    name: Annotated[str, typer.Argument(help="The verb to see at work; --list names all there are.")] = "forecast",
    out: options.Out = None,
    all: Annotated[bool, typer.Option("--list", help="Name the demos, and run none.")] = False,
) -> None:
    """Learn from real data that ship with elman, judge it, and leave a report: each in a minute or two."""
    from elman.cli.demos import list_demos, start_demo

    if all:
        list_demos()
    else:
        start_demo(name, out)


@command
def cells(
    name: Annotated[str | None, typer.Argument(help="One cell, to be shown with the code of its step.")] = None,
) -> None:
    """List the cells of the catalogue, with their equations; or show all there is to know about one."""
    from elman.cli.show import list_cells, show_cell

    if name is None:
        list_cells()
    else:
        show_cell(name)


@command
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove the compiled libraries.")] = False,
) -> None:
    """Show the compiled cells that are kept, and the C compiler that makes them."""
    import time

    from elman.backends.native import cache as kept
    from elman.backends.native.compiler import find_compiler, no_compiler_reason, passed_over

    entries = kept.entries()
    if clear:
        print(f"Removed from {kept.wanted()}: {_libraries(len(entries))}, {_bytes(kept.clear())} freed.")
        return
    place, compiler = kept.folder(), find_compiler()
    home = place == kept.wanted()
    print(f"Folder:    {place}" + ("" if home else f" (of this process alone: {kept.wanted()} cannot be used)"))
    print(f"Libraries: {len(entries)}, {_bytes(sum(e.size for e in entries))} with their C sources")
    for entry in entries:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.built))
        print(f"  {when}  {_bytes(entry.size):>8}  {entry.name}")
    if compiler is None:
        print(f"Compiler:  none: {no_compiler_reason()}")
        return
    print(f"Compiler:  {compiler}, {' '.join(compiler.command)}")
    for reason in passed_over():
        print(f"           {reason}")


def _libraries(number: int) -> str:
    return f"{number} librar{'y' if number == 1 else 'ies'}"


def _bytes(size: int) -> str:
    return f"{size / 1e3:.0f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


@bench.callback()
def _bench() -> None:
    """Measure how fast compiled cells are, beside what else there is."""


@functools.partial(command, place=bench)
def cpu(
    only: Annotated[
        Columns,
        typer.Option(help="Part, repeat for more: accuracy, build, grid, custom, packed, step, checkpoint, growth."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few shapes, in about two minutes.")] = False,
    threads: Annotated[list[int] | None, typer.Option(help="Threads; repeat for more. [1, 2]")] = None,
    isa: Annotated[str, typer.Option(help="native, or avx2 to hold peers and ours to it.")] = "native",
    out: Annotated[Path, typer.Option(help="Folder for JSON, table and pictures.")] = Path("bench"),
    page: Annotated[Path | None, typer.Option(help="Page with <!-- bench --> marks that takes the table.")] = None,
) -> None:
    """Time compiled cells against torch.nn, PyTorch loops and torch.compile: some twenty minutes, less with --quick."""
    from elman.evidence.speed import FULL, QUICK, bench_cpu, restrict

    restrict(isa, sys.argv[1:])
    bench_cpu(out, only=only or (), threads=threads or (1, 2), plan=QUICK if quick else FULL, page=page)


@functools.partial(command, place=bench)
def gpu_vs_cpu(
    quick: Annotated[bool, typer.Option("--quick", help="A few shapes.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for JSON, sentence and picture.")] = Path("bench"),
) -> None:
    """Train the same cell on a GPU and on its host, and say where "250 times faster" is true and where it isn't."""
    from elman.evidence.speed.gpu import bench_gpu_vs_cpu

    bench_gpu_vs_cpu(out, quick=quick)


@command
def version() -> None:
    """Print the version."""
    import elman

    print(elman.__version__)


# The verbs of other modules, which need `command` from this one.
from elman.cli import compare as _compare  # noqa: E402, F401
from elman.cli import diagnose as _diagnose  # noqa: E402, F401
from elman.cli import explain as _explain  # noqa: E402, F401
from elman.cli import labels as _labels  # noqa: E402, F401
from elman.cli import language as _language  # noqa: E402, F401
from elman.cli import live as _live  # noqa: E402, F401
from elman.cli import texts as _texts  # noqa: E402, F401
from elman.cli import tune as _tune  # noqa: E402, F401
from elman.cli import watch as _watch  # noqa: E402, F401

if __name__ == "__main__":
    main()
