"""Honest evidence: every run is scored against simpler forecasts on the same windows, and told when they win.

metrics → baselines → significance → scoreboard → plots → report.

The heavy libraries (statsmodels, scikit-learn, matplotlib) load when a baseline or a picture first needs them.
"""

from __future__ import annotations

from elman.evidence.baselines import BASELINES, Baseline, Forecast, run_baselines
from elman.evidence.plots import ForecastPlot, plot_forecast, plot_training
from elman.evidence.report import Report
from elman.evidence.scoreboard import LEVELS, Row, Scoreboard, compare
from elman.evidence.significance import PairedTest, dm_test, paired_test

__all__ = [
    "BASELINES",
    "LEVELS",
    "Baseline",
    "Forecast",
    "ForecastPlot",
    "PairedTest",
    "Report",
    "Row",
    "Scoreboard",
    "compare",
    "dm_test",
    "paired_test",
    "plot_forecast",
    "plot_training",
    "run_baselines",
]
