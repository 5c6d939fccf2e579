"""The catalogue of cells on the terminal."""

from __future__ import annotations

import inspect
import textwrap

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from elman.cells import CATALOGUE, Cell, find_cell, name_of


def list_cells() -> None:
    """Prints every cell of the catalogue with its equations and source."""
    for name, cell in CATALOGUE.items():
        print(f"{name}\n  " + _description(cell).replace("\n", "\n  ") + "\n")


def show_cell(name: str) -> None:
    """Prints one cell: equations, source, gates, states, parameters, the Python code of its step and of what sets its
    first weights.

    Raises `UnknownNameError` with the nearest name.

    >>> show_cell("elman")  # doctest: +ELLIPSIS
    elman: Simple recurrent network.
    <BLANKLINE>
      h_t = tanh(W x_t + b + R h_{t-1})
    ...
    gates   h
    states  h
    params  none
    <BLANKLINE>
      def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
          return tanh(x.h + r.h)
    """
    cell = find_cell(name, "elman cells")
    kind = type(cell)
    title, _, rest = _description(kind).partition("\n\n")
    equations, _, notes = rest.partition("\n\n")
    say = Console(highlight=False, soft_wrap=True).print  # as it is, also into a file: the lines are short enough
    say(Text.assemble((name_of(cell), "bold"), f": {title}\n"))
    say(Text(textwrap.indent(equations, "  ") + "\n", style="cyan"))
    say(Text(notes + "\n"))
    states = [f"{s} (starts at {cell.initial[s]:g})" if s in cell.initial else s for s in cell.states]
    for what, values in {"gates": cell.gates, "states": states, "params": _starts(cell)}.items():
        say(Text.assemble((f"{what:8}", "bold"), ", ".join(values) or "none"))
    python = Syntax("", "python", theme="ansi_dark", background_color="default")
    for method in (kind.step, kind.init) if kind.init is not Cell.init else (kind.step,):
        say()
        code = textwrap.dedent(inspect.getsource(method)).rstrip()
        say(python.highlight(textwrap.indent(code, "  ")), end="")


def _description(cell: type[Cell]) -> str:
    """The docstring without its examples."""
    return (inspect.getdoc(cell) or "").split("\n>>>")[0].rstrip()


def _starts(cell: Cell) -> list[str]:
    when = "" if type(cell).init is Cell.init else " before init"
    starts = {name: start.__name__ if callable(start) else f"{start:g}" for name, start in cell.params.items()}
    return [f"{name} (starts at {start}{when})" for name, start in starts.items()]
