"""One example explained: what the model says of it, owed to which steps, and what went on inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from elman.evidence.explain.attribution import Attribution

SHOWN = 8
"""steps, and features, that are named in text"""
CLOSE = 0.05
"""gap above which the parts are not to be trusted"""


@dataclass(frozen=True)
class Inside:
    """What a layer did, in one direction: values[name] is (T, H), of the state and of each gate.

    part   which part of the model its layer is in; "": there is only one
    steps  names of its own steps; None: the example's
    """

    layer: int
    reverse: bool
    values: dict[str, np.ndarray]
    part: str = ""
    steps: list[str] | None = None


@dataclass(frozen=True)
class Looked:
    """Where a net that writes looked: weights (T, S), a row of each word that was written.

    words    that were written
    sources  names of the columns
    picture  that the columns are regions of, row by row in a grid of `shape`; None: they are steps
    """

    words: list[str]
    sources: list[str]
    weights: np.ndarray
    picture: np.ndarray | None = None
    shape: tuple[int, int] = (1, 1)


class Watched(NamedTuple):
    """What a detector says of each step: scores (T,), that of a usual step, and the threshold of an alarm."""

    scores: np.ndarray
    calm: float
    limit: float


@dataclass(frozen=True)
class Example:
    """An example explained.

    steps        each as it is written: a name, a time, or its number
    features     names of the numbers at a step; (): steps are names
    x            (T, ·) the numbers that can be drawn, of the first features; None: steps are names
    said         what the model says of it
    of           the quantity that is divided among the steps
    attribution  how
    inside       of each layer and direction
    attention    weight of each step, where the model has it
    looked       of a net that writes: where it looked for each word
    watched      of a detector: the scores of these steps, and its threshold
    """

    steps: list[str]
    features: tuple[str, ...]
    x: np.ndarray | None
    said: str
    of: str
    attribution: Attribution
    inside: list[Inside]
    attention: np.ndarray | None = field(default=None)
    looked: Looked | None = field(default=None)
    watched: Watched | None = field(default=None)

    def __str__(self) -> str:
        found = self.attribution
        order = np.argsort(-np.abs(found.steps), kind="stable")[:SHOWN]
        width = max(len(self.steps[t]) for t in order)
        lines = [f"Said: {self.said}.", f"{self.of}: {found.end:.3f}; of nothing: {found.begin:.3f}. Owed to"]
        for t in order:
            number = f"step {t}, " if self.x is None else "step " * self.steps[t].isdecimal()
            lines.append(f"  {found.steps[t]:+8.3f}  {number}{self.steps[t].ljust(width)}".rstrip())
        rest = float(found.steps.sum() - found.steps[order].sum())
        if len(order) < len(self.steps):
            lines.append(f"  {rest:+8.3f}  {len(self.steps) - len(order)} others")
        if self.by_feature:
            first = sorted(self.by_feature.items(), key=lambda item: -abs(item[1]))[:SHOWN]
            lines.append("By feature: " + ", ".join(f"{name} {part:+.3f}" for name, part in first) + ".")
        return "\n".join([*lines, self.check])

    @property
    def by_feature(self) -> dict[str, float]:
        """What each feature adds, over all steps; {} where there is only one."""
        parts = self.attribution.parts
        if len(self.features) < 2 or parts.shape[1] != len(self.features):
            return {}
        return dict(zip(self.features, parts.sum(0).tolist(), strict=True))

    def at_times(self, times: Sequence[str]) -> Example:
        """The same with steps called by their times; times: of all steps of the sequence that this one is part of."""

        def named(steps: list[str]) -> list[str]:
            return [times[int(step)] for step in steps]

        layers = [replace(one, steps=None if one.steps is None else named(one.steps)) for one in self.inside]
        return replace(self, steps=named(self.steps), inside=layers)

    @property
    def check(self) -> str:
        """Whether the parts sum to the whole, in a sentence."""
        found = self.attribution
        verdict = "complete" if found.gap <= CLOSE else "NOT complete, so take it with care"
        return f"The parts sum to the whole but for {found.gap:.2%} of it ({found.points} points): {verdict}."

    def to_json(self) -> dict[str, Any]:
        """All numbers, as a run folder keeps them."""
        found = self.attribution
        about = {"said": self.said, "of": self.of, "begin": found.begin, "end": found.end, "gap": found.gap}
        attention = None if self.attention is None else self.attention.tolist()
        kept = {**about, "steps": self.steps, "features": list(self.features), "parts": found.parts.tolist()}
        if self.looked is not None:
            looked = {"words": self.looked.words, "sources": self.looked.sources}
            return {**kept, "attention": self.looked.weights.tolist(), **looked}
        return {**kept, "attention": attention}
