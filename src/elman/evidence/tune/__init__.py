"""The arguments with which an estimator is best, searched; and its weights, evolved instead of learned by gradients.

space → tasks → search → crew → tuning → pictures → judged. Beside them: evolved.
"""

from elman.evidence.tune.search import Trial
from elman.evidence.tune.space import Choice, Range, make_space
from elman.evidence.tune.tuning import Tuned, tune

__all__ = ["Choice", "Range", "Trial", "Tuned", "make_space", "tune"]
