"""What comes next, and what should not have come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from page import COLOURS, Page, legend
from shape import Shape

from elman.cli.demos import SHIPPED
from elman.data.examples import Columns, read_examples
from elman.data.table import read_table
from elman.estimators import AnomalyDetector, Forecaster
from elman.evidence.anomaly_plots import plot_watch
from elman.evidence.anomaly_study import WatchExamples, judge_anomalies, watch_plots
from elman.evidence.board import Board
from elman.evidence.plots import QUIET, dress, plot_forecast
from elman.evidence.study import judge, plots_of


class Forecast(Shape):
    """Daily sales."""

    verb, estimator, goes = "forecast", "Forecaster", "many steps in, those after them out, with how sure they are"
    question = "How many compact discs will be sold on each of the next 14 days, and within which bounds?"
    literature = "Salinas et al. 2017, arXiv:1704.04110; Wen et al. 2017, arXiv:1711.11053 (quantiles of each step)."

    def learn(self, every: int) -> Board:
        forecaster = Forecaster(horizon=14, time="date", target="cds", series="segment", max_steps=500 // every)
        panel = forecaster.read(read_table(SHIPPED / "cdnow_daily.csv"))
        self.panel = panel.select(list(range(0, len(panel), min(every, 8))))
        self.judged = judge(forecaster, self.panel, n_windows=2 if every == 1 else 1)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        panel = self.panel
        page.text(f"{len(panel)} segments of an online shop's customers, {int(panel.lengths[0])} days.")
        with page.picture("data", "Discs sold per day, the mean of each week.", size=(7.2, 3.2)) as axes:
            for n, (name, times, y) in enumerate(zip(panel.ids, panel.times, panel.y, strict=True)):
                weeks, look = len(y) // 7, {"color": COLOURS[n % 8], "linestyle": "-" if n < 8 else "--"}
                axes.plot(times[: 7 * weeks : 7], y[: 7 * weeks].reshape(weeks, 7).mean(1), label=name, **look)
            dress(axes, "Daily sales by segment", "", "discs per day")
            legend(axes, ncols=3)

    def said(self, page: Page) -> None:
        for n, plot in enumerate(plots_of(self.judged.backtest, 2)):
            caption = f"The last window of {plot.title}: median, 80 % and 95 % intervals, and what came."
            page.figure(f"said-{n + 1}", caption, plot_forecast(plot))


class Watch(Shape):
    """When hands move."""

    verb, estimator, goes = "watch", "AnomalyDetector", "many steps in, of each whether it is normal out"
    question = "When do hands move, if only hands at rest were ever seen?"
    literature = (
        "Malhotra et al. 2016, arXiv:1607.00148 (an autoencoder of windows); Madeo, Lima & Peres 2013, "
        "doi:10.1145/2480362.2480373 (the videos)."
    )

    def learn(self, every: int) -> Board:
        columns = Columns(label="gesture")
        X, y, columns = read_examples(SHIPPED / "gestures_train.csv.gz", columns, each_step=True, one=True)
        X_test, y_test, _ = read_examples(SHIPPED / "gestures_test.csv.gz", columns, each_step=True, one=True)
        self.examples = replace(WatchExamples.of_files(X, y, X_test, y_test), names=columns.inputs)
        self.model = AnomalyDetector(method="autoencoder", window=16, max_steps=300 // every)
        self.judged: Any = judge_anomalies(self.model, self.examples)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        x, truth = self.examples.X_test[0], (self.examples.truth or [])[0]
        rest = int(np.isfinite(np.concatenate(list(self.examples.X))).all(1).sum())
        page.text(
            f"Where a camera saw a storyteller's hands: {rest} frames of one video at rest to learn from, {len(x)} of "
            f"another to judge by, in {truth.mean():.0%} of which the hands gesture."
        )
        with page.picture("data", "The test video; shaded: the hands gesture.", size=(7.2, 2.8)) as axes:
            for k in (0, 1, 3, 4):
                axes.plot(x[:600, k], color=COLOURS[k], linewidth=1.1, label=self.examples.names[k].replace("_", " "))
            shown = truth[:600]
            axes.fill_between(np.arange(len(shown)), 0, 1, where=shown, color=QUIET, alpha=0.15, linewidth=0,
                              transform=axes.get_xaxis_transform())  # fmt: skip
            dress(axes, "The first 600 frames", "frame", "place")
            legend(axes, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))

    def said(self, page: Page) -> None:
        plot = watch_plots(self.model, self.examples, self.judged.said)[-1]
        page.figure("said", "Signal, score and alarms; shaded: the hands gesture.", plot_watch(plot))
