"""Hopfield's network on handwritten digits: what it recalls, how much it holds, and which recurrent net it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from page import COLOURS, Page, legend, main
from scipy.ndimage import zoom
from scipy.optimize import minimize_scalar
from scipy.special import erf
from sklearn.datasets import load_digits

import elman
from elman.evidence.plots import QUIET, dress

Array = np.ndarray

TITLE = "A memory that recalls: Hopfield's network"
FLIPPED = 0.1
"""share of the units that are turned over before recall"""
RECALLED = 0.97
"""overlap with the stored pattern from which on it counts as recalled: what theory leaves at the capacity's edge"""
INK = {"cmap": "Greys", "vmin": -1, "vmax": 1}


@dataclass
class Hopfield:
    """N units s_i = ±1, each joined to all others by a symmetric weight; recall goes down in energy::

        s_i ← sign(Σ_j W_ij s_j)        E = -½ Σ_ij s_i W_ij s_j

    Source: Hopfield 1982, doi:10.1073/pnas.79.8.2554.
    """

    W: Array

    @classmethod
    def hebb(cls, patterns: Array) -> Hopfield:
        """W = Σ_μ p_μ p_μᵀ without its diagonal: units that agree are tied together (Hebb 1949). Whole numbers."""
        return cls(patterns.T @ patterns).untied()

    @classmethod
    def pseudo_inverse(cls, patterns: Array) -> Hopfield:
        """W = P⁺ P without its diagonal: what patterns have in common is not counted twice (Personnaz et al. 1985)."""
        return cls(np.linalg.pinv(patterns) @ patterns).untied()

    def untied(self) -> Hopfield:
        """No unit is tied to itself, so that its energy can only fall."""
        np.fill_diagonal(self.W, 0.0)
        return self

    def energy(self, states: Array) -> Array:
        """Of each state (B, N)."""
        return -0.5 * np.einsum("bi,ij,bj->b", states, self.W, states)

    def recall(self, states: Array, dice: np.random.Generator, watch: Callable[[Array], Any] | None = None) -> Array:
        """Where states (B, N) come to rest: one unit after the other, in random order, until none turns over.

        watch  is called with all states after each unit's turn
        """
        states = states.copy()
        fields = states @ self.W
        while True:
            turned = False
            for i in dice.permutation(len(self.W)):
                change = self.answer(fields[:, i], states[:, i]) - states[:, i]
                if change.any():
                    turned = True
                    states[:, i] += change
                    fields += np.outer(change, self.W[i])
                if watch is not None:
                    watch(states)
            if not turned:
                return states

    def together(self, states: Array) -> Array:
        """All units at once, one time."""
        return self.answer(states @ self.W, states)

    @staticmethod
    def answer(fields: Array, states: Array) -> Array:
        """sign, where a unit without any reason to turn stays as it is."""
        return np.where(np.abs(fields) < 1e-9, states, np.sign(fields))


class Threshold(elman.Cell):
    """h_t = sign(R h_{t-1} + W x_t): all of Hopfield's units at once. Without input, R alone decides."""

    gates = ("h",)

    def step(self, x: Any, r: Any, s: Any, p: Any) -> Any:
        field = x.h + r.h
        return torch.where(field == 0, s.h, torch.sign(field))


def modern(patterns: Array, states: Array, beta: float = 1.0) -> Array:
    """One step of the modern Hopfield network: sign(softmax(β P s) P), attention over what is stored."""
    scores = beta * states @ patterns.T
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return np.sign(weights / weights.sum(1, keepdims=True) @ patterns)


def handwriting(enlarged: int = 3) -> tuple[Array, Array, int]:
    """Digits of 8 × 8 greys, enlarged and cut at half of the black: ±1 (1797, N), which digit, and the side."""
    data: Any = load_digits()
    pictures = np.array([zoom(picture, enlarged, order=1) for picture in data.images])
    return np.where(pictures >= 8, 1.0, -1.0).reshape(len(pictures), -1), data.target, 8 * enlarged


