"""scikit-learn's own checks on every estimator; each that does not apply with its reason."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

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
)
from elman.estimators.transduction.base import TextEstimator

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
FITTING = (
    "check_fit_score_takes_y",
    "check_estimators_overwrite_params",
    "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self",
    "check_readonly_memmap_input",
    "check_n_features_in_after_fitting",
    "check_positive_only_tag_during_fit",
    "check_estimators_dtypes",
    "check_dtype_object",
    "check_pipeline_consistency",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_dict_unchanged",
    "check_fit_idempotent",
    "check_fit_check_is_fitted",
    "check_n_features_in",
    "check_fit2d_predict1d",
)
"""checks that fit"""
SMALL = ("check_fit2d_1sample", "check_fit2d_1feature")
EMPTY = ("check_estimators_empty_data_messages", "check_estimators_nan_inf")
SPARSE = ("check_estimator_sparse_array", "check_estimator_sparse_matrix")
WORDS = "it wants scikit-learn's words for a bad table; the one line that comes speaks of frames, or of y"
CHECKS_OF_LANGUAGE = {
    **dict.fromkeys(FITTING, "it fits on measured numbers, and the frames of a piano roll hold 0 and 1"),
    **dict.fromkeys((*SMALL, *EMPTY, *SPARSE), WORDS),
}
CHECKS_OF_TEXTS = {
    **dict.fromkeys(FITTING, "its y are numbers, one for each row, and here a y is a text, or a label for each step"),
    **dict.fromkeys(SMALL, WORDS),
}
CHECKS_OF_FORECASTS = dict.fromkeys(
    (*FITTING, *SMALL, *EMPTY, *SPARSE, "check_complex_data", "check_estimator_sparse_tag"),
    "it gives an array, and a forecast is learned from a frame with series, times and values",
)


def skipped(estimator):
    if isinstance(estimator, Forecaster):
        return CHECKS_OF_FORECASTS
    if isinstance(estimator, AnomalyDetector):
        return CHECKS | CHECKS_OF_ANOMALIES
    if isinstance(estimator, (TextEstimator, SequenceTagger)):
        return CHECKS_OF_TEXTS
    return CHECKS_OF_LANGUAGE if isinstance(estimator, LanguageModel) else CHECKS


LEARNED = ("check_classifiers_train", "check_classifiers_classes", "check_class_weight_classifiers")
"""checks that look at how well it has learned; for the others a few steps are enough"""
FITS = {"hidden_size": 16, "max_steps": 5, "learning_rate": 0.02, "dropout": 0.0}
ESTIMATORS = [
    SequenceClassifier(**FITS),
    SequenceRegressor(**FITS),
    LanguageModel(hidden_size=4, max_steps=2),
    AnomalyDetector(hidden_size=4, max_steps=5),
    SequenceTagger(),
    Translator(),
    Transcriber(),
    Captioner(),
    Forecaster(horizon=2),
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=skipped)
def test_scikit_learn(estimator, check):
    name = check.func.__name__
    try:
        check(estimator.set_params(max_steps=150) if name in LEARNED else estimator)
    except Exception as problem:
        if name in skipped(estimator):  # pytest would write its traceback out, which takes longer than the check
            raise problem.with_traceback(None) from None
        raise


def test_what_the_checks_cannot_fit_is_searched_and_cross_validated():
    X, y = (
        ["ein Hund", "eine Katze", "ein Haus"] * 6,
        ["here we see a dog", "here we see a cat", "here we see a house"] * 6,
    )
    small = Translator(hidden_size=16, embedding_size=16, learning_rate=0.02)
    search = GridSearchCV(small, {"max_steps": [1, 60]}, cv=2).fit(X, y)
    assert search.best_params_ == {"max_steps": 60}
    words, labels = [text.split() for text in X], [np.array(["D", "N"])] * len(X)
    assert cross_val_score(SequenceTagger(hidden_size=8, max_steps=60), words, labels, cv=2).min() == 1
