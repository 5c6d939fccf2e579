"""Short-term memory: the copying and the adding task against the distance that is to be bridged."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Any

import torch
from memory_tasks import JUDGED, Adding, Copying, Reader, learn
from page import COLOURS, Page, main

import elman
from elman.evidence.plots import INK, QUIET, dress

TITLE = "The same 100 steps, three cells"
CELLS = {"Elman": "elman", "LSTM": "lstm", "GRU": "gru", "LRU, linear": "lru"}
HIDDEN, RATE = 32, 0.01
TASKS = {"copying": Copying, "adding": Adding}


def measure(kind: Any, cell: str, distance: int, seeds: Sequence[int], steps: int) -> dict[str, Any]:
    """A cell on a task at a distance, with each seed."""
    runs = []
    for seed in seeds:
        torch.manual_seed(seed)
        task = kind(distance)
        model = Reader(elman.Recurrent(cell, task.inputs, HIDDEN), task)
        runs.append(learn(model, task, lambda p: torch.optim.Adam(p, lr=RATE), steps=steps, seed=seed))
    return {
        "task": kind.name,
        "distance": distance,
        "right": [run.right for run in runs],
        "loss": [run.loss for run in runs],
        "solved": sum(run.solved for run in runs),
        "steps": median(len(run.losses) for run in runs),
        "seconds": median(run.seconds for run in runs),
    }


def draw(page: Page, found: Sequence[dict[str, Any]], distances: Sequence[int]) -> None:
    """What is right against distance, each seed a dot and their mean a line."""
    caption = f"Shares on {JUDGED} unseen sequences: dots are seeds, lines their mean, dashed is a net without memory"
    with page.picture("distance", caption, (1, 2), (8.4, 3.9)) as panels:
        for axes, (task, kind) in zip(panels, TASKS.items(), strict=True):
            for number, (name, colour) in enumerate(zip(CELLS, COLOURS, strict=False)):
                mine = [one for one in found if one["task"] == task and one["cell"] == name]
                at = [one["distance"] * 1.03 ** (number - 1.5) for one in mine]  # beside, not upon each other
                axes.semilogx(at, [mean(one["right"]) for one in mine], color=colour, lw=1.6, label=name)
                for x, one in zip(at, mine, strict=True):
                    axes.plot([x] * len(one["right"]), one["right"], color=colour, lw=0, marker="o", ms=3)
            axes.axhline(kind.naive, color=QUIET, ls="--", lw=1)
            axes.set_xticks(distances, [str(distance) for distance in distances])
            axes.minorticks_off()
            axes.set_ylim(-0.2, 1.05)
            asked = "letters that are right" if task == "copying" else "variance explained"
            dress(axes, f"{task.capitalize()}: {asked}", "distance, steps", "share")
        drawn = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(*drawn, loc="outside lower center", ncols=4, frameon=False, labelcolor=INK)


def tell(page: Page, found: Sequence[dict[str, Any]], distances: Sequence[int], seeds: int) -> None:
    """A table for each task, and what follows."""
    draw(page, found, distances)
    reach: dict[str, dict[str, int]] = {}
    for task, kind in TASKS.items():
        share = "right" if task == "copying" else "explained"
        page.text(f"### {task.capitalize()}: share {share}, mean of seeds, and how many of {seeds} solved it")
        rows = []
        for name in CELLS:
            mine = {one["distance"]: one for one in found if one["task"] == task and one["cell"] == name}
            said = {str(d): f"{mean(mine[d]['right']):.0%} ({mine[d]['solved']})" for d in distances}
            rows.append({"cell": name} | said | {"seconds at the longest": mine[distances[-1]]["seconds"]})
            solved = [d for d in distances if mine[d]["solved"] == seeds]
            reach.setdefault(task, {})[name] = max(solved, default=0)
        bare = dict.fromkeys((str(d) for d in distances), f"{kind.naive:.0%}")
        page.table([*rows, {"cell": "no memory"} | bare | {"seconds at the longest": ""}])
    page.numbers["reach"] = reach

    def order(task: str) -> str:
        names = sorted(CELLS, key=lambda name: -reach[task][name])
        return ", ".join(f"{name} {reach[task][name] or 'none'}" for name in names)

    both = {name: min(reach["copying"][name], reach["adding"][name]) for name in CELLS}
    farthest = max(both.values())
    page.text(
        f"""
        The longest distance that every seed solved:

        - copying: {order("copying")};
        - adding: {order("adding")};
        - both: {", ".join(name for name in CELLS if both[name] == farthest)} with {farthest or "none"}.

        A memory is not one thing. Copying asks to keep a few letters through many blanks: what counts is that the
        state fades slowly from the start, and nothing has to be decided. Adding asks to take in two numbers of many
        and to ignore the rest: that is a product of mark and number, which one linear layer cannot form at any
        distance, and gates can. The three nonlinear cells begin with a memory of some tens of steps and have to find
        the longer one by gradients that hardly come so far; "not solved" here means not within this budget.
        """
    )


def make(page: Page) -> None:
    """Measures, draws and tells."""
    distances, seeds, steps = ((10, 30), (0,), 150) if page.quick else ((10, 20, 50, 100, 200), (0, 1, 2), 1000)
    page.text(
        f"""
        How long does a recurrent network remember? Elman's net, the LSTM, the GRU and, as a fourth, a linear
        recurrent unit are given two tasks whose answer lies a known number of steps back, and that distance grows.

        - **Copying**: three letters out of four, then blanks as many as the distance, then a mark: from there on
          the three letters are to be said again. Without memory a quarter of them is right.
        - **Adding**: a sequence as long as the distance; two of its numbers are marked, one in each half, and at the
          end their sum is asked for. What counts is the share of the sums' variance that is explained; always saying 1
          explains nothing, and solved is {1 - Adding.solved / Adding.naive_loss:.0%}.

        All get the same: one layer of {HIDDEN} units, a linear head, Adam at {RATE} with gradients clipped to norm 1,
        at most {steps} steps of 32 new sequences, {len(seeds)} seeds. Training ends before when the task is solved:
        a cross-entropy below {Copying.solved}, a squared error below {Adding.solved}, over 50 steps. The weights are
        not the same in number: the LSTM has four times those of Elman's net.
        """
    )
    found = [
        {"cell": name} | measure(kind, cell, distance, seeds, steps)
        for kind in TASKS.values()
        for distance in distances
        for name, cell in CELLS.items()
    ]
    page.numbers |= {"steps": steps, "seeds": list(seeds), "found": found}
    tell(page, found, distances, len(seeds))
    page.text(
        """
        ## In the literature
        - Both tasks: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; copying in this form: Arjovsky,
          Shah & Bengio 2016, arXiv:1511.06464; over 600 and 1000 steps: Bai, Kolter & Koltun 2018, arXiv:1803.01271.
        - The cells: Elman 1990, doi:10.1207/s15516709cog1402_1; GRU: Cho et al. 2014, arXiv:1406.1078; LRU: Orvieto et
          al. 2023, arXiv:2303.06349.
        - Which start makes gates remember longer: Tallec & Ollivier 2018, arXiv:1804.11188.

        ## To try next
            python benchmarks/memory.py            # both tasks over 600 and 1000 steps, by the estimators
            python gallery/vanishing_gradient.py   # which remedy lets Elman's net do it
        """
    )


if __name__ == "__main__":
    main(make, TITLE)
