"""The detector of anomalies, every setting at its default, beside simple baselines on real vibration of a bearing.

    python benchmarks/anomalies.py FOLDER [--only "windows, forecast" …] [--seeds 0 1 2] [--baselines] [--write]

FOLDER holds series/cwru_12k_de_load0.npz of the shared data: one recording of a sound bearing and nine of damaged ones.
What is normal is learned from the first 70 % of the sound one.

windows   256 samples are a sequence: the last 30 % of the sound recording, and 100 windows of each damaged one
spliced   40 signals of 2000 samples from the last 30 %; in 27 of them 300 samples come from a damaged bearing
matched   the same, but what is put in has the mean and spread of what it replaces: only the shape differs
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, main

from elman.estimators import AnomalyDetector
from elman.evidence.anomaly_study import WatchExamples, judge_anomalies
from elman.training.progress import progress_for

WINDOW, STEPS, SPLICED = 256, 2000, 300


def recordings(folder: Path) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """What to learn from, the rest of the sound recording, and the damaged ones."""
    with np.load(folder / "series" / "cwru_12k_de_load0.npz") as found:
        signals = {name: found[name].astype(float) for name in found.files}
    sound = signals.pop("Normal_0")
    cut = int(0.7 * len(sound))
    return sound[:cut], sound[cut:], list(signals.values())


def windows(folder: Path) -> WatchExamples:
    """Labels of whole windows."""
    learn, rest, damaged = recordings(folder)
    X = [learn[i : i + WINDOW] for i in range(0, len(learn) - WINDOW + 1, WINDOW)]
    normal = [rest[i : i + WINDOW] for i in range(0, len(rest) - WINDOW + 1, WINDOW)]
    odd = [one[i : i + WINDOW] for one in damaged for i in range(0, 100 * WINDOW, WINDOW)]
    return WatchExamples.of_files(X, np.zeros(len(X)), normal + odd, np.repeat([0, 1], [len(normal), len(odd)]))


def spliced(folder: Path, matched: bool = False) -> WatchExamples:
    """Labels of steps."""
    learn, rest, damaged = recordings(folder)
    dice = np.random.default_rng(0)
    X, y = [], []
    for number in range(40):
        begin = dice.integers(len(rest) - STEPS)
        signal, label = rest[begin : begin + STEPS].copy(), np.zeros(STEPS, dtype=int)
        if number % 3:
            source = damaged[number % len(damaged)]
            at, of = dice.integers(200, STEPS - SPLICED), dice.integers(len(source) - SPLICED)
            put, place = source[of : of + SPLICED], slice(at, at + SPLICED)
            if matched:
                old = signal[place]
                put = (put - put.mean()) / put.std() * old.std() + old.mean()
            signal[place], label[place] = put, 1
        X.append(signal)
        y.append(label)
    return WatchExamples.of_files([learn], None, X, y)


SIGNALS: dict[str, Callable[[Path], WatchExamples]] = {
    "windows": windows,
    "spliced": spliced,
    "matched": lambda folder: spliced(folder, matched=True),
}
TASKS = [f"{name}, {method}" for name in SIGNALS for method in ("forecast", "autoencoder")]


def run(folder: Path, name: str, seed: int, with_baselines: bool) -> dict[str, Any]:
    """Learns what is normal, and judges the rest beside the baselines, which take seconds."""
    task, method = name.split(", ")
    detector = AnomalyDetector(method=method, random_state=seed)
    board = judge_anomalies(detector, SIGNALS[task](folder), progress=progress_for("auto")).scoreboard
    assert board is not None and board.best_baseline is not None  # all three have labels, all have baselines
    if with_baselines:
        print(board.to_text())
    mine, other = next(row for row in board.rows if row.is_network), board.best_baseline
    scores = {"score": mine.scores["F1"], "baseline": other.model, "baseline_score": other.scores["F1"]}
    return {"task": name, "seed": seed, **scores, "seconds": mine.fit_seconds}


def table(results: Results) -> str:
    found = ["| data, method | F1, by seed | best baseline | its F1 | seconds |", "|---|---:|---|---:|---:|"]
    for name in TASKS:
        mine = [r for r in results if r["task"] == name]
        if mine:
            scores = " / ".join(f"{r['score']:.3f}" for r in mine)
            seconds = float(np.median([r["seconds"] for r in mine]))
            last = f"{mine[0]['baseline']} | {mine[0]['baseline_score']:.3f} | {seconds:.0f}"
            found.append(f"| {name} | **{scores}** | {last} |")
    return "\n".join(found)


if __name__ == "__main__":
    main("anomalies", __doc__, TASKS, run, table)
