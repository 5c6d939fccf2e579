"""What a cell computes and how it learns, from the trace that its kernels run.

fold → names → notation → writer → derivation (equations, backward) | counts.
"""

from elman.evidence.explain.counts import Counts, counts
from elman.evidence.explain.derivation import backward, equations
from elman.evidence.explain.notation import Equation, align

__all__ = ["Counts", "Equation", "align", "backward", "counts", "equations"]
