"""What a forecaster says about the next value: quantiles, or a distribution of which they can be read.

Each output turns P numbers per step into a loss and into a quantile function. `location` is where the net starts from
(a mixture of last and seasonal values), so that its own P numbers are corrections. Everything is on the net's scale,
standardised within a window: value = center + spread · z.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

# What is learned and stored; other levels are read between them.
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


class Output(Protocol):
    """One way to state a forecast; p (…, P), location, center and spread (…), z (…).

    size      P
    relative  the loss is an error in units of z, which weighs by a series' spread; a likelihood has no units
    """

    size: int
    relative: bool

    def loss(self, p: Tensor, location: Tensor, z: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """Per value, (…): what training makes small."""
        ...

    def quantile(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor, u: Tensor) -> Tensor:
        """The values below which a share u (…, K) lies, on the scale of z, (…, K), rising in u."""
        ...

    def middle(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """The median, (…), on the scale of z, with its gradient; of counts the mean: their median has no slope."""
        ...


class Quantiles:
    """Quantiles at fixed levels, free of any assumption about the distribution.

    loss = Σ_q max(q e, (q - 1) e), e = z - ẑ_q          (Koenker & Bassett 1978, doi:10.2307/1913643)

    Between two levels the quantile function is a straight line; beyond the outer ones it goes on for half a step.
    """

    relative = True

    def __init__(self, levels: Sequence[float] = LEVELS) -> None:
        self.levels = torch.tensor(levels)
        self.size = len(levels)

    def __repr__(self) -> str:
        return f"Quantiles({self.levels.tolist()})"

    def loss(self, p: Tensor, location: Tensor, z: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """Pinball loss summed over the levels."""
        error = z.unsqueeze(-1) - (p + location.unsqueeze(-1))
        levels = self.levels.to(p)
        return torch.maximum(levels * error, (levels - 1) * error).sum(-1)

    def quantile(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor, u: Tensor) -> Tensor:
        """Read off the line through the learned quantiles, which are sorted first: they must not cross."""
        if self.size == 1:
            return (p + location.unsqueeze(-1)).expand(torch.broadcast_shapes(p.shape, u.shape))
        values = (p + location.unsqueeze(-1)).sort(-1).values
        known = self.levels.to(values)
        u = u.to(values).expand(*values.shape[:-1], u.shape[-1]).contiguous()
        right = torch.searchsorted(known, u).clamp(1, self.size - 1)
        low, high = values.gather(-1, right - 1), values.gather(-1, right)
        share = (u - known[right - 1]) / (known[right] - known[right - 1])
        return low + share.clamp(-0.5, 1.5) * (high - low)

    def middle(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """The quantile at one half."""
        return self.quantile(p, location, center, spread, p.new_full((*location.shape, 1), 0.5))[..., 0]


class Gaussian:
    """A normal distribution: loss = ln σ + (z - μ)² / 2σ² + ln √2π."""

    size, relative = 2, False

    def loss(self, p: Tensor, location: Tensor, z: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """Negative log-likelihood."""
        sigma = _positive(p[..., 1])
        return sigma.log() + 0.5 * ((z - location - p[..., 0]) / sigma).square() + 0.5 * math.log(2 * math.pi)

    def quantile(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor, u: Tensor) -> Tensor:
        """μ + σ Φ⁻¹(u)."""
        normal = torch.special.ndtri(u.double()).to(p)
        return (location + p[..., 0]).unsqueeze(-1) + _positive(p[..., 1]).unsqueeze(-1) * normal

    def middle(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """μ."""
        return location + p[..., 0]


class StudentT:
    """Student's t with ν > 2 degrees of freedom: heavier tails than the normal's.

    loss = ln σ + (ν + 1)/2 · ln(1 + e²/ν) - ln Γ((ν + 1)/2) + ln Γ(ν/2) + ln √(νπ), e = (z - μ)/σ
    """

    size, relative = 3, False

    def loss(self, p: Tensor, location: Tensor, z: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """Negative log-likelihood."""
        sigma, nu = _positive(p[..., 1]), 2 + _positive(p[..., 2])
        error = (z - location - p[..., 0]) / sigma
        shape = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * torch.log(nu * math.pi)
        return sigma.log() + (nu + 1) / 2 * torch.log1p(error.square() / nu) + shape

    def quantile(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor, u: Tensor) -> Tensor:
        """μ + σ t_ν⁻¹(u)."""
        from scipy import stats

        nu = (2 + _positive(p[..., 2])).unsqueeze(-1).double().cpu().numpy()
        t = torch.from_numpy(np.asarray(stats.t.ppf(u.double().cpu().numpy(), nu))).to(p)
        return (location + p[..., 0]).unsqueeze(-1) + _positive(p[..., 1]).unsqueeze(-1) * t

    def middle(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """μ."""
        return location + p[..., 0]


class NegativeBinomial:
    """Counts 0, 1, 2 … with mean m and variance m + a m²: demand of single items.

    loss = -ln Γ(y + 1/a) + ln Γ(1/a) + ln Γ(y + 1) - y ln(am / (1 + am)) + ln(1 + am) / a

    y = center + spread · z is the count itself. Source: Salinas et al. 2017 (DeepAR), arXiv:1704.04110.
    """

    size, relative = 2, False

    def loss(self, p: Tensor, location: Tensor, z: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """Negative log-likelihood of the count."""
        y = (center + spread * z).clamp(min=0)
        mean, a = self._mean(p, location, center, spread), _positive(p[..., 1])
        gammas = torch.lgamma(1 / a) + torch.lgamma(y + 1) - torch.lgamma(y + 1 / a)
        return gammas + y * torch.log1p(1 / (a * mean)) + torch.log1p(a * mean) / a

    def quantile(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor, u: Tensor) -> Tensor:
        """The smallest count with a share u at or below it, put back on the scale of z."""
        from scipy import stats

        mean = self._mean(p, location, center, spread).unsqueeze(-1).double().cpu().numpy()
        a = _positive(p[..., 1]).unsqueeze(-1).double().cpu().numpy()
        counts = np.asarray(stats.nbinom.ppf(u.double().cpu().numpy(), 1 / a, 1 / (1 + a * mean)))
        return (torch.from_numpy(counts).to(p) - center.unsqueeze(-1)) / spread.unsqueeze(-1)

    def middle(self, p: Tensor, location: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """m, put back on the scale of z."""
        return (self._mean(p, location, center, spread) - center) / spread

    @staticmethod
    def _mean(p: Tensor, location: Tensor, center: Tensor, spread: Tensor) -> Tensor:
        """Positive, and about the value that the net's scale gives wherever that is well above 0."""
        value = center + spread * (location + p[..., 0])
        return spread * softplus(value / spread) + 1e-4


def _positive(value: Tensor) -> Tensor:
    """Starts at 1/2 and never reaches 0, where a likelihood would be infinite."""
    return softplus(value - 0.43) + 1e-3


OUTPUTS: dict[str, type[Output]] = {
    "quantile": Quantiles,
    "gaussian": Gaussian,
    "student-t": StudentT,
    "negative-binomial": NegativeBinomial,
}
