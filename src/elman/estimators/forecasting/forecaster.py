"""`Forecaster`: one recurrent net over many series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from elman.data import Panel, future_from_frame, panel_from_frame, seasons
from elman.errors import DataError, OptionError
from elman.estimators.base import Estimator, one_of, seed_of, seeded, sha256, whole
from elman.estimators.forecasting.backtest import Backtest, backend_of, intervals
from elman.estimators.forecasting.exogenous import Exogenous
from elman.estimators.forecasting.history import pack_panel, unpack_panel
from elman.estimators.forecasting.network import Columns, ForecastNetwork
from elman.estimators.forecasting.outputs import LEVELS, OUTPUTS
from elman.estimators.forecasting.rollout import direct, sampled
from elman.estimators.forecasting.track import Track, side_by_side
from elman.estimators.forecasting.windows import LastWindows, SampledWindows, Shape, Windows, enough_steps
from elman.recurrent import Recurrent
from elman.training.progress import Progress
from elman.training.settings import TrainingSettings

Array = np.ndarray
EPOCH = 50
"""batches of random windows that are called an epoch, by convention: how often progress is written down"""


class Forecaster(Estimator):
    """Forecasts of many series by one recurrent net, with prediction intervals.

    The net reads a window of C steps and says, for each of the next H steps, how far the value will be from a simple
    guess: a mixture, which it also learns, of the last value, the value one season ago and the mean of four seasons.
    Before training it is a seasonal naive forecast. Values are standardised within their window, and their logarithm
    is taken where all are positive; forecasts come back in the data's units.

    horizon       H, steps to forecast
    cell          name in `elman.CATALOGUE`, or your own `Cell`
    hidden_size, num_layers, dropout, layer_norm, zoneout, recurrent_dropout, backend   of the `Recurrent` stack
    strategy      "direct": all H steps at once; "recursive": each step is fed to the next, for any horizon
    output        "quantile", "gaussian", "student-t", or "negative-binomial" for counts
    context       C, steps; None: the larger of 2 H and the shortest season + H
    season_length steps of the seasons, a number or several; "auto": from the frequency; None: none
    transform     "auto", "log" or "none"
    time, target, series, freq, gaps   columns, frequency and treatment of missing rows: see `panel_from_frame`
    past, future, static   covariate columns: known up to now, known in advance, constant in a series
    calendar      whether to read the time of day, week, month and year: what comes round twice in the longest series
    max_steps     of training; None: by the amount of data, see `enough_steps`
    batch_size, learning_rate, weight_decay, warmup, average, clip_norm, patience, validate_every, precision,
    accelerator   of the training: see `TrainingSettings`; with `patience` each series' last H steps are
                  held out to stop early
    paths         sampled futures of the recursive strategy
    random_state  an int gives the same forecasts again

    Raises `OptionError`, `UnknownNameError`, `DataError`, `DivergenceError`, `Interrupted`; each in one line.

    Quantile forecasts: Wen et al. 2017, arXiv:1711.11053; recursive sampling: Salinas et al. 2017, arXiv:1704.04110.

    >>> import pandas as pd, numpy as np
    >>> frame = pd.DataFrame({"ds": pd.date_range("2024", periods=60), "y": np.tile([5.0, 6, 7, 6, 5, 2, 1], 9)[:60]})
    >>> forecaster = Forecaster(horizon=7, hidden_size=8, max_steps=2).fit(frame)
    >>> forecaster.predict().columns.tolist()
    ['ds', 'median', 'lo-80', 'hi-80', 'lo-95', 'hi-95']
    """

    _stack: ClassVar[tuple[str, ...]] = (
        *("num_layers", "dropout", "layer_norm", "zoneout", "recurrent_dropout", "backend"),
    )
    steps_ = 1  # of training, until `fit` knows the data

    def __init__(
        self,
        *,
        horizon: int,
        cell: Any = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        layer_norm: bool = False,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        backend: str = "auto",
        strategy: str = "direct",
        output: str = "quantile",
        context: int | None = None,
        season_length: int | Sequence[int] | str | None = "auto",
        transform: str = "auto",
        time: str = "ds",
        target: str = "y",
        series: str | None = "unique_id",
        freq: str | int | None = None,
        gaps: str = "error",
        past: Sequence[str] = (),
        future: Sequence[str] = (),
        static: Sequence[str] = (),
        calendar: bool = True,
        max_steps: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 0.01,
        weight_decay: float = 1e-4,
        warmup: int | float = 0.1,
        average: float | None = 0.99,
        clip_norm: float | None = 1.0,
        patience: int | None = None,
        validate_every: int | None = None,
        precision: str = "32-true",
        accelerator: str = "auto",
        paths: int = 200,
        random_state: Any = 0,
    ) -> None:
        self.horizon = horizon
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.zoneout = zoneout
        self.recurrent_dropout = recurrent_dropout
        self.backend = backend
        self.strategy = strategy
        self.output = output
        self.context = context
        self.season_length = season_length
        self.transform = transform
        self.time = time
        self.target = target
        self.series = series
        self.freq = freq
        self.gaps = gaps
        self.past = past
        self.future = future
        self.static = static
        self.calendar = calendar
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.average = average
        self.clip_norm = clip_norm
        self.patience = patience
        self.validate_every = validate_every
        self.precision = precision
        self.accelerator = accelerator
        self.paths = paths
        self.random_state = random_state

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
        self._check_options()
        panel = self.read(frame)
        self.shape_ = self._make_shape(panel)
        held = self.horizon if self.patience is not None else 0
        self._check_lengths(panel, held)
        self.log_ = self._use_log(panel)
        self.exogenous_ = Exogenous.fit(panel, self.calendar)
        self.level_ = (0.0, 1.0)
        lengths = panel.lengths
        self.steps_ = enough_steps(lengths - held, self.horizon)
        windows = self._windows(panel, 0)
        scale = windows.scale(np.arange(len(panel)), lengths)
        self.level_ = windows.level = (float(scale.level.mean()), float(scale.level.std()) or 1.0)
        self.panel_ = panel.tail(self.shape_.memory)
        train = SampledWindows(windows, lengths - held, self.batch_size, EPOCH, self.seed_)
        validation = LastWindows(windows, lengths, 256) if held else None
        self.hash_ = train.fingerprint()
        network = seeded(self.seed_, lambda: self._network(windows))
        self._train(network, train, validation, folder, resume, progress)
        return self

    def read(self, frame: Any) -> Panel:
        """The table as a `Panel`, by this forecaster's columns; raises `DataError` where it cannot be used."""
        if isinstance(frame, Panel):
            return frame
        names = ("time", "target", "series", "freq", "past", "future", "static", "gaps")
        return panel_from_frame(frame, **{name: getattr(self, name) for name in names}, where="Forecaster")

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
        panel = self.panel_ if frame is None else self.read(frame)
        horizon = self.horizon if horizon is None else whole("Forecaster.predict", "horizon", horizon)
        if panel.future and future is None:
            names = ", ".join(panel.future)
            raise DataError(
                f"Forecaster.predict: future covariates ({names}) must be known for {horizon} steps after the history, "
                "got none. Pass a table with them as `future` (command: --future-file)."
            )
        if future is not None:
            panel = future_from_frame(panel, future, horizon)
        columns = intervals(level)
        q = self.quantiles(panel, horizon, list(columns.values()))
        named = {name: q[..., k] for k, name in enumerate(columns)}
        return panel.forecast_frame(named, backend or backend_of(frame))

    def quantiles(self, panel: Panel, horizon: int | None = None, levels: Sequence[float] = LEVELS) -> Array:
        """Forecast quantiles (N, H, Q) after the end of each series of a panel, in the data's units."""
        self._check_fitted()
        horizon = self.horizon if horizon is None else horizon
        if horizon > self.horizon and self.strategy == "direct":
            raise OptionError(
                f"Forecaster.predict: horizon must be at most {self.horizon}, as fitted, got {horizon}. Fit with the "
                'longer horizon, or with strategy="recursive", which forecasts any.'
            )
        panel = panel.tail(self.shape_.memory)
        windows, cutoff = self._windows(panel, horizon), panel.lengths
        wanted = torch.tensor(list(levels), dtype=torch.float64)
        if self.strategy == "direct":
            q = direct(self.network_, windows, cutoff, horizon, wanted)
        else:
            q = sampled(self.network_, windows, cutoff, horizon, wanted, self.paths, self.seed_)
        return np.exp(q) if self.log_ else q

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
        self._check_options()
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

    def check(self, panel: Panel, n_windows: int = 0) -> None:
        """Raises what `fit`, after a backtest of so many windows, would raise for options and data; trains nothing."""
        self._check_options()
        first = Backtest.plan(panel, self.horizon, n_windows, None, LEVELS).windows[0].history if n_windows else panel
        self.shape_ = self._make_shape(first)
        self._check_lengths(first, self.horizon if self.patience is not None else 0)
        self.log_ = self._use_log(panel)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _check_options(self) -> None:
        self.seed_ = seed_of(self.random_state)
        whole("Forecaster", "horizon", self.horizon)
        whole("Forecaster", "paths", self.paths, 2)
        if self.context is not None:
            whole("Forecaster", "context", self.context)
        one_of("Forecaster", "strategy", self.strategy, ("direct", "recursive"))
        one_of("Forecaster", "output", self.output, tuple(OUTPUTS))
        one_of("Forecaster", "transform", self.transform, ("auto", "log", "none"))
        Recurrent(self.cell, 1, self.hidden_size, device="meta", **{n: getattr(self, n) for n in self._stack})
        self._settings()

    def _settings(self) -> TrainingSettings:
        chosen = {name: getattr(self, name) for name in self._training}
        chosen["max_steps"] = self.steps_ if self.max_steps is None else self.max_steps
        return TrainingSettings(max_epochs=None, seed=self.seed_, **chosen)

    def _make_shape(self, panel: Panel) -> Shape:
        given = self.season_length
        if given == "auto":
            found = seasons(panel.freq)
        elif isinstance(given, str):
            raise OptionError(f"Forecaster: season_length must be a number of steps or several, got {given!r}.")
        else:
            several = () if given is None else given if isinstance(given, Sequence) else (given,)
            found = tuple(whole("Forecaster", "season_length", s, 2) for s in several)
        shortest = min(found, default=0)
        context = self.context or max(2 * self.horizon, shortest + self.horizon)
        # A season of which no series holds two cannot be learned; it would only be noise.
        longest = int(panel.lengths.max())
        return Shape(context, self.horizon, tuple(s for s in found if 2 * s <= longest), self.strategy == "recursive")

    def _check_lengths(self, panel: Panel, held: int) -> None:
        least = self.horizon + held + 1
        short = panel.lengths < least
        if short.any():
            first = int(np.argmax(short))
            more = f" (and {int(short.sum()) - 1} more)" if short.sum() > 1 else ""
            raise DataError(
                f"Forecaster: every series must have at least {least} steps for a horizon of {self.horizon}, got "
                f"{panel.lengths[first]} in {panel.ids[first]!r}{more}. Shorten the horizon or leave such series out."
            )

    def _use_log(self, panel: Panel) -> bool:
        low = min(float(np.nanmin(y)) for y in panel.y)
        if self.transform == "log" and low <= 0:
            raise DataError(f"Forecaster: transform='log' needs positive values, got {low:g}. Use transform='none'.")
        if self.output == "negative-binomial":
            whole_numbers = all(np.nanmax(np.abs(y - np.round(y))) == 0 for y in panel.y)
            if low < 0 or not whole_numbers or self.transform == "log":
                raise DataError(
                    "Forecaster: output='negative-binomial' needs counts 0, 1, 2 … and no log, got other values. "
                    "Use output='student-t' or 'quantile'."
                )
            return False
        return self.transform == "log" or (self.transform == "auto" and low > 0)

    def _windows(self, panel: Panel, horizon: int) -> Windows:
        values: Sequence[Array] = panel.y
        if self.log_:
            if (low := min(float(np.nanmin(y, initial=np.inf)) for y in panel.y)) <= 0:
                raise DataError(
                    f"Forecaster: values must be positive as they were in training, where the logarithm was taken, "
                    f"got {low:g}. Train with transform='none'."
                )
            values = [np.log(y) for y in panel.y]
        track = Track(side_by_side(values, horizon), self.shape_.seasons)
        numbers = self.exogenous_.numbers(panel, horizon, "Forecaster")
        codes = self.exogenous_.codes(panel, horizon, "Forecaster")
        return Windows(track, numbers, codes, self.shape_, self.log_, self.level_)

    def _network(self, windows: Windows) -> ForecastNetwork:
        exogenous = sum(part.shape[-1] for part in windows.numbers)
        cards = self.exogenous_.cardinalities
        columns = Columns(self.shape_.features + exogenous, self.shape_.candidates, len(cards))
        options = {name: getattr(self, name) for name in self._stack}
        return ForecastNetwork(columns, cards, OUTPUTS[self.output](), self.cell, self.hidden_size, **options)

    # -- the run folder --------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        shape = {"context": self.shape_.context, "seasons": list(self.shape_.seasons)}
        _, history = pack_panel(self.panel_)
        learned = {"log": self.log_, "level": list(self.level_), "exogenous": self.exogenous_.to_json()}
        return {"shape": shape, **learned, "history": history}

    def _tensors(self) -> dict[str, Tensor]:
        return pack_panel(self.panel_)[0]

    def _restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        shape = state["shape"]
        self.shape_ = Shape(shape["context"], self.horizon, tuple(shape["seasons"]), self.strategy == "recursive")
        self.log_, self.level_ = state["log"], (state["level"][0], state["level"][1])
        self.exogenous_ = Exogenous.from_json(state["exogenous"])
        self.panel_ = unpack_panel(dict(tensors), state["history"])
        self.network_ = self._network(self._windows(self.panel_, 0))

    def _hash(self) -> str:
        return sha256([self.hash_.encode()])
