"""What models are compared on, by problem shape: how one learns, what its answers cost, how long an answer takes."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np

from elman.data import Panel
from elman.data.corpus import Corpus
from elman.data.inputs import Names, as_numbers
from elman.data.on_disk import Text
from elman.errors import DataError, OptionError
from elman.estimators import AnomalyDetector, Forecaster, LanguageModel
from elman.estimators.base import Estimator, changed, of_kind
from elman.estimators.forecasting.backtest import Backtest
from elman.estimators.sequences.base import SequenceEstimator
from elman.estimators.transduction.base import TextEstimator
from elman.evidence import anomalies, metrics, next_token, phrases, simple
from elman.evidence.anomaly_study import WatchExamples, alarmed, simple_detectors
from elman.evidence.baselines import BASELINES, Forecast, LocalBaseline, run_baselines
from elman.evidence.label_study import Examples
from elman.evidence.labels import Labelled, joined, judged_by
from elman.evidence.language_study import kind_of
from elman.evidence.losses import MEASURES, block_losses, blocks
from elman.evidence.significance import unit_means, units
from elman.evidence.study import LEVELS, SERIES, scored, season_of
from elman.evidence.texts import KINDS

Array = np.ndarray
PUSHES, READS = 200, 5
"""how often a step, or a whole sequence, is answered for its median time"""
UNLABELLED = "compare: detectors are judged by labels, got none. Name their column, 1 for an anomaly: --label COL."


@dataclass
class Contest(ABC):
    """Data, and a net to be varied.

    measure, higher  what decides, and whether more of it is better
    unit             what a loss is of; losses of different ones are independent
    data             a part of it as `diagnose` takes it: no model learned from it, or not from the end that is judged
    explains         whether R² on that says what a model is worth
    """

    estimator: Any
    measure: str = ""
    higher: bool = False
    unit: str = "sequences"
    data: tuple[Any, ...] = ()
    explains: bool = False

    @abstractmethod
    def fit(self, model: Any) -> None:
        """Lets a model learn; it sees nothing that is judged by."""

    @abstractmethod
    def judge(self, model: Any) -> tuple[Array, float]:
        """The losses (N,) of a model that has learned, of each unit, and its score."""

    def keep(self, model: Any) -> Any:
        """What to use of a model that was judged, from now on: it, or the same once more from all data."""
        return model

    @abstractmethod
    def baselines(self) -> Mapping[str, Any]:
        """What a net is held against, by name, the simplest first. Raises `OptionError` where nothing is comparable."""

    @abstractmethod
    def answer_seconds(self, model: Any) -> float:
        """Seconds until a model has an answer when one more step has come, see `answer_seconds`."""


def answer_seconds(model: Any, steps: Sequence[Any], whole: Callable[[], Any]) -> float:
    """Seconds from one more step to the answer: of a push where a model streams, else of answering anew, by `whole`."""
    try:
        push, steps = model.stream().push, list(islice(cycle(steps), PUSHES))
        return _median_seconds([lambda step=step: push(step) for step in steps])
    except (OptionError, AttributeError):  # it needs the whole sequence
        return _median_seconds([whole] * READS)


def _median_seconds(calls: Sequence[Callable[[], Any]]) -> float:
    times = []
    for call in calls:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


class PairContest(Contest, ABC):
    """Sequences and something for each of them."""

    def __init__(self, estimator: Any, examples: Examples) -> None:
        super().__init__(estimator, data=(examples.X_test, examples.y_test))
        self.examples = examples

    def fit(self, model: Any) -> None:
        model.fit(self.examples.X, self.examples.y)

    def answer_seconds(self, model: Any) -> float:
        return _median_seconds([lambda: model.predict([self.examples.X_test[0]])] * READS)


class LabelContest(PairContest):
    """Labels of sequences, or of their steps."""

    def __init__(self, estimator: SequenceEstimator, examples: Examples) -> None:
        super().__init__(estimator, examples)
        self.explains = True
        self.truth, self.group = joined(examples.y_test, steps=estimator.per_step)
        measures, self.loss = judged_by(self.truth, steps=estimator.per_step)
        self.measure, self.of = next(iter(measures.items()))
        self.higher = self.of.higher

    def judge(self, model: Any) -> tuple[Array, float]:
        found = Labelled.of(model.predict(self.examples.X_test), 0.0, 0.0).labels
        return self.loss(self.truth, found, self.group), self.of.of(self.truth, found, self.group)

    def answer_seconds(self, model: Any) -> float:
        x = self.examples.X_test[0]
        codes = getattr(model, "inputs_", None)
        steps = codes.cut(x) if isinstance(codes, Names) else list(as_numbers([x], None, "compare")[0]) if codes else []
        return answer_seconds(model, steps, lambda: model.predict([x]))

    def baselines(self) -> Mapping[str, Any]:
        return simple.baselines(self.estimator, self.examples.X, self.examples.y)


class TextContest(PairContest):
    """Texts of sequences: translations, transcripts, captions."""

    unit = "texts"

    def __init__(self, estimator: TextEstimator, examples: Examples) -> None:
        super().__init__(estimator, examples)
        self.kind = KINDS[estimator.kind]
        self.measure, self.of = next(iter(self.kind.measures.items()))
        self.higher, self.unit = self.kind.higher, "texts"

    def judge(self, model: Any) -> tuple[Array, float]:
        truth, found = list(self.examples.y_test), list(model.predict(self.examples.X_test))
        return np.array([self.kind.loss(t, f) for t, f in zip(truth, found, strict=True)]), self.of(truth, found)

    def baselines(self) -> Mapping[str, Any]:
        return phrases.baselines(self.estimator, self.examples.X)


class LanguageContest(Contest):
    """The next token of texts, or the next frame of notes."""

    def __init__(self, estimator: LanguageModel, corpus: Corpus) -> None:
        super().__init__(estimator, data=(list(corpus.test),))
        self.learn, self.test = list(corpus.learn), list(corpus.test)
        self.validation = list(corpus.validation) or None
        # Its tokens are what the baselines read, and its other arguments are theirs, too.
        self.reader = changed(estimator, max_steps=1)
        self.fit(self.reader)
        self.reader.set_params(max_steps=estimator.max_steps)
        self.learned, self.judged = (self.reader.encode(texts) for texts in (self.learn, self.test))
        self.measure, self.of = next(iter(MEASURES[kind_of(self.reader)].items()))
        block, self.place = blocks([len(codes) - 1 for codes in self.judged])
        self.unit = "texts" if block is None else f"blocks of {block} tokens"

    def fit(self, model: Any) -> None:
        if isinstance(model, LanguageModel):
            model.fit(self.learn, X_validation=self.validation)
        else:
            model.fit(self.learned)

    def judge(self, model: Any) -> tuple[Array, float]:
        texts = self.test if isinstance(model, LanguageModel) else self.judged
        losses = np.concatenate(model.losses(texts))
        return block_losses(losses, self.place), self.of(losses)

    def baselines(self) -> Mapping[str, Any]:
        held = [] if self.validation is None else self.reader.encode(self.validation)
        return {model.name: model for model in next_token.baselines(self.reader, held)}

    def answer_seconds(self, model: Any) -> float:
        text, words = self.test[0], self.reader.inputs_
        codes = self.judged[0][:PUSHES]
        steps = codes if words is None else words.cut(text)[:PUSHES]
        if isinstance(model, LanguageModel):
            return answer_seconds(model, steps, lambda: model.losses([text]))
        return _median_seconds([lambda: model.losses([codes])] * READS) / len(codes)


class SimpleForecast:
    """A baseline by its label, in the place of a forecaster."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.forecast: Any = None


