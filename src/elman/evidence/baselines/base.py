"""What every baseline shares: the task, its checks, the clock, and what replaces a method that can't forecast."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, OptionError, ShapeError

Floats = NDArray[np.float64]
Predictor = Callable[[int, Floats], Floats]
"""(horizon H, levels (Q,)) → quantiles (H, Q) of one window."""

FAILURES = (ValueError, ArithmeticError, LookupError, RuntimeError)
"""What statsmodels and LAPACK raise on data that they can't fit (LinAlgError is a ValueError)."""


class CannotFitError(ValueError):
    """A window lacks what the method needs (length, variation, convergence); the message becomes the count's reason."""


@dataclass(frozen=True)
class Task:
    """Windows to forecast. histories: N float vectors, each with a value; horizon H, season m: steps; levels: (Q,).

    series: (N,) number of each window's series.

    >>> Task.build([[1.0, float("nan"), 3.0]], 2, 1, (0.1, 0.5, 0.9)).horizon
    2
    """

    histories: list[Floats]
    horizon: int
    season: int
    levels: Floats
    series: NDArray[np.int64]

    @classmethod
    def build(
        cls,
        histories: Sequence[ArrayLike],
        horizon: int,
        season: int,
        levels: Sequence[float],
        series: Sequence[object] | None = None,
    ) -> Task:
        """Checks and converts. Raises ShapeError, OptionError, or DataError for a window without any observation."""
        vectors = [np.asarray(history, dtype=float) for history in histories]
        for number, vector in enumerate(vectors):
            if vector.ndim != 1:
                raise ShapeError(
                    f"baselines: history {number} must be (T,), got {vector.shape}. Give one vector a window."
                )
            if not np.isfinite(vector).any() or np.isinf(vector).any():
                raise DataError(
                    f"baselines: history {number} must hold a finite value and no infinity, got {len(vector)} steps "
                    "without. Leave this window out or mark infinities as NaN."
                )
        for name, value in (("horizon", horizon), ("season", season)):
            if value != int(value) or value < 1:
                raise OptionError(f"baselines: {name} must be 1 step or more, got {value}. Give a positive integer.")
        tau = np.asarray(levels, dtype=float)
        if tau.ndim != 1 or not tau.size or np.any(np.diff(tau) <= 0) or tau[0] <= 0 or tau[-1] >= 1:
            raise OptionError(f"baselines: levels must ascend within (0, 1), got {tuple(levels)}. Sort them.")
        names = list(range(len(vectors))) if series is None else list(series)
        if len(names) != len(vectors):
            raise ShapeError(
                f"baselines: series must be one name a window, {len(vectors)}, got {len(names)}. Repeat per cutoff."
            )
        number_of = {name: number for number, name in enumerate(dict.fromkeys(names))}
        numbers = np.array([number_of[name] for name in names], dtype=np.int64)
        return cls(vectors, int(horizon), int(season), tau, numbers)


@dataclass
class Forecast:
    """A method's answer. quantiles: (N, H, Q); seconds for all windows; fallbacks: {window: why it was replaced}."""

    quantiles: Floats
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    fallbacks: dict[int, str] = field(default_factory=dict)


class Baseline(ABC):
    """A forecast to beat. A subclass names itself in `label` and answers a Task by `_forecast`.

    A constant history is forecast as that constant with intervals of zero width, by all methods alike. A window that
    a method can't fit is forecast by the seasonal naive method (which itself falls back to the last value), and
    counted with its reason in `Forecast.fallbacks`: a crash would cost the user the whole scoreboard.
    """

    label: ClassVar[str]
    summary: ClassVar[str]

    def forecast(self, task: Task) -> Forecast:
        """Quantiles, seconds and fallbacks for every window; the levels never cross."""
        # Dropped: what matters in them comes back as a counted fallback. "ignore" alone would not do: statsmodels
        # sets "always" for its own when it is first imported, which is in here. So they are recorded as well.
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("ignore")
            answer = self._forecast(task)
        for number, history in enumerate(task.histories):
            seen = history[~np.isnan(history)]
            if np.all(seen == seen[0]):
                answer.quantiles[number] = seen[0]
                answer.fallbacks.pop(number, None)
        answer.quantiles = np.sort(answer.quantiles, axis=2)
        return answer

    def fit_predict(self, histories: Sequence[ArrayLike], horizon: int, season: int, levels: Sequence[float]) -> Floats:
        """The quantiles alone: N histories → (N, H, Q). See `run_baselines` for several cutoffs of one series."""
        return self.forecast(Task.build(histories, horizon, season, levels)).quantiles

    @abstractmethod
    def _forecast(self, task: Task) -> Forecast:
        """Answers `task`; may leave constant windows unsolved."""


