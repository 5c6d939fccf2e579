"""scikit-learn's own checks on every estimator; each that does not apply with its reason."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from elman.estimators import AnomalyDetector, LanguageModel, SequenceClassifier, SequenceRegressor

ANY_LENGTH = "a row of a 2-D X is a sequence, and sequences may have any length"
CHECKS = {
    "check_n_features_in": ANY_LENGTH,
    "check_n_features_in_after_fitting": ANY_LENGTH,
    "check_estimators_partial_fit_n_features": ANY_LENGTH,
    "check_classifiers_train": f"it goes on to a shorter row, {ANY_LENGTH}",
    "check_regressors_train": "its target is one of ten columns: read as ten steps, a net would have to count",
    "check_methods_subset_invariance": "the last bit depends on how many rows are computed side by side",
}
CHECKS_OF_ANOMALIES = {
    "check_methods_sample_order_invariance": "the last bit depends on which rows are computed side by side",
    "check_outliers_train": f"it goes on to shorter rows, {ANY_LENGTH}",
    "check_dtype_object": "what is not a number is a DataError, which is a ValueError, not a TypeError",
}
NUMBERS = "it fits on measured numbers, and the frames of a piano roll hold 0 and 1"
WORDS = "it wants scikit-learn's words for a bad table; the one line that comes speaks of frames"
CHECKS_OF_LANGUAGE = {
    "check_fit_score_takes_y": NUMBERS,
    "check_estimators_overwrite_params": NUMBERS,
    "check_dont_overwrite_parameters": NUMBERS,
    "check_estimators_fit_returns_self": NUMBERS,
    "check_readonly_memmap_input": NUMBERS,
    "check_n_features_in_after_fitting": NUMBERS,
    "check_positive_only_tag_during_fit": NUMBERS,
    "check_estimators_dtypes": NUMBERS,
    "check_dtype_object": NUMBERS,
    "check_pipeline_consistency": NUMBERS,
    "check_estimators_pickle": NUMBERS,
    "check_f_contiguous_array_estimator": NUMBERS,
    "check_methods_sample_order_invariance": NUMBERS,
    "check_methods_subset_invariance": NUMBERS,
    "check_dict_unchanged": NUMBERS,
    "check_fit_idempotent": NUMBERS,
    "check_fit_check_is_fitted": NUMBERS,
    "check_n_features_in": NUMBERS,
    "check_fit2d_predict1d": NUMBERS,
    "check_estimators_empty_data_messages": WORDS,
    "check_estimators_nan_inf": WORDS,
    "check_estimator_sparse_array": WORDS,
    "check_estimator_sparse_matrix": WORDS,
    "check_fit2d_1sample": WORDS,
    "check_fit2d_1feature": WORDS,
}


def skipped(estimator):
    if isinstance(estimator, AnomalyDetector):
        return CHECKS | CHECKS_OF_ANOMALIES
    return CHECKS_OF_LANGUAGE if isinstance(estimator, LanguageModel) else CHECKS


FITS = {"hidden_size": 16, "max_steps": 150, "learning_rate": 0.02, "dropout": 0.0}
ESTIMATORS = [
    SequenceClassifier(**FITS),
    SequenceRegressor(**FITS),
    LanguageModel(**FITS),
    AnomalyDetector(hidden_size=8, max_steps=20),
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=skipped)
def test_scikit_learn(estimator, check):
    check(estimator)
