"""The vanishing gradient over 100 steps, measured, and what each known remedy does about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from memory_tasks import Adding, Reader
from page import COLOURS, Page, main
from remedies import HIDDEN, QUICK, TRIALS, BatchNormElman, LargeStart, SmallStart, measure

import elman
from elman.evidence.diagnose.flow import LEFT, flows
from elman.evidence.plots import GRID, HISTORY, INK, QUIET, dress

TITLE = "The vanishing gradient over 100 steps"
SEEDS = (0, 1, 2)
STARTS = {
    "Elman, small start": SmallStart,
    "Elman, orthogonal start": "elman",
    "Elman, large start": LargeStart,
    "LSTM": "lstm",
    "GRU": "gru",
    "minGRU": "mingru",
}


def measure_starts(task: Adding) -> dict[str, dict[str, Any]]:
    """Of each cell before any training: the gradient by lag, of the loss and of the last state."""
    found = {}
    for name, cell in STARTS.items():
        torch.manual_seed(0)
        model = Reader(elman.Recurrent(cell, task.inputs, HIDDEN), task)
        x, y = task.draw(64, torch.Generator().manual_seed(99))
        flow = flows(model, lambda model=model, x=x, y=y: task.loss(model(x), y))[0][0]
        found[name] = {
            "decay": flow.decay,
            "horizon": flow.horizon,
            "left": float(flow.memory[-1]),
            "of loss": flow.loss.tolist(),
            "memory": flow.memory.tolist(),
        }
    return found


def draw_starts(page: Page, starts: dict[str, dict[str, Any]]) -> None:
    """The gradient by lag, of the loss and of the last state."""
    caption = (
        f"Before training: what is left of the gradient, by the steps it went back; dotted {LEFT:.0%}, taken for none"
    )
    kinds = {"of loss": "∂L/∂h, of the loss", "memory": "∂h_T/∂s, memory"}
    with page.picture("starts", caption, (1, 2), (8.4, 3.9)) as panels:
        for axes, (kind, title) in zip(panels, kinds.items(), strict=True):
            for (name, start), colour in zip(starts.items(), COLOURS, strict=False):
                values = np.array(start[kind])
                axes.semilogy(values / values[0], color=colour, lw=1.6, label=name)
            axes.axhline(LEFT, color=QUIET, lw=1, ls=":")
            axes.set_ylim(1e-12, max(10.0, *axes.get_ylim()[1:]))
            dress(axes, title, "steps back from the last one", "share of the last step's")
        drawn = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(*drawn, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)


def draw_learning(page: Page, found: Sequence[dict[str, Any]], task: Adding) -> None:
    """The first seed's loss by step; a name for those that came below half of what is reached without any memory."""
    caption = (
        "Loss while learning, the first seed; dashed: always saying 1. Grey: remedies that did not get far below it"
    )
    with page.picture("learning", caption, size=(8.4, 4.4)) as axes:
        looks = iter([(line, colour) for line in ("-", "--") for colour in COLOURS[:6]])
        for one in found:
            values = np.convolve(one["losses"], np.ones(5) / 5, "valid")  # each the mean of ten steps
            learned = one["loss"] < task.naive_loss / 2
            name = one["remedy"] if learned else None
            line, colour = next(looks, ("-", HISTORY)) if learned else ("-", GRID)
            axes.semilogy(
                10 * np.arange(len(values)),
                values,
                line,
                color=colour,
                label=name,
                lw=1.5 if learned else 1,
                zorder=1 + learned,
            )
        axes.axhline(task.naive_loss, color=QUIET, ls="--", lw=1)
        axes.set_ylim(0.004, 1.0)
        dress(axes, f"Adding problem over {task.distance} steps", "step of training", "mean squared error")
        drawn = axes.get_legend_handles_labels()
        if drawn[0]:
            axes.figure.legend(*drawn, loc="outside right upper", frameon=False, fontsize=8.5, labelcolor=INK)


def tell_starts(page: Page, starts: dict[str, dict[str, Any]], task: Adding) -> None:
    """The gradient before any training."""
    draw_starts(page, starts)
    page.table(
        [
            {
                "net": name,
                "factor a step": start["decay"],
                "horizon, steps": shown(start["horizon"]),
                f"left after {task.distance} steps": f"{start['left']:.0e}",
            }
            for name, start in starts.items()
        ]
    )
    order = sorted(starts, key=lambda name: starts[name]["horizon"])
    far = [name for name in order if starts[name]["horizon"] >= task.distance]
    growing = [name for name in order if starts[name]["decay"] > 1]
    page.text(
        f"""
        The horizon is the number of steps after which a hundredth is left. By it the nets stand in this order:
        {" < ".join(order)}.

        As far as the task asks for, {task.distance} steps, reach before training: {", ".join(far) or "none of them"}.
        By more than a factor of 1 a step grow: {", ".join(growing) or "none"}; that is the exploding side, where one
        step of training can undo all before, and which clipping is for.

        A gate that is half open halves the gradient at each step, too: what gates have over Elman's net is less where
        they begin than that they can be learned to open.
        """
    )


def shown(steps: float) -> str:
    """A horizon in words that a table can hold."""
    return "none left to measure" if math.isnan(steps) else "no end" if math.isinf(steps) else f"{steps:.0f}"


