"""Recurrent or not: five data sets, each by nets with a state, nets without one, and filters; what they cost live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from contest import WAITS, Scored, Task, duration, label_rows, parameters
from page import COLOURS, Page, main
from rivals import convolved

from elman.cli.demos import SHIPPED
from elman.data.examples import Columns, read_examples
from elman.data.table import read_table
from elman.estimators import Forecaster, SequenceClassifier, SequenceRegressor, SequenceTagger
from elman.evidence import Forecast, Scoreboard, run_baselines
from elman.evidence.board import ALPHA, text
from elman.evidence.label_study import Examples
from elman.evidence.plots import QUIET, dress
from elman.evidence.scoreboard import LEVELS
from elman.evidence.speed.clock import interleave, quartiles

TITLE = "Recurrent or not?"
PIECES = 20
"""stretches that one long recording is cut into for the paired test"""
KINDS = {
    "simple": ("o", COLOURS[7]),
    "filter": ("D", COLOURS[2]),
    "feed-forward": ("s", COLOURS[4]),
    "convolution": ("^", COLOURS[3]),
    "recurrent": ("P", COLOURS[0]),
}
"""marker and colour"""


def gestures(page: Page) -> Task:
    """One video to learn from, cut into stretches, another to judge by."""
    columns = Columns(label="gesture")
    (X,), (y,), _ = read_examples(SHIPPED / "gestures_train.csv.gz", columns, each_step=True, one=True)
    X_test, y_test, _ = read_examples(SHIPPED / "gestures_test.csv.gz", columns, each_step=True, one=True)
    begins = range(0, len(X) - 120, 60)
    examples = Examples([X[t : t + 120] for t in begins], [y[t : t + 120] for t in begins], X_test, y_test)
    model = SequenceTagger(bidirectional=False, noise=0.1, **_size(page, 200))
    measured, rows = label_rows(model, examples, PIECES)
    words = f"Is a hand gesturing? {len(X)} frames to learn from, {len(X_test[0])} of another video to judge by"
    return Task("gestures", f"{words}, in {PIECES} stretches.", "frame", 1 / 30, measured, tuple(rows))


def digits(page: Page) -> Task:
    """One label of each recording."""
    parts = [read_examples(SHIPPED / f"spoken_digits_{part}.npz", Columns())[:2] for part in ("train", "test")]
    (X, y), (X_test, y_test) = parts
    some = slice(None, None, 8 if page.quick else 1)
    examples = Examples(X[some], y[some], X_test[some], y_test[some])
    model = SequenceClassifier(bidirectional=False, **_size(page, 400))
    measured, rows = label_rows(model, examples)
    words = f"Which digit is spoken? {len(examples.X)} recordings to learn from, {len(examples.X_test)} to judge by."
    return Task("spoken digits", words, "frame", 0.01, measured, tuple(rows))


def words(page: Page) -> Task:
    """A part of speech for each word."""
    parts = [
        read_examples(SHIPPED / f"english_web_{part}.conll.gz", Columns(), each_step=True)[:2]
        for part in ("train", "test")
    ]
    (X, y), (X_test, y_test) = parts
    learn, judge = (80, 30) if page.quick else (len(X), len(X_test))
    examples = Examples(X[:learn], y[:learn], X_test[:judge], y_test[:judge])
    model = SequenceTagger(bidirectional=False, **_size(page, 1000))
    measured, rows = label_rows(model, examples)
    said = f"Which part of speech has each word? {learn} English sentences to learn from, {judge} to judge by."
    return Task("English words", said, "word", None, measured, tuple(rows))


def customers(page: Page) -> Task:
    """One number for each customer."""
    X, y, _ = read_examples(SHIPPED / "cdnow_customers.npz", Columns())
    some = slice(None, None, 30 if page.quick else 1)
    examples = Examples.split(X[some], y[some], 0.2, 0)
    model = SequenceRegressor(bidirectional=False, **_size(page, 300))
    measured, rows = label_rows(model, examples)
    said = (
        f"How often will a customer buy in the next nine months? {len(examples.X)} customers, week by week, to learn "
        f"from, {len(examples.X_test)} to judge by."
    )
    return Task("customers", said, "week", 7 * 86400.0, measured, tuple(rows))


def _size(page: Page, steps: int) -> dict[str, Any]:
    return {"max_steps": 8, "hidden_size": 16} if page.quick else {"max_steps": steps, "hidden_size": 64}


# -- forecasts ---------------------------------------------------------------------------------------------------------

SALES = {
    "last value": "simple",
    "seasonal naive": "simple",
    "ETS": "filter",
    "Kalman structural": "filter",
    "linear autoregression": "simple",
    "feed-forward network": "feed-forward",
}
"""what kind each baseline is; exponential smoothing is a filter whose gains are fixed"""


def sales(page: Page) -> Task:
    """The next two weeks of nine series."""
    horizon, windows = (7, 1) if page.quick else (14, 3)
    size: dict[str, Any] = {"max_steps": 8, "hidden_size": 16} if page.quick else {}
    forecaster = Forecaster(horizon=horizon, time="date", target="cds", series="segment", **size)
    panel = forecaster.read(read_table(SHIPPED / "cdnow_daily.csv"))
    panel = panel.select([0, 8]) if page.quick else panel
    test = forecaster.backtest(panel, windows, levels=LEVELS)
    said = run_baselines(test.histories, horizon, 7, LEVELS, series=test.series)
    tcn, said["convolution"] = convolved(test.histories, test.series, horizon, LEVELS, **_size(page, 300))
    said["LSTM"] = Forecast(test.forecasts, test.seconds["fit"], test.seconds["predict"])

    def board(network: str) -> Scoreboard:
        return Scoreboard.build(said, test.truth, test.histories, 7, LEVELS, network=network, series=test.series)

    lines = {row.model: row for row in board(board("LSTM").rows[0].model).rows}
    push = test.model.stream(series=panel.ids[0]).push
    window = np.asarray(test.histories[0][-4 * horizon :, None])
    measured = interleave(
        {"LSTM": lambda: push(3.0), "convolution": lambda: tcn.predict([window])}, rounds=3, at_least=0.01
    )
    nets = {"LSTM": parameters(test.model), "convolution": parameters(tcn)}
    rows = []
    for name, kind in (SALES | {"convolution": "convolution", "LSTM": "recurrent"}).items():
        line = lines[name]
        local = name in ("ETS", "Kalman structural")  # fitted to each window anew; the pooled ones keep their weights
        seconds = line.predict_seconds + (line.fit_seconds if local else 0.0)
        step = quartiles(measured[name])[1] if name in measured else seconds / len(test.truth)
        p = None if line.test is None else line.test.p_value
        rows.append(Scored(name, kind, line.mase, p, nets.get(name), line.fit_seconds, step, WAITS[False]))
    words = f"How many compact discs will be sold in {horizon} days? {len(panel)} segments, {windows} windows of each."
    return Task("daily sales", words, "day", 86400.0, "MASE", tuple(rows))


# -- the page ----------------------------------------------------------------------------------------------------------


def overview(page: Page, tasks: Sequence[Task]) -> None:
    """Score against seconds per answer; filled where it can answer at each step."""
    caption = (
        "Score against the time of one answer, log scale. Filled: it can answer at each step. Hollow: not before the "
        "end. Dashed: the next step comes."
    )
    with page.picture("overview", caption, (2, 3), size=(9.2, 6.2)) as panels:
        for axes, task in zip(panels.flat, tasks, strict=False):
            for row in task.rows:
                marker, colour = KINDS[row.kind]
                face = "none" if row.answers == WAITS[None] else colour
                axes.plot(row.step, row.score, marker, markersize=7, color=colour, markerfacecolor=face)
            if task.every is not None and task.every < 1:
                axes.axvline(task.every, color=QUIET, linestyle="--", linewidth=1)
            axes.set_xscale("log")
            axes.minorticks_off()
            better = "higher" if task.higher else "lower"
            dress(axes, task.name, "seconds per answer", f"{task.measured} ({better} is better)")
            if not task.higher:
                axes.invert_yaxis()
            axes.margins(x=0.12, y=0.12)
        last = panels.flat[-1]
        last.set_axis_off()
        for kind, (marker, colour) in KINDS.items():
            last.plot([], [], marker, color=colour, markersize=7, label=kind)
        last.plot([], [], "o", color=QUIET, markerfacecolor="none", markersize=7, label="not before the end")
        last.legend(loc="center", frameon=False, fontsize=10.5)


def tell(page: Page, task: Task) -> None:
    """A data set's table and advice."""
    page.text(f"## {task.name[0].upper()}{task.name[1:]}\n\n{task.words}")
    ordered = sorted(task.rows, key=lambda row: -row.score if task.higher else row.score)
    page.table(
        [
            {
                "method": row.method,
                task.measured: text(row.score, 3),
                "p against the best": "" if row.p is None else text(row.p, 3),
                "parameters": "" if row.parameters is None else row.parameters,
                "training, s": f"{row.fit:.1f}",
                "one answer": duration(row.step),
                f"at each {task.step}": row.answers,
            }
            for row in ordered
        ]
    )
    page.text(task.advice())


