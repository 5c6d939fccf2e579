"""The scoreboard: every forecast of the same windows side by side, and one plain sentence on who wins."""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from elman.errors import DataError, ShapeError, UnknownNameError, suggest
from elman.evidence import metrics
from elman.evidence.baselines import Forecast, run_baselines
from elman.evidence.significance import PairedTest, paired_test

if TYPE_CHECKING:
    from rich.table import Table

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
"""The levels a scoreboard needs: the median, and the ends of the 80 % and the 95 % interval."""

_ALPHA = 0.05


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
class Scoreboard:
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
        rows.sort(key=lambda row: (_rank(getattr(row, error)), row.is_network))
        notes = _notes(forecasts, y, points[network], histories, season, error)
        steps = int((~np.isnan(y)).sum())
        return cls(tuple(rows), network, error, len(y), steps, season, tuple(notes))

    @property
    def best_baseline(self) -> Row | None:
        """The first line that isn't the network; None when the network was scored alone."""
        return next((row for row in self.rows if not row.is_network), None)

    @property
    def network_wins(self) -> bool:
        """Lowest error AND the paired test against the best baseline significant at 5 %: both, or it has not won."""
        best = self.best_baseline
        leads = self.rows[0].is_network and math.isfinite(getattr(self.rows[0], self.error))
        return leads and best is not None and best.test is not None and best.test.p_value < _ALPHA

    def verdict(self) -> str:
        """Who wins, in one plain sentence: the network, nobody (then the simpler), or a baseline."""
        best, score = self.best_baseline, self.error.upper()
        if best is None or best.test is None:
            return f"{self.network} was scored alone: no baseline, no verdict."
        mine = getattr(next(row for row in self.rows if row.is_network), self.error)
        theirs, p = getattr(best, self.error), best.test.p_value
        numbers = f"{score} {_text(mine, 3)} against {_text(theirs, 3)}, p = {_text(p, 3)}"
        if math.isnan(p):
            numbers = f"{score} {_text(mine, 3)} against {_text(theirs, 3)}, too few windows for a test"
        if self.network_wins:
            return f"{self.network} wins: its error is lower than that of the best baseline, {best.model} ({numbers})."
        if self.rows[0].is_network:
            return (
                f"{self.network} is not distinguishably better than the {best.model} forecast: prefer the simpler "
                f"({numbers})."
            )
        if not p < _ALPHA:
            return f"the {best.model} forecast wins, perhaps by chance: prefer the simpler ({numbers})."
        return f"the {best.model} forecast wins: don't use this model ({numbers})."

    def to_rich(self) -> Table:
        """The table for a terminal; the network's line stands out."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, title in enumerate(_HEADINGS):
            table.add_column(title, justify="left" if number == 0 else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(*_cells(row), style="bold cyan" if row.is_network else None)
        return table

    def to_text(self) -> str:
        """Aligned plain text, the verdict and the notes below it: for logs and terminals alike."""
        lines = [list(_HEADINGS), *(_cells(row) for row in self.rows)]
        width = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
        out = io.StringIO()
        for line in lines:
            first, *rest = (
                text.ljust(w) if n == 0 else text.rjust(w) for n, (text, w) in enumerate(zip(line, width, strict=True))
            )
            out.write("  ".join([first, *rest]).rstrip() + "\n")
        out.write(f"\n{self._scope()}\n" + "".join(f"Note: {note}\n" for note in self.notes))
        out.write(f"\n{self.verdict()[0].upper()}{self.verdict()[1:]}\n")
        return out.getvalue()

    def to_markdown(self) -> str:
        """The same as a Markdown table, for the card."""
        lines = [list(_HEADINGS), ["---", *["---:"] * (len(_HEADINGS) - 1)]]
        lines += [[markdown_cell(cell) for cell in _cells(row)] for row in self.rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n".join([table, "", self._scope(), *(f"- {markdown_line(note)}" for note in self.notes)])

    def to_html(self) -> str:
        """The same as an HTML fragment; every text of the user's is escaped."""
        head = "".join(
            f'<th scope="col" title="{escape(hint)}">{escape(title)}</th>'
            for title, hint in zip(_HEADINGS, _HINTS, strict=True)
        )
        body = ""
        for row in self.rows:
            name, *cells = map(escape, _cells(row))
            mark = ' class="network"' if row.is_network else ""
            body += f'<tr{mark}><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return (
            f'<div class="scroll"><table class="scores"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>'
            f'</div>\n<p class="quiet">{escape(self._scope())}</p>\n'
            + (f'<ul class="quiet">{notes}</ul>' if notes else "")
        )

    def to_json(self) -> str:
        """Everything as JSON text; NaN and infinity become null."""
        data = {**asdict(self), "verdict": self.verdict(), "network_wins": self.network_wins}
        return json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False)

    def _scope(self) -> str:
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
) -> tuple[Scoreboard, dict[str, Forecast]]:
    """Runs every baseline on the network's windows and scores all: (scoreboard, {name: Forecast}).

    forecast: the network's quantiles (N, H, Q) and seconds; the rest as in `Scoreboard.build` and `run_baselines`.

    >>> walk = np.cumsum(np.random.default_rng(0).standard_normal(60))
    >>> mine = Forecast(np.zeros((1, 3, 5)))
    >>> board, forecasts = compare("LSTM", mine, [walk[57:]], [walk[:57]], 1)
    >>> board.network_wins, len(forecasts)
    (False, 7)
    """
    horizon = np.atleast_2d(np.asarray(truth)).shape[1]
    forecasts = {**run_baselines(histories, horizon, season, levels, series=series), network: forecast}
    board = Scoreboard.build(
        forecasts, truth, histories, season, levels, network=network, series=series, overlap=overlap
    )
    return board, forecasts


