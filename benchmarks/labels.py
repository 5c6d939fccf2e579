"""Classifiers and taggers, every setting at its default, on public data beside published results.

    python benchmarks/labels.py FOLDER [--only rt-polarity TREC …] [--seeds 0 1 2] [--baselines] [--write]

FOLDER holds the folders text, series, tagging and speech of the shared data. With --baselines the scoreboard of each
task is printed, too. --write puts the table into docs/results.md and the numbers into docs/results/labels.json.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, main
from speech import RATE, Digits, spoken_digits

from elman.data.audio import log_mel
from elman.data.examples import read_columns
from elman.data.ts_file import read_ts
from elman.estimators import SequenceClassifier, SequenceTagger
from elman.evidence.judging import timed
from elman.evidence.label_study import Examples
from elman.evidence.labels import LabelBoard, Labelled
from elman.evidence.simple import baselines


@dataclass(frozen=True)
class Task:
    """Examples to read, each learned and judged apart, the estimator, the mark, what others published, and options.

    Options are given where the task is what they say: one pixel a step, another cell, a net without time.
    """

    read: Callable[[Path], Examples | list[Examples]]
    kind: type
    mark: str
    published: str = ""
    measure: str = "accuracy"
    options: dict[str, Any] = field(default_factory=dict)


def lines(path: Path, encoding: str = "utf-8") -> tuple[list[str], np.ndarray]:
    """Label first, then the text."""
    pairs = [line.split(" ", 1) for line in path.read_text(encoding).split("\n") if line.strip()]
    pairs = [(label, text) for label, text in pairs if text.strip()]  # rt-polarity has one empty text
    return [text for _, text in pairs], np.array([label for label, _ in pairs])


def polarity(folder: Path) -> Examples:
    X, y = lines(folder / "text" / "rt-polarity.all", "latin-1")
    order = np.random.default_rng(0).permutation(len(X))
    test, learn = order[: len(X) // 10], order[len(X) // 10 :]
    return Examples([X[i] for i in learn], y[learn], [X[i] for i in test], y[test])


def questions(folder: Path) -> Examples:
    learn, judge = (lines(folder / "text" / f"TREC.{part}.all", "latin-1") for part in ("train", "test"))
    return Examples(*learn, *judge)


def archive(name: str) -> Callable[[Path], Examples]:
    def read(folder: Path) -> Examples:
        return Examples(
            *read_ts(folder / "series" / f"{name}_TRAIN.ts"), *read_ts(folder / "series" / f"{name}_TEST.ts")
        )

    return read


def vibration(folder: Path, steps: int = 256, apart: int = 128) -> Examples:
    """Windows of 256 samples; the first 70 % of each recording to learn from, the last 30 % to judge by."""
    parts: list[tuple[np.ndarray, str, bool]] = []
    with np.load(folder / "series" / "cwru_12k_de_load0.npz") as recordings:
        for name in recordings.files:
            signal = recordings[name][:120_000]
            cut = int(0.7 * len(signal))
            for stretch, test in ((signal[:cut], False), (signal[cut:], True)):
                for start in range(0, len(stretch) - steps + 1, steps if test else apart):
                    parts.append((stretch[start : start + steps], name, test))
    X, y, test = [p[0] for p in parts], np.array([p[1] for p in parts]), np.array([p[2] for p in parts])
    learn, judge = np.flatnonzero(~test), np.flatnonzero(test)
    return Examples([X[i] for i in learn], y[learn], [X[i] for i in judge], y[judge])


def tags(folder: Path) -> Examples:
    parts = [folder / "tagging" / "ud_ewt" / f"en_ewt-{part}.form_upos_xpos.tsv.gz" for part in ("train", "test")]
    return Examples(*read_columns(parts[0]), *read_columns(parts[1]))


def mixed_speakers(folder: Path) -> Examples:
    """Each speaker's first five recordings of each digit to judge by."""
    data = spoken_digits(folder)
    X, learn, judge = _heard(data), np.flatnonzero(~data.test), np.flatnonzero(data.test)
    return Examples([X[i] for i in learn], data.digit[learn], [X[i] for i in judge], data.digit[judge])


def speakers_held_out(folder: Path) -> list[Examples]:
    """Each of the six speakers by what was learned from the other five."""
    data = spoken_digits(folder)
    X, found = _heard(data), []
    for speaker in np.unique(data.speaker):
        learn, judge = np.flatnonzero(data.speaker != speaker), np.flatnonzero(data.speaker == speaker)
        found.append(Examples([X[i] for i in learn], data.digit[learn], [X[i] for i in judge], data.digit[judge]))
    return found


def _heard(data: Digits) -> list[np.ndarray]:
    return [log_mel(sound, RATE, depth=6.0) for sound in data.sounds]


