"""Translation, transcription, captions: from pairs to a judged run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elman.cells import find_cell
from elman.estimators.transduction.base import TextEstimator
from elman.evidence.label_study import Examples
from elman.evidence.phrases import baselines
from elman.evidence.plots import to_svg
from elman.evidence.report import Report
from elman.evidence.text_plots import captioned_html, compared_html, plot_attention
from elman.evidence.texts import TextBoard, Written
from elman.training.progress import Progress
from elman.training.run import RunFolder

SHOWN, LOOKED = 12, 2
"""examples in the report, and how many of them with a picture of where the net looked"""


@dataclass(frozen=True)
class JudgedTexts:
    """A scoreboard, and what the network wrote of the test sequences."""

    scoreboard: TextBoard
    texts: list[str]


def judge_texts(
    estimator: TextEstimator, examples: Examples, *, say: Callable[[str], None] = lambda line: None, **training: Any
) -> JudgedTexts:
    """Fits the estimator and every baseline on the same pairs and scores what they write of the test sequences."""
    cell = type(find_cell(estimator.cell, type(estimator).__name__)).__name__
    found: dict[str, Written] = {}
    for name, model in baselines(estimator, examples.X).items():
        say(f"Baseline: {name}.")
        found[name] = timed(model, examples)
    say(f"{cell}: {len(examples.X)} pairs to learn from, {len(examples.X_test)} to judge by.")
    found[cell] = timed(estimator, examples, **training)
    board = TextBoard.build(found, list(examples.y_test), network=cell, kind=estimator.kind)
    return JudgedTexts(board, list(found[cell].texts))


def timed(model: Any, examples: Examples, **training: Any) -> Written:
    """Fits a model, lets it write of the test sequences, and says how long each took."""
    start = time.perf_counter()
    model.fit(examples.X, examples.y, **training)
    middle = time.perf_counter()
    texts = model.predict(examples.X_test)
    return Written(texts, middle - start, time.perf_counter() - middle)


def text_study(
    estimator: TextEstimator,
    examples: Examples,
    folder: Path | str,
    *,
    title: str,
    resume: bool = False,
    progress: Callable[[], Progress | None] = lambda: None,
    say: Callable[[str], None] = lambda line: None,
) -> JudgedTexts:
    """Judges an estimator and leaves a run folder with its model, scoreboard and report.

    The model that is kept is the one that was judged: it saw nothing of the test pairs. `resume` goes on with a
    training that was killed. Raises what `fit` raises.
    """
    run = RunFolder(folder)
    estimator.check()
    if not (resume and run.finished):
        run.create(resume=resume)  # a name that is taken is told before anything is trained
    judged = judge_texts(estimator, examples, say=say, folder=run.path, resume=True, progress=progress())
    text_report(title, estimator, examples, judged).write(run)
    return judged


def text_report(title: str, estimator: Any, examples: Examples, judged: JudgedTexts) -> Report:
    """Scoreboard, examples, where the net looked, training curve, configuration."""
    X, truth, found = (list(values[:SHOWN]) for values in (examples.X_test, examples.y_test, judged.texts))
    if np.ndim(X[0]) == 3:
        sections = {"Captions of test pictures": captioned_html(X, truth, found)}
    else:
        shown = [x if isinstance(x, str) else "" for x in X]
        sections = {"Examples of the test data": compared_html(shown, truth, found)}
    if isinstance(X[0], str) and hasattr(estimator, "align"):
        figures = [
            to_svg(plot_attention(estimator.inputs_.cut(x), words, looked), f"Where the net looked in: {x}")
            for x, (words, looked) in zip(X, estimator.align(X[:LOOKED]), strict=False)
            if words
        ]
        body = "".join(f"<figure>{svg}</figure>" for svg in figures)
        sections["Where it looked"] = f'<div class="plots">{body}</div>'
    return Report(
        title,
        scoreboard=judged.scoreboard,
        sections=sections,
        training=estimator.history_.records,
        configuration=estimator._params(),
    )
