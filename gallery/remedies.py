"""Nets with one remedy each against the vanishing gradient, how they are trained, and how far they look back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch
from memory_tasks import Adding, Learned, Reader, learn
from torch import Generator, Tensor, nn
from torch.nn import functional as F

import elman
from elman.cells import Elman
from elman.evidence.diagnose.flow import flows, horizon_of

HIDDEN = 32
"""units of every net"""


class SmallStart(Elman):
    """Elman's network as it was long begun: R uniform in ±1/√H, which shrinks whatever it multiplies."""

    def init(self, w: Any) -> None:
        bound = len(w.b.h) ** -0.5
        w.R.h.uniform_(-bound, bound)


class LargeStart(Elman):
    """Elman's network with an R that lengthens what it multiplies: orthogonal, times 3."""

    def init(self, w: Any) -> None:
        w.R.h.mul_(3.0)


class BatchNormElman(nn.Module):
    """h_t = tanh(BN(W x_t) + BN(R h_{t-1}) + b), each step normalised over the batch by statistics of its own.

    No cell of elman, since a cell combines units one by one and never rows of a batch. The batch at hand is what
    normalises in use as well. Source: Cooijmans et al. 2017, arXiv:1603.09025, whose gain of 0.1 it starts with.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        start: Any = elman.Recurrent(SmallStart, inputs, hidden).layers[0]
        self.hidden_size, self.W, self.R, self.b = hidden, start.W, start.R, start.b
        self.gain_x, self.gain_r = (nn.Parameter(torch.full((hidden,), 0.1)) for _ in range(2))

    def unroll(self, x: Tensor) -> list[Tensor]:
        """The state of each step, (B, H)."""
        B, T, H = len(x), x.shape[1], self.hidden_size
        each = (x @ self.W.T).reshape(B, T * H)  # as one batch of T·H features every step has statistics of its own
        read = F.batch_norm(each, None, None, self.gain_x.repeat(T), self.b.repeat(T), training=True).reshape(B, T, H)
        h, states = x.new_zeros(B, H), []
        for x_t in read.unbind(1):
            h = torch.tanh(x_t + F.batch_norm(h @ self.R.T, None, None, self.gain_r, training=True))
            states.append(h)
        return states

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """x (B, T, F) to outputs (B, T, H) and the last state, as `Recurrent` gives them."""
        states = self.unroll(x)
        return torch.stack(states, 1), (states[-1],)


class Muon:
    """torch's Muon on matrices, as its documentation asks, and AdamW on the rest."""

    def __init__(self, parameters: Sequence[nn.Parameter], lr: float) -> None:
        matrices = [p for p in parameters if p.dim() == 2 and min(p.shape) > 1]
        rest = [p for p in parameters if not (p.dim() == 2 and min(p.shape) > 1)]
        self.parts = torch.optim.Muon(matrices, lr=lr, weight_decay=0.0), torch.optim.AdamW(rest, lr=3e-3)

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        """Moves the weights."""
        for part in self.parts:
            part.step()


OPTIMISERS: dict[str, tuple[Callable[..., Any], tuple[float, float]]] = {
    "SGD": (torch.optim.SGD, (0.03, 0.1)),
    "momentum": (functools.partial(torch.optim.SGD, momentum=0.9), (0.03, 0.1)),
    "RMSprop": (torch.optim.RMSprop, (0.001, 0.003)),
    "Adam": (torch.optim.Adam, (0.003, 0.01)),
    "AdamW": (torch.optim.AdamW, (0.003, 0.01)),
    "Muon": (Muon, (0.003, 0.01)),
}
"""each with two learning rates to choose from"""


@dataclass(frozen=True)
class Trial:
    """A net and how it is trained. The remedy is what stands in the table."""

    remedy: str
    cell: Any
    optimiser: str = "Adam"
    clip: float | None = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    def net(self, seed: int) -> Any:
        """The net at its start."""
        torch.manual_seed(seed)
        if self.cell is BatchNormElman:
            return BatchNormElman(Adding.inputs, HIDDEN)
        return elman.Recurrent(self.cell, Adding.inputs, HIDDEN, **self.options)

    def run(self, task: Adding, seed: int, rate: float, steps: int) -> tuple[Learned, float, float]:
        """What came of it, and the memory horizon before and after."""
        model = Reader(self.net(seed), task)
        before, make = horizon(model, task), OPTIMISERS[self.optimiser][0]
        learned = learn(model, task, lambda p: make(p, lr=rate), steps=steps, seed=seed, clip=self.clip)
        return learned, before, horizon(model, task) if math.isfinite(learned.loss) else math.nan


