"""Texts that are written: of a text, of a sound, of a picture, and on and on."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from page import Page
from shape import Shape, block, compared

from elman.cli.demos import SHIPPED, join_digits, pair_emoji
from elman.data.corpus import Corpus, read_corpus
from elman.data.examples import Columns
from elman.data.pairs import read_pairs
from elman.estimators import Captioner, LanguageModel, Transcriber, Translator
from elman.evidence.board import Board
from elman.evidence.label_study import Examples
from elman.evidence.language_study import judge_language
from elman.evidence.plots import INK, TRUTH, dress, plot_training
from elman.evidence.text_plots import plot_attention
from elman.evidence.text_study import judge_texts

SHOWN = 8


def read(file: Path, columns: Columns | None = None) -> tuple[Any, list[str]]:
    """What is read, and the text to write of each."""
    pairs = read_pairs(file, None, columns or Columns())
    return pairs.X, list(pairs.y or ())


class Translate(Shape):
    """The names of emoji."""

    verb, estimator, goes = "translate", "Translator", "many steps in, many others out, in another order"
    question = "What is an emoji called in Spanish, by its English name?"
    literature = "Sutskever, Vinyals & Le 2014, arXiv:1409.3215; Bahdanau, Cho & Bengio 2014, arXiv:1409.0473."

    def learn(self, every: int) -> Board:
        X, y = read(SHIPPED / "emoji_names.tsv.gz", Columns(("en",), "es"))
        self.examples = Examples.split(X[::every], y[::every], 0.1, 0)
        self.model = Translator(max_steps=400 // every)
        self.judged = judge_texts(self.model, self.examples)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        X, y = self.examples.X, self.examples.y
        page.text(f"{len(X)} names to learn from, {len(self.examples.X_test)} to judge by. Some of them:")
        page.table([{"English": X[k], "Spanish": y[k]} for k in _spread(len(X), 5)])

    def said(self, page: Page) -> None:
        chosen = _spread(len(self.judged.texts), SHOWN)
        X, truth, said = (
            [v[k] for k in chosen] for v in (self.examples.X_test, self.examples.y_test, self.judged.texts)
        )
        page.table(compared(X, truth, said))
        longest = max(self.examples.X_test, key=len)
        ((words, looked),) = self.model.align([longest])
        if words:
            caption = f"Where the net looked in: {longest}"
            page.figure("attention", caption, plot_attention(self.model.inputs_.cut(longest), words, looked))


class Transcribe(Shape):
    """Strings of spoken digits."""

    verb, estimator, goes = "transcribe", "Transcriber", "many steps in, fewer out, in the same order"
    question = "Which digits are spoken in a string of them, if nobody tells where one ends?"
    literature = "Graves et al. 2006, doi:10.1145/1143844.1143891 (connectionist temporal classification)."

    def learn(self, every: int) -> Board:
        with TemporaryDirectory() as folder:
            join_digits(made := Path(folder) / "made")  # strings of 3 to 5 recordings
            X, y = read(made / "digit_strings_train.npz")
            X_test, y_test = read(made / "digit_strings_test.npz")
        self.examples = Examples(X[::every], y[::every], X_test[::every], y_test[::every])
        self.model = Transcriber(max_steps=200 // every)
        self.judged = judge_texts(self.model, self.examples)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        X, y = self.examples.X_test, self.examples.y_test
        page.text(
            f"{len(self.examples.X)} strings of 3 to 5 recordings to learn from, {len(X)}, joined from other "
            "recordings, to judge by."
        )
        with page.picture("data", "Two strings: time from left to right, pitch upwards.", (2, 1), (9, 3.6)) as column:
            for axes, x, text in zip(column, X, y, strict=False):
                axes.imshow(np.asarray(x).T, origin="lower", aspect="auto", cmap="magma")
                dress(axes, f"“{text}”", "steps of 10 ms" if axes is column[-1] else "", "")
                axes.set_yticks([])
                axes.grid(visible=False)

    def said(self, page: Page) -> None:
        chosen = _spread(len(self.judged.texts), SHOWN)
        page.table(compared(None, *([v[k] for k in chosen] for v in (self.examples.y_test, self.judged.texts))))


class Caption(Shape):
    """Two emoji in a picture."""

    verb, estimator, goes = "caption", "Captioner", "one picture in, many words out"
    question = "What is in a picture, in words?"
    literature = "Vinyals et al. 2015, arXiv:1411.4555; Xu et al. 2015, arXiv:1502.03044 (looking while writing)."

    def learn(self, every: int) -> Board:
        with TemporaryDirectory() as folder:
            pair_emoji(made := Path(folder) / "made")  # two of 24 emoji side by side
            X, y = read(made / "emoji_pairs_train.npz")
            X_test, y_test = read(made / "emoji_pairs_test.npz")
        self.examples = Examples(X[::every], y[::every], X_test[::every], y_test[::every])
        self.model = Captioner(hidden_size=128, max_steps=900 // every)
        self.judged = judge_texts(self.model, self.examples)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        page.text(
            f"{len(self.examples.X)} pictures of two emoji to learn from, {len(self.examples.X_test)} to judge by: of "
            "those each emoji was learned, but never this pair of them. Below are some, with what the model says."
        )

    def said(self, page: Page) -> None:
        chosen = _spread(len(self.judged.texts), 6)
        caption = "Test pictures and what was said of them; where that is wrong, the truth stands below it."
        with page.picture("said", caption, (2, 3), (9, 4.4)) as grid:
            for axes, k in zip(grid.flat, chosen, strict=False):
                truth, said = self.examples.y_test[k], self.judged.texts[k]
                axes.imshow(self.examples.X_test[k])
                axes.set_axis_off()
                axes.set_title(said.replace(" and ", "\nand "), fontsize=8.5, color=INK)
                if said != truth:
                    below = {"transform": axes.transAxes, "ha": "center", "va": "top", "fontsize": 8.5}
                    axes.text(0.5, -0.04, truth.replace(" and ", "\nand "), color=TRUTH, **below)
            for axes in grid.flat[len(chosen) :]:
                axes.set_axis_off()


class Generate(Shape):
    """Shakespeare, letter by letter."""

    verb, estimator, goes = "generate", "LanguageModel", "one step in, many out: each is the next one's input"
    question = "Which letter comes next, and what comes of it if the letter that was drawn is read as the next one?"
    literature = "Elman 1990, doi:10.1207/s15516709cog1402_1; Mikolov et al. 2010, doi:10.21437/Interspeech.2010-343."

    def learn(self, every: int) -> Board:
        (text,) = read_corpus(SHIPPED / "shakespeare.txt.gz").learn
        self.corpus = Corpus((text[: 300_000 // every**2],)).split(0.1, 0)
        self.model = LanguageModel(hidden_size=192, max_steps=1000 // every)
        self.judged = judge_language(self.model, self.corpus)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        learn, test = self.corpus.learn[0], self.corpus.test[0]
        page.text(
            f"{len(learn)} letters of plays to learn from, the {len(test)} after them to judge by. They begin so:"
        )
        page.text(block(learn[:240]))

    def said(self, page: Page) -> None:
        page.text("After “ROMEO:” it goes on, at a temperature of 0.7:")
        page.text(block("ROMEO:" + self.model.generate("ROMEO:", max_new_tokens=400, temperature=0.7)))
        figure = plot_training(self.model.history_.records)
        if figure is not None:
            page.figure("training", "The cost of a letter, in nats, while it was learned.", figure)


def _spread(count: int, wanted: int) -> list[int]:
    """So many places, evenly: neighbours in a file are often alike."""
    return np.unique(np.linspace(0, count - 1, wanted).astype(int)).tolist()
