"""From a cell to its expression graphs, forward and backward."""

from elman.graph.expression import ARITY, Builder, Graph, Node
from elman.graph.keeping import Keeper, keeper
from elman.graph.trace import Traced, trace

__all__ = ["ARITY", "Builder", "Graph", "Keeper", "Node", "Traced", "keeper", "trace"]
