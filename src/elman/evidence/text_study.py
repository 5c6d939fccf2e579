"""Translation, transcription, captions: from pairs to a judged run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from elman.estimators.transduction.base import TextEstimator
from elman.evidence.card import of_pairs
from elman.evidence.judging import cell_of, judged_run, timed
from elman.evidence.label_study import Examples
from elman.evidence.phrases import baselines
from elman.evidence.plots import to_svg
from elman.evidence.report import Report
from elman.evidence.text_plots import captioned_html, compared_html, plot_attention
from elman.evidence.texts import TextBoard, Written

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
    cell = cell_of(estimator)
    data = examples.X, examples.y, examples.X_test
    found: dict[str, Written] = {}
    for name, model in baselines(estimator, examples.X).items():
        say(f"Baseline: {name}.")
        found[name] = Written(*timed(model, *data))
    say(f"{cell}: {len(examples.X)} pairs to learn from, {len(examples.X_test)} to judge by.")
    found[cell] = Written(*timed(estimator, *data, **training))
    board = TextBoard.build(found, list(examples.y_test), network=cell, kind=estimator.kind)
    return JudgedTexts(board, list(found[cell].texts))


def text_study(
    estimator: TextEstimator,
    examples: Examples,
    folder: Path | str,
    *,
    title: str,
    **job: Any,
) -> JudgedTexts:
    """Judges an estimator and leaves a run folder with its model, scoreboard and report.

    The model that is kept is the one that was judged: it saw nothing of the test pairs.
    Raises what `fit` raises.

    job  `resume`, `progress` and `say` of `judged_run`
    """
    judge, report = partial(judge_texts, estimator, examples), partial(text_report, title, estimator, examples)
    return judged_run(estimator, folder, judge, report, **job)


def text_report(title: str, estimator: Any, examples: Examples, judged: JudgedTexts) -> Report:
    """Scoreboard, examples, where the net looked, training curve, configuration."""
    places = np.unique(np.linspace(0, len(judged.texts) - 1, SHOWN).astype(int))  # neighbours in a file are often alike
    X, truth, found = ([values[i] for i in places] for values in (examples.X_test, examples.y_test, judged.texts))
    if np.ndim(X[0]) == 3:
        sections = {"Captions of test pictures": captioned_html(X, truth, found)}
    else:
        shown = [x if isinstance(x, str) else "" for x in X]
        sections = {"Examples of the test data": compared_html(shown, truth, found)}
    if isinstance(X[0], str) and hasattr(estimator, "align"):
        longest = sorted(X, key=len)[-LOOKED:]
        figures = [
            to_svg(plot_attention(estimator.inputs_.cut(x), words, looked), f"Where the net looked in: {x}")
            for x, (words, looked) in zip(longest, estimator.align(longest), strict=True)
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
        about=of_pairs(estimator, examples, labels=False),
    )