class ForecastContest(Contest):
    """The next steps of many series, in the last windows of each.

    season: of the seasonal naive forecast and of MASE, in steps; None: the shortest of the data's frequency.
    """

    def __init__(
        self, estimator: Forecaster, panel: Panel, n_windows: int = 3, season: int | None = None, most: int = SERIES
    ) -> None:
        super().__init__(estimator, measure="MASE", data=(panel,))
        self.test = Backtest.plan(panel, estimator.horizon, n_windows, None, LEVELS)
        self.season = season_of(estimator, panel) if season is None else season
        self.rows = scored(self.test.truth, panel, most)
        self.truth = self.test.truth[self.rows]
        self.histories = [self.test.histories[row] for row in self.rows]
        self.series = [self.test.series[row] for row in self.rows]
        everyone = np.asarray(self.truth, dtype=float)[..., None] * np.zeros(len(LEVELS))
        terms = self._terms(everyone)
        if not len(self.rows) or not np.isfinite(terms).any():
            raise DataError("compare: no window has a value to judge by and a history to scale by. Give more data.")
        self.kept = np.isfinite(terms)
        self.group, self.unit = units([name for name, kept in zip(self.series, self.kept, strict=True) if kept])

    def _terms(self, quantiles: Array) -> Array:
        return metrics.mase_windows(self.truth, metrics.median(quantiles, LEVELS), self.histories, self.season)

    def fit(self, model: Any) -> None:
        if isinstance(model, SimpleForecast):
            options: dict[str, Any] = {"series": self.series, "names": [model.label]}
            found = run_baselines(self.histories, self.estimator.horizon, self.season, LEVELS, **options)
            model.forecast = found[model.label]
        else:
            model.fit(self.test.windows[0].history)

    def keep(self, model: Any) -> Any:
        """It forecasts from the end of what it learned from, which is to be the data's end."""
        return changed(model).fit(*self.data)

    def judge(self, model: Any) -> tuple[Array, float]:
        if isinstance(model, SimpleForecast):
            quantiles = model.forecast.quantiles
        else:
            windows = [model.quantiles(w.history, model.horizon, LEVELS) for w in self.test.windows]
            quantiles = np.concatenate(windows)[self.rows]
        terms = self._terms(quantiles)[self.kept]
        if not np.isfinite(terms).all():
            raise DataError("compare: a window had too little recent history to forecast from. Lengthen the context.")
        return unit_means(terms, self.group), float(terms.mean())

    def baselines(self) -> Mapping[str, Any]:
        return {label: SimpleForecast(label) for label in BASELINES}

    def answer_seconds(self, model: Any) -> float:
        if isinstance(model, SimpleForecast):
            found: Forecast = model.forecast
            again = issubclass(BASELINES[model.label], LocalBaseline)  # such learn each window anew
            return (found.predict_seconds + again * found.fit_seconds) / len(self.rows)
        history = self.test.windows[-1].history
        return _median_seconds([lambda: model.quantiles(history)] * READS) / len(history)


