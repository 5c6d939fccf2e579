"""One estimator for each problem shape, by scikit-learn's conventions."""

from elman.estimators.base import ESTIMATORS, Estimator, load
from elman.estimators.forecasting import Forecaster

__all__ = ["ESTIMATORS", "Estimator", "Forecaster", "load"]
