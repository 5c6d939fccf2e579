"""The language model, every setting at its default, on text and music beside published results.

    python benchmarks/language.py FOLDER [--only tinyshakespeare JSB Nottingham] [--seeds 0 1 2] [--write]

FOLDER holds the folders language and music of the shared data. Text is learned from its first 90 % and judged on its
last 10 %; the piano rolls have splits of their own (Boulanger-Lewandowski et al. 2012, arXiv:1206.6392), whose
validation part chooses the weights. --baselines prints the scoreboard of each task, too. --write puts the table into
docs/results.md and the numbers into docs/results/language.json.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import Results, main

from elman.data.corpus import read_corpus
from elman.estimators import LanguageModel
from elman.evidence.language_study import judge_language
from elman.training.progress import progress_for


@dataclass(frozen=True)
class Task:
    """The file, what is measured in how many nats, the mark to reach, and what others published."""

    file: str
    measure: str
    nats: float
    mark: float
    published: str


# Bai, Kolter & Koltun 2018, arXiv:1803.01271, table 1.
TASKS = {
    "tinyshakespeare": Task("language/tinyshakespeare.txt.gz", "bits per character", math.log(2), 2.20, ""),
    "JSB": Task("music/JSB_Chorales.mat", "NLL per frame", 1.0, 8.43, "LSTM 8.45, GRU 8.43, TCN 8.10"),
    "Nottingham": Task("music/Nottingham.mat", "NLL per frame", 1.0, 3.29, "LSTM 3.29, GRU 3.46, TCN 3.07"),
}


def run(folder: Path, name: str, seed: int, with_baselines: bool) -> dict[str, Any]:
    task = TASKS[name]
    corpus = read_corpus(folder / task.file).split(0.1, 0)
    model = LanguageModel(random_state=seed)
    began = time.perf_counter()
    if with_baselines:
        judged = judge_language(model, corpus, say=print, progress=progress_for("auto"))
        print(judged.scoreboard.to_text())
        seconds = next(row.fit_seconds for row in judged.scoreboard.rows if row.is_network)
    else:
        model.fit(list(corpus.learn), X_validation=list(corpus.validation) or None, progress=progress_for("auto"))
        seconds = time.perf_counter() - began
    return {"task": name, "seed": seed, "loss": -model.score(list(corpus.test)) / task.nats, "seconds": seconds}


def table(results: Results) -> str:
    found = ["| data | measure | by seed | mark | published | seconds |", "|---|---|---:|---:|---|---:|"]
    for name, task in TASKS.items():
        mine = [r for r in results if r["task"] == name]
        if mine:
            losses = " / ".join(f"{r['loss']:.3f}" for r in mine)
            seconds = " / ".join(f"{r['seconds']:.0f}" for r in mine)
            found.append(f"| {name} | {task.measure} | **{losses}** | ≤ {task.mark:g} | {task.published} | {seconds} |")
    return "\n".join(found)


if __name__ == "__main__":
    main("language", __doc__, TASKS, run, table)
