"""Classifiers and taggers, every setting at its default, on public data beside published results.

    python benchmarks/labels.py FOLDER [--only rt-polarity TREC …] [--seeds 0 1 2] [--baselines] [--write]

FOLDER holds the folders text, series, tagging and tabular of the shared data. With --baselines the scoreboard of each
task is printed, too. --write puts the table into docs/results.md and the numbers into docs/results/labels.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from results import keep

from elman.data.examples import read_columns
from elman.data.ts_file import read_ts
from elman.estimators import SequenceClassifier, SequenceTagger
from elman.evidence.label_study import Examples, judge_labels
from elman.training.progress import progress_for


@dataclass(frozen=True)
class Task:
    """Examples to read, the estimator, the mark to reach, and what others published."""

    read: Callable[[Path], Examples]
    kind: type
    mark: float
    published: str


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


TASKS = {
    "rt-polarity": Task(polarity, SequenceClassifier, 77.0, "BLSTM about 80.0 (Zhou 2016, unverified)"),
    "TREC": Task(questions, SequenceClassifier, 90.0, "BLSTM about 93.0 (Zhou 2016, unverified)"),
    "GunPoint": Task(archive("GunPoint"), SequenceClassifier, 95.0, "LSTM-FCN 100"),
    "ItalyPowerDemand": Task(archive("ItalyPowerDemand"), SequenceClassifier, 95.0, "LSTM-FCN 96.3"),
    "BasicMotions": Task(archive("BasicMotions"), SequenceClassifier, 95.0, ""),
    "CWRU": Task(vibration, SequenceClassifier, 98.0, ""),
    "UD EWT UPOS": Task(tags, SequenceTagger, 93.5, "BiLSTM about 95.4 (end to end)"),
}


def run(folder: Path, name: str, seed: int, with_baselines: bool) -> dict[str, object]:
    task = TASKS[name]
    examples = task.read(folder)
    model = task.kind(random_state=seed)
    began = time.perf_counter()
    if with_baselines:
        judged = judge_labels(model, examples, say=print, progress=progress_for("auto"))
        print(judged.scoreboard.to_text())
        score = judged.scoreboard.value(next(row for row in judged.scoreboard.rows if row.is_network))
    else:
        model.fit(examples.X, examples.y, progress=progress_for("auto"))
        score = model.score(examples.X_test, examples.y_test)
    return {"task": name, "seed": seed, "accuracy": 100 * float(score), "seconds": time.perf_counter() - began}


def table(results: list[dict[str, object]]) -> str:
    found = ["| data | accuracy, by seed | mark | published | seconds |", "|---|---:|---:|---|---:|"]
    for name, task in TASKS.items():
        mine = [r for r in results if r["task"] == name]
        if mine:
            scores = " / ".join(f"{r['accuracy']:.1f}" for r in mine)
            seconds = float(np.median([float(str(r["seconds"])) for r in mine]))
            found.append(f"| {name} | **{scores}** | ≥ {task.mark:g} | {task.published} | {seconds:.0f} |")
    return "\n".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--baselines", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    results = []
    for name in options.only:
        for seed in options.seeds:
            results.append(run(options.folder, name, seed, options.baselines))
            print(json.dumps(results[-1]), flush=True)
    print(table(results))
    if options.write:
        keep("labels", table(results), results)


if __name__ == "__main__":
    main()
