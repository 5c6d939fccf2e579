"""What to make of a comparison, in plain sentences: which net, how deep, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from elman.evidence.board import ALPHA, p_text
from elman.evidence.compare.crossed import Pairs


class Judged(Protocol):
    """A model of the comparison."""

    @property
    def model(self) -> str: ...
    @property
    def group(self) -> str | None: ...
    @property
    def depth(self) -> int: ...
    @property
    def cost(self) -> float: ...


@dataclass(frozen=True)
class Recommendation:
    """What to use, and why.

    model     the one to use: a net, where one is better than every baseline; else the smallest that is as good
    winner    whether it is better than all of the other kind, and that is no chance
    sentence  who wins
    deeper    whether more layers help, in a sentence; "" where one depth was tried
    """

    model: str
    winner: bool
    sentence: str
    deeper: str = ""


def recommend(rows: Sequence[Judged], pairs: Pairs, measure: str) -> Recommendation:
    """rows: best score first, of equal ones the simpler first; pairs: of the same models."""
    nets = [row for row in rows if row.group is not None]
    others = [row for row in rows if row.group is None]
    best, deeper = nets[0], _deeper(nets, pairs)
    if not others:
        pick = _cheapest(nets, pairs)
        rest = [row.model for row in nets if row is not pick]
        winner = bool(rest) and all(pairs.beats(pick.model, name, ALPHA) for name in rest)
        why = "better than all others" if winner else "the smallest of those that the best is not distinguishably above"
        return Recommendation(pick.model, winner, f"Use {pick.model}: {why}. No baseline was compared.", deeper)
    rival = others[0]
    if better := [row for row in others if pairs.beats(row.model, best.model, ALPHA)]:
        sentence = (
            f"Not a recurrent network: {better[0].model} has the better {measure} "
            f"({_p(pairs, better[0].model, best.model)} against {best.model}, the best of them)."
        )
        return Recommendation(better[0].model, True, sentence, deeper)
    ahead = [row for row in nets if all(pairs.beats(row.model, other.model, ALPHA) for other in others)]
    if best not in ahead:
        above = [row for row in rows[: rows.index(best)] if row.group is None]  # by score, though it may be chance
        lesser = min([*(above or [rival]), best], key=lambda row: row.cost)
        how = "smaller" if lesser.cost else "simpler"
        sentence = (
            f"No winner: nothing tells {best.model}, the best recurrent network, from {rival.model} "
            f"({_p(pairs, best.model, rival.model)}). Prefer the {how}, {lesser.model}."
        )
        return Recommendation(lesser.model, False, sentence, deeper)
    pick = _cheapest(ahead, pairs)
    sentence = (
        f"Use {pick.model}: better than every baseline ({_p(pairs, pick.model, rival.model)} against {rival.model})"
    )
    if pick is not best:
        sentence += (
            f", and not distinguishably worse than {best.model}, which is larger ({_p(pairs, pick.model, best.model)})"
        )
    return Recommendation(pick.model, True, sentence + ".", deeper)


def _cheapest(nets: Sequence[Judged], pairs: Pairs) -> Judged:
    """Of the nets that the first of them does not beat, the one that costs least."""
    return min((row for row in nets if not pairs.beats(nets[0].model, row.model, ALPHA)), key=lambda row: row.cost)


def _deeper(nets: Sequence[Judged], pairs: Pairs) -> str:
    """Does deeper help here? Of each cell the best of the least depth against the best of each greater one."""
    least = min(row.depth for row in nets)
    first: dict[tuple[str | None, int], Judged] = {}
    for row in nets:
        first.setdefault((row.group, row.depth), row)
    both = [
        (first[group, least], row) for (group, depth), row in first.items() if depth > least and (group, least) in first
    ]
    if not both:
        return ""
    helps = [(a, b) for a, b in both if pairs.beats(b.model, a.model, ALPHA)]
    hurts = [(a, b) for a, b in both if pairs.beats(a.model, b.model, ALPHA)]
    said = [f"{b.model} is better than {a.model} ({_p(pairs, a.model, b.model)})" for a, b in helps]
    said += [f"{b.model} is worse than {a.model} ({_p(pairs, a.model, b.model)})" for a, b in hurts]
    if not said:
        none = (
            "the deeper net is not told from the"
            if len(both) == 1
            else f"of {len(both)} deeper nets none is told from its"
        )
        return f"Does deeper help here? Nothing shows it: {none} shallow one."
    return f"Does deeper help here? {'Yes' if helps else 'No'}: {', '.join(said)}."


def _p(pairs: Pairs, a: str, b: str) -> str:
    return p_text(pairs.p_of(a, b))
