"""Cells: the math of one step, nothing else. `CATALOGUE` is the one list that tests, docs and the command read."""

from __future__ import annotations

from collections.abc import Iterator

from elman.cells.base import Cell, build
from elman.cells.elman import Elman, ElmanRelu
from elman.cells.gates import RefinedLSTM, SteepGRU, SteepLSTM
from elman.cells.gru import GRU
from elman.cells.independent import IndRNN
from elman.cells.jordan import Jordan
from elman.cells.leaky import Leaky
from elman.cells.linear import LRU
from elman.cells.lstm import LSTM
from elman.cells.lstm_variants import CoupledLSTM, PeepholeLSTM
from elman.cells.minimal import MGU, MinGRU, MinLSTM
from elman.cells.slstm import SLSTM
from elman.errors import CellError, UnknownNameError, suggest

CATALOGUE: dict[str, type[Cell]] = {
    "elman": Elman,
    "elman_relu": ElmanRelu,
    "jordan": Jordan,
    "lstm": LSTM,
    "peephole_lstm": PeepholeLSTM,
    "coupled_lstm": CoupledLSTM,
    "steep_lstm": SteepLSTM,
    "refined_lstm": RefinedLSTM,
    "slstm": SLSTM,
    "gru": GRU,
    "steep_gru": SteepGRU,
    "mgu": MGU,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "indrnn": IndRNN,
    "lru": LRU,
    "leaky": Leaky,
}
"""every cell by the name that is given for it"""

__all__ = [
    "CATALOGUE",
    "GRU",
    "LRU",
    "LSTM",
    "MGU",
    "SLSTM",
    "Cell",
    "CoupledLSTM",
    "Elman",
    "ElmanRelu",
    "IndRNN",
    "Jordan",
    "Leaky",
    "MinGRU",
    "MinLSTM",
    "PeepholeLSTM",
    "RefinedLSTM",
    "SteepGRU",
    "SteepLSTM",
    "find_cell",
    "name_of",
]


def find_cell(cell: str | type[Cell] | Cell, where: str = "cell") -> Cell:
    """A cell from its name, class or instance; names are the catalogue's and those of the cells you defined.

    Raises `UnknownNameError` with the nearest name, `CellError` for something that is no cell.

    >>> type(find_cell("LSTM")).__name__
    'LSTM'
    """
    if isinstance(cell, Cell):
        return cell
    if isinstance(cell, type) and issubclass(cell, Cell):
        return build(cell)
    if not isinstance(cell, str):
        raise CellError(f"{where}: expected a cell's name, a Cell class or a Cell, got {type(cell).__name__}.")
    own = {found.__name__: found for found in _descendants(Cell)}
    found = CATALOGUE.get(cell.lower()) or own.get(cell)
    if found is None:
        shipped = {c.__name__ for c in CATALOGUE.values()}
        raise UnknownNameError(f"{where}: unknown cell {cell!r}, {suggest(cell, {*CATALOGUE, *(set(own) - shipped)})}")
    return build(found)


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
