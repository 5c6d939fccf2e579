"""elman: finding structure in time. Recurrent networks on sequences.

Names load when first used, so that `import elman` costs next to nothing beyond `import torch`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elman import nn as nn
    from elman.cells import CATALOGUE, Cell
    from elman.errors import ElmanError
    from elman.estimators import (
        AnomalyDetector,
        Captioner,
        Forecaster,
        LanguageModel,
        SequenceClassifier,
        SequenceRegressor,
        SequenceTagger,
        Transcriber,
        Translator,
        load,
    )
    from elman.evidence.compare import compare
    from elman.evidence.diagnose import diagnose
    from elman.evidence.explain import explain, explain_example
    from elman.evidence.study import judge, study
    from elman.evidence.tune import tune
    from elman.recurrent import Recurrent

__version__ = "0.1.0"

_HOMES = {
    "AnomalyDetector": "elman.estimators",
    "CATALOGUE": "elman.cells",
    "Captioner": "elman.estimators",
    "Cell": "elman.cells",
    "ElmanError": "elman.errors",
    "Forecaster": "elman.estimators",
    "LanguageModel": "elman.estimators",
    "Recurrent": "elman.recurrent",
    "SequenceClassifier": "elman.estimators",
    "SequenceRegressor": "elman.estimators",
    "SequenceTagger": "elman.estimators",
    "Transcriber": "elman.estimators",
    "Translator": "elman.estimators",
    "compare": "elman.evidence.compare",
    "diagnose": "elman.evidence.diagnose",
    "explain": "elman.evidence.explain",
    "explain_example": "elman.evidence.explain",
    "judge": "elman.evidence.study",
    "load": "elman.estimators",
    "study": "elman.evidence.study",
    "tune": "elman.evidence.tune",
}
_FLOORS = (
    *("backends", "cells", "data", "errors", "estimators", "evidence", "export", "graph", "live", "nn", "recurrent"),
    *("steps", "training"),
)

__all__ = [
    "CATALOGUE",
    "AnomalyDetector",
    "Captioner",
    "Cell",
    "ElmanError",
    "Forecaster",
    "LanguageModel",
    "Recurrent",
    "SequenceClassifier",
    "SequenceRegressor",
    "SequenceTagger",
    "Transcriber",
    "Translator",
    "__version__",
    "compare",
    "diagnose",
    "explain",
    "explain_example",
    "judge",
    "load",
    "study",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _FLOORS:
        return importlib.import_module(f"elman.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'elman' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_FLOORS])
