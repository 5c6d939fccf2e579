"""A network runs a program: learned on short strings and right on long ones, as an automaton, and by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from automata import CLUSTERS, Automaton, built, extracted, random_automaton, sketch, what_it_says
from page import COLOURS, Page, main
from torch import nn
from torch.nn import functional as F

import elman
from elman.evidence.plots import QUIET, dress

TITLE = "A network runs a program"
LONGEST = 20
"""of the strings that are learned from"""
DEPTH = 4
"""brackets that may be open at once; one more breaks the string"""
LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
RATE, ROWS = 0.01, 64


@dataclass(frozen=True)
class Program:
    """What is to be learned, as the automaton that does it.

    bits     (A, F) what the net reads for each symbol
    symbols, answers   their names in the picture
    hidden   units of the net
    """

    name: str
    truth: Automaton
    bits: torch.Tensor
    symbols: tuple[str, ...]
    answers: tuple[str, ...]
    hidden: int = 16


def parity() -> Program:
    """Whether the number of ones so far is odd."""
    return Program(
        "parity", Automaton(np.array([[0, 1], [1, 0]]), np.array([0, 1])), torch.eye(2), ("0", "1"), ("even", "odd")
    )


def addition() -> Program:
    """The next digit of the sum of two binary numbers, lowest digits first: the state is what one column adds up to."""
    pairs = [(a, b) for a in (0, 1) for b in (0, 1)]
    after = np.array([[a + b + total // 2 for a, b in pairs] for total in range(4)])
    symbols = tuple(f"{a}+{b}" for a, b in pairs)
    return Program("addition", Automaton(after, np.arange(4) % 2), torch.tensor(pairs).float(), symbols, ("0", "1"))


def brackets() -> Program:
    """Whether the string so far is balanced, has open brackets, or is broken for good."""
    broken = DEPTH + 1
    after = [[min(depth + 1, broken), depth - 1 if depth else broken] for depth in range(DEPTH + 1)]
    truth = Automaton(np.array([*after, [broken, broken]]), np.array([0, *[1] * DEPTH, 2]))
    return Program("brackets", truth, torch.eye(2), ("(", ")"), ("balanced", "open", "broken"), 32)


class Runner(nn.Module):
    """Elman's network and a linear reading of its state after each symbol."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.net = elman.Recurrent("elman", program.bits.shape[1], program.hidden)
        self.head = nn.Linear(program.hidden, len(program.answers))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (B, T, K) and states (B, T, H)."""
        states, _ = self.net(x)
        return self.head(states), states


def learn(program: Program, seed: int, steps: int) -> Runner:
    """Learns strings of 3 symbols, one more whenever those are mastered, up to the longest."""
    torch.manual_seed(seed)
    dice, model, length = np.random.default_rng(seed), Runner(program), 3
    chosen = torch.optim.Adam(model.parameters(), RATE)
    fading = torch.optim.lr_scheduler.CosineAnnealingLR(chosen, steps)
    for _ in range(steps):
        symbols = program.truth.draw(ROWS, length, dice)
        wanted = torch.as_tensor(program.truth.run(symbols))
        scores, _ = model(program.bits[torch.as_tensor(symbols)])
        loss = F.cross_entropy(scores.flatten(0, 1), wanted.flatten())
        chosen.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        chosen.step()
        fading.step()
        length = min(length + (loss.item() < 0.1), LONGEST)
    return model


@torch.no_grad()
def answers(model: Runner, program: Program, symbols: Any) -> tuple[Any, Any]:
    """What the net says after each symbol (B, T), and its states."""
    scores, states = model(program.bits[torch.as_tensor(symbols)])
    return scores.argmax(-1).numpy(), states.numpy()


def right(model: Runner, program: Program, length: int, rows: int) -> float:
    """The share of unseen strings that are right at every symbol."""
    symbols = program.truth.draw(rows, length, np.random.default_rng([7, length]))
    return float((answers(model, program, symbols)[0] == program.truth.run(symbols)).all(1).mean())


def take_out(model: Runner, program: Program) -> tuple[Automaton | None, Any, Any]:
    """The automaton of the fewest clusters that says what the net says on other strings; the states it was found in."""
    symbols, other = (program.truth.draw(300, LONGEST, np.random.default_rng(seed)) for seed in (11, 12))
    said, states = answers(model, program, symbols)
    heard, _ = answers(model, program, other)
    for clusters in CLUSTERS:
        found = extracted(states, symbols, said, clusters)
        if np.array_equal(found.run(other), heard):
            return found, states, said
    return None, states, said


def measure(program: Program, seeds: Sequence[int], steps: int, rows: int) -> dict[str, Any]:
    """What each seed learned: right by length, and the automaton in it."""
    curves, machines, shown = [], [], None
    for seed in seeds:
        model = learn(program, seed, steps)
        curves.append({length: right(model, program, length, rows) for length in LENGTHS})
        machine, states, said = take_out(model, program)
        machines.append(machine)
        if machine is not None and (shown is None or machine.equals(program.truth) > shown[0].equals(program.truth)):
            shown = machine, states, said
    return {"program": program, "curves": curves, "machines": machines, "shown": shown}


def draw_lengths(page: Page, found: Sequence[dict[str, Any]]) -> None:
    """The share of strings that are right at every symbol, by their length."""
    caption = f"Strings right at every symbol, by length; a line is a seed; dotted: {LONGEST}, the longest learned from"
    with page.picture("lengths", caption, (1, len(found)), (8.4, 3.0)) as panels:
        for axes, one in zip(np.atleast_1d(panels), found, strict=True):
            for curve, colour in zip(one["curves"], COLOURS, strict=False):
                axes.semilogx(list(curve), list(curve.values()), color=colour, marker="o", ms=3, lw=1.2)
            axes.axvline(LONGEST, color=QUIET, ls=":", lw=1)
            axes.set_xticks([1, 5, 20, 100, 500], ["1", "5", "20", "100", "500"])
            axes.minorticks_off()
            axes.set_ylim(-0.03, 1.05)
            dress(axes, one["program"].name, "length", "share of strings")


def draw_machine(page: Page, program: Program, machine: Automaton, states: Any, said: Any) -> None:
    """The states of the net in the plane in which they differ most, and the automaton that was found in them."""
    flat = states.reshape(-1, states.shape[-1]).astype(float)
    flat = flat - flat.mean(0)
    plane = flat @ np.linalg.svd(flat, full_matrices=False)[2][:2].T
    caption = f"{program.name.capitalize()}: states of the net (two principal components), and the automaton in them"
    with page.picture(program.name, caption, (1, 2), (8.4, 4.2)) as (left, right_side):
        for number, name in enumerate(program.answers):
            mine = np.unique(plane[said.ravel() == number].round(2), axis=0)  # most lie upon each other
            left.plot(*mine.T, color=COLOURS[number], lw=0, marker=".", ms=3, label=name)
        dress(left, f"{len(flat):,} states", "first component", "second component")
        left.figure.legend(
            *left.get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False, markerscale=3
        )
        sketch(right_side, machine, program.symbols, program.answers)


def counter() -> elman.Recurrent:
    """Two rectified units that decide balanced brackets of any depth, by hand.

    d_t = max(0, d_{t-1} + [opens] - [closes] - M b_{t-1})      how many are open; kept at 0 once the string is broken
    b_t = max(0, b_{t-1} + [closes] - d_{t-1})                  above 0 from the first that closes nothing
    """
    net = elman.Recurrent("elman_relu", 2, 2)
    layer: Any = net.layers[0]
    w = layer.by_gate()
    w.W.h.copy_(torch.tensor([[1.0, -1.0], [0.0, 1.0]]))
    w.R.h.copy_(torch.tensor([[1.0, -1e6], [-1.0, 1.0]]))
    return net


def count(symbols: Any) -> Any:
    """What the counter says of strings (B, T) of 0 for "(" and 1 for ")": 0 balanced, 1 open, 2 broken."""
    with torch.no_grad():
        depth, broken = counter()(F.one_hot(torch.as_tensor(symbols), 2).float())[0].unbind(-1)
    return torch.where(broken > 0, 2, (depth > 0).long()).numpy()


def deep_strings(rows: int, steps: int, dice: np.random.Generator) -> tuple[Any, Any]:
    """Strings that open more than they close until the middle and then the other way, and what is true of them."""
    chance = np.where(np.arange(steps) < steps / 2, 0.3, 0.7)
    symbols = (dice.random((rows, steps)) < chance).astype(np.int64)
    depth = np.cumsum(1 - 2 * symbols, 1)
    broken = np.minimum.accumulate(depth, 1) < 0
    return symbols, np.where(broken, 2, (depth > 0).astype(int))


def tell_learned(page: Page, found: Sequence[dict[str, Any]]) -> None:
    """What the seeds learned, by length and as automata."""
    rows = []
    for one in found:
        program, machines = one["program"], one["machines"]
        right_at = {length: sum(curve[length] == 1 for curve in one["curves"]) for length in (LONGEST, 200, 500)}
        rows.append(
            {
                "program": program.name,
                "states of the true automaton": len(program.truth.minimal().says),
                **{f"seeds right at {length}": f"{n} of {len(one['curves'])}" for length, n in right_at.items()},
                "worst seed at 500": f"{min(curve[500] for curve in one['curves']):.1%}",
                "automata found": sum(machine is not None for machine in machines),
                "of them the true one": sum(m is not None and m.equals(program.truth) for m in machines),
            }
        )
    page.numbers["learned"] = [
        row | {"curves": [{str(k): v for k, v in curve.items()} for curve in one["curves"]]}
        for row, one in zip(rows, found, strict=True)
    ]
    draw_lengths(page, found)
    page.table(rows)
    page.text(
        f"""
        A seed counts as right at a length if every one of its unseen strings was right at every symbol. An automaton
        is taken out of a net thus: its states on strings of {LONGEST} symbols are put into 2, 4, 8, … clusters until
        the arrows between clusters foretell what the net says on other strings, without an error; then states that
        nothing tells apart are merged. Whether it is the true one is decided for strings of every length, by all
        pairs of states.
        """
    )
    for one in found:
        if one["shown"] is not None:
            draw_machine(page, one["program"], *one["shown"])


def tell_by_hand(page: Page, automata: int, steps: int) -> None:
    """Weights that were not learned: any automaton, and a counter."""
    dice, wrong, off, units = np.random.default_rng(3), 0, 0.0, []
    for _ in range(automata):
        truth = random_automaton(int(dice.integers(2, 13)), int(dice.integers(2, 5)), dice)
        net, symbols = built(truth), dice.integers(0, truth.after.shape[1], (4, steps))
        with torch.no_grad():
            h = net(torch.eye(truth.after.shape[1])[torch.as_tensor(symbols)])[0]
        wrong += int((what_it_says(truth, h) != truth.run(symbols)).sum())
        off, units = max(off, float((h.abs() - 1).abs().max())), [*units, net.hidden_size]
    deep, known = deep_strings(20, steps, dice)
    said = count(deep)
    deepest = int(np.cumsum(1 - 2 * deep, 1).max())
    page.numbers["by hand"] = {
        "automata": automata,
        "steps": steps,
        "wrong": wrong,
        "off": off,
        "counter wrong": int((said != known).sum()),
        "deepest": deepest,
    }
    page.text(
        f"""
        ## Weights by hand
        That such a net exists needs no training. Of {automata} random automata of 2 … 12 states and 2 … 4 symbols
        each was written into an Elman net of {min(units)} … {max(units)} units, which read 4 strings of {steps:,}
        symbols: {wrong} wrong answers, and units at most {off:g} away from ±1, in single precision.
        """
    )
    page.code(built)
    page.text(
        f"""
        Brackets of *any* depth are no finite automaton: they need a number that grows. Units that saturate cannot
        count, and the nets above know {DEPTH} open brackets and not one more. Two rectified units can. On 20 strings
        of {steps:,} brackets, up to {deepest:,} open at once, they gave {int((said != known).sum())} wrong answers.
        """
    )
    page.code(counter)


def make(page: Page) -> None:
    """Measures, draws and tells."""
    seeds, rows = ((0,), 50) if page.quick else (range(5), 200)
    steps = {"parity": 600, "addition": 500} if page.quick else {"parity": 1500, "addition": 1500, "brackets": 2500}
    page.text(
        f"""
        Can a recurrent network learn a program, so that it is right on strings far longer than it ever saw? Elman's
        net is shown strings of at most {LONGEST} symbols and then asked about strings of {max(LENGTHS)}; what it
        learned is taken out of it and drawn.

        - **Parity**: is the number of ones so far odd?
        - **Addition**: two binary numbers, lowest digits first; the next digit of their sum.
        - **Brackets**: is the string so far balanced, open, or broken? At most {DEPTH} may be open at once, so that a
          finite number of states is enough.

        The net answers after each symbol and is told what was right. It starts with strings of 3 symbols; whenever
        those are mastered they get one longer. Adam at {RATE}, {ROWS} new strings a step, {len(list(seeds))} seeds.

        ## Learned
        """
    )
    found = [measure(p, seeds, steps[p.name], rows) for p in (parity(), addition(), brackets()) if p.name in steps]
    tell_learned(page, found)
    tell_by_hand(page, 5 if page.quick else 40, 1000 if page.quick else 10_000)
    page.text(
        """
        ## What follows
        A net that is right at every length has not learned its strings but an automaton: its states fall into
        clusters, and tanh, which saturates, pulls it back to them at every step, so that errors do not add up. Where
        a cluster leaks, a long string shows it before a short one does. A finite automaton is all that saturated
        units of finite precision can be; a counter needs units that do not saturate.

        ## In the literature
        - Nets that find automata: Elman 1990, doi:10.1207/s15516709cog1402_1; Cleeremans, Servan-Schreiber &
          McClelland 1989, doi:10.1162/neco.1989.1.3.372; taken out of them: Giles et al. 1992,
          doi:10.1162/neco.1992.4.3.393; Omlin & Giles 1996, doi:10.1016/0893-6080(95)00086-0.
        - By hand: Minsky 1967, "Computation: finite and infinite machines"; with rational weights a Turing machine:
          Siegelmann & Sontag 1995, doi:10.1006/jcss.1995.1013.
        - Which cells count: Weiss, Goldberg & Yahav 2018, arXiv:1805.04908.

        ## To try next
            python gallery/programs.py --quick   # in seconds; then put a program of your own beside parity()
            elman explain elman_relu             # the cell of the counter: its equations, derived and drawn
        """
    )


if __name__ == "__main__":
    main(make, TITLE)
