"""Any cells, depths and widths beside every baseline, from several starts: which differences are real, and what to use.

contests → entrants → crossed → recommend → comparison → pictures
"""

from elman.evidence.compare.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
