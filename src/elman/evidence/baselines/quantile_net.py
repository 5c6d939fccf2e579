"""Networks on the same lags, without a state: what the recurrent network's memory has to be worth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from elman.evidence.baselines.base import Floats
from elman.evidence.baselines.lags import Lags
from elman.evidence.baselines.pooled import PooledBaseline, PooledPredictor

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_BATCH, _STEPS, _CHECK, _PATIENCE = 256, 1500, 50, 5
UNITS = 64


class QuantileNet(PooledBaseline):
    """A net from the last L steps to all quantiles of the next H, pooled over series; a subclass gives `deep`.

    q = A·deep(x) + S·x + b,  min mean ρ_τ(y, q) over observed steps and levels

    Inputs, centre and scale are the linear autoregression's, which S contains. AdamW at 0.002, batches of 256 rows, at
    most 1,500 steps; the weights with the best loss on each series' last fifth are kept, and each level but the median
    is moved by a constant so that it holds on that fifth. Seed 0.
    Source: quantile network: Taylor 2000, J. Forecasting 19(4); loss: Koenker & Bassett 1978, doi:10.2307/1913643;
    calibration: Romano, Patterson & Candès 2019, arXiv:1905.03222.
    """

    @abstractmethod
    def deep(self, inputs: int) -> torch.nn.Module:
        """What turns lags (R, L) into `UNITS` features (R, UNITS)."""

    def fit_rows(self, rows: Lags, levels: Floats) -> PooledPredictor:
        """Trains with early stopping on the held-out rows."""
        import torch

        x, y = (torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32)) for part in (rows.x, rows.y))
        tau = torch.from_numpy(levels.astype(np.float32))
        late = torch.from_numpy(rows.held_out)
        early = torch.nonzero(~late if bool((~late).any()) else torch.ones_like(late)).ravel()
        judged = torch.nonzero(late if bool(late.any()) else ~late).ravel()
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), _one_thread():  # the user's settings come back
            torch.manual_seed(0)
            deep = torch.nn.Sequential(self.deep(x.shape[1]), torch.nn.Linear(UNITS, y.shape[1] * len(tau)))
            skip = torch.nn.Linear(x.shape[1], y.shape[1] * len(tau), bias=False)
            model = torch.nn.ModuleList([deep, skip])

            def quantiles(lags: Tensor) -> Tensor:
                return (deep(lags) + skip(lags)).reshape(len(lags), -1, len(tau))

            best = _train(model, lambda at: _pinball(y[at], quantiles(x[at]), tau), early, judged)
        model.load_state_dict(best)

        def raw(lags: Floats) -> Floats:
            with torch.no_grad():
                return quantiles(torch.from_numpy(lags.astype(np.float32))).double().numpy()

        shift = _calibrate(rows.y[judged.numpy()], raw(rows.x[judged.numpy()]), levels)

        def predict(lags: Floats) -> Floats:
            return raw(lags) + shift

        return predict


@contextmanager
def _one_thread() -> Iterator[None]:
    """On layers of 64 units torch's threads cost more than they bring (measured: 20× on a busy machine)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _calibrate(y: Floats, q: Floats, levels: Floats) -> Floats:
    """(R, H), (R, H, Q) → (Q,): what to add to each level, the median apart, to hold on rows not fitted on."""
    gap = (y[..., None] - q)[~np.isnan(y)]
    shift = np.array([np.quantile(gap[:, k], level) for k, level in enumerate(levels)])
    return np.where(np.isclose(levels, 0.5), 0.0, shift)


def _pinball(y: Tensor, q: Tensor, tau: Tensor) -> Tensor:
    import torch

    seen = ~torch.isnan(y)
    gap = torch.nan_to_num(y)[..., None] - q
    loss = torch.maximum(tau * gap, (tau - 1.0) * gap).mean(dim=-1)
    return (loss * seen).sum() / seen.sum().clamp(min=1)


def _train(
    model: torch.nn.Module, loss_at: Callable[[Tensor], Tensor], early: Tensor, judged: Tensor
) -> dict[str, Tensor]:
    """Steps until the held-out loss has not improved for 5 checks of 50 steps; gives the best weights met."""
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    best, best_loss, waited = {}, float("inf"), 0
    for step in range(_STEPS + 1):
        if step % _CHECK == 0:
            with torch.no_grad():
                loss = float(loss_at(judged))
            if loss < best_loss or not best:
                best, best_loss, waited = {k: v.clone() for k, v in model.state_dict().items()}, loss, 0
            elif (waited := waited + 1) >= _PATIENCE:
                break
        optimiser.zero_grad()
        loss_at(early[torch.randint(len(early), (min(_BATCH, len(early)),))]).backward()
        optimiser.step()
    return best
