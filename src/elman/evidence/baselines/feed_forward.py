"""A feed-forward network on the last steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from elman.evidence.baselines.quantile_net import UNITS, QuantileNet

if TYPE_CHECKING:
    import torch


class FeedForward(QuantileNet):
    """Two hidden layers of 64 units from the last L steps to all quantiles of the next H.

    z = relu(W₂·relu(W₁·x + b₁) + b₂); the rest is `QuantileNet`'s.
    Source: Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0.

    >>> import numpy as np
    >>> y = np.tile([1.0, 2.0, 3.0, 4.0], 20)
    >>> FeedForward().fit_predict([y], 4, 4, (0.1, 0.5, 0.9))[0, :, 1].round(0).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """

    label: ClassVar[str] = "feed-forward network"
    summary: ClassVar[str] = "two hidden layers on lags, one model for all series"

    def deep(self, inputs: int) -> torch.nn.Module:
        from torch import nn

        return nn.Sequential(nn.Linear(inputs, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU())
