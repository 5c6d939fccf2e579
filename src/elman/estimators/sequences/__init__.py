"""One prediction for each sequence, or for each of its steps."""

from elman.estimators.sequences.classifier import SequenceClassifier
from elman.estimators.sequences.regressor import SequenceRegressor
from elman.estimators.sequences.tagger import SequenceTagger

__all__ = ["SequenceClassifier", "SequenceRegressor", "SequenceTagger"]