TRIALS = (
    Trial("none: small start, SGD", SmallStart, "SGD", None),
    Trial("clipping", SmallStart, "SGD"),
    Trial("clipping, momentum", SmallStart, "momentum"),
    Trial("clipping, RMSprop", SmallStart, "RMSprop"),
    Trial("clipping, Adam", SmallStart, "Adam"),
    Trial("clipping, AdamW", SmallStart, "AdamW"),
    Trial("clipping, Muon", SmallStart, "Muon"),
    Trial("Adam, layer normalisation", SmallStart, options={"layer_norm": True}),
    Trial("Adam, batch normalisation", BatchNormElman),
    Trial("Adam, orthogonal start", "elman"),
    Trial("Muon, orthogonal start", "elman", "Muon"),
    Trial("ReLU from the identity, SGD, no clipping", "elman_relu", "SGD", None),
    Trial("ReLU from the identity, SGD, clipping", "elman_relu", "SGD"),
    Trial("ReLU from the identity, Adam, clipping", "elman_relu"),
    Trial("gates: GRU, SGD", "gru", "SGD"),
    Trial("gates: GRU, Adam", "gru"),
    Trial("gates: LSTM, Adam", "lstm"),
    Trial("gates: minGRU, Adam", "mingru"),
    Trial("steeper gates: GRU, Adam", "steep_gru"),
    Trial("steeper gates: LSTM, Adam", "steep_lstm"),
    Trial("gates: LSTM, layer normalisation", "lstm", options={"layer_norm": True}),
)
QUICK = tuple(
    trial
    for trial in TRIALS
    if trial.remedy
    in (
        "none: small start, SGD",
        "clipping",
        "Adam, batch normalisation",
        "ReLU from the identity, SGD, no clipping",
        "steeper gates: GRU, Adam",
    )
)


def memory_of(model: nn.Module, x: Tensor) -> np.ndarray:
    """‖∂h_T/∂s_{T-k}‖ by lag k, of the diagnosis for nets of elman, by autograd for the one that is none."""
    net: Any = model.net
    if not isinstance(net, BatchNormElman):
        return flows(net, lambda: net(x)[0][:, -1].square().sum())[0][0].memory
    states = net.unroll(x)
    found = torch.autograd.grad(states[-1], states, torch.randn_like(states[-1]).sign())
    sizes = np.array([float(g.square().sum().sqrt()) for g in found])[::-1]
    return sizes / sizes[0]


def horizon(model: nn.Module, task: Adding) -> float:
    """Steps until a hundredth of the gradient is left, on 64 sequences."""
    x, _ = task.draw(64, Generator().manual_seed(99))
    return horizon_of(memory_of(model, x))


def measure(trial: Trial, task: Adding, seeds: Sequence[int], steps: int) -> dict[str, Any]:
    """All seeds at the rate that did better with the first one."""
    tried = {rate: trial.run(task, seeds[0], rate, steps) for rate in OPTIMISERS[trial.optimiser][1]}
    found = {rate: run[0] for rate, run in tried.items()}
    rate = min(found, key=lambda r: (not found[r].solved, len(found[r].losses) * found[r].solved, found[r].loss))
    runs = [tried[rate], *(trial.run(task, seed, rate, steps) for seed in seeds[1:])]
    learned = [run[0] for run in runs]
    return {
        "remedy": trial.remedy,
        "rate": rate,
        "before": median(run[1] for run in runs),
        "after": median(run[2] for run in runs),
        "solved": sum(one.solved for one in learned),
        "loss": median(one.loss for one in learned),
        "steps": median(len(one.losses) for one in learned),
        "seconds": median(one.seconds for one in learned),
        "losses": learned[0].losses[::10],
    }