class DetectorContest(Contest):
    """What is normal, learned from normal data."""

    def __init__(self, estimator: AnomalyDetector, examples: WatchExamples, **how: Any) -> None:
        super().__init__(estimator, **how)
        self.examples = examples

    def fit(self, model: Any) -> None:
        model.fit(self.examples.X)

    def answer_seconds(self, model: Any) -> float:
        x = self.examples.X_test[0]
        return answer_seconds(model, list(x[:PUSHES]), lambda: model.surprise([x]))


class NormalContest(DetectorContest):
    """What is normal: the surprise at steps that are held to be normal, too."""

    def __init__(self, estimator: AnomalyDetector, examples: WatchExamples) -> None:
        super().__init__(estimator, examples, measure="surprise in nats", data=(examples.X_test,))
        block, self.place = blocks([len(a) for a in examples.X_test])
        self.unit = "sequences" if block is None else f"blocks of {block} steps"

    def judge(self, model: Any) -> tuple[Array, float]:
        surprise = np.concatenate(model.surprise(self.examples.X_test))
        known = np.isfinite(surprise)
        return block_losses(surprise[known], self.place[known]), float(surprise[known].mean())

    def baselines(self) -> Mapping[str, Any]:
        raise DataError(UNLABELLED)


class WatchContest(DetectorContest):
    """What is normal, learned from normal data, and alarms that are judged by labels."""

    def __init__(self, estimator: AnomalyDetector, examples: WatchExamples) -> None:
        super().__init__(estimator, examples, measure="F1", higher=True)
        if examples.truth is None:
            raise DataError(UNLABELLED)
        if not np.concatenate(examples.truth).any():
            raise DataError("compare: detectors are judged by anomalies, got none among the test labels. Give --test.")
        self.truth = examples.truth
        self.unit = anomalies.unit_of(self.truth)

    def judge(self, model: Any) -> tuple[Array, float]:
        said = alarmed(model, self.examples.X_test, self.examples.each_step)
        return anomalies.wrong(said.alarms, self.truth), anomalies.measures(said, self.truth)[self.measure]

    def baselines(self) -> Mapping[str, Any]:
        return simple_detectors(self.estimator)


def _watch_contest(detector: AnomalyDetector, data: Sequence[Any], share: float) -> Contest:
    if isinstance(data[0], WatchExamples):
        return WatchContest(detector, data[0])
    if len(data) > 1 and data[1] is not None:
        return WatchContest(detector, WatchExamples.split(data[0], data[1], share, 0))
    return NormalContest(detector, WatchExamples.split(data[0], None, share, 0))


def _corpus(texts: Any, share: float) -> Corpus:
    """Texts with some to judge by."""
    if isinstance(texts, Corpus):
        return texts
    return Corpus((texts,) if isinstance(texts, str | Text) else tuple(texts)).split(share, 0)


def _examples(data: Sequence[Any], share: float) -> Examples:
    return data[0] if isinstance(data[0], Examples) else Examples.split(data[0], data[1], share, 0)


_CONTESTS: dict[type[Estimator], Callable[..., Contest]] = {
    Forecaster: lambda model, data, share, **how: ForecastContest(model, model.read(data[0]), **how),
    LanguageModel: lambda model, data, share: LanguageContest(model, _corpus(data[0], share)),
    SequenceEstimator: lambda model, data, share: LabelContest(model, _examples(data, share)),
    TextEstimator: lambda model, data, share: TextContest(model, _examples(data, share)),
    AnomalyDetector: _watch_contest,
}


def contest_of(estimator: Estimator, *data: Any, share: float = 0.2, **options: Any) -> Contest:
    """The contest of an estimator's shape: for one that labels or writes texts `Examples`, or X and y, a share of which
    is judged by; for an `AnomalyDetector` `WatchExamples`, X and y likewise, or normal sequences alone; for a
    `Forecaster` a table or `Panel`, for a `LanguageModel` a `Corpus` or texts, of both a share again.

    Raises `OptionError` for other estimators, `DataError` for detectors without labels.
    """
    contest = of_kind(estimator, _CONTESTS)
    if contest is None:
        raise OptionError(f"compare: expected an estimator of elman, got {type(estimator).__name__}. Give one.")
    return contest(estimator, data, share, **options)
