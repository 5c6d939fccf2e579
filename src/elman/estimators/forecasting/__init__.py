"""Forecasting: windows over series, the net that reads them, and what it says."""

from elman.estimators.forecasting.forecaster import Forecaster

__all__ = ["Forecaster"]