def spoilt(patterns: Array, dice: np.random.Generator, share: float = FLIPPED) -> Array:
    """Patterns with a share of their units turned over."""
    return np.where(dice.random(patterns.shape) < share, -patterns, patterns)


def overlaps(states: Array, patterns: Array) -> Array:
    """m = Σ_i s_i p_i / N of each pair: 1 where all units agree, about 0 for strangers."""
    return (states * patterns).mean(1)


def recall_in_pictures(page: Page, dice: np.random.Generator) -> None:
    """One of each digit, stored three ways."""
    digits, names, side = handwriting()
    first = digits[[np.flatnonzero(names == k)[0] for k in range(10)]]
    given = spoilt(first, dice, 2 * FLIPPED)
    rows = {
        "stored": first,
        "spoilt": given,
        "three stored,\nHebb": Hopfield.hebb(first[:3]).recall(given[:3], dice),
        "ten stored,\nHebb": Hopfield.hebb(first).recall(given, dice),
        "ten stored,\npseudo-inverse": Hopfield.pseudo_inverse(first).recall(given, dice),
    }
    back = {name: int((overlaps(found, first[: len(found)]) >= RECALLED).sum()) for name, found in rows.items()}
    page.numbers["recalled"] = {name.replace("\n", " "): n for name, n in list(back.items())[2:]}
    caption = f"Ten digits, and what comes to rest after {2 * FLIPPED:.0%} of their pixels were turned over."
    with page.picture("recall", caption, (len(rows), 10), size=(7.2, 3.9)) as grid:
        for line, (name, pictures) in zip(grid, rows.items(), strict=True):
            for axes in line:
                axes.set_axis_off()
            for axes, picture in zip(line, pictures, strict=False):
                axes.imshow(picture.reshape(side, side), **INK)
            line[0].text(-0.25, 0.5, name, transform=line[0].transAxes, ha="right", va="center", color=QUIET)
    three, ten, inverse = (back[name] for name in list(rows)[2:])
    page.text(
        f"""With Hebb's rule {three} of 3 digits come back from the spoilt pictures; with all ten stored, {ten} of 10.
        By the pseudo-inverse of the same ten pictures, {inverse} of 10 come back."""
    )


