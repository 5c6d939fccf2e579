"""One estimator for each problem shape, by scikit-learn's conventions."""

from elman.estimators.anomalies import AnomalyDetector
from elman.estimators.base import ESTIMATORS, Estimator, load
from elman.estimators.forecasting import Forecaster
from elman.estimators.language import LanguageModel
from elman.estimators.sequences import SequenceClassifier, SequenceRegressor, SequenceTagger
from elman.estimators.transduction import Captioner, Transcriber, Translator

__all__ = [
    "ESTIMATORS",
    "AnomalyDetector",
    "Captioner",
    "Estimator",
    "Forecaster",
    "LanguageModel",
    "SequenceClassifier",
    "SequenceRegressor",
    "SequenceTagger",
    "Transcriber",
    "Translator",
    "load",
]
