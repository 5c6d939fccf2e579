"""The detector of anomalies, every setting at its default, beside simple baselines on real vibration of a bearing.

    python benchmarks/anomalies.py FOLDER [--only windows …] [--method forecast] [--seeds 0 1 2] [--pictures DIR]

FOLDER holds series/cwru_12k_de_load0.npz of the shared data: one recording of a sound bearing and nine of damaged ones.
What is normal is learned from the first 70 % of the sound one.

windows   256 samples are a sequence: the last 30 % of the sound recording, and 100 windows of each damaged one
spliced   40 signals of 2000 samples from the last 30 %; in 27 of them 300 samples come from a damaged bearing
matched   the same, but what is put in has the mean and spread of what it replaces: only the shape differs
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from elman.estimators import AnomalyDetector
from elman.evidence.anomaly_plots import plot_watch
from elman.evidence.anomaly_study import WatchExamples, judge_anomalies, watch_plots
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


TASKS: dict[str, Callable[[Path], WatchExamples]] = {
    "windows": windows,
    "spliced": spliced,
    "matched": lambda folder: spliced(folder, matched=True),
}


def main() -> None:
    """Prints a scoreboard of each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--method", default="forecast")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--options", type=json.loads, default={}, help="other settings, as JSON")
    parser.add_argument("--pictures", type=Path)
    chosen = parser.parse_args()
    for name in chosen.only:
        examples = TASKS[name](chosen.folder)
        for seed in chosen.seeds:
            detector = AnomalyDetector(method=chosen.method, random_state=seed, **chosen.options)
            judged = judge_anomalies(detector, examples, progress=progress_for("auto"))
            print(f"\n{name}, {chosen.method}, seed {seed}\n")
            print("" if judged.scoreboard is None else judged.scoreboard.to_text(), flush=True)
            for number, plot in enumerate(watch_plots(detector, examples, judged.said) if chosen.pictures else ()):
                plot_watch(plot).savefig(chosen.pictures / f"{name}-{number}.png", dpi=110, facecolor="white")


if __name__ == "__main__":
    main()
