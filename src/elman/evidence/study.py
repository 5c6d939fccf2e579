"""A forecasting job from a table to a judged run folder: backtest, scoreboard, final model, forecast, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elman.data import Panel, default_season, write_csv
from elman.errors import DataError
from elman.estimators.base import whole
from elman.estimators.forecasting import Forecaster
from elman.estimators.forecasting.backtest import Backtest
from elman.estimators.forecasting.plan import Plan
from elman.evidence.baselines import Forecast
from elman.evidence.card import NAMED, About, limits
from elman.evidence.plots import ForecastPlot
from elman.evidence.report import Report
from elman.evidence.scoreboard import Scoreboard, compare
from elman.files import leads
from elman.training.progress import Progress
from elman.training.run import RunFolder

BACKTEST = "backtest"
"""the folder inside a run that keeps the model trained without the test windows"""
SERIES = 30
"""series on the scoreboard at most: the Kalman model takes seconds for each window"""
PICTURES = 6
"""series drawn in the report"""
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


@dataclass(frozen=True)
class Judged:
    """A backtest beside its baselines. `notes` say what the scoreboard leaves out."""

    backtest: Backtest
    scoreboard: Scoreboard
    notes: tuple[str, ...]


def judge(
    forecaster: Forecaster,
    panel: Panel,
    *,
    n_windows: int = 3,
    step_size: int | None = None,
    season: int | None = None,
    max_series: int = SERIES,
    rivals: Mapping[str, Any] | None = None,
    **training: Any,
) -> Judged:
    """Backtests a forecaster and every baseline on the same windows.

    The net learns from all series; where there are more than `max_series`, that many, evenly spread, are scored.
    rivals: other forecasters of the same horizon and context, by name, to be scored beside the baselines.
    season: of the seasonal naive forecast and of MASE, in steps; None: the shortest of the data's frequency.

    Raises what `Forecaster.backtest` raises.
    """
    if not any(
        np.isfinite(w.truth).any()
        for w in Backtest.plan(panel, forecaster.horizon, n_windows, step_size, LEVELS).windows
    ):
        raise DataError(
            f"judge: the last {n_windows} windows must hold a value to be judged by, all are missing. "
            "Cut the empty end off, or judge more windows."
        )
    test = forecaster.backtest(panel, n_windows, step_size, levels=LEVELS, **training)
    season = season_of(forecaster, panel) if season is None else season
    rows = scored(test.truth, panel, max_series)
    rows = rows[np.isfinite(test.forecasts[rows]).all((1, 2))]  # of these too little was observed to forecast from
    if not len(rows):
        raise DataError("judge: no series has both a recent history and a value in its test windows. Give more data.")
    name = type(test.model.network_.recurrent.cell).__name__
    others = {
        other: rival.backtest(panel, n_windows, step_size, levels=LEVELS) for other, rival in (rivals or {}).items()
    }
    step = forecaster.horizon if step_size is None else step_size
    board, _ = compare(
        name,
        _forecast(test, rows),
        test.truth[rows],
        [test.histories[r] for r in rows],
        season,
        LEVELS,
        series=[test.series[r] for r in rows],
        overlap=-(-forecaster.horizon // step),
        rivals={other: _forecast(theirs, rows) for other, theirs in others.items()},
    )
    notes = []
    if max_series < len(panel):
        notes.append(f"Scored on {max_series} of {len(panel)} series, evenly spread; the net learned from all.")
    if len(panel) > PICTURES:
        notes.append(f"Pictures show the first {PICTURES} of {len(panel)} series.")
    return Judged(test, board, tuple(notes))


def scored(truth: np.ndarray, panel: Panel, most: int) -> np.ndarray:
    """Numbers of the windows to judge by: of `most` series, evenly spread, those with a value; truth: (W N, H)."""
    keep = np.unique(np.linspace(0, len(panel) - 1, min(most, len(panel))).round().astype(int))
    rows = np.concatenate([keep + start for start in range(0, len(truth), len(panel))])
    return rows[np.isfinite(truth[rows]).any(1)]


def study(
    forecaster: Forecaster,
    panel: Panel,
    folder: Path | str,
    *,
    title: str,
    n_windows: int = 3,
    future: Any = None,
    rivals: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: Callable[[], Progress | None] = lambda: None,
    say: Callable[[str], None] = lambda line: None,
) -> Judged:
    """Judges a forecaster, trains it on all data, and leaves a run folder with forecast and report.

    The folder gets what every run has, `forecast.csv`, and `backtest/`: the run whose forecasts were judged, which saw
    nothing of the test windows. `resume` goes on wherever a killed study stopped. `future`: a table with the
    covariates known ahead for the steps after the data's end. `rivals`: of `judge`.

    Raises what `judge` and `Forecaster.fit` raise.
    """
    folder = Path(folder)
    run = RunFolder(folder)
    whole("study", "windows", n_windows)
    Plan.make(forecaster, panel, n_windows)  # a user's mistake is told before anything is trained
    if not (resume and run.finished):
        run.create(resume=resume)
    say(f"{title}: {len(panel)} series, {int(panel.lengths.sum())} steps, frequency {panel.freq}.")
    say(f"Backtest: training on all but the last {_windows(n_windows, forecaster.horizon)}.")
    training: dict[str, Any] = {"folder": folder / BACKTEST, "resume": resume, "progress": progress()}
    judged = judge(forecaster, panel, n_windows=n_windows, rivals=rivals, **training)
    say("Final model: training on all data.")
    forecaster.fit(panel, folder=folder, resume=True, progress=progress())
    if leads() and (not panel.future or future is not None):
        write_csv(forecaster.predict(panel, future=future), folder / "forecast.csv")
    make_report(title, forecaster, judged).write(run)
    return judged


def make_report(title: str, forecaster: Forecaster, judged: Judged) -> Report:
    """The report of a study: scoreboard, the last window of the first series, training curve, configuration."""
    return Report(
        title,
        scoreboard=judged.scoreboard,
        plots=plots_of(judged.backtest),
        training=forecaster.history_.records,
        configuration=forecaster._params(),
        notes=judged.notes,
        about=_about(forecaster, judged.backtest, judged.scoreboard),
    )


def _about(forecaster: Forecaster, test: Backtest, board: Scoreboard) -> About:
    panel, windows = test.panel, len(test.windows)
    ends = [min(t[0] for t in panel.times), max(t[-1] for t in panel.times)]
    first, last = (_shown(end) for end in ends)
    data = (
        f"{len(panel)} series with {int(panel.lengths.sum())} time steps in all, at frequency {panel.freq}, "
        f"from {first} to {last}."
    )
    ids = f"Series: {', '.join(panel.ids[:NAMED])}{f', and {len(panel) - NAMED} others' * (len(panel) > NAMED)}."
    names = ", ".join([*panel.past, *panel.future, *panel.static])
    split = (
        f"The last {_windows(windows, forecaster.horizon)} of each series. The model that was judged "
        f"({BACKTEST}/) had not seen them; the one that is kept has learned from all."
    )
    mine = next(row for row in board.rows if row.is_network)
    inside = f"Its 80 % interval held {mine.coverage80:.0%} of what came, its 95 % interval {mine.coverage95:.0%}."
    covariates = [f"Covariates: {names}."] if names else []
    return About([data, ids, *covariates], split, [inside], limits(board.windows, "windows"))


def _windows(count: int, horizon: int) -> str:
    return f"window of {horizon} steps" if count == 1 else f"{count} windows of {horizon} steps"


def _shown(time: np.generic) -> str:
    """A time as a reader writes it: of a day, no hour."""
    if time.dtype.kind != "M":
        return str(time)
    return str(time.astype("datetime64[m]")).replace("T", " ").removesuffix(" 00:00")


def plots_of(test: Backtest, series: int = PICTURES) -> list[ForecastPlot]:
    """The last window of the first few series, ready to be drawn."""
    window, q = test.windows[-1], test.quantiles[-1]
    return [
        ForecastPlot(
            title=name,
            history=window.history.y[i],
            quantiles=q[i],
            levels=test.levels,
            truth=window.truth[i],
            times=_times(test.panel, i, window.back, window.truth.shape[1]),
            unit=test.panel.target,
        )
        for i, name in enumerate(test.panel.ids[:series])
    ]


def _forecast(test: Backtest, rows: np.ndarray) -> Forecast:
    return Forecast(test.forecasts[rows], test.seconds["fit"], test.seconds["predict"])


def _times(panel: Panel, i: int, back: int, horizon: int) -> np.ndarray | None:
    """The times of a series up to the end of a window; None for integer time, which is shown as steps."""
    times = panel.times[i]
    return times[: len(times) - back + horizon] if times.dtype.kind == "M" else None


def season_of(forecaster: Forecaster, panel: Panel) -> int:
    """The season by which forecasts are judged, in steps: the forecaster's shortest, else that of the frequency."""
    given = forecaster.season_length
    if given == "auto" or given is None or isinstance(given, str):
        return default_season(panel.freq)
    return min(given) if isinstance(given, Sequence) else given
