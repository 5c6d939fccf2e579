"""Translation, transcription and captions, every setting at its default, on public data beside published results.

    python benchmarks/texts.py FOLDER [--only Multi30k digits stamps] [--seeds 0 1 2] [--baselines] [--write]

FOLDER holds the folders translation, speech and captioning of the shared data. With --baselines the scoreboard of each
task is printed, too. --write puts the table into docs/results.md and the numbers into docs/results/texts.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, main
from speech import RATE, spoken_digits

from elman.data.audio import log_mel
from elman.data.examples import Columns, read_examples
from elman.data.pairs import read_pairs
from elman.estimators import Captioner, Transcriber, Translator
from elman.evidence.label_study import Examples
from elman.evidence.text_study import judge_texts
from elman.evidence.texts import KINDS
from elman.training.progress import progress_for


@dataclass(frozen=True)
class Task:
    """Pairs to read, the estimator, the mark to reach as text, and what others published."""

    read: Callable[[Path], Examples]
    kind: type
    mark: str
    published: str


def captions_of_photographs(folder: Path) -> Examples:
    """German to English, test set of 2016."""
    parts = []
    for name in ("train", "test_2016_flickr"):
        files = [folder / "translation" / "multi30k" / f"{name}.{language}.gz" for language in ("de", "en")]
        pairs = read_pairs(files[0], files[1], Columns())
        parts += [pairs.X, pairs.y]
    return Examples(*parts)


def strings_of_digits(folder: Path) -> Examples:
    """3000 strings of 3 to 6 spoken digits to learn from, joined from other recordings than the 500 to judge by."""
    data, parts = spoken_digits(folder), []
    for seed, (clips, count) in enumerate(((np.flatnonzero(~data.test), 3000), (np.flatnonzero(data.test), 500))):
        dice = np.random.default_rng(seed)
        strings = [dice.choice(clips, dice.integers(3, 7)) for _ in range(count)]
        parts.append([log_mel(np.concatenate([data.sounds[i] for i in string]), RATE) for string in strings])
        parts.append(["".join(map(str, data.digit[string])) for string in strings])
    return Examples(*parts)


def stamps(folder: Path) -> Examples:
    """A tenth of the pictures, at random, to judge by."""
    where = folder / "captioning" / "stamps"
    with np.load(where / "stamps48_rgb.npz") as data:
        pictures = list(data["images"])
    texts, _, _ = read_examples(where / "captions.tsv", Columns(inputs=("en",)))
    return Examples.split(pictures, texts, 0.1, 0)


TASKS = {
    "Multi30k": Task(captions_of_photographs, Translator, "≥ 28.3", "LSTM 13.8, GRU 20.6, GRU with attention 28.3"),
    "digits": Task(strings_of_digits, Transcriber, "≤ 0.05", ""),
    "stamps": Task(stamps, Captioner, "above the nearest picture", ""),
}


def run(folder: Path, name: str, seed: int, with_baselines: bool) -> dict[str, Any]:
    task, began = TASKS[name], time.perf_counter()
    examples = task.read(folder)
    model = task.kind(random_state=seed)
    if with_baselines:
        judged = judge_texts(model, examples, say=print, progress=progress_for("auto"))
        print(judged.scoreboard.to_text())
        texts = judged.texts
    else:
        texts = model.fit(examples.X, examples.y, progress=progress_for("auto")).predict(examples.X_test)
    scores = {measure: of(list(examples.y_test), texts) for measure, of in KINDS[model.kind].measures.items()}
    return {"task": name, "seed": seed, "scores": scores, "seconds": time.perf_counter() - began}


def table(results: Results) -> str:
    found = ["| data | measure | by seed | mark | published | seconds |", "|---|---|---:|---:|---|---:|"]
    for name, task in TASKS.items():
        mine = [r for r in results if r["task"] == name]
        for measure in mine[0]["scores"] if mine else ():
            scores = " / ".join(f"{r['scores'][measure]:.3g}" for r in mine)
            seconds = " / ".join(f"{r['seconds']:.0f}" for r in mine)
            first = measure == next(iter(mine[0]["scores"]))
            told = (task.mark, task.published, seconds) if first else ("", "", "")
            found.append(f"| {name} | {measure} | **{scores}** | {' | '.join(told)} |")
    return "\n".join(found)


if __name__ == "__main__":
    main("texts", __doc__, TASKS, run, table)
