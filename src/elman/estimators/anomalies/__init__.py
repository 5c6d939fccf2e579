"""What is unlike the sequences that were learned: surprise at the next step, or at a window that should be rebuilt."""

from elman.estimators.anomalies.detector import AnomalyDetector

__all__ = ["AnomalyDetector"]