class LocalBaseline(Baseline):
    """A baseline that knows one window at a time: a subclass gives `fit_window`."""

    @abstractmethod
    def fit_window(self, history: Floats, season: int) -> Predictor:
        """Learns one history (T,) and gives what forecasts it. Raises one of FAILURES when it can't."""

    def _forecast(self, task: Task) -> Forecast:
        answer = Forecast(np.empty((len(task.histories), task.horizon, len(task.levels))))
        for number, history in enumerate(task.histories):
            begin = time.perf_counter()
            fitted = begin
            try:
                predictor = self.fit_window(history, task.season)
                fitted = time.perf_counter()
                quantiles = predictor(task.horizon, task.levels)
                if not np.isfinite(quantiles).all():
                    raise CannotFitError("the forecast isn't finite")
            except FAILURES as problem:
                quantiles = fall_back(task, number)
                answer.fallbacks[number] = reason_of(problem)
            answer.quantiles[number] = quantiles
            answer.fit_seconds += fitted - begin
            answer.predict_seconds += time.perf_counter() - fitted
        return answer


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Holds BLAS to one thread: on a small filter's matrices its threads wait for each other (measured: 10× slower)."""
    import scipy.linalg  # noqa: F401  loads SciPy's own BLAS, which could not be held before
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def reason_of(problem: Exception) -> str:
    """One short line from an exception, fit for a table.

    >>> reason_of(ValueError("matrix is singular\\nand more"))
    'matrix is singular'
    """
    return (str(problem).splitlines() or [type(problem).__name__])[0][:120]


def fall_back(task: Task, number: int) -> Floats:
    """The seasonal naive forecast of one window, else the last value: these can always be had.  → (H, Q)"""
    # Imported here: these two are LocalBaselines themselves, so they import this module.
    from elman.evidence.baselines.last_value import LastValue
    from elman.evidence.baselines.seasonal_naive import SeasonalNaive

    history = task.histories[number]
    try:
        return SeasonalNaive().fit_window(history, task.season)(task.horizon, task.levels)
    except CannotFitError:
        return LastValue().fit_window(history, task.season)(task.horizon, task.levels)


def normal_quantiles(mean: ArrayLike, sigma: ArrayLike, levels: Floats) -> Floats:
    """Quantiles of N(mean, sigma²): (H,), (H,), (Q,) → (H, Q).

    >>> normal_quantiles([0.0], [1.0], np.array([0.5, 0.975])).round(2).tolist()
    [[0.0, 1.96]]
    """
    z = np.array([NormalDist().inv_cdf(float(level)) for level in levels])
    return np.asarray(mean, dtype=float)[:, None] + np.asarray(sigma, dtype=float)[:, None] * z


def fill_gaps(history: Floats) -> Floats:
    """Missing values put in by straight lines between neighbours; the ends are held. For methods that need all steps.

    >>> fill_gaps(np.array([np.nan, 1.0, np.nan, 3.0, np.nan])).tolist()
    [1.0, 1.0, 2.0, 3.0, 3.0]
    """
    seen = ~np.isnan(history)
    if seen.all():
        return history
    at = np.arange(len(history))
    return np.interp(at, at[seen], history[seen])