def make(page: Page) -> None:
    """All of the page."""
    page.text(
        """Must it be a recurrent network? A sequence can also be laid out as one big input of a feed-forward net, read
        by a convolution, or followed by a filter that is older than all of them. Here they stand on the same five data
        sets, with what they cost when an answer is wanted at each step, while the sequence comes."""
    )
    tasks = [make_task(page) for make_task in (gestures, digits, words, sales, customers)]
    page.numbers["tasks"] = {task.name: {**asdict(task), "best": task.best.method} for task in tasks}
    page.numbers["advice"] = {task.name: task.equals[0].method for task in tasks}
    overview(page, tasks)
    page.text(summary(tasks))
    for task in tasks:
        tell(page, task)
    page.text(READING)


def summary(tasks: Sequence[Task]) -> str:
    """What all five say together, counted."""
    needed = [task.name for task in tasks if task.equals[0].kind == "recurrent"]
    leads = [task.name for task in tasks if task.best.kind == "recurrent"]
    live = [task.name for task in tasks if task.live[0].kind == "recurrent"]
    ratios = []
    for task in tasks:
        rows = {row.method: row.step for row in task.rows}
        if task.measured != "MASE":
            ratios.append(rows["convolution"] / rows["LSTM"])
    return (
        f"A recurrent network has the best score on {_names(leads, tasks)}. It is the simplest of what is not told "
        f"from the best on {_names(needed, tasks)}, and what to take for an answer at each step on "
        f"{_names(live, tasks)}. "
        f"On the four sets where it streams, an LSTM's next answer, one call of compiled C, takes "
        f"{min(ratios):.0f} to {max(ratios):.0f} times less than a convolution's, which reads its window anew through "
        f"`predict`; that call is a part of the difference."
    )


