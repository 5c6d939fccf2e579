"""`Forecaster`: one recurrent net over many series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data import Panel, future_from_frame, panel_from_frame
from elman.errors import DataError, OptionError
from elman.estimators.base import Estimator, one_of, seed_of, seeded, whole
from elman.estimators.forecasting.backtest import Backtest, backend_of, intervals
from elman.estimators.forecasting.causal import ForecastStep
from elman.estimators.forecasting.exogenous import Exogenous
from elman.estimators.forecasting.history import pack_panel, unpack_panel
from elman.estimators.forecasting.network import Columns, ForecastNetwork
from elman.estimators.forecasting.outputs import LEVELS, OUTPUTS
from elman.estimators.forecasting.plan import Plan, check_options
from elman.estimators.forecasting.rollout import direct, sampled
from elman.estimators.forecasting.track import Track, side_by_side
from elman.estimators.forecasting.windows import LastWindows, SampledWindows, Windows
from elman.steps import Stream
from elman.training.progress import Progress

Array = np.ndarray
EPOCH = 50
"""batches of random windows that are called an epoch, by convention: how often progress is written down"""


@dataclass(kw_only=True, eq=False, repr=False)
class Forecaster(Estimator):
    """Forecasts of many series by one recurrent net, with prediction intervals.

    The net reads a window of C steps and says, for each of the next H steps, how far the value will be from a simple
    guess: a mixture, which it also learns, of the last value, the value one season ago and the mean of four seasons.
    Before training it is a seasonal naive forecast. Values are standardised within their window, and their logarithm
    is taken where all are positive; forecasts come back in the data's units.

    horizon       H, steps to forecast
    strategy      "direct": all H steps at once; "recursive": each step is fed to the next, for any horizon
    output        "quantile", "gaussian", "student-t", or "negative-binomial" for counts
    context       C, steps; None: the largest of 24, 2 H and the shortest season + H
    season_length steps of the seasons, a number or several; "auto": from the frequency; None: none
    target_transform   "auto", "log" or "none"
    time, target, series, freq, gaps   columns, frequency and treatment of missing rows: see `panel_from_frame`
    past, future, static   covariate columns: known up to now, known in advance, constant in a series
    calendar      whether to read the time of day, week, month and year: what comes round twice in the longest series
    paths         sampled futures of the recursive strategy
    max_steps     of training; None: by the amount of data, see `enough_steps`
    patience      validations without progress before training stops; each series' last H steps are then held out

    The other arguments are those of every estimator: see `Estimator`.

    Raises `OptionError`, `UnknownNameError`, `DataError`, `DivergenceError`, `Interrupted`; each in one line.

    Quantile forecasts: Wen et al. 2017, arXiv:1711.11053; recursive sampling: Salinas et al. 2017, arXiv:1704.04110.

    >>> import pandas as pd, numpy as np
    >>> frame = pd.DataFrame({"ds": pd.date_range("2024", periods=60), "y": np.tile([5.0, 6, 7, 6, 5, 2, 1], 9)[:60]})
    >>> forecaster = Forecaster(horizon=7, hidden_size=8, max_steps=2).fit(frame)
    >>> forecaster.predict().columns.tolist()
    ['ds', 'median', 'lo-80', 'hi-80', 'lo-95', 'hi-95']
    """

    horizon: int
    strategy: str = "direct"
    output: str = "quantile"
    context: int | None = None
    season_length: int | Sequence[int] | str | None = "auto"
    target_transform: str = "auto"
    time: str = "ds"
    target: str = "y"
    series: str | None = "unique_id"
    freq: str | int | None = None
    gaps: str = "error"
    past: Sequence[str] = ()
    future: Sequence[str] = ()
    static: Sequence[str] = ()
    calendar: bool = True
    paths: int = 200

    # -- fitting ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        frame: Any,
        y: Any = None,
        *,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Forecaster:
        """Trains on a long table (or a `Panel`); with a folder, into a run folder that `elman.load` reads.

        `resume` goes on from the folder's checkpoint; the result is the same as if it had not been interrupted.
        `y` is not used, it is there for scikit-learn.
        """
        check_options(self)
        panel = self.read(frame)
        self.seed_ = seed_of(self.random_state)
        self.plan_ = plan = Plan.make(self, panel)
        self.exogenous_ = Exogenous.fit(panel, self.calendar)
        self.level_ = (0.0, 1.0)
        lengths = panel.lengths
        windows = self.windows(panel, 0)
        scale = windows.scale(np.arange(len(panel)), lengths)
        self.level_ = windows.level = (float(scale.level.mean()), float(scale.level.std()) or 1.0)
        self.panel_ = panel.tail(plan.shape.memory)
        train = SampledWindows(windows, lengths - plan.held, self.batch_size, EPOCH, self.seed_)
        validation = LastWindows(windows, lengths, 256) if plan.held else None
        self.hash_ = train.fingerprint()
        network = seeded(self.seed_, lambda: self._network(windows))
        self._train(network, train, validation, plan.steps, folder, resume, progress)
        return self

    def batches(self, frame: Any) -> SampledWindows:
        """Random windows of a table as the fitted net takes them in training; raises `DataError`."""
        self._check_fitted()
        panel = self.read(frame, self.panel_.freq)
        return SampledWindows(self.windows(panel, 0), panel.lengths, self.batch_size, EPOCH, self.seed_)

    def read(self, frame: Any, freq: str | int | None = None) -> Panel:
        """The table as a `Panel`, by this forecaster's columns; raises `DataError` where it cannot be used."""
        if isinstance(frame, Panel):
            return frame
        names = ("time", "target", "series", "past", "future", "static", "gaps")
        columns = {name: getattr(self, name) for name in names}
        return panel_from_frame(frame, **columns, freq=self.freq if freq is None else freq, where="Forecaster")

    # -- forecasting -----------------------------------------------------------------------------------------------

    def predict(
        self,
        frame: Any = None,
        *,
        horizon: int | None = None,
        future: Any = None,
        level: Sequence[float] = (80, 95),
        backend: Any = None,
    ) -> Any:
        """Forecasts after the end of each series, a long table: series, time, median, and bounds of each interval.

        frame    history to forecast from, the training data's end when None; series not seen in training are welcome
        horizon  steps, the fitted one when None; beyond it only with strategy="recursive"
        future   a table with the future covariates of these steps
        level    prediction intervals in percent: "lo-80" and "hi-80" enclose the truth in 80 of 100 cases
        backend  "pandas", "polars" or "pyarrow"; None: that of `frame`, or pandas
        """
        self._check_fitted()
        if backend is not None:
            one_of("Forecaster.predict", "backend", backend, ("pandas", "polars", "pyarrow"))
        # A table too short to tell its frequency has that of the training data.
        panel = self.panel_ if frame is None else self.read(frame, self.panel_.freq)
        horizon = self.horizon if horizon is None else whole("Forecaster.predict", "horizon", horizon)
        if panel.future and future is None:
            names = ", ".join(panel.future)
            raise DataError(
                f"Forecaster.predict: future covariates ({names}) must be known for {horizon} steps after the history, "
                "got none. Pass a table with them as `future` (command: --future-file)."
            )
        if future is not None and not panel.future:
            raise OptionError("Forecaster.predict: no future covariates were trained with, got a table. Leave it out.")
        if future is not None:
            panel = future_from_frame(panel, future, horizon)
        columns = intervals(level)
        q = self.quantiles(panel, horizon, list(columns.values()))
        if (blind := np.isnan(q).any((1, 2))).any():
            first, context = panel.ids[int(np.argmax(blind))], self.plan_.shape.context
            raise DataError(
                f"Forecaster.predict: every series must have 2 values in its last {context} steps, not so {first!r}. "
                "Bring its history up to date, leave it out, or train with a longer context."
            )
        named = {name: q[..., k] for k, name in enumerate(columns)}
        return panel.forecast_frame(named, backend or backend_of(frame))

    def quantiles(self, panel: Panel, horizon: int | None = None, levels: Sequence[float] = LEVELS) -> Array:
        """Forecast quantiles (N, H, Q) after the end of each series of a panel, in the data's units.

        NaN for a series with fewer than two values in its last C steps: nothing tells its level and spread.
        """
        self._check_fitted()
        horizon = self.horizon if horizon is None else horizon
        if horizon > self.horizon and self.strategy == "direct":
            raise OptionError(
                f"Forecaster.predict: horizon must be at most {self.horizon}, as fitted, got {horizon}. Fit with the "
                'longer horizon, or with strategy="recursive", which forecasts any.'
            )
        panel = panel.tail(self.plan_.shape.memory)
        windows, cutoff = self.windows(panel, horizon), panel.lengths
        wanted = torch.tensor(list(levels), dtype=torch.float64)
        if self.strategy == "direct":
            q = direct(self.network_, windows, cutoff, horizon, wanted)
        else:
            q = sampled(self.network_, windows, cutoff, horizon, wanted, self.paths, self.seed_)
        context = self.plan_.shape.context
        blind = [np.isfinite(y[-context:]).sum() < 2 for y in panel.y]
        q[blind] = np.nan
        return self.plan_.from_scale(q)

    def cross_validation(
        self,
        frame: Any,
        n_windows: int = 3,
        step_size: int | None = None,
        *,
        refit: bool = False,
        level: Any = (80, 95),
    ) -> Any:
        """Forecasts of the last `n_windows` windows of each series, each with its `cutoff` and the truth beside it.

        A clone is fitted on what precedes the first cutoff, and on what precedes each with `refit`. `step_size` steps
        lie between cutoffs, the horizon when None.
        """
        panel = self.read(frame)
        test = self.backtest(panel, n_windows, step_size, refit=refit, levels=list(intervals(level).values()))
        return test.to_frame(list(intervals(level)), backend_of(frame))

    def backtest(
        self,
        panel: Panel,
        n_windows: int = 3,
        step_size: int | None = None,
        *,
        refit: bool = False,
        levels: Sequence[float] = LEVELS,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Backtest:
        """Quantile forecasts and truth of rolling windows: the arrays that a scoreboard is made of."""
        check_options(self)
        test = Backtest.plan(panel, self.horizon, n_windows, step_size, levels)
        fitted: Forecaster | None = None
        for window in test.windows:
            if fitted is None or refit:
                model = type(self)(**self.get_params(deep=False))
                fitted = model.fit(window.history, folder=folder, resume=resume, progress=progress)
                folder = None  # only the first training is kept
                test.fitted(fitted)
            test.add(window, fitted.quantiles(window.history, self.horizon, levels))
        return test

    def causal(self, series: str | None = None) -> ForecastStep:
        """One step of a series that goes on where its history in the model ends; of several, name one.

        Raises `OptionError` for a model with covariates, or a series that it does not know.
        """
        self._check_fitted()
        return ForecastStep(self, series)

    def stream(self, state: Any = None, *, series: str | None = None) -> Stream:
        """A `Stream` of one series that goes on where its history in the model ends; of several, name one."""
        return Stream(self.causal(series), state)

    # -- parts -----------------------------------------------------------------------------------------------------

    def windows(self, panel: Panel, horizon: int) -> Windows:
        """What the net can see of a panel whose covariates are known for so many steps after its end."""
        track = Track(side_by_side(self.plan_.to_scale(panel), horizon), self.plan_.shape.seasons)
        numbers = self.exogenous_.numbers(panel, horizon, "Forecaster")
        codes = self.exogenous_.codes(panel, horizon, "Forecaster")
        return Windows(track, numbers, codes, self.plan_.shape, self.plan_.log, self.level_, self.plan_.least)

    def _network(self, windows: Windows) -> ForecastNetwork:
        exogenous = sum(part.shape[-1] for part in windows.numbers)
        cards = self.exogenous_.cardinalities
        shape = self.plan_.shape
        columns = Columns(shape.features + exogenous, shape.candidates, len(cards))
        return ForecastNetwork(columns, cards, OUTPUTS[self.output](), **self.stack())

    # -- the run folder --------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        _, history = pack_panel(self.panel_)
        learned = {"level": list(self.level_), "exogenous": self.exogenous_.to_json()}
        return {"plan": self.plan_.to_json(), **learned, "history": history}

    def _tensors(self) -> dict[str, Tensor]:
        return pack_panel(self.panel_)[0]

    def _restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.plan_ = Plan.from_json(state["plan"])
        self.level_ = (state["level"][0], state["level"][1])
        self.exogenous_ = Exogenous.from_json(state["exogenous"])
        self.panel_ = unpack_panel(dict(tensors), state["history"])
        self.network_ = self._network(self.windows(self.panel_, 0))
