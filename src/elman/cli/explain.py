"""`elman explain`: what a cell computes and how it learns, or why a model says what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command
from elman.cli.options import Columns


@command
def explain(
    cell: Annotated[str, typer.Argument(help="Cell of the catalogue or your own, --cells; with --on a run folder.")],
    on: Annotated[
        str | None,
        typer.Option(
            metavar="EXAMPLE",
            help="A text, or a file whose sequence --row is asked about; of forecasts a series' name, or history.",
        ),
    ] = None,
    row: Annotated[int, typer.Option(help="Number of the sequence in the file of --on.")] = 0,
    step: Annotated[
        int | None,
        typer.Option(
            help="Step of the answer that is explained, from 0: a tagger's label [the last], a forecast [the first], a "
            "word or label that is written [the first; of a caption the last], an anomaly's score [the greatest]."
        ),
    ] = None,
    cells: options.Cells = None,
    layers: Annotated[int, typer.Option(help="Recurrent layers.")] = 1,
    bidirectional: Annotated[bool, typer.Option("--bidirectional", help="In both directions.")] = False,
    hidden_size: Annotated[int, typer.Option(help="Units per layer and direction.")] = 64,
    input_size: Annotated[int, typer.Option(help="Inputs per step.")] = 16,
    shape: Annotated[
        Columns,
        typer.Option(
            help="Picture for --out: cell, stacked, bidirectional, or the verb of a problem such as tag; repeat for "
            "more. [all]"
        ),
    ] = None,
    c: Annotated[bool, typer.Option("--c", help="The generated C source, in place of all else.")] = False,
    triton: Annotated[bool, typer.Option("--triton", help="The generated GPU kernels, likewise.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page, LaTeX and pictures; with --c or --triton, these too.")
    ] = None,
) -> None:
    """Print a CELL's equations, its derived backward pass and what a step costs; with --out, a page with pictures. With
    --on, tell which steps of an example a run's answer is owed to, and draw its states and gates."""
    if on is not None:
        from elman.cli.explain_jobs import run_example

        run_example(Path(cell), on, row, step, cells, out)
        return
    from elman.cells import CATALOGUE
    from elman.cli.jobs import load_cells
    from elman.errors import OptionError
    from elman.evidence.explain import DIAGRAMS
    from elman.evidence.explain import explain as told

    load_cells(cells, cell)
    if cell and cell not in CATALOGUE and Path(cell).is_dir():
        raise OptionError(
            f"elman explain: {cell} holds a run; say what it is asked about: --on TEXT or --on FILE --row N."
        )
    found = told(cell, input_size, hidden_size, layers, bidirectional=bidirectional, shapes=tuple(shape or DIAGRAMS))
    sources = ["cell.c"] * c + ["cell_triton.py"] * triton
    if out is None:
        print("\n\n".join(found.sources[name] for name in sources) if sources else found)
        return
    for path in found.write(out, sources=sources):
        print(f"Written: {path}")
