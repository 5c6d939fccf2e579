"""One measurement: a peer against ours on the same work, and no ratio unless both computed the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.evidence.speed.clock import Call, Timer, interleave, quartiles

INFERENCE, TRAINING = "inference", "forward+backward"
MODES = INFERENCE, TRAINING
# Largest difference, as a share of the largest value of each output or gradient, before no ratio is given: float32
# sums of up to 100,000 terms in another order; of narrower numbers against float32, some five of their last places.
TOLERANCE = {"float32": 2e-4, "tf32": 5e-3, "float16": 5e-3, "bfloat16": 4e-2}


@dataclass
class Point:
    """What was measured on one shape.

    against  the peer; T steps, B sequences, F inputs, H units
    rounds   seconds per call, by who ran ("peer", "ours", …), one number a round
    error    largest difference between peer and ours, as a share of the largest value
    problem  why there is no ratio: a red check, or why it was not run
    values   what else was found, by name
    dtype    of the numbers, by the names of `TOLERANCE`
    form     on a GPU: how ours was laid out, where that was not its own choice; or what else sets the row apart
    """

    part: str
    cell: str
    against: str
    mode: str
    threads: int
    T: int
    B: int
    F: int
    H: int
    rounds: dict[str, list[float]] = field(default_factory=dict)
    error: float | None = None
    problem: str = ""
    values: dict[str, float] = field(default_factory=dict)
    dtype: str = "float32"
    form: str = ""

    @property
    def ratio(self) -> float | None:
        """The peer's time ÷ ours, median over rounds; above 1 we are ahead. None on a red check."""
        return self.over("peer", "ours")

    def over(self, one: str, other: str) -> float | None:
        """One's time ÷ the other's, median over rounds."""
        ratios = self._ratios(one, other)
        return median(ratios) if ratios else None

    def _ratios(self, one: str, other: str) -> list[float]:
        if self.problem or not self.rounds.get(one) or not self.rounds.get(other):
            return []
        return [a / b for a, b in zip(self.rounds[one], self.rounds[other], strict=True)]

    def seconds(self, who: str) -> float | None:
        """Median seconds per call."""
        return median(self.rounds[who]) if self.rounds.get(who) else None

    @property
    def shape(self) -> str:
        """Sizes in words.

        >>> Point("grid", "gru", "nn.GRU", "inference", 1, 20, 4, 64, 64).shape
        'T=20 B=4 H=64'
        """
        return f"T={self.T} B={self.B} H={self.H}"

    def to_json(self) -> dict[str, Any]:
        """All of it, with medians and quartiles beside the rounds."""
        kept = asdict(self)
        ratios = self._ratios("peer", "ours")
        if ratios:
            kept["ratio_quartiles"] = [_short(v) for v in quartiles(ratios)]
        kept["quartiles"] = {who: [_short(v) for v in quartiles(times)] for who, times in self.rounds.items() if times}
        kept["rounds"] = {who: [_short(v) for v in times] for who, times in self.rounds.items()}
        kept["values"] = {name: _short(v) for name, v in self.values.items()}
        kept["ratio"] = None if self.ratio is None else _short(self.ratio)
        kept["error"] = None if self.error is None else _short(self.error)
        return kept

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Point:
        """The point that was written so; what follows from the rest is left out."""
        newer = {"dtype", "form"}  # which a file from before has not
        return cls(**{name: kept[name] for name in cls.__dataclass_fields__ if name not in newer or name in kept})


@dataclass(frozen=True)
class Side:
    """One that takes part: `call` is timed, `results` gives outputs, states and gradients by name."""

    call: Call
    results: Callable[[], dict[str, Tensor]]


def contest(
    point: Point,
    sides: Mapping[str, Side],
    *,
    rounds: int,
    at_least: float,
    patience: float,
    others: Mapping[str, Call] | None = None,
    reference: Side | None = None,
    timer: Timer | None = None,
) -> Point:
    """Fills the point: checks that "peer" and "ours" agree, and only then times them, and `others` with them.

    reference  what ours has to agree with instead, and how far the peer is from it is kept: in half precision both err
    """
    if not agree(point, sides, reference):
        return point
    calls = {name: side.call for name, side in sides.items()} | dict(others or {})
    point.rounds = interleave(calls, rounds=rounds, at_least=at_least, patience=patience, timer=timer)
    return point


def agree(point: Point, sides: Mapping[str, Side], reference: Side | None = None) -> bool:
    """Whether ours computes what the peer does, or the reference; the error and a red check are kept in the point."""
    if reference is not None and "peer" in sides:
        point.values["peer error"] = compare(reference, sides["peer"])[0]
    point.error, where = compare(reference or sides["peer"], sides["ours"])
    allowed = TOLERANCE[point.dtype]
    if not point.error <= allowed:  # NaN is red, too
        point.problem = f"{where} is off by {point.error:.1e} of its largest value (allowed: {allowed:.0e})"
    return not point.problem


def compare(peer: Side, ours: Side) -> tuple[float, str]:
    """The largest relative difference between their results, and in which of them; random masks drawn alike."""
    torch.manual_seed(1)
    expected = peer.results()
    torch.manual_seed(1)
    got = ours.results()
    worst = 0.0, "nothing"
    for name, value in expected.items():
        found = difference(value, got.get(name))
        if not found <= worst[0]:
            worst = found, name
    return worst


def difference(expected: Tensor, got: Tensor | None) -> float:
    """max |expected - got| / max |expected|; infinite where there is nothing of that shape.

    >>> difference(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 5.0]))
    0.25
    """
    if got is None or got.shape != expected.shape or not bool(got.isfinite().all()):
        return float("inf")
    if not expected.numel():
        return 0.0
    return float((expected - got.to(expected.dtype)).abs().max() / (expected.abs().max() + 1e-9))


def inference(module: nn.Module, x: Any) -> Side:
    """The module's forward pass without gradients."""
    module.eval()

    def call() -> Any:
        with torch.no_grad():
            return module(x)

    return Side(call, lambda: named(call()))


def training(module: nn.Module, x: Any, d_y: Tensor) -> Side:
    """Forward and backward, down to x and every weight, from the outputs' gradient d_y."""
    module.train()
    x = leaf(x)
    data = x.data if isinstance(x, PackedSequence) else x

    def call() -> Any:
        module.zero_grad()
        data.grad = None
        given = module(x)
        y = given[0].data if isinstance(given[0], PackedSequence) else given[0]
        y.backward(d_y)
        return given

    def results() -> dict[str, Tensor]:
        found = named(call())
        grads = {"x": data.grad} | {_plain(name): p.grad for name, p in module.named_parameters()}
        return found | {f"the gradient of {name}": grad.clone() for name, grad in grads.items() if grad is not None}

    return Side(call, results)


def leaf(x: Any) -> Any:
    """x with a gradient of its own, packed or not."""
    if isinstance(x, PackedSequence):
        return PackedSequence(x.data.detach().clone().requires_grad_(), *x[1:])
    return x.detach().clone().requires_grad_()


def named(given: Any) -> dict[str, Tensor]:
    """Outputs and last state of a recurrent module by name."""
    y, state = given
    parts = (state,) if isinstance(state, Tensor) else tuple(state)
    y = y.data if isinstance(y, PackedSequence) else y
    return {"the output": y.detach()} | {f"state {i}": part.detach() for i, part in enumerate(parts)}


def _plain(name: str) -> str:
    """A weight's name in one of our stacks as in a plain loop."""
    return name.removeprefix("layers.0.").replace("p.", "p_")


def _short(value: float) -> float:
    return float(f"{value:.4g}")
