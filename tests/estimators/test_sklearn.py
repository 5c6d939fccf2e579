"""scikit-learn's own checks on every estimator; each that does not apply with its reason."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from elman.estimators import AnomalyDetector, SequenceClassifier, SequenceRegressor

ANY_LENGTH = "a row of a 2-D X is a sequence, and sequences may have any length"
CHECKS = {
    "check_n_features_in": ANY_LENGTH,
    "check_n_features_in_after_fitting": ANY_LENGTH,
    "check_estimators_partial_fit_n_features": ANY_LENGTH,
    "check_classifiers_train": f"it goes on to a shorter row, {ANY_LENGTH}",
    "check_regressors_train": "its target is one of ten columns: read as ten steps, a net would have to count",
    "check_methods_subset_invariance": "the last bit depends on how many rows are computed side by side",
}
DETECTOR = {
    "check_outliers_train": f"it goes on to shorter rows, {ANY_LENGTH}",
    "check_dtype_object": "what is not a number is a DataError, which is a ValueError, not a TypeError",
}


def skipped(estimator):
    return CHECKS | (DETECTOR if isinstance(estimator, AnomalyDetector) else {})


FITS = {"hidden_size": 16, "max_steps": 150, "learning_rate": 0.02, "dropout": 0.0}
ESTIMATORS = [
    SequenceClassifier(**FITS),
    SequenceRegressor(**FITS),
    AnomalyDetector(hidden_size=8, max_steps=20),
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=skipped)
def test_scikit_learn(estimator, check):
    check(estimator)
