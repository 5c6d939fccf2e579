"""Finite automata: run, merged to the fewest states, drawn, built into Elman's network and taken out of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from page import COLOURS
from sklearn.cluster import KMeans

import elman
from elman.evidence.plots import INK, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Codes = NDArray[np.int64]
SATURATED = 40.0
"""a weight for which tanh is 1 to the last bit of single precision at half of it"""
CLUSTERS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Automaton:
    """A finite automaton that says something in each state (Moore's).

    after   (S, A) the state after state s and symbol a
    says    (S,) what it says there
    start   the state before the first symbol, of which nothing is said
    """

    after: Codes
    says: Codes
    start: int = 0

    def run(self, symbols: Codes) -> Codes:
        """What it says after each symbol; symbols and answers (B, T)."""
        state, said = np.full(len(symbols), self.start), np.empty_like(symbols)
        for t, read in enumerate(symbols.T):
            state = self.after[state, read]
            said[:, t] = self.says[state]
        return said

    def draw(self, rows: int, steps: int, dice: np.random.Generator) -> Codes:
        """Symbols (B, T) at random, of which one that leads where there is no way out is mostly drawn again."""
        states = np.arange(len(self.after))
        sink = (self.after == states[:, None]).all(1)
        state, symbols = np.full(rows, self.start), np.empty((rows, steps), np.int64)
        for t in range(steps):
            drawn = dice.integers(0, self.after.shape[1], (20, rows))
            symbols[:, t] = drawn[0]
            avoiding = dice.random(rows) > 1 / steps
            for again in drawn[1:]:
                caught = sink[self.after[state, symbols[:, t]]] & ~sink[state] & avoiding
                symbols[caught, t] = again[caught]
            state = self.after[state, symbols[:, t]]
        return symbols

    def minimal(self) -> Automaton:
        """The same with the fewest states: those that nothing tells apart are one. Source: Moore 1956."""
        reached, frontier = {self.start}, [self.start]
        while frontier:
            new = {int(s) for s in self.after[frontier.pop()]} - reached
            reached |= new
            frontier += new
        kept = sorted(reached)
        block = {s: int(self.says[s]) for s in kept}
        while True:
            kinds = {s: (block[s], *(block[int(n)] for n in self.after[s])) for s in kept}
            names = {kind: number for number, kind in enumerate(sorted(set(kinds.values())))}
            refined = {s: names[kinds[s]] for s in kept}
            if len(names) == len(set(block.values())):
                break
            block = refined
        block = refined
        one_of = {number: s for s, number in block.items()}
        after = np.array([[block[int(n)] for n in self.after[one_of[b]]] for b in sorted(one_of)])
        return Automaton(after, np.array([self.says[one_of[b]] for b in sorted(one_of)]), block[self.start])

    def equals(self, other: Automaton) -> bool:
        """Whether both say the same after every string, by all pairs of states that a string can lead to."""
        seen, frontier = set(), [(self.start, other.start)]
        while frontier:
            mine, its = frontier.pop()
            for pair in zip(self.after[mine].tolist(), other.after[its].tolist(), strict=True):
                if self.says[pair[0]] != other.says[pair[1]]:
                    return False
                if pair not in seen:
                    seen.add(pair)
                    frontier.append(pair)
        return True


def random_automaton(states: int, symbols: int, dice: np.random.Generator) -> Automaton:
    """An automaton of two answers with arrows at random."""
    return Automaton(dice.integers(0, states, (states, symbols)), dice.integers(0, 2, states))


def built(automaton: Automaton) -> elman.Recurrent:
    """Elman's network that runs the automaton: a unit for each (state, symbol), 1 where this was read there, else -1.

    The unit of (q, a) adds what says "the state is q", the units (p, b) with δ(p, b) = q, to what says "a is read", and
    fires where both are so. One more unit fires before the first step alone and says "the state is the start".
    Source: Minsky 1967, "Computation: finite and infinite machines", ch. 3, there with threshold units.
    """
    S, A = automaton.after.shape
    net = elman.Recurrent("elman", A, S * A + 1, learn_initial_state=True)
    layer: Any = net.layers[0]
    w, leads_to = layer.by_gate(), torch.as_tensor(np.append(automaton.after.ravel(), automaton.start))
    state_of = torch.arange(S * A) // A
    half = SATURATED / 2  # units are ±1, so that ½ (u + 1) is 0 or 1
    w.R.h.zero_()
    w.R.h[:-1] = half * (leads_to[None, :] == state_of[:, None])
    w.b.h.copy_(w.R.h.sum(1) - 1.5 * SATURATED)
    w.W.h.zero_()
    w.W.h[:-1] = SATURATED * torch.eye(A).repeat(S, 1)
    first = torch.full((S * A + 1,), -1.0)
    first[-1] = 1.0
    layer.initial["h"].data.copy_(first)
    return net


def what_it_says(automaton: Automaton, h: torch.Tensor) -> Codes:
    """The answers of the network that `built` made, from its outputs (B, T, S·A + 1)."""
    firing = h[..., :-1].argmax(-1).numpy()
    return automaton.says[automaton.after.ravel()[firing]]


def extracted(states: NDArray[Any], symbols: Codes, said: Codes, clusters: int) -> Automaton:
    """An automaton from what a net did: clusters of its states, and between them the arrows that it took most often.

    states  (B, T, H) after each symbol, with what the net read and said there (B, T)

    Source: Omlin & Giles 1996, doi:10.1016/0893-6080(95)00086-0, there by a grid in place of clusters.
    """
    B, T, H = states.shape
    place = KMeans(clusters, random_state=0).fit_predict(states.reshape(-1, H).astype(float)).reshape(B, T)
    before = np.concatenate([np.full((B, 1), clusters), place[:, :-1]], 1)  # the last number is the state at first
    A, K = int(symbols.max()) + 1, int(said.max()) + 1
    arrows, answers = np.zeros((clusters + 1, A, clusters), int), np.zeros((clusters + 1, K), int)
    np.add.at(arrows, (before, symbols, place), 1)
    np.add.at(answers, (place, said), 1)
    after, says = arrows.argmax(2), answers.argmax(1)
    # The start says nothing. It is the same state as one from which the same arrows lead on, if there is one.
    alike = np.flatnonzero((says[after[:-1]] == says[after[-1]]).all(1))
    candidates = [Automaton(after, np.append(says[:-1], says[s]), clusters) for s in alike]
    candidates.append(Automaton(after, np.append(says[:-1], K), clusters))
    return min((one.minimal() for one in candidates), key=lambda one: (len(one.says), one.says[one.start]))


def _around(automaton: Automaton) -> list[int]:
    """States in the order, beginning with the start, that makes arrows along a circle shortest."""
    S = len(automaton.says)
    rest = [s for s in range(S) if s != automaton.start]

    def length(order: tuple[int, ...]) -> int:
        place = np.argsort([automaton.start, *order])
        far = [abs(place[s] - place[n]) for s in range(S) for n in np.unique(automaton.after[s])]
        return sum(min(d, S - d) ** 2 for d in far)

    return [automaton.start, *(min(permutations(rest), key=length) if S < 8 else rest)]


def sketch(axes: Axes, automaton: Automaton, symbols: Sequence[str], answers: Sequence[str]) -> None:
    """A state diagram: circles with what is said there, arrows what is read; the start has an arrow from outside."""
    from matplotlib.patches import Circle, FancyArrowPatch

    S, size = len(automaton.says), 0.25
    angles = np.pi - 2 * np.pi * np.argsort(_around(automaton)) / S
    places = np.stack([np.cos(angles), np.sin(angles)], 1) * (0.7 if S == 2 else 1.1)
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "color": QUIET, "lw": 1}
    text: dict[str, Any] = {"va": "center", "color": INK, "zorder": 4}
    for s, place in enumerate(places):
        colour = COLOURS[int(automaton.says[s]) % len(COLOURS)]
        axes.add_patch(Circle(tuple(place), size, facecolor="white", edgecolor=colour, lw=2.2, zorder=3))
        axes.text(place[0], place[1], answers[int(automaton.says[s])], ha="center", fontsize=7, **text)
        for n in np.unique(automaton.after[s]):
            read = ", ".join(name for name, to in zip(symbols, automaton.after[s], strict=True) if to == n)
            if n == s:
                out = place / np.hypot(*place)
                side = np.array([-out[1], out[0]])
                ends = [tuple(place + size * (0.8 * out + sign * 0.6 * side)) for sign in (-1, 1)]
                axes.add_patch(FancyArrowPatch(*ends, connectionstyle="arc3,rad=1.9", **arrow))
                align = "center" if abs(out[0]) < 0.5 else "left" if out[0] > 0 else "right"
                at = place + 2.3 * size * out
                axes.text(at[0], at[1], read, ha=align, fontsize=8, **text)
                continue
            way = places[n] - place
            unit = way / np.hypot(*way)
            begin, end = place + size * unit, places[n] - size * unit
            axes.add_patch(FancyArrowPatch(tuple(begin), tuple(end), connectionstyle="arc3,rad=0.22", **arrow))
            bend = (begin + end) / 2 + 0.22 * np.hypot(*(end - begin)) * np.array([unit[1], -unit[0]])
            at = 0.72**2 * begin + 2 * 0.72 * 0.28 * bend + 0.28**2 * end  # on the curve, nearer to where it begins
            axes.text(
                at[0], at[1], read, ha="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, **text
            )
    tip = places[automaton.start] + size * np.array([-0.71, 0.71])
    axes.add_patch(FancyArrowPatch((tip[0] - 0.2, tip[1] + 0.2), tuple(tip), **arrow | {"color": INK, "lw": 1.5}))
    axes.set(xlim=(-1.85, 1.85), ylim=(-1.75, 1.75), aspect="equal")
    axes.axis("off")