def energy_falls(page: Page, dice: np.random.Generator) -> None:
    """Of each recall the energy after each unit's turn; it must never rise."""
    size = 100 if page.quick else 500
    patterns = dice.choice([-1.0, 1.0], (size // 20, size))
    net = Hopfield.hebb(patterns)
    path = [spoilt(patterns, dice, 0.3)]
    net.recall(path[0], dice, lambda states: path.append(states.copy()))
    energies = np.array([net.energy(states) for states in path]).T / size**2
    rise = float(np.diff(energies, axis=1).max())
    page.numbers["energy"] = {"greatest_rise": rise, "turns": len(path) - 1, "recalls": len(energies)}
    caption = f"Energy per pair of units in ten recalls of {len(energies)}; {len(patterns)} patterns in {size} units."
    with page.picture("energy", caption, size=(7.2, 2.9)) as axes:
        for line in energies[:10]:
            axes.plot(line[: 2 * size], color=COLOURS[0], linewidth=0.9, alpha=0.7)
        dress(axes, "Recall goes downhill", "turns of a unit", "energy / N²")
    page.text(
        f"""Of {len(energies)} × {len(path) - 1} turns, the greatest rise of the energy is {max(rise, 0.0):.3g}
        (Hopfield proved that there can be none: a unit turns only where its field asks for it, and W is symmetric)."""
    )


def edge_of_theory() -> tuple[float, Callable[[float], float]]:
    """Amit, Gutfreund & Sompolinsky's α_c of infinitely many units, and the overlap m that they foretell at a load α.

    m = erf(y) at the greatest y that solves √(2α) + 2/√π e^(-y²) = erf(y) / y; beyond α_c there is none.
    """

    def load_at(y: float) -> float:
        return 0.5 * max(erf(y) / y - 2 / np.sqrt(np.pi) * np.exp(-(y**2)), 0.0) ** 2

    top: Any = minimize_scalar(lambda y: -load_at(y), bounds=(1.0, 3.0), method="bounded")
    above = np.linspace(top.x, 6.0, 2000)
    loads = np.array([load_at(y) for y in above])
    return float(-top.fun), lambda load: float(erf(np.interp(-load, -loads, above)))


def capacity(page: Page, dice: np.random.Generator) -> None:
    """Random patterns: how much of each is left when recall begins at it, by load and size."""
    edge, foretold = edge_of_theory()
    sizes = (100, 200) if page.quick else (100, 300, 1000, 3000)
    loads = np.array([0.05, 0.1, 0.14, 0.2] if page.quick else [0.02, 0.05, 0.08, 0.1, 0.11, *_near(edge), 0.18, 0.22])
    curves = {}
    for size in sizes:
        draws = max(1, (600 if page.quick else 6000) // size)
        curves[size] = [float(np.mean([_kept(size, load, dice) for _ in range(draws)])) for load in loads]
    page.numbers["capacity"] = {"theory": edge, "loads": loads.tolist(), "overlap": curves}
    caption = "Overlap with the stored pattern after recall began at it, mean over patterns, by load and size."
    with page.picture("capacity", caption, size=(7.2, 3.4)) as axes:
        for colour, (size, kept) in zip(COLOURS, curves.items(), strict=False):
            axes.plot(loads, kept, marker="o", markersize=3, color=colour, label=f"{size} units")
        below = np.linspace(0.005, edge, 60)
        axes.plot(
            below,
            [foretold(load) for load in below],
            color=QUIET,
            linestyle="--",
            linewidth=2,
            zorder=3,
            label="theory, N → ∞",
        )
        axes.axvline(edge, color=QUIET, linestyle=":", linewidth=1)
        axes.text(edge, 0.02, f" {edge:.3f}", color=QUIET, transform=axes.get_xaxis_transform())
        dress(axes, "How many random patterns it holds", "patterns per unit", "overlap")
        axes.set_ylim(0, 1.04)
        legend(axes, loc="lower left")
    beyond = int(np.searchsorted(loads, edge * 1.1))
    small, large = sizes[0], sizes[-1]
    page.text(
        f"""Theory puts the edge at {edge:.4f} patterns per unit and foretells an overlap of {foretold(edge):.3f} there.
        At {loads[beyond]:.3g} patterns per unit, beyond it, {curves[small][beyond]:.2f} is left with {small} units and
        {curves[large][beyond]:.2f} with {large}: {_sharper(curves, beyond)}. Far beyond it, at {loads[-1]:.2g},
        {curves[large][-1]:.2f} is left with {large} units: a remnant of where recall began, which Amit and others saw,
        too; what comes to rest there is a mixture of many patterns."""
    )


def _near(edge: float) -> list[float]:
    return [round(edge + d, 4) for d in (-0.016, -0.008, 0.0, 0.008, 0.016, 0.024)]


def _sharper(curves: dict[int, list[float]], place: int) -> str:
    falls = np.diff([kept[place] for kept in curves.values()])
    return "the larger the net, the sharper the edge" if (falls < 0).all() else "chance still blurs the edge"


def _kept(size: int, load: float, dice: np.random.Generator, most: int = 30) -> float:
    patterns = dice.choice([-1.0, 1.0], (max(1, round(load * size)), size)).astype(np.float32)
    shown = patterns[:most]
    return float(overlaps(Hopfield.hebb(patterns).recall(shown, dice), shown).mean())


def memories(page: Page, dice: np.random.Generator) -> None:
    """Handwritten digits against random patterns of the same size, by four memories."""
    digits, _, side = handwriting(2 if page.quick else 3)
    units = side**2
    counts = [2, 5, 20, 40] if page.quick else [1, 2, 3, 4, 5, 7, 10, 20, 40, 60, 80, 120, 160, 200, 250, 300, 400]
    rules: dict[str, tuple[bool, Callable[[Array, Array], Array]]] = {
        "Hebb, random patterns": (False, lambda P, s: Hopfield.hebb(P).recall(s, dice)),
        "Hebb, digits": (True, lambda P, s: Hopfield.hebb(P).recall(s, dice)),
        "pseudo-inverse, digits": (True, lambda P, s: Hopfield.pseudo_inverse(P).recall(s, dice)),
        "modern Hopfield, digits": (True, modern),
    }
    found: dict[str, list[float]] = {name: [] for name in rules}
    for count in counts:
        shares: dict[str, list[float]] = {name: [] for name in rules}
        for _ in range(2 if page.quick else 5):
            real = digits[dice.choice(len(digits), count, replace=False)]
            drawn = dice.choice([-1.0, 1.0], real.shape)
            for name, (written, recall) in rules.items():
                stored = real if written else drawn
                back = overlaps(recall(stored, spoilt(stored, dice)), stored) >= RECALLED
                shares[name].append(float(back.mean()))
        for name, values in shares.items():
            found[name].append(float(np.mean(values)))
    alike = {
        "digits": _likeness(digits[dice.choice(len(digits), 100, replace=False)]),
        "random": _likeness(dice.choice([-1.0, 1.0], (100, units))),
    }
    held = {
        name: max((n for n, share in zip(counts, shares, strict=True) if share >= 0.9), default=0)
        for name, shares in found.items()
    }
    page.numbers["memories"] = {"units": units, "counts": counts, "recalled": found, "held": held, "alike": alike}
    _draw_memories(page, units, counts, found)
    page.table([{"memory": name, f"patterns held, of at most {counts[-1]}": n} for name, n in held.items()])
    hebb, random = held["Hebb, digits"], held["Hebb, random patterns"]
    page.text(
        f"""(Held: at least 90 % come back.) Hebb's rule adds up every pattern as if the others were strangers. The
        mean |overlap| of two random patterns of {units} units is {alike["random"]:.3f}; of two handwritten digits it is
        {alike["digits"]:.3f}, because paper is white in the same places, so each stored digit drags the others with
        it: {_times(random, hebb)}. The pseudo-inverse takes out what the patterns have in common and holds
        {held["pseudo-inverse, digits"]}; the modern network, which keeps the patterns themselves ({units} numbers for
        each, where W has {units * (units - 1) // 2} whatever is stored) and compares, holds
        {held["modern Hopfield, digits"]}. At β = 1 on so many units its softmax is all but a search for the nearest
        neighbour: it is a better memory because it is no longer a small one."""
    )


def _times(random: int, hebb: int) -> str:
    if not hebb:
        return f"it holds {random} random patterns and not a single digit"
    return f"it holds {random} random patterns and {hebb} digits, {random / hebb:.0f} to one"


def _likeness(patterns: Array) -> float:
    """Mean |overlap| of two different ones."""
    every = np.abs(patterns @ patterns.T) / patterns.shape[1]
    return float(every[~np.eye(len(every), dtype=bool)].mean())


def _draw_memories(page: Page, units: int, counts: list[int], found: dict[str, list[float]]) -> None:
    caption = f"Share of the patterns that come back after {FLIPPED:.0%} of their {units} units were turned over."
    with page.picture("memories", caption, size=(7.2, 3.4)) as axes:
        for colour, (name, shares) in zip(COLOURS[1:], found.items(), strict=False):
            axes.plot(counts, shares, marker="o", markersize=3, color=colour, label=name)
        axes.axvline(0.138 * units, color=QUIET, linestyle=":", linewidth=1)
        axes.text(0.138 * units, 0.2, "0.138 N ", color=QUIET, ha="right")
        axes.set_xscale("log")
        axes.set_xticks([n for n in (1, 2, 5, 10, 20, 50, 100, 200, 400) if n <= counts[-1]])
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.minorticks_off()
        dress(axes, "Digits are harder to tell apart than noise", "patterns stored", "share recalled")
        legend(axes, loc="center", bbox_to_anchor=(0.45, 0.5))


def as_recurrent(page: Page, dice: np.random.Generator) -> None:
    """The same net as `elman.Recurrent`: all units at once, with Hebb's weights as R."""
    size, steps = (60, 20) if page.quick else (400, 60)
    patterns = dice.choice([-1.0, 1.0], (round(0.08 * size), size))
    net = Hopfield.hebb(patterns)
    starts = np.vstack([spoilt(patterns, dice), dice.choice([-1.0, 1.0], (100, size))])
    path = [starts]
    for _ in range(steps):
        path.append(net.together(path[-1]))
    said = _unrolled(Threshold, torch.tensor(net.W), starts, steps)
    smooth = _unrolled("elman", torch.tensor(net.W) / size * 4, starts, steps)
    near = slice(0, len(patterns))
    alone = net.recall(starts[near], dice)
    numbers = {
        "steps_compared": int(said.size),
        "differences": int((said != np.array(path[1:])).sum()),
        "two_cycles": int((path[-1] != path[-2]).any(1)[len(patterns) :].sum()),
        "random_starts": 100,
        "same_as_one_by_one": float((path[-1][near] == alone).all(1).mean()),
        "tanh_same_signs": float((np.sign(smooth[-1][near]) == path[-1][near]).all(1).mean()),
    }
    page.numbers["recurrent"] = numbers
    page.code(Threshold, _unrolled)
    page.text(
        f"""Of {numbers["steps_compared"]} states of units over {steps} steps, {numbers["differences"]} differ from
        those of the network above when all its units turn at once. What is lost by turning at once is the promise that
        it comes to rest: of 100 random starts {numbers["two_cycles"]} end in a cycle of two states, for ever. From
        spoilt patterns {numbers["same_as_one_by_one"]:.0%} end where one unit after the other would have ended. The
        library's own `elman` cell, tanh in place of the sign and R = 4 W / N, ends with the same signs in
        {numbers["tanh_same_signs"]:.0%}: **a simple recurrent network with symmetric weights and no input is a
        Hopfield network**, and training is what makes it another one."""
    )


def _unrolled(cell: Any, R: torch.Tensor, starts: Array, steps: int) -> Array:
    """The outputs of a recurrent net without input whose state begins at `starts`, (T, B, N)."""
    rnn = elman.Recurrent(cell, input_size=1, hidden_size=len(R), batch_first=False)
    layer: Any = rnn.layers[0]
    with torch.no_grad():
        layer.R.copy_(R)
        y, _ = rnn(torch.zeros(steps, len(starts), 1), (torch.tensor(starts).float().unsqueeze(0),))
    return y.numpy()


def make(page: Page) -> None:
    """All of the page."""
    dice = np.random.default_rng(0)
    page.text(
        """Can a net remember pictures and give one back when it is shown a spoilt copy? Hopfield's network of 1982
        does, by nothing but units that answer to each other until none has a reason to turn. How many pictures does it
        hold, and why are handwritten digits so much harder for it than noise?"""
    )
    page.code(Hopfield)
    page.text("## Stored, spoilt, recalled")
    recall_in_pictures(page, dice)
    page.text("## Energy")
    energy_falls(page, dice)
    page.text("## Capacity")
    capacity(page, dice)
    page.text("## Digits are not noise")
    memories(page, dice)
    page.text("## The same as a recurrent net of this library")
    as_recurrent(page, dice)
    page.text(
        """## To read, and to try

        - Hopfield 1982, *Neural networks and physical systems with emergent collective computational abilities*,
          doi:10.1073/pnas.79.8.2554.
        - Amit, Gutfreund & Sompolinsky 1985, *Storing infinite numbers of patterns in a spin-glass model of neural
          networks*, doi:10.1103/PhysRevLett.55.1530: the edge at 0.138 N.
        - Personnaz, Guyon & Dreyfus 1985, doi:10.1051/jphyslet:01985004608035900: the pseudo-inverse rule; Kanter &
          Sompolinsky 1987, doi:10.1103/PhysRevA.35.380: how much it holds.
        - Ramsauer et al. 2020, *Hopfield networks is all you need*, arXiv:2008.02217: attention as a memory.
        - The digits: Alpaydin & Kaynak 1998, UCI Machine Learning Repository, as scikit-learn ships them.

        `elman explain elman` prints the equations of the cell that this network is, and its derived backward pass;
        `python gallery/hopfield.py --quick` makes this page small, in seconds."""
    )


if __name__ == "__main__":
    main(make, TITLE)