_COLUMNS = (
    ("model", ""),
    ("MASE", "mean absolute scaled error; below 1 beats the in-sample seasonal naive"),
    ("sMAPE %", "symmetric mean absolute percentage error, 0 … 200"),
    ("MAPE %", "mean absolute percentage error, zero truths left out"),
    ("WQL", "weighted quantile loss"),
    ("80 % int.", "share of truths inside the 80 % interval; honest: 80 %"),
    ("95 % int.", "share of truths inside the 95 % interval; honest: 95 %"),
    ("fit s", "seconds to fit, all windows"),
    ("predict s", "seconds to predict, all windows"),
    ("p", "Diebold–Mariano test against the network, two-sided"),
)
_HEADINGS, _HINTS = zip(*_COLUMNS, strict=True)


def markdown_line(text: str) -> str:
    """Text of a user's as one line of Markdown; a tag in it stays text, for Markdown is read as HTML.

    >>> markdown_line("a\\n<b>")
    'a &lt;b>'
    """
    return " ".join(text.split()).replace("<", "&lt;")


def markdown_cell(text: str) -> str:
    """The same within a table.

    >>> print(markdown_cell("a|b"))
    a\\|b
    """
    return markdown_line(text).replace("|", "\\|")


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


def _rank(error: float) -> float:
    # 12 digits: two forecasts that are equal but for the order of summation are equal.
    return float(f"{error:.12g}") if math.isfinite(error) else math.inf


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


def _text(value: float, digits: int) -> str:
    """A number for people: never "nan", and no p-value of 0.

    >>> _text(float("nan"), 3), _text(0.00001, 3), _text(1.23456, 3)
    ('–', '<0.001', '1.235')
    """
    if not math.isfinite(value):
        return "–"
    return f"<{10.0**-digits:.{digits}f}" if 0 <= value < 0.5 * 10.0**-digits and value else f"{value:.{digits}f}"


def _cells(row: Row) -> list[str]:
    inside = [
        _text(100 * share, 0) + (" %" if math.isfinite(share) else "") for share in (row.coverage80, row.coverage95)
    ]
    return [
        row.model + (" *" if row.fallbacks else ""),
        _text(row.mase, 3),
        _text(row.smape, 2),
        _text(row.mape, 2),
        _text(row.wql, 4),
        *inside,
        _text(row.fit_seconds, 2),
        _text(row.predict_seconds, 2),
        _text(row.test.p_value, 3) if row.test else "",
    ]


def _finite(data: object) -> object:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data
