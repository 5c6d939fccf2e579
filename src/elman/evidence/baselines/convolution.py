"""A temporal convolution over the last steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from elman.evidence.baselines.quantile_net import UNITS, QuantileNet

if TYPE_CHECKING:
    import torch

CHANNELS = 24


class Convolution(QuantileNet):
    """Convolutions of 3 steps, dilated 1, 2, 4, … until the last step sees all L, each with a way around it.

    z_k = z_{k-1} + relu(V_k ∗ z_{k-1}), of which the last step counts; the rest is `QuantileNet`'s.
    Source: Bai, Kolter & Koltun 2018, arXiv:1803.01271.

    >>> import numpy as np
    >>> y = np.tile([1.0, 2.0, 3.0, 4.0], 20)
    >>> Convolution().fit_predict([y], 4, 4, (0.1, 0.5, 0.9))[0, :, 1].round(0).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """

    label: ClassVar[str] = "temporal convolution"
    summary: ClassVar[str] = "dilated convolutions over lags, one model for all series"

    def deep(self, inputs: int) -> torch.nn.Module:
        import torch
        from torch import nn

        class Dilated(nn.Module):
            def __init__(self, channels: int, dilation: int) -> None:
                super().__init__()
                self.before = 2 * dilation
                self.convolution = nn.Conv1d(channels, CHANNELS, 3, dilation=dilation)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                y = torch.relu(self.convolution(nn.functional.pad(x, (self.before, 0))))
                return y + x if x.shape == y.shape else y

        class LastStep(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x[..., -1]

        dilations, seen = [1], 3
        while seen < inputs:
            dilations.append(2 * dilations[-1])
            seen += 2 * dilations[-1]
        blocks = [Dilated(1 if k == 0 else CHANNELS, dilation) for k, dilation in enumerate(dilations)]
        return nn.Sequential(nn.Unflatten(1, (1, inputs)), *blocks, LastStep(), nn.Linear(CHANNELS, UNITS))
