"""`AnomalyDetector`: which sequences, and which of their steps, are unlike the normal ones that it learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import OutlierMixin
from torch import Tensor

from elman.data.batching import PaddedBatches, digest
from elman.data.inputs import Numbers, as_numbers, as_sequences, inputs_from_json
from elman.errors import DataError, OptionError
from elman.estimators.anomalies.alarm import POOLINGS, Alarm
from elman.estimators.anomalies.causal import DetectorStep
from elman.estimators.anomalies.network import AutoencoderNetwork, NextStepNetwork, SurpriseNetwork
from elman.estimators.anomalies.parts import Parts, windows
from elman.estimators.base import Estimator, one_of, seed_of, seeded, whole
from elman.estimators.pairs import by_length, enough_steps
from elman.training.progress import Progress

METHODS = {"forecast": 128, "autoencoder": 32}
"""how a step is judged, and the steps of a window unless asked for otherwise"""
OUTPUTS = ("gaussian", "student-t")
AT_ONCE = 64
"""windows, or signals, that are read side by side"""


@dataclass(frozen=True)
class Watched:
    """What a detector says of one sequence of T steps.

    scores    (T,) the smoothed surprise, in nats: greater is stranger
    alarms    (T,) of bool: whether the score is above the threshold
    expected  (T, F) what the net held for normal, in the data's units
    """

    scores: np.ndarray
    alarms: np.ndarray
    expected: np.ndarray


EMPTY = "X must have a value to learn from, got none. Give more normal data."


@dataclass(kw_only=True, eq=False, repr=False)
class AnomalyDetector(OutlierMixin, Estimator):
    """Learns what is normal from sequences held to be normal, and says what is not.

    X is a list (or array) of N sequences of numbers (T, F) or, for one feature, (T,); lengths may differ; a missing
    number is NaN. One long signal is a list of one.

    method        "forecast": the surprise at each step after those before it, which alone it depends on, so that the
                  alarm comes with the step; "autoencoder": at a step that its window's vector does not give back
    output        the distribution that the surprise -log p is of: "gaussian", or "student-t", which a few wild values
                  in the normal data disturb less
    window        steps that are learned from at once, and of the autoencoder judged at once; None: 128 of the forecast,
                  32 of the autoencoder. Longer sequences are cut
    lags          steps that the linear autoregression beside the net reads
    smooth        steps whose mean surprise is a step's score, itself the last of them
    pooling       the score of a sequence: the "max" or the "mean" of its steps'
    false_alarms  share of normal steps, and of normal sequences, that is expected to be flagged
    validation    share of X that is held back to choose the best weights by
    calibration   share of X that is held back to set the thresholds by

    inputs_  how X becomes numbers
    alarm_   `Alarm`: the thresholds, of steps and of sequences, and how many normal scores they stand on
    offset_  minus the threshold of sequences, as scikit-learn has it

    Of fewer than 20 sequences the end of each is held back, rather than some sequences; then the threshold of sequences
    is that of stretches as long as a window. Of a sequence's first step the forecast says nothing: it comes out as
    usual. A value that does not change any more is no surprise either: a sensor that is stuck where it often is will
    not be found. The other arguments are those of every estimator: see `Estimator`.

    Raises `DataError`, `OptionError`, `DivergenceError`.
    Source: Malhotra et al. 2015 (ESANN, pp. 89–94; forecast), Malhotra et al. 2016, arXiv:1607.00148 (autoencoder).

    >>> t = np.arange(3000)
    >>> wave = np.sin(t / 5) + np.random.default_rng(0).normal(scale=0.1, size=3000)
    >>> detector = AnomalyDetector(hidden_size=16, max_steps=100).fit([wave[:2000]])
    >>> wave[2500:2520] = 0
    >>> found = detector.steps([wave])[0].alarms
    >>> bool(found[2500:2520].any()), bool(found[2000:2500].mean() < 0.05)
    (True, True)
    """

    method: str = "forecast"
    output: str = "gaussian"
    window: int | None = None
    lags: int = 16
    smooth: int = 4
    pooling: str = "max"
    false_alarms: float = 0.01
    validation: float = 0.1
    calibration: float = 0.2
    batch_size: int = 32
    learning_rate: float = 0.005

    inputs_: Numbers = field(init=False)
    alarm_: Alarm = field(init=False)
    offset_: float = field(init=False)

    # -- fitting ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> AnomalyDetector:
        """Trains on normal sequences X and sets the thresholds; with a folder, into a run that `elman.load` reads.

        y, not used, is there for scikit-learn. `resume` goes on from the folder's checkpoint; the result is the same as
        if it had not been interrupted.
        """
        self.check()
        arrays = self._read(X, None, "fit")
        self.seed_ = seed_of(self.random_state)
        parts = self.parts(arrays)
        self.inputs_ = Numbers.fit(parts.learn, self._at("fit"))
        train, held = self._batches(parts.learn), self._batches(parts.choose)
        if train is None:
            raise DataError(f"{self._at('fit')}: {EMPTY}")
        self.hash_ = digest([torch.from_numpy(a.copy()) for a in arrays], [], (self.batch_size, self.seed_))
        network = seeded(self.seed_, self._network)
        steps = self.max_steps or enough_steps(len(train))
        then = partial(self._calibrate, parts)
        self._train(network, train, held, steps, folder, resume, progress, then)
        return self

    def batches(self, X: Any) -> PaddedBatches:
        """Normal sequences as the fitted net takes them in training; raises `DataError` where there is no value."""
        self._check_fitted()
        found = self._batches(self.parts(self._arrays(X, "batches")).learn)
        if found is None:
            raise DataError(f"{self._at('batches')}: {EMPTY}")
        return found

    def partial_fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Goes on with more normal data, once through (or `max_steps`), and sets the thresholds by its own end."""
        if not hasattr(self, "network_"):
            return self.fit(X)
        parts = self.parts(self._arrays(X, "partial_fit"))
        train = self._batches(parts.learn)
        if train is not None:
            then = partial(self._calibrate, parts)
            self._train(self.network_, train, None, self.max_steps or len(train), None, False, None, then)
        return self

    def check(self) -> None:
        """Raises `OptionError` for arguments that cannot be used."""
        where = "AnomalyDetector"
        one_of(where, "method", self.method, list(METHODS))
        one_of(where, "output", self.output, OUTPUTS)
        one_of(where, "pooling", self.pooling, list(POOLINGS))
        for name in ("lags", "smooth"):
            whole(where, name, getattr(self, name))
        if self.window is not None:
            whole(where, "window", self.window, 2)
        for name in ("false_alarms", "validation", "calibration"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value < 1 or (name != "validation" and not value):
                interval = "[0, 1)" if name == "validation" else "(0, 1)"
                raise OptionError(f"{where}: {name} must be in {interval}, got {value!r}.")
        if self.validation + self.calibration >= 1:
            both = f"{self.validation} + {self.calibration}"
            raise OptionError(
                f"{where}: validation + calibration must be below 1, got {both}. Leave some to learn from."
            )
        self.check_common()

    def parts(self, X: Sequence[Any]) -> Parts:
        """What of X is learned from, what chooses the weights, and what sets the thresholds."""
        arrays = self._read(X, None, "parts")
        seed = self.seed_ if hasattr(self, "seed_") else seed_of(self.random_state)
        return Parts.cut(arrays, self.validation, self.calibration, seed)

    def alarm_of(self, surprise: Callable[[list[np.ndarray]], list[np.ndarray]], parts: Parts) -> Alarm:
        """The thresholds for what gives each step a surprise: this detector itself, or anything beside it."""
        steps = surprise(parts.calibrate)
        sequences = surprise(parts.sequences(self.window_)) if parts.few else steps
        return Alarm.fit(steps, sequences, self.false_alarms, smooth=self.smooth, pooling=self.pooling)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.three_d_array = True
        return tags

    # -- judging ---------------------------------------------------------------------------------------------------

    def steps(self, X: Any) -> list[Watched]:
        """Score, alarm and expected values of each step of each sequence."""
        surprise, expected = self._surprise(self._arrays(X, "steps"))
        scores = self.alarm_.steps_of(surprise)
        return [Watched(s, s > self.alarm_.step, e) for s, e in zip(scores, expected, strict=True)]

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the score of each sequence, (N,): smaller is stranger."""
        surprise, _ = self._surprise(self._arrays(X, "score_samples"))
        return -self.alarm_.pool(self.alarm_.steps_of(surprise))

    def decision_function(self, X: Any) -> np.ndarray:
        """The same above the threshold, (N,): negative for an anomaly."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for an anomaly, else 1, (N,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def surprise(self, X: Any) -> list[np.ndarray]:
        """-log p of each step before any smoothing, N arrays (T_i,), in nats a feature; NaN where none was measured."""
        return self._surprise(self._arrays(X, "surprise"))[0]

    @property
    def window_(self) -> int:
        """Steps that are learned from at once."""
        return self.window or METHODS[self.method]

    def pairs(self, X: Any, method: str = "pairs") -> tuple[list[Tensor], list[Tensor]]:
        """x as the net reads it, and y (T, 2F): the values, and 1 for each that is to be judged."""
        return self._pairs(self._arrays(X, method))

    def causal(self) -> DetectorStep:
        """One step: score and expected values as `steps` gives them. Raises `OptionError` of an autoencoder."""
        self._check_fitted()
        if not isinstance(self.network_, NextStepNetwork):
            raise OptionError(
                f"{self._at('stream')}: an autoencoder judges a window when it is over. Train with method='forecast'."
            )
        return DetectorStep(self.network_, self.inputs_, self.alarm_)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _arrays(self, X: Any, method: str) -> list[np.ndarray]:
        self._check_fitted()
        return self._read(X, len(self.inputs_.mean), method)

    def _read(self, X: Any, features: int | None, method: str) -> list[np.ndarray]:
        return list(as_numbers(as_sequences(X, self._at(method)), features, self._at(method)))

    def _at(self, method: str) -> str:
        return f"AnomalyDetector.{method}"

    def _pairs(self, arrays: Sequence[np.ndarray]) -> tuple[list[Tensor], list[Tensor]]:
        x, y = list(self.inputs_.encode(arrays, self._at("fit"))), []
        for one, a in zip(x, arrays, strict=True):
            there, features = np.isfinite(a), a.shape[1]
            one[:, :features] = _carried_on(one[:, :features], there)
            counts = torch.from_numpy(there).float()
            if self.method == "forecast":
                counts[0] = 0.0  # there is nothing before it to judge it by
            y.append(torch.cat([one[:, :features], counts], 1))
        return x, y

    def _batches(self, arrays: Sequence[np.ndarray]) -> PaddedBatches | None:
        size = self.window_
        pieces = [a[i : i + size] for a in arrays for i in windows(len(a), size, max(1, size // 2))]
        pieces = [piece for piece in pieces if np.isfinite(piece).any()]
        return PaddedBatches(*self._pairs(pieces), self.batch_size, self.seed_) if pieces else None

    def _network(self) -> SurpriseNetwork:
        size = {"width": self.inputs_.width, "features": len(self.inputs_.mean), "output": self.output}
        if self.method == "autoencoder":
            return AutoencoderNetwork(**size, **self.stack())
        return NextStepNetwork(**size, lags=self.lags, **self.stack())

    def _surprise(self, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of each sequence the surprise (T,) and what was expected (T, F)."""
        x, y = self._pairs(arrays)
        surprise = [np.full(len(a), np.nan) for a in arrays]
        expected = [np.full(a.shape, np.nan) for a in arrays]
        size = self.window_ if self.method == "autoencoder" else max(map(len, arrays))
        # the last window may reach back into the one before it: what is said later of a step stands
        places = [(row, begin) for row, a in enumerate(arrays) for begin in windows(len(a), size, size)]
        read = [torch.cat([x[row], y[row]], 1)[begin : begin + size] for row, begin in places]
        device = next(self.network_.parameters()).device
        with torch.no_grad():
            for chosen, both, lengths in by_length(read, AT_ONCE):
                parts = both.to(device).split([self.inputs_.width, 2 * len(self.inputs_.mean)], -1)
                found = (part.double().cpu().numpy() for part in self.network_.surprise(*parts, lengths.to(device)))
                for i, one, center, length in zip(chosen, *found, lengths.tolist(), strict=True):
                    row, begin = places[i]
                    surprise[row][begin : begin + length] = one[:length]
                    expected[row][begin : begin + length] = center[:length] * self.inputs_.scale + self.inputs_.mean
        return surprise, expected

    def _calibrate(self, parts: Parts) -> None:
        """Thresholds by the normal data that nothing was learned from."""
        self.alarm_ = self.alarm_of(lambda arrays: self._surprise(arrays)[0], parts)
        self.offset_ = -self.alarm_.sequence

    # -- the run folder --------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {"inputs": self.inputs_.to_json(), "alarm": self.alarm_.to_json()}

    def _restore(self, state: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        inputs = inputs_from_json(state["inputs"])
        if not isinstance(inputs, Numbers):
            raise TypeError("a detector reads numbers")
        self.inputs_, self.alarm_ = inputs, Alarm(**state["alarm"])
        self.offset_ = -self.alarm_.sequence
        self.network_ = self._network()


def _carried_on(x: Tensor, there: np.ndarray) -> Tensor:
    """x (T, F) with the last value that was there in place of a missing one: a better guess than the mean."""
    known = np.where(there, np.arange(len(x))[:, None], 0)
    return x.gather(0, torch.from_numpy(np.maximum.accumulate(known, 0)))
