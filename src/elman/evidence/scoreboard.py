"""The scoreboard: every forecast of the same windows side by side, and one plain sentence on who wins."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from elman.errors import DataError, ShapeError, UnknownNameError, suggest
from elman.evidence import metrics
from elman.evidence.baselines import Forecast, run_baselines
from elman.evidence.board import TESTED, Board, rank, text
from elman.evidence.significance import PairedTest, paired_test

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
"""The levels a scoreboard needs: the median, and the ends of the 80 % and the 95 % interval."""


@dataclass(frozen=True)
class Row:
    """One forecast's line. Errors as in `elman.evidence.metrics`; coverages are fractions; seconds are wall-clock.

    test: the paired test of the network's errors less this one's; None in the network's own line.
    fallbacks: how many windows the method could not forecast and the seasonal naive (or last value) stood in.
    """

    model: str
    mase: float
    smape: float
    mape: float
    wql: float
    coverage80: float
    coverage95: float
    mae: float
    rmse: float
    fit_seconds: float
    predict_seconds: float
    test: PairedTest | None
    fallbacks: int
    is_network: bool


@dataclass(frozen=True)
class Scoreboard(Board):
    """All forecasts of the same windows, best first. Build it with `Scoreboard.build` or `compare`.

    rows: sorted by `error`; network: the row that is judged; error: the column that decides, "mase" (or "mae" where
    no history gives MASE its scale); windows, steps: how many windows and observed steps were scored; notes: what a
    reader must know besides: terms left out, replaced forecasts and why.
    """

    rows: tuple[Row, ...]
    network: str
    error: str
    windows: int
    steps: int
    season: int
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def build(
        cls,
        forecasts: Mapping[str, Forecast],
        truth: ArrayLike,
        histories: Sequence[ArrayLike],
        season: int,
        levels: Sequence[float] = LEVELS,
        *,
        network: str,
        series: Sequence[object] | None = None,
        overlap: int = 1,
    ) -> Scoreboard:
        """Scores `forecasts` {name: Forecast with quantiles (N, H, Q)} against truth (N, H), NaN = missing.

        histories: N vectors up to each cutoff; season m in steps; series: (N,) names, windows of one in time order;
        overlap: how many consecutive windows of one series share steps (1 = none). network: the name to judge.
        Raises ShapeError, DataError (a forecast that isn't finite), OptionError (no level 0.5), UnknownNameError.

        >>> flat = Forecast(np.array([[[2.0, 3.0, 4.0]], [[1.0, 2.0, 3.0]]]))
        >>> good = Forecast(np.array([[[3.0, 4.0, 5.0]], [[2.0, 3.0, 4.0]]]))
        >>> board = Scoreboard.build({"last value": flat, "LSTM": good}, [[4.0], [3.0]], [[1, 2, 3], [0, 1, 2]], 1,
        ...                          (0.1, 0.5, 0.9), network="LSTM")
        >>> [(row.model, row.mase) for row in board.rows]
        [('LSTM', 0.0), ('last value', 1.0)]
        """
        if network not in forecasts:
            raise UnknownNameError(f"Scoreboard: unknown network {network!r}, {suggest(network, forecasts)}")
        y = np.atleast_2d(np.asarray(truth, dtype=float))
        for name, forecast in forecasts.items():
            if forecast.quantiles.shape != (*y.shape, len(levels)):
                raise ShapeError(
                    f"Scoreboard({name}): quantiles must be (N, H, Q) = {(*y.shape, len(levels))}, got "
                    f"{forecast.quantiles.shape}. Forecast the windows of truth at all levels."
                )
            if not np.isfinite(forecast.quantiles[~np.isnan(y)]).all():
                raise DataError(
                    f"Scoreboard({name}): quantiles must be finite where a truth is known, got NaN or infinity. "
                    "Leave those windows out for all models, or mend the model."
                )
        points = {name: metrics.median(forecast.quantiles, levels) for name, forecast in forecasts.items()}
        losses = {name: metrics.mase_windows(y, point, histories, season) for name, point in points.items()}
        error = "mase" if np.isfinite(losses[network]).any() else "mae"
        if error == "mae":
            # 2·ρ at 0.5 is |y − f|: the MAE of each window.
            losses = {name: metrics.wql_windows(y, point[..., None], (0.5,)) for name, point in points.items()}
        rows = []
        for name, forecast in forecasts.items():
            test = None if name == network else paired_test(losses[network], losses[name], series, overlap)
            rows.append(_row(name, forecast, y, histories, season, levels, test))
        # The sort is stable and the given order that of simplicity: of equal errors the simpler stands first.
        rows.sort(key=lambda row: (rank(getattr(row, error)), row.is_network))
        notes = _notes(forecasts, y, points[network], histories, season, error)
        steps = int((~np.isnan(y)).sum())
        return cls(tuple(rows), network, error, len(y), steps, season, tuple(notes))

    noun = " forecast"
    unit = "windows"
    higher = False

    def measure(self) -> str:
        """MASE or MAE, as it is written."""
        return self.error.upper()

    def columns(self) -> Sequence[tuple[str, str]]:
        """The measures of a forecast."""
        return _COLUMNS

    def cells(self, row: Row) -> Sequence[str]:
        """A line's texts."""
        return _cells(row)

    def value(self, row: Row) -> float:
        """MASE, or MAE where no history gives a scale."""
        return getattr(row, self.error)

    def scope(self) -> str:
        """Windows, steps, season and what the test stood on."""
        test = next((row.test for row in self.rows if row.test is not None), None)
        over = f" Paired Diebold–Mariano test over {test.count} {test.over}." if test else ""
        return f"{self.windows} windows, {self.steps} observed steps, season of {self.season} steps.{over}"


def compare(
    network: str,
    forecast: Forecast,
    truth: ArrayLike,
    histories: Sequence[ArrayLike],
    season: int,
    levels: Sequence[float] = LEVELS,
    *,
    series: Sequence[object] | None = None,
    overlap: int = 1,
    rivals: Mapping[str, Forecast] | None = None,
) -> tuple[Scoreboard, dict[str, Forecast]]:
    """Runs every baseline on the network's windows and scores all: (scoreboard, {name: Forecast}).

    forecast: the network's quantiles (N, H, Q) and seconds; rivals: those of other models, to be scored beside the
    baselines; the rest as in `Scoreboard.build` and `run_baselines`.

    >>> walk = np.cumsum(np.random.default_rng(0).standard_normal(60))
    >>> mine = Forecast(np.zeros((1, 3, 5)))
    >>> board, forecasts = compare("LSTM", mine, [walk[57:]], [walk[:57]], 1)
    >>> board.network_wins, len(forecasts)
    (False, 8)
    """
    horizon = np.atleast_2d(np.asarray(truth)).shape[1]
    baselines = run_baselines(histories, horizon, season, levels, series=series)
    forecasts = {**baselines, **(rivals or {}), network: forecast}
    board = Scoreboard.build(
        forecasts, truth, histories, season, levels, network=network, series=series, overlap=overlap
    )
    return board, forecasts


_COLUMNS = (
    ("model", ""),
    ("MASE", "mean absolute scaled error; below 1 beats the in-sample seasonal naive"),
    ("sMAPE %", "symmetric mean absolute percentage error, 0 … 200"),
    ("MAPE %", "mean absolute percentage error, zero truths left out"),
    ("WQL", "weighted quantile loss: how far the truths were from the intervals; less is better"),
    ("80 % int.", "share of truths inside the 80 % interval; honest: 80 %"),
    ("95 % int.", "share of truths inside the 95 % interval; honest: 95 %"),
    ("fit s", "seconds to fit, all windows"),
    ("predict s", "seconds to predict, all windows"),
    ("p", f"Diebold–Mariano test {TESTED}"),
)


def _row(
    name: str,
    forecast: Forecast,
    y: metrics.Floats,
    histories: Sequence[ArrayLike],
    season: int,
    levels: Sequence[float],
    test: PairedTest | None,
) -> Row:
    q = forecast.quantiles
    point = metrics.median(q, levels)
    return Row(
        model=name,
        mase=metrics.mase(y, point, histories, season)[0],
        smape=metrics.smape(y, point),
        mape=metrics.mape(y, point)[0],
        wql=metrics.wql(y, q, levels),
        coverage80=metrics.coverage(y, q, levels, 0.8),
        coverage95=metrics.coverage(y, q, levels, 0.95),
        mae=metrics.mae(y, point),
        rmse=metrics.rmse(y, point),
        fit_seconds=forecast.fit_seconds,
        predict_seconds=forecast.predict_seconds,
        test=test,
        fallbacks=len(forecast.fallbacks),
        is_network=test is None,
    )


def _notes(
    forecasts: Mapping[str, Forecast],
    y: metrics.Floats,
    point: metrics.Floats,
    histories: Sequence[ArrayLike],
    season: int,
    error: str,
) -> list[str]:
    notes = []
    _, zeros = metrics.mape(y, point)
    _, short, unscaled = metrics.mase(y, point, histories, season)
    missing = int(np.isnan(y).sum())
    if missing:
        notes.append(f"{missing} missing truths were not scored.")
    if zeros:
        notes.append(f"MAPE leaves out {zeros} steps whose truth is 0.")
    if short:
        notes.append(f"MASE is scaled with m = 1 in {short} windows, whose history is too short for m = {season}.")
    if unscaled:
        notes.append(f"MASE leaves out {unscaled} windows, whose history is constant or too short to scale by.")
    if error == "mae":
        notes.append("No history gives MASE a scale: the mean absolute error (MAE) decides.")
    for name, forecast in forecasts.items():
        reasons = Counter(forecast.fallbacks.values()).most_common(2)
        if reasons:
            why = "; ".join(reason for reason, _ in reasons)
            notes.append(
                f"{name}: a naive forecast stood in for {len(forecast.fallbacks)} of {len(y)} windows ({why})."
            )
    return notes


def _cells(row: Row) -> list[str]:
    inside = [
        text(100 * share, 0) + (" %" if math.isfinite(share) else "") for share in (row.coverage80, row.coverage95)
    ]
    return [
        row.model + (" *" if row.fallbacks else ""),
        text(row.mase, 3),
        text(row.smape, 2),
        text(row.mape, 2),
        text(row.wql, 4),
        *inside,
        text(row.fit_seconds, 2),
        text(row.predict_seconds, 2),
        text(row.test.p_value, 3) if row.test else "",
    ]
