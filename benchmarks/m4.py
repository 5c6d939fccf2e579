"""The default forecaster on the M4 competition's hourly and weekly series, beside the published results.

    python benchmarks/m4.py FOLDER [--seeds 0 1 2] [--only Hourly] [--write]

FOLDER holds Hourly-train.csv.gz, Hourly-test.csv.gz, Weekly-train.csv.gz, Weekly-test.csv.gz of the competition
(Makridakis, Spiliotis & Assimakopoulos 2020, doi:10.1016/j.ijforecast.2019.04.014). One global model for each
frequency, every setting at its default: only horizon and season lengths are given, since the files have no dates to
read them from. Prints and, with --write, puts the table into docs/results.md and the numbers into docs/results/m4.json.
"""

from __future__ import annotations

import csv
import gzip
import time
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, main

import elman
from elman.data import Panel
from elman.evidence import metrics
from elman.training.progress import progress_for

TASKS = {"Hourly": (48, (24, 168)), "Weekly": (13, (52,))}
# sMAPE as published by the competition; RNN and MLP are its machine-learning benchmarks.
PUBLISHED = {
    "ES-RNN (winner, Smyl)": {"Hourly": 9.33, "Weekly": 7.82},
    "MLP": {"Hourly": 13.84, "Weekly": 21.35},
    "RNN": {"Hourly": 14.70, "Weekly": 15.22},
    "Naive2": {"Hourly": 18.38, "Weekly": 9.16},
}


def read(path: Path) -> dict[str, np.ndarray]:
    with gzip.open(path, "rt") as file:
        rows = csv.reader(file)
        next(rows)
        return {row[0]: np.array([float(v) for v in row[1:] if v not in ("", "NA")]) for row in rows}


def run(folder: Path, task: str, seed: int, with_baselines: bool) -> dict[str, Any]:
    """Learns and judges one frequency; its baselines were published."""
    horizon, seasons = TASKS[task]
    train, test = read(folder / f"{task}-train.csv.gz"), read(folder / f"{task}-test.csv.gz")
    panel = Panel(tuple(train), 1, tuple(np.arange(len(y)) for y in train.values()), tuple(train.values()))
    began = time.perf_counter()
    forecaster = elman.Forecaster(horizon=horizon, season_length=seasons, random_state=seed)
    forecaster.fit(panel, progress=progress_for("auto"))
    seconds = time.perf_counter() - began
    levels = (0.025, 0.1, 0.5, 0.9, 0.975)
    q, y = forecaster.quantiles(panel, levels=levels), np.array([test[name] for name in train])
    return {
        "task": task,
        "seed": seed,
        "smape": metrics.smape(y, metrics.median(q, levels)),
        "mase": metrics.mase(y, metrics.median(q, levels), panel.y, 24 if task == "Hourly" else 1)[0],
        "coverage80": 100 * metrics.coverage(y, q, levels, 0.8),
        "coverage95": 100 * metrics.coverage(y, q, levels, 0.95),
        "fit_seconds": seconds,
    }


def table(results: Results) -> str:
    lines = ["| forecast | " + " | ".join(f"{t} sMAPE" for t in TASKS) + " |", "|---|" + "---:|" * len(TASKS)]
    for seed in sorted({r["seed"] for r in results}):
        mine = {r["task"]: f"**{r['smape']:.2f}**" for r in results if r["seed"] == seed}
        lines.append(f"| elman, defaults, seed {seed} | " + " | ".join(mine.get(t, "") for t in TASKS) + " |")
    for name, smape in PUBLISHED.items():
        lines.append(f"| {name}, published | " + " | ".join(f"{smape[t]:.2f}" for t in TASKS) + " |")
    lines += ["", "| task, seed | MASE | 80 % interval covers | 95 % | training, s |", "|---|---:|---:|---:|---:|"]
    for r in results:
        cover = f"{r['coverage80']:.1f} % | {r['coverage95']:.1f} %"
        lines.append(f"| {r['task']}, {r['seed']} | {r['mase']:.2f} | {cover} | {r['fit_seconds']:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main("m4", __doc__, TASKS, run, table)
