"""Cells: the math of one step, nothing else. `CATALOGUE` is the one list that tests, docs and the command read."""

from __future__ import annotations

from collections.abc import Iterator

from elman.cells.base import Cell
from elman.cells.elman import Elman, ElmanRelu
from elman.cells.gru import GRU
from elman.cells.leaky import Leaky
from elman.cells.lstm import LSTM
from elman.errors import CellError, UnknownNameError, suggest

CATALOGUE: dict[str, type[Cell]] = {
    "elman": Elman,
    "elman_relu": ElmanRelu,
    "lstm": LSTM,
    "gru": GRU,
    "leaky": Leaky,
}

__all__ = ["CATALOGUE", "GRU", "LSTM", "Cell", "Elman", "ElmanRelu", "Leaky", "find_cell", "name_of"]


def find_cell(cell: str | type[Cell] | Cell, where: str = "cell") -> Cell:
    """A cell from its name, class or instance; names are the catalogue's and those of the cells you defined.

    Raises `UnknownNameError` with the nearest name, `CellError` for something that is no cell.

    >>> type(find_cell("LSTM")).__name__
    'LSTM'
    """
    if isinstance(cell, Cell):
        return cell
    if isinstance(cell, type) and issubclass(cell, Cell):
        return cell()
    if not isinstance(cell, str):
        raise CellError(f"{where}: expected a cell's name, a Cell class or a Cell, got {type(cell).__name__}.")
    own = {found.__name__: found for found in _descendants(Cell)}
    found = CATALOGUE.get(cell.lower()) or own.get(cell)
    if found is None:
        shipped = {c.__name__ for c in CATALOGUE.values()}
        raise UnknownNameError(f"{where}: unknown cell {cell!r}, {suggest(cell, {*CATALOGUE, *(set(own) - shipped)})}")
    return found()


def name_of(cell: Cell) -> str:
    """The name under which `find_cell` gives this cell back.

    >>> name_of(GRU())
    'gru'
    """
    names = {found: name for name, found in CATALOGUE.items()}
    return names.get(type(cell), type(cell).__name__)


def _descendants(parent: type[Cell]) -> Iterator[type[Cell]]:
    for child in parent.__subclasses__():
        yield child
        yield from _descendants(child)
