"""What `elman generate` does: learns from a file, or writes from what was learned."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from elman.cli.jobs import print_board, talk
from elman.data.corpus import Corpus, read_corpus
from elman.errors import OptionError
from elman.estimators import LanguageModel, load
from elman.evidence.language_study import language_study


def run_language(
    model: LanguageModel, file: Path, test: Path | None, folder: Path, *, title: str, share: float, resume: bool
) -> None:
    """A study of a corpus into a folder, with progress, and its scoreboard printed."""
    corpus = read_judged_corpus(file, test, share)
    judged = language_study(model, corpus, folder, title=title, resume=resume, **talk())
    print_board(judged.scoreboard)


def read_judged_corpus(file: Path, test: Path | None, share: float) -> Corpus:
    """A corpus with texts to judge by: those of `test`, else a share."""
    corpus = read_corpus(file)
    if test is None:
        return corpus.split(share, 0)
    judged = read_corpus(test)
    return Corpus(corpus.learn, corpus.validation, judged.test or judged.learn)


def write(run: Path, prompt: str | None, *, max_new_tokens: int, seed: int, **options: Any) -> None:
    """Prints what a run's model generates as it comes: text, or for each frame the numbers of the notes that sound."""
    model = load(run)
    if not isinstance(model, LanguageModel):
        raise OptionError(f"elman generate: {run} holds a {type(model).__name__}. Use it so: elman predict {run}")
    if model.inputs_ is None and prompt is not None:
        raise OptionError(
            "elman generate: --prompt is text, and this run reads piano rolls. Use LanguageModel.generate."
        )
    pieces = model.tokens(prompt, max_new_tokens=max_new_tokens, seed=seed, **options)
    pieces = chain((next(pieces),), pieces)  # an option that cannot be used is told before anything is printed
    if model.inputs_ is None:
        for frame in pieces:
            print(*np.flatnonzero(frame), flush=True)
        return
    print(prompt or "", end="")
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
