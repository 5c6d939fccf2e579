"""Where a run stands between two steps, and the state that its sequences carry from batch to batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from torch import Tensor

WINDOW = 32
"""losses whose median is the level of the moment"""
EXPLOSION = 1e4
"""how many times above the highest level yet a loss counts as exploded"""
NOTHING = 1e-6
"""a level below which a loss counts as if it were this"""
STRIKES = 3
"""exploded losses in succession that end the run; one alone may be an outlier in the data"""


@dataclass
class LossGuard:
    """Tells an explosion of the loss from a bad batch.

    The level is the median of |loss| over the last 32 steps, and its maximum over the run the reference: a model that
    has learned its data to 1e-9 may jump back to where it began without alarm, and a negative log-likelihood may change
    its sign. Three losses in succession above 10⁴ times the reference are an explosion. They do not enter the median.

    >>> guard = LossGuard()
    >>> [guard.exploded(loss) for loss in (1.0, 2.0, 9e9, 1.0, 9e9, 9e9, 9e9)]
    [False, False, False, False, False, False, True]
    """

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    reference: float = 0.0
    strikes: int = 0

    def exploded(self, loss: float) -> bool:
        """Takes in the loss of a step; True when the run should stop."""
        size = abs(loss)
        # A first guess may be all but exact; leaving it by a millionth is no explosion.
        if self.reference and size > EXPLOSION * max(self.reference, NOTHING):
            self.strikes += 1
            return self.strikes >= STRIKES
        self.strikes = 0
        self.recent.append(size)
        self.reference = max(self.reference, median(self.recent))
        return False


@dataclass
class Standing:
    """Everything but tensors that the next step depends on; all of it is JSON, and all of it is in a checkpoint."""

    step: int = 0
    """updates done"""
    epoch: int = 0
    """the pass over the data that the next batch belongs to, from 0"""
    start: int = 0
    """batches of that pass already done"""
    rows: int = 0
    """batch size that the carried state belongs to"""
    stopped: str | None = None
    """why the run is over; None while it is not"""

    best_loss: float | None = None
    best_step: int | None = None
    worse: int = 0
    """validations since the best"""

    loss_sum: float = 0.0
    norm_sum: float = 0.0
    counted: int = 0
    """steps since the last record; the two sums above are over them"""
    items: int = 0
    """valid time steps since the last record"""
    interval: float = 0.0
    """seconds since the last record"""
    seconds: float = 0.0
    """seconds of training in all"""
    guard: LossGuard = field(default_factory=LossGuard)

    def count(self, loss: float, norm: float, items: int) -> None:
        """One more update is done."""
        self.step += 1
        self.start += 1
        self.counted += 1
        self.loss_sum += loss
        self.norm_sum += norm
        self.items += items

    def spend(self, seconds: float) -> None:
        """So much more time has passed."""
        self.interval += seconds
        self.seconds += seconds

    def record(self, lr: float, val_loss: float | None) -> dict[str, Any]:
        """The line of `metrics.jsonl` for the steps since the last one, which are then forgotten."""
        n = max(1, self.counted)
        line = {
            "step": self.step,
            "epoch": self.epoch + 1,
            "loss": self.loss_sum / n,
            "grad_norm": self.norm_sum / n,
            "lr": lr,
            "items_per_s": round(self.items / self.interval, 1) if self.interval else None,
            "val_loss": val_loss,
            "seconds": round(self.seconds, 3),
        }
        self.loss_sum = self.norm_sum = self.interval = 0.0
        self.counted = self.items = 0
        return line

    def judge(self, val_loss: float) -> bool:
        """Takes in a validation loss; True when it is the lowest yet."""
        if self.best_loss is None or val_loss < self.best_loss:
            self.best_loss, self.best_step, self.worse = val_loss, self.step, 0
            return True
        self.worse += 1
        return False

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON; floats come back bit for bit."""
        return asdict(self) | {"guard": asdict(self.guard) | {"recent": list(self.guard.recent)}}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Standing:
        """The standing that `to_json` wrote down."""
        guard = dict(fields["guard"])
        guard["recent"] = deque(guard["recent"], maxlen=WINDOW)
        return cls(**{**fields, "guard": LossGuard(**guard)})


def detach(state: Any) -> Any:
    """The same state without its past: here truncated backpropagation is truncated."""
    if isinstance(state, Tensor):
        return state.detach()
    return None if state is None else tuple(detach(part) for part in state)


def flatten(state: Any) -> tuple[list[Tensor], Any]:
    """The tensors of a nested state in order, and its outline: `True` for a tensor, `None`, or a list of outlines."""
    if isinstance(state, Tensor):
        return [state], True
    if state is None:
        return [], None
    parts = [flatten(part) for part in state]
    return [tensor for tensors, _ in parts for tensor in tensors], [outline for _, outline in parts]


def unflatten(tensors: Iterator[Tensor], outline: Any) -> Any:
    """The nested state that `flatten` took apart.

    >>> import torch
    >>> tensors, outline = flatten((torch.zeros(1), (torch.ones(1), None)))
    >>> unflatten(iter(tensors), outline)
    (tensor([0.]), (tensor([1.]), None))
    """
    if outline is None:
        return None
    if outline is True:
        return next(tensors)
    return tuple(unflatten(tensors, part) for part in outline)
