"""A language model from a corpus to a judged run folder: training, baselines, scoreboard, report with a sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from elman.data.abc import is_tune
from elman.data.corpus import Corpus
from elman.data.on_disk import CHARACTERS, Text
from elman.estimators import LanguageModel
from elman.evidence.card import About, limits, reads
from elman.evidence.judging import cell_of, judged_run
from elman.evidence.language_plots import plot_rolls, sample_html, surprise_html
from elman.evidence.losses import LossBoard, Predicted
from elman.evidence.next_token import baselines
from elman.evidence.plots import to_svg
from elman.evidence.report import Report
from elman.evidence.tunes import tune_sections

KINDS = {"character": "character", "bpe": "piece"}
"""what a token is called, by the analyzer; by any other it is a word"""
PROMPT, SAMPLE = 80, 500
"""tokens of the test text that are given, and that are generated after them, in the report"""
FRAMES = 48
"""frames that are given, and that are generated at most"""


@dataclass(frozen=True)
class JudgedLanguage:
    """A scoreboard, and what each token of the test texts but its first cost the model, in nats."""

    scoreboard: LossBoard
    losses: Sequence[np.ndarray]


def judge_language(
    model: LanguageModel,
    corpus: Corpus,
    *,
    rivals: Mapping[str, Any] | None = None,
    name: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    **training: Any,
) -> JudgedLanguage:
    """Fits a model and every baseline on the same texts, and scores what the test texts cost each of them.

    The baselines read the model's own tokens, so that all are equally at a loss before an unknown one.

    rivals  other models of the same tokens, by name, to be scored beside the baselines
    name    what the model is called; None: by its cell
    """
    name = name or cell_of(model)
    learn, test = list(corpus.learn), list(corpus.test)
    say(f"{name}: {_amount(learn)} to learn from, {_amount(test)} to judge by.")
    found: dict[str, Predicted] = {}
    for other, rival in (rivals or {}).items():  # first, for what evolves has the time that they took
        say(f"Rival: {other}.")
        found[other] = _predicted(rival, corpus)
    mine = _predicted(model, corpus, **training)
    learned, judged, held = (model.encode(texts) for texts in (learn, test, corpus.validation))
    for baseline in baselines(model, held):
        start = time.perf_counter()
        baseline.fit(learned)
        middle = time.perf_counter()
        say(f"Baseline: {baseline.name}.")
        theirs = baseline.losses(judged)
        found[baseline.name] = Predicted(theirs, middle - start, time.perf_counter() - middle)
    board = LossBoard.build({**found, name: mine}, network=name, kind=kind_of(model), notes=_notes(model, judged))
    return JudgedLanguage(board, mine.losses)


def kind_of(model: LanguageModel) -> str:
    """What a fitted model's tokens are called: "character", "word", "piece", or "frame" of notes."""
    return "frame" if model.inputs_ is None else KINDS.get(model.analyzer, "word")


def language_study(
    model: LanguageModel,
    corpus: Corpus,
    folder: Path | str,
    *,
    title: str,
    **job: Any,
) -> JudgedLanguage:
    """Judges a model and leaves a run folder with it, its scoreboard and a report with a sample.

    The model that is kept is the one that was judged: it saw nothing of the test texts.
    Raises what `fit` raises.

    job  `resume`, `progress` and `say` of `judged_run`
    """
    judge, report = partial(judge_language, model, corpus), partial(language_report, title, model, corpus)
    return judged_run(model, folder, judge, report, **job)


def language_report(title: str, model: LanguageModel, corpus: Corpus, judged: JudgedLanguage) -> Report:
    """Scoreboard, a sample or tune, where the model was surprised, training curve, configuration."""
    return Report(
        title,
        scoreboard=judged.scoreboard,
        sections=_rolls(model, corpus) if model.inputs_ is None else _texts(model, corpus, judged),
        training=model.history_.records,
        configuration=model._params(),
        about=_about(model, corpus, judged),
    )


def _about(model: LanguageModel, corpus: Corpus, judged: JudgedLanguage) -> About:
    held = f", {_amount(list(corpus.validation))} to choose weights by" if corpus.validation else ""
    data = f"{_amount(list(corpus.learn))} to learn from{held}; {reads(model)}."
    board = judged.scoreboard
    split = f"{_amount(list(corpus.test))} to judge by: the end of the text, or pieces apart from those learned from."
    return About([data], split, limits=limits(board.tokens, "tokens"))


def _rolls(model: LanguageModel, corpus: Corpus) -> dict[str, str]:
    longest = max(corpus.test, key=len)
    given, truth = longest[: min(FRAMES, len(longest) // 2)], longest[min(FRAMES, len(longest) // 2) :][:FRAMES]
    figure = plot_rolls(given, model.generate(given, max_new_tokens=len(truth)), truth)
    svg = to_svg(figure, "Piano rolls: frames that were given, what was generated after them, and what came in truth")
    return {"A sample": f'<div class="plots"><figure>{svg}</figure></div>'}


def _texts(model: LanguageModel, corpus: Corpus, judged: JudgedLanguage) -> dict[str, str]:
    text, losses = max(zip(corpus.test, judged.losses, strict=True), key=lambda pair: len(pair[1]))
    pieces = model.pieces(str(text[:CHARACTERS]))
    shown = slice(1, SAMPLE + 1)
    written = tune_sections(model, corpus.test) if _are_tunes(corpus.pieces) else _sample(model, pieces)
    return {
        **written,
        "What surprised it": surprise_html(pieces[shown], losses[:SAMPLE].tolist())
        + '<p class="quiet">The darker a piece of the test text, the less probable the model thought it.</p>',
    }


def _predicted(model: Any, corpus: Corpus, **training: Any) -> Predicted:
    """What the test texts cost a model that was fitted, and how long both took."""
    start = time.perf_counter()
    model.fit(list(corpus.learn), X_validation=list(corpus.validation) or None, **training)
    middle = time.perf_counter()
    losses = model.losses(list(corpus.test))
    return Predicted(losses, middle - start, time.perf_counter() - middle)


def _are_tunes(pieces: Sequence[Any]) -> bool:
    return all(isinstance(piece, str) and is_tune(piece) for piece in pieces)


def _sample(model: LanguageModel, pieces: Sequence[str]) -> dict[str, str]:
    prompt = "".join(pieces[: min(PROMPT, len(pieces) // 2)])
    sample = sample_html(prompt, model.generate(prompt, max_new_tokens=SAMPLE))
    return {"A sample": sample + '<p class="quiet">The beginning, in grey, is the test text\'s.</p>'}


def _amount(texts: Sequence[Any]) -> str:
    """How much there is of what."""
    unit = "characters" if isinstance(texts[0], (str, Text)) else "frames"
    return f"{sum(map(len, texts))} {unit}" + (f" in {len(texts)} pieces" if len(texts) > 1 else "")


def _notes(model: LanguageModel, judged: Sequence[np.ndarray]) -> list[str]:
    """What makes losses look better than they are."""
    every = np.concatenate(list(judged))
    unknown = 0 if model.inputs_ is None else int((every == 0).sum())
    if model.inputs_ is None or not unknown:
        return []
    return [
        f"{unknown} of {len(every)} tokens of the test texts are not in the vocabulary of {len(model.inputs_) - 1}: "
        "they all count as one unknown token, which makes them easier to predict than they are."
    ]