def _names(chosen: Sequence[str], tasks: Sequence[Task]) -> str:
    return f"{len(chosen)} of {len(tasks)} data sets" + (f" ({', '.join(chosen)})" if chosen else "")


READING = f"""## How to read this

- **One answer** is the median time, on one core, from the arrival of a step to the answer. *Streams*: from a state of
  fixed size, the same for ever; the LSTM's step is compiled C (`model.stream().push(x)`), the filters' is NumPy.
  *Reads anew*: the public `predict` over the steps that it sees, of a sequence of typical length; a convolution could
  keep its inner outputs in queues and would then stream, too (Paine et al. 2016, arXiv:1611.09482), in code that this
  library does not have. *At the end*: it also reads from the future, so an answer before the end is another, worse one.
- **p** is of the paired test against the best line, over sequences (of the one long video over {PIECES} stretches; of
  sales over series), two-sided, at {ALPHA:.0%}, not corrected for the number of lines; each net was trained once, with
  seed 0. Lines that are not told from the best may still be worse: the test sets are small.
- Where a whole sequence has one label, the score is that at its end; what is said halfway was not judged. Training
  seconds are by the clock, of a machine that others used, too.
- The recommendation is the first line, in the order of simplicity (guess, linear, filter, feed-forward, convolution,
  recurrent; one way before both ways), that the test does not tell from the best.
- Of the daily sales no method needs to hurry; ETS and the Kalman filter are fitted anew to each series for each answer.
  The parameters of those baselines are not counted.

Literature: Bai, Kolter & Koltun 2018, arXiv:1803.01271 (convolutions against recurrent nets); Kalman 1960,
doi:10.1115/1.3662552; Kalata 1984, doi:10.1109/TAES.1984.310438; Rabiner 1989, doi:10.1109/5.18626; Fader & Hardie
2001, Interfaces 31 (the customers); Harvey, Leybourne & Newbold 1997, doi:10.1016/S0169-2070(96)00719-4 (the test).

To try next: `elman demo classify`, `elman demo tag`, `elman demo regress` and `elman demo forecast` judge an LSTM on
these data against the baselines and leave a report each; the same verbs read your own file."""


if __name__ == "__main__":
    main(make, TITLE)