def gestures(folder: Path, frames: int = 120) -> list[Examples]:
    """Each of seven videos by what was learned from the other six, cut into overlapping stretches.

    Of each video frame: hands, wrists and head as seen from the spine, and how far they moved since the frame before,
    each standardised within its video, for no two stand, sit or were filmed alike.
    """
    videos = []
    for path in sorted((folder / "tagging" / "gesture_phase").glob("*_raw.csv")):
        rows = [line.split(",") for line in path.read_text("utf-8").split("\n")[1:] if line.strip()]
        places = np.array([row[:18] for row in rows], float).reshape(len(rows), 6, 3)
        places = (places - places[:, 3:4]).reshape(len(rows), 18)
        moved = np.diff(places, axis=0, prepend=places[:1])
        phase = np.array([row[-1].strip().lower().replace("preparação", "preparation") for row in rows])
        X = np.hstack([places, moved])
        videos.append(((X - X.mean(0)) / (X.std(0) + 1e-6), phase))
    found = []
    for held, (X_test, y_test) in enumerate(videos):
        others = [video for i, video in enumerate(videos) if i != held]
        starts = [(X, y, at) for X, y in others for at in range(0, len(X) - frames // 2, frames // 2)]
        X, y = [X[at : at + frames] for X, _, at in starts], [y[at : at + frames] for _, y, at in starts]
        found.append(Examples(X, y, [X_test], [y_test]))
    return found


def banknotes(folder: Path) -> Examples:
    """Four numbers of a photographed banknote: one step."""
    return _rows(folder / "tabular" / "banknote_authentication.csv")


def digits_at_once(folder: Path) -> Examples:
    """All 784 pixels of a written digit: one step."""
    return _rows(folder / "tabular" / "mnist_5k.csv.gz")


def digits_by_pixel(folder: Path) -> Examples:
    """The same, row by row from the top left: 784 steps of one pixel."""
    found = digits_at_once(folder)
    return Examples([x.T for x in found.X], found.y, [x.T for x in found.X_test], found.y_test)


def _rows(path: Path) -> Examples:
    """Each line one step of numbers and its class; a random fifth to judge by."""
    rows = np.loadtxt(path, delimiter=",")
    return Examples.split(list(rows[:, None, :-1]), rows[:, -1].astype(int), 0.2, 0)


NO_TIME = {"body": "feed-forward"}
CELLS = ("lstm", "gru", "elman")
TASKS = {
    "rt-polarity": Task(polarity, SequenceClassifier, "≥ 77", "BLSTM about 80.0 (Zhou 2016, unverified)"),
    "TREC": Task(questions, SequenceClassifier, "≥ 90", "BLSTM about 93.0 (Zhou 2016, unverified)"),
    "GunPoint": Task(archive("GunPoint"), SequenceClassifier, "≥ 95", "LSTM-FCN 100"),
    "ItalyPowerDemand": Task(archive("ItalyPowerDemand"), SequenceClassifier, "≥ 95", "LSTM-FCN 96.3"),
    "BasicMotions": Task(archive("BasicMotions"), SequenceClassifier, "≥ 95"),
    "CWRU": Task(vibration, SequenceClassifier, "≥ 98"),
    "UD EWT UPOS": Task(tags, SequenceTagger, "≥ 93.5", "BiLSTM about 95.4 (end to end)"),
    "FSDD, mixed": Task(mixed_speakers, SequenceClassifier, "≥ 97"),
    "FSDD, held out": Task(speakers_held_out, SequenceClassifier, "≥ 85"),
    "gesture phase": Task(gestures, SequenceTagger, "above a single frame's", measure="macro F1"),
    "banknotes, one to one": Task(banknotes, SequenceClassifier, "≥ 99", options=NO_TIME),
    "digits, one to one": Task(digits_at_once, SequenceClassifier, "", options=NO_TIME),
} | {
    f"digits by pixel, {name}": Task(digits_by_pixel, SequenceClassifier, "", options=options)
    for name, options in (*((cell, {"cell": cell, "stride": 1}) for cell in CELLS), ("feed-forward", NO_TIME))
}


def run(folder: Path, name: str, seed: int, with_baselines: bool) -> dict[str, Any]:
    """Learns and judges each of the task's examples apart, and scores all that was said together."""
    task = TASKS[name]
    folds = task.read(folder)
    parts: dict[str, list[Labelled]] = {}
    truth: list[np.ndarray] = []
    for examples in folds if isinstance(folds, list) else [folds]:
        model, data = task.kind(random_state=seed, **task.options), (examples.X, examples.y, examples.X_test)
        models = {"elman": model} | (baselines(model, examples.X, examples.y) if with_baselines else {})
        for other, each in models.items():
            parts.setdefault(other, []).append(Labelled.of(*timed(each, *data)))
        truth += list(examples.y_test) if model.per_step else [np.atleast_1d(label) for label in examples.y_test]
        print(f"{name}: {len(parts['elman'])} learned", flush=True)
    found = {
        other: Labelled(
            np.concatenate([p.labels for p in those]),
            sum(p.fit_seconds for p in those),
            sum(p.predict_seconds for p in those),
        )
        for other, those in parts.items()
    }
    sequence = np.repeat(np.arange(len(truth)), [len(labels) for labels in truth])
    board = LabelBoard.build(found, np.concatenate(truth), network="elman", sequence=sequence, error=task.measure)
    if with_baselines:
        print(board.to_text())
    mine = next(row for row in board.rows if row.is_network)
    return {"task": name, "seed": seed, "score": 100 * mine.scores[task.measure], "seconds": mine.fit_seconds}


def table(results: Results) -> str:
    found = ["| data | measure | %, by seed | mark | published | seconds |", "|---|---|---:|---:|---|---:|"]
    for name, task in TASKS.items():
        mine = [r for r in results if r["task"] == name]
        if mine:
            scores = " / ".join(f"{r['score']:.1f}" for r in mine)
            seconds = float(np.median([r["seconds"] for r in mine]))
            found.append(f"| {name} | {task.measure} | **{scores}** | {task.mark} | {task.published} | {seconds:.0f} |")
    return "\n".join(found)


if __name__ == "__main__":
    main("labels", __doc__, TASKS, run, table)
