"""From what was measured to one sentence, and to what can be done about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.cells import find_cell
from elman.evidence.diagnose.flow import LEFT, Flow
from elman.evidence.diagnose.need import KEPT, Need
from elman.graph import keeper

ENOUGH = 0.75
"""share of the steps that are needed which gradients must reach"""
AS_GOOD = 0.9
"""share of what a reading of the data explains from which on a net has found what there is"""
LEARNED = 0.5
"""share of it below which a net is said not to have learned, where its gradient does reach"""
GROWN = 1e3
"""growth of a gradient, back through time, that is called an explosion"""
CLIPPED = 10.0
"""norms before clipping above so many times the limit, at half of all steps, are called an explosion, too"""
GATED = frozenset(
    [
        *("lstm", "peephole_lstm", "coupled_lstm", "steep_lstm", "refined_lstm", "slstm", "minlstm"),
        *("gru", "steep_gru", "mgu", "mingru", "lru"),
    ]
)
"""cells of the catalogue that can keep their state"""


CHRONO = "Tallec & Ollivier 2018, arXiv:1804.11188"


@dataclass(frozen=True)
class Remedy:
    """Arguments of an estimator to be changed, and why that helps."""

    change: dict[str, Any]
    why: str

    @property
    def flags(self) -> str:
        """The same for a command line."""
        return " ".join(f"--set {name}={value}" for name, value in self.change.items())

    def __str__(self) -> str:
        return f"{self.flags} ({self.why})"


@dataclass(frozen=True)
class Verdict:
    """What is wrong, if anything.

    fault     "vanishing", "exploding" or "cut"; None: nothing was found
    sentence  the same with the numbers that say so
    remedies  what to try, most promising first
    """

    fault: str | None
    sentence: str
    remedies: tuple[Remedy, ...] = field(default=())


def judge(
    flows: Sequence[Flow],
    need: Need | None,
    explained: float | None = None,
    *,
    each_step: bool,
    stride: int = 1,
    norms: Sequence[float] = (),
    clip_norm: float | None = None,
    params: dict[str, Any] | None = None,
    cut: int | None = None,
    given: str = "",
) -> Verdict:
    """The verdict on a net.

    need       of the data; None: not known, and then nothing is said to vanish
    explained  R² of the net on the same data
    each_step  whether the loss is of every step, so that its own gradient says nothing about how far one reaches
    stride     steps of the data that the net joins into one
    norms      of the whole gradient before clipping, over training
    params     of the estimator, for remedies that it has
    cut        steps after which backpropagation through time was cut in training; None: never
    given      what of earlier steps a step brings with it, in a sentence: what the data need is counted without
    """
    params = params or {}
    growth, where = max((float(flow.memory.max(initial=0.0)), flow.layer) for flow in flows)
    found = need is not None and explained is not None and explained >= AS_GOOD * need.explained > 0
    wild = clip_norm is not None and len(norms) > 0 and float(np.median(norms)) > CLIPPED * clip_norm and not found
    if growth > GROWN or wild or not math.isfinite(growth):
        if growth > GROWN or not math.isfinite(growth):
            how = f"back through time it grows {growth:.3g}-fold in layer {where + 1}"
        else:
            how = f"half of all steps have a norm of {float(np.median(norms)):.3g} or more, the limit is {clip_norm:g}"
        return Verdict("exploding", f"Exploding gradient: {how}.", tuple(_tame(params)))
    reached = _reached(flows, each_step=each_step, stride=stride)
    if need is None:
        return Verdict(None, f"{reached}; what the data need was not measured.")
    if need.steps == 0:
        says = "" if explained is None else f"; the net explains {max(explained, 0):.0%}"
        none = "neither a linear reading of these nor one of pairs of steps can tell"
        return Verdict(None, f"{reached}; how far the data need it, {none}{says}.")
    wanted, also = _wanted(need, explained), f" {given}".rstrip()
    if not found and coverage(flows, -(-need.steps // stride), each_step=each_step) < ENOUGH:
        reach = _reach(flows, each_step=each_step) * stride
        lost = f"{LEFT:.0%} of it is left after {_steps(reach)}"
        return Verdict(
            "vanishing",
            f"Vanishing gradient: {lost}, {wanted}.{also}",
            tuple(_lengthen(params, -(-need.steps // stride), each_step=each_step)),
        )
    if cut is not None and need.steps > cut and not found:
        remedy = Remedy({"truncate": need.steps}, "gradients are followed as far as the data need")
        return Verdict("cut", f"Backpropagation was cut after {_steps(cut)}, {wanted}.{also}", (remedy,))
    if explained is not None and explained < LEARNED * need.explained:
        mend = "It has not learned what there is: train it longer, or at another learning rate"
        return Verdict(
            None, f"The gradient is not at fault: {reached[0].lower()}{reached[1:]}, {wanted}.{also} {mend}."
        )
    return Verdict(None, f"No fault found: {reached[0].lower()}{reached[1:]}, {wanted}.{also}")


def _wanted(need: Need, explained: float | None) -> str:
    """How many steps the data need, for how much, and what was explained at all."""
    net = "" if explained is None else f", the net {max(explained, 0):.0%}"
    counted = f"the data need {_steps(need.steps)} for {KEPT:.0%} of what can be explained"
    return f"{counted} ({need.reading} explains {need.explained:.0%}{net})"


def coverage(flows: Sequence[Flow], needed: int, *, each_step: bool) -> float:
    """Share of the steps needed, counted back from the last, which gradients reach in the first layer.

    A gradient that is there at a step has come through all between it and where it began: the later ones, or in the
    reverse direction the earlier ones. In two directions those count that either reaches.
    """
    first = [flow for flow in flows if flow.layer == 0]
    if each_step:
        return min(1.0, max(flow.horizon for flow in first) / needed)
    reached = np.zeros(len(first[0].loss), bool)
    for flow in first:
        there = (flow.loss >= LEFT * flow.loss.max()) & (flow.loss > 0)
        reached |= np.logical_or.accumulate(there if flow.reverse else there[::-1])[:: 1 if flow.reverse else -1]
    return float(reached[:needed].mean())


def _reach(flows: Sequence[Flow], *, each_step: bool) -> float:
    """Steps that gradients reach back in the first layer."""
    first = [flow for flow in flows if flow.layer == 0]
    return max(flow.horizon if each_step else flow.reach for flow in first)


def _reached(flows: Sequence[Flow], *, each_step: bool, stride: int) -> str:
    steps, reach = len(flows[0].loss), _reach(flows, each_step=each_step)
    return (
        f"Gradients reach all {steps * stride} steps"
        if reach >= steps
        else f"Gradients reach {_steps(reach * stride)} back"
    )


def _steps(count: float) -> str:
    return "any number of steps" if math.isinf(count) else "1 step" if count == 1 else f"{count:.0f} steps"


def _lengthen(params: dict[str, Any], steps: int, *, each_step: bool) -> list[Remedy]:
    """What lets gradients reach further, as far as so many steps."""
    chosen = params.get("cell", "lstm")
    cell, told = str(chosen), params.get("forget_bias")
    bias = {"forget_bias": round(math.log(max(steps, 2)), 1)} if "forget_bias" in params else {}
    found = []
    if cell not in GATED:
        found.append(
            Remedy({"cell": "lstm"} | bias, f"a gate that keeps the state lets the gradient through; {CHRONO}")
        )
    if bias and keeper(find_cell(chosen)) is not None and (told is None or told < bias["forget_bias"]):
        found.append(Remedy(bias, f"gates start by keeping {steps} steps; {CHRONO}"))
    if cell != "slstm":
        found.append(
            Remedy(
                {"cell": "slstm"}, "exponential gates keep from the first step on; Beck et al. 2024, arXiv:2405.04517"
            )
        )
    if cell in GATED - {"gru"}:
        found.append(Remedy({"cell": "gru"}, "fewer gates between a step and the next"))
    if cell in ("lstm", "gru"):
        found.append(Remedy({"cell": f"steep_{cell}"}, "steeper gates are open or shut, and keep or forget all"))
    if params.get("num_layers", 1) > 1 and params.get("residual") is False:
        found.append(Remedy({"residual": True}, "gradients pass a layer by; He et al. 2015, arXiv:1512.03385"))
    if not each_step and params.get("pooling") == "last":
        found.append(Remedy({"pooling": "attention"}, "every step has a short path to the loss"))
    return found


def _tame(params: dict[str, Any]) -> list[Remedy]:
    """What keeps gradients small."""
    cell, rate = str(params.get("cell", "lstm")), params.get("learning_rate")
    clip = params.get("clip_norm")
    found = []
    if cell not in GATED:
        found.append(Remedy({"cell": "lstm"}, "a gated state is scaled by σ ≤ 1 at each step"))
    if clip is None or clip > 1:
        found.append(Remedy({"clip_norm": 1.0}, "a step is then never longer than the gradient's direction is sure"))
    if rate is not None:
        found.append(Remedy({"learning_rate": rate / 5}, "smaller steps do not leave the region where R is tame"))
    if params.get("optimizer") == "sgd":
        found.append(Remedy({"optimizer": "adamw"}, "steps of like length, whatever the gradient's"))
    if not params.get("layer_norm"):
        found.append(Remedy({"layer_norm": True}, "pre-activations keep their scale; Ba et al. 2016, arXiv:1607.06450"))
    return found
