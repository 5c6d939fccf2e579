"""The scoreboard of anomalies: what was found, how soon, and how much was flagged for nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from elman.errors import DataError
from elman.evidence.board import text
from elman.evidence.measured import MeasuredBoard, ScoreRow, score_rows
from elman.evidence.significance import paired_test

Array = np.ndarray

ENOUGH = 10
"""sequences from which on the paired test stands on them; of fewer, on pieces of them"""
PIECES = 20
"""stretches that each of few sequences is cut into"""

MEASURES = {
    "F1": "harmonic mean of precision and recall",
    "precision": "share of the alarms that are right",
    "recall": "share of the anomalous that is flagged",
    "false alarms": "share of the normal that is flagged",
    "avg. precision": "area under precision against recall, over all thresholds",
    "found": "share of the anomalous stretches with an alarm in them",
    "delay": "steps from a stretch's beginning to its first alarm, the median; – : most have none",
}
"""the last two where steps are judged"""


@dataclass(frozen=True)
class Alarmed:
    """What a model said of N test sequences, and how long it took.

    scores, alarms   N arrays (T_i,), of each step, or (1,), of each sequence; an alarm is a bool
    fit_seconds, predict_seconds   wall-clock
    """

    scores: Sequence[Array]
    alarms: Sequence[Array]
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0


@dataclass(frozen=True)
class AnomalyBoard(MeasuredBoard):
    """All models' alarms on the same test sequences, best first. Build it with `AnomalyBoard.build`.

    >>> truth = [np.array([False, False, True, True])]
    >>> late = Alarmed([np.array([0.0, 0.1, 0.2, 0.9])], [np.array([False, False, False, True])])
    >>> never = Alarmed([np.zeros(4)], [np.zeros(4, bool)])
    >>> board = AnomalyBoard.build({"LSTM": late, "z-score": never}, truth, network="LSTM", rate=0.01)
    >>> [(row.model, row.scores["recall"], row.scores["delay"]) for row in board.rows]
    [('LSTM', 0.5, 1.0), ('z-score', 0.0, inf)]
    """

    rows: tuple[ScoreRow, ...]
    network: str
    rate: float
    sequences: int
    labels: int
    stretches: int
    tested: str
    notes: tuple[str, ...] = field(default=())
    error: str = "F1"
    higher: bool = True

    noun = " baseline"
    hints = MEASURES

    @property
    def unit(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the paired test stands on."""
        return self.tested

    @classmethod
    def build(
        cls,
        found: Mapping[str, Alarmed],
        truth: Sequence[Array],
        *,
        network: str,
        rate: float,
        notes: Sequence[str] = (),
    ) -> AnomalyBoard:
        """Scores each model's alarms against the truth, N arrays of bool, (T_i,) or (1,), true where anomalous.

        rate: the share of false alarms that all models were set to. The paired test is of the share of labels that are
        judged wrong in each sequence; of fewer than 10 sequences, in each twentieth of one. Raises `DataError` for
        labels of another shape, or none anomalous.
        """
        for name, said in found.items():
            if [a.shape for a in said.alarms] != [t.shape for t in truth]:
                raise DataError(f"AnomalyBoard({name}): alarms must have the shapes of the truth, got others.")
        every = np.concatenate(truth)
        if not every.any():
            raise DataError("AnomalyBoard: the truth must have an anomaly, got none. Nothing can be judged without.")
        losses = {name: wrong(said.alarms, truth) for name, said in found.items()}
        starts = [len(_stretches(t)) for t in truth]
        steps = len(every) > len(truth)
        rows = score_rows(
            found,
            network,
            lambda name: measures(found[name], truth) | (_soon(found[name], truth) if steps else {}),
            lambda name: paired_test(losses[network], losses[name]),
            cls.error,
            higher=cls.higher,
        )
        tested = unit_of(truth)
        flagged = next(row for row in rows if row.is_network).scores["false alarms"]
        if flagged > 2 * rate:
            told = f"{network} flags {flagged:.1%} of what is normal in the test data, not {rate:.1%}"
            notes = *notes, f"{told}: that is unlike the data held back to set the threshold by, or those were few."
        return cls(rows, network, rate, len(truth), len(every), sum(starts), tested, tuple(notes))

    def cells(self, row: ScoreRow) -> list[str]:
        """A line's texts; a delay is a whole number of steps."""
        cells = super().cells(row)
        if "delay" in row.scores:
            cells[1 + list(row.scores).index("delay")] = text(row.scores["delay"], 0)
        return cells

    def scope(self) -> str:
        """How many were judged, and what all were set to."""
        of_steps = self.labels > self.sequences
        many = "es" if self.stretches > 1 else ""
        steps = f", {self.labels} steps, {self.stretches} anomalous stretch{many}" if of_steps else ""
        rate = f"All are set to flag {self.rate:.3g} of the normal, by the same held-back data."
        count = f"{self.sequences} test sequence{'s' if self.sequences > 1 else ''}"
        return f"{count}{steps}. {rate} Paired t-test over {self.tested}."


def measures(said: Alarmed, truth: Sequence[Array]) -> dict[str, float]:
    """The first of `MEASURES`, by name."""
    from sklearn.metrics import average_precision_score

    every, scores, alarms = (np.concatenate(values) for values in (truth, said.scores, said.alarms))
    right = float((alarms & every).sum())
    return {
        "F1": 2 * right / float(alarms.sum() + every.sum()),
        "precision": right / float(alarms.sum()) if alarms.any() else 0.0,
        "recall": right / float(every.sum()),
        "false alarms": float(alarms[~every].mean()) if not every.all() else math.nan,
        "avg. precision": float(average_precision_score(every, scores)),
    }


def _soon(said: Alarmed, truth: Sequence[Array]) -> dict[str, float]:
    """Which stretches were found, and when."""
    delays = np.concatenate([_delays(a, t) for a, t in zip(said.alarms, truth, strict=True)])
    return {"found": float(np.mean(np.isfinite(delays))), "delay": float(np.median(delays))}


def _stretches(truth: Array) -> list[tuple[int, int]]:
    """Where each anomalous stretch begins and ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], truth, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _delays(alarms: Array, truth: Array) -> Array:
    """Of each stretch the steps to its first alarm, ∞ without one."""
    return np.array([float(np.argmax(alarms[a:b])) if alarms[a:b].any() else np.inf for a, b in _stretches(truth)])


def unit_of(truth: Sequence[Array]) -> str:
    """What `wrong` gives a number for each of."""
    cut = len(truth) < ENOUGH and any(len(t) > 1 for t in truth)
    return f"pieces (each sequence is cut into {PIECES})" if cut else "sequences"


def wrong(alarms: Sequence[Array], truth: Sequence[Array]) -> Array:
    """The share of wrong judgements in each sequence; of fewer than 10 in each twentieth of one."""
    pieces = PIECES if len(truth) < ENOUGH else 1
    parts = (np.array_split(a != t, min(pieces, len(t))) for a, t in zip(alarms, truth, strict=True))
    return np.array([part.mean() for found in parts for part in found])
