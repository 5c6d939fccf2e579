"""What a cell computes and how it learns, from the trace that its kernels run.

fold → names → notation → writer → derivation | counts | canvas → unroll → shapes → diagrams → page.
Why a trained model says what it says: attribution → example → passes → of_labels | of_language | of_forecasts |
of_texts | of_anomalies → kinds → example_page.
"""

from elman.evidence.explain.counts import Counts, counts
from elman.evidence.explain.derivation import Derivation, backward, derive, equations
from elman.evidence.explain.diagrams import DIAGRAMS, unrolled
from elman.evidence.explain.example import Example
from elman.evidence.explain.kinds import explain_example
from elman.evidence.explain.notation import Equation, align
from elman.evidence.explain.page import Explanation, explain

__all__ = [
    "DIAGRAMS",
    "Counts",
    "Derivation",
    "Equation",
    "Example",
    "Explanation",
    "align",
    "backward",
    "counts",
    "derive",
    "equations",
    "explain",
    "explain_example",
    "unrolled",
]
