"""What a cell costs: parameters, operations of one step, memory of its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from elman.cells import Cell, find_cell
from elman.errors import OptionError
from elman.graph import Graph, trace

_BYTES = 4  # of a number in float32


@dataclass(frozen=True)
class Counts:
    """Of L layers in D directions, H units each, over F features.

    parameters  kind of weight → how many numbers: W, R, b, b_r and the cell's own by name
    products    multiply-adds of W x and R h per step of one sequence, forward; the backward pass has twice as many
    pointwise   operations of the traced step on single units, per step, forward
    pointwise_backward  the same of the backward pass, which computes the step's values again
    state       bytes that one sequence carries from step to step, in float32
    """

    parameters: Mapping[str, int]
    products: int
    pointwise: int
    pointwise_backward: int
    state: int

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self.parameters.values())

    def rows(self) -> list[tuple[str, str]]:
        """What → how many, for a table.

        >>> for what, number in counts("gru", 8, 16).rows()[:5]:
        ...     print(f"{number:>5}  {what}")
        1,216  parameters
          384  of them in W
          768  of them in R
           48  of them in b
           16  of them in b_r
        """
        kinds = [(f"of them in {kind}", number) for kind, number in self.parameters.items()]
        counted = [
            ("parameters", self.total),
            *kinds,
            ("multiply-adds in products per step, forward", self.products),
            ("multiply-adds in products per step, backward", 2 * self.products),
            ("operations unit by unit per step, forward", self.pointwise),
            ("operations unit by unit per step, backward", self.pointwise_backward),
            ("bytes of state per sequence", self.state),
        ]
        return [(what, f"{number:,}") for what, number in counted]


def counts(
    cell: str | type[Cell] | Cell,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    bidirectional: bool = False,
) -> Counts:
    """Parameters and operations of the net that `elman.Recurrent` makes of these arguments.

    Raises `OptionError` for a size below 1, `UnknownNameError`, `CellError`.

    >>> counts("lstm", 8, 16).total, counts("lstm", 8, 16, 2, bidirectional=True).total
    (1600, 9472)
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    for name, size in sizes.items():
        if size < 1:
            raise OptionError(f"counts: {name} must be 1 or more, got {size}.")
    traced, H = trace(find_cell(cell, "counts")), hidden_size
    directions = 2 if bidirectional else 1
    nets = num_layers * directions
    seen = directions * (input_size + (num_layers - 1) * directions * H)  # features that all nets read, in sum
    parameters = {
        "W": len(traced.gates) * H * seen,
        "R": len(traced.recurrent) * H * H * nets,
        "b": len(traced.gates) * H * nets,
        "b_r": len(traced.apart) * H * nets,
        **dict.fromkeys(traced.cell.params, H * nets),
    }
    return Counts(
        parameters={kind: number for kind, number in parameters.items() if number},
        products=parameters["W"] + parameters["R"],
        pointwise=_operations(traced.forward) * H * nets,
        pointwise_backward=_operations(traced.backward) * H * nets,
        state=len(traced.cell.states) * H * nets * _BYTES,
    )


def _operations(graph: Graph) -> int:
    return sum(node.op not in ("input", "const") for node in graph.nodes)
