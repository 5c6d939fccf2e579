"""Sequences whose class is in their first step: to be learned, they must be remembered."""

from __future__ import annotations

import numpy as np

from elman.estimators import SequenceClassifier

STEPS = 8


def remembered(count: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """X (N, 8, 1), and whether its first step was above 0."""
    X = np.random.default_rng(seed).normal(size=(count, STEPS, 1)).astype(np.float32)
    return X, np.where(X[:, 0, 0] > 0, "up", "down")


def small(**options) -> SequenceClassifier:
    """A net that learns them in a second."""
    fixed = {"hidden_size": 6, "bidirectional": False, "pooling": "last", "max_steps": 24, "validate_every": 3}
    return SequenceClassifier(**fixed | {"dropout": 0.0, "label_smoothing": 0.0} | options)