def tell_remedies(page: Page, found: Sequence[dict[str, Any]], seeds: int, steps: int, task: Adding) -> None:
    """One row for each remedy, and what follows from all of them."""
    page.table(
        [
            {
                "remedy": one["remedy"],
                "rate": one["rate"],
                "horizon at first": shown(one["before"]),
                "after training": shown(one["after"]),
                "solved": f"{one['solved']} of {seeds}",
                "loss": "no number" if math.isinf(one["loss"]) else f"{one['loss']:.3f}",
                "steps": f"{one['steps']:.0f}",
                "seconds": f"{one['seconds']:.1f}",
            }
            for one in found
        ]
    )
    draw_learning(page, found, task)

    def named(condition: Callable[[dict[str, Any]], bool]) -> str:
        return "; ".join(one["remedy"] for one in found if condition(one)) or "none"

    long = [one for one in found if one["after"] >= task.distance]
    short = [one for one in found if one["after"] < task.distance]
    grown = [one for one in found if one["before"] < task.distance and one["solved"]]
    page.text(
        f"""
        - Solved with every seed: {named(lambda one: one["solved"] == seeds)}.
        - With some seeds: {named(lambda one: 0 < one["solved"] < seeds)}.
        - Not solved in {steps} steps, but less than half the loss of who remembers nothing:
          {named(lambda one: not one["solved"] and one["loss"] < task.naive_loss / 2)}.
        - No better than that, which is what does not help by itself:
          {named(lambda one: task.naive_loss / 2 <= one["loss"] < math.inf)}.
        - Broke down, the loss no number: {named(lambda one: math.isinf(one["loss"]))}.

        Of {len(long)} that ended with a horizon of {task.distance} steps or more
        {sum(one["solved"] > 0 for one in long)} solved the task with some seed; of {len(short)} that ended with a
        shorter one {sum(one["solved"] > 0 for one in short)}. The horizon at the start says less: {len(grown)}
        remedies began below {task.distance} steps and solved it all the same.
        """
    )


def without_infinity(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has neither infinity nor NaN."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def make(page: Page) -> None:
    """Measures, draws and tells."""
    task = Adding(30 if page.quick else 100)
    seeds, steps, trials = (SEEDS[:1], 150, QUICK) if page.quick else (SEEDS, 1000, TRIALS)
    starts = measure_starts(task)
    page.text(
        f"""
        Why does a plain recurrent network not learn what lies a hundred steps back, and which of the known remedies
        changes that? Here the gradient itself is measured step by step, and each remedy must then solve a task that
        needs it.

        ## The gradient before training
        The net reads {task.distance} steps; the loss is taken at the last one. `elman.diagnose` follows its gradient
        back. Elman's net is begun in three ways, of which this is the one of the textbooks:
        """
    )
    page.code(SmallStart)
    tell_starts(page, starts, task)
    page.text(
        f"""
        ## The remedies
        The task is the adding problem: of {task.distance} numbers two are marked, one in each half, and their sum is
        asked for at the end. Who remembers nothing and always says 1 has a mean squared error of
        {task.naive_loss:.3f}; solved is a mean of {task.solved} over the last 50 steps of training. Every net has
        {HIDDEN} units and one layer, every training at most {steps} steps of 32 new sequences, gradients clipped to
        norm 1 unless said otherwise. Of two learning rates each optimiser has the one that did better with the first
        seed. Medians over {len(seeds)} seeds; seconds on one core, which was shared.
        """
    )
    found = [measure(trial, task, seeds, steps) for trial in trials]
    tell_remedies(page, found, len(seeds), steps, task)
    page.numbers |= {
        "steps": steps,
        "seeds": list(seeds),
        "starts": {name: without_infinity(start) for name, start in starts.items()},
        "trials": [without_infinity(one) for one in found],
    }
    tell_end(page)


def tell_end(page: Page) -> None:
    """Where it comes from, and what to try next."""
    page.text(
        """
        Batch normalisation is a loop of this script's own, as no cell of elman may look at other rows of the batch;
        it normalises each step by the batch at hand, in use as well:
        """
    )
    page.code(BatchNormElman)
    page.text(
        """
        ## In the literature
        - The fading itself: Hochreiter 1991 (diploma thesis, Munich); Bengio, Simard & Frasconi 1994,
          doi:10.1109/72.279181.
        - Clipping, and why gradients explode: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063.
        - Orthogonal starts: Saxe, McClelland & Ganguli 2014, arXiv:1312.6120; the identity with ReLU: Le, Jaitly &
          Hinton 2015, arXiv:1504.00941.
        - Gates: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; Cho et al. 2014, arXiv:1406.1078; Feng
          et al. 2024, arXiv:2410.01201. Gates near 0 and 1: Li et al. 2018, arXiv:1806.02988.
        - Adam: Kingma & Ba 2015, arXiv:1412.6980. Muon, which makes each step of a matrix nearly orthogonal: Jordan et
          al. 2024; Liu et al. 2025, arXiv:2502.16982.
        - Layer normalisation: Ba, Kiros & Hinton 2016, arXiv:1607.06450; batch normalisation through time: Cooijmans et
          al. 2017, arXiv:1603.09025.

        ## To try next
            elman diagnose RUN DATA          # the same measurement on a model and data of yours, with a verdict
            elman diagnose RUN DATA --apply  # and its remedies tried
        """
    )


if __name__ == "__main__":
    main(make, TITLE)
