"""One label of a sequence, one number of it, one label of each of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from page import COLOURS, Page
from shape import Shape, block, compared

from elman.cli.demos import SHIPPED
from elman.data.examples import Columns, read_examples
from elman.estimators import SequenceClassifier, SequenceRegressor, SequenceTagger
from elman.evidence.board import Board
from elman.evidence.label_plots import plot_confusion, plot_numbers
from elman.evidence.label_study import Examples, judge_labels
from elman.evidence.plots import QUIET, dress


class Classify(Shape):
    """A spoken digit."""

    verb, estimator, goes = "classify", "SequenceClassifier", "many steps in, one label out"
    question = "Which digit is spoken in a recording?"
    literature = "Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735 (the cell)."

    def learn(self, every: int) -> Board:
        X, y, _ = read_examples(SHIPPED / "spoken_digits_train.npz", Columns())
        X_test, y_test, _ = read_examples(SHIPPED / "spoken_digits_test.npz", Columns())
        self.examples = Examples(X[::every], y[::every], X_test[::every], y_test[::every])
        self.model = SequenceClassifier(max_steps=300 // every)
        self.judged = judge_labels(self.model, self.examples)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        X, y = self.examples.X_test, self.examples.y_test
        sizes = [len(x) for x in X]
        page.text(
            f"{len(self.examples.X)} recordings of six speakers to learn from, {len(X)} to judge by, {min(sizes)} to "
            f"{max(sizes)} steps of 10 ms long; of each step the energy in 20 bands of pitch."
        )
        with page.picture("data", "Five recordings: time from left to right, pitch upwards.", (1, 5), (9, 2.2)) as row:
            for axes, k in zip(row, np.linspace(0, len(X) - 1, 5).astype(int), strict=True):
                axes.imshow(np.asarray(X[k]).T, origin="lower", aspect="auto", cmap="magma")
                dress(axes, f"“{y[k]}”", "steps of 10 ms", "")
                axes.set_yticks([])
                axes.grid(visible=False)

    def said(self, page: Page) -> None:
        figure = plot_confusion(self.judged.truth, self.judged.found)
        page.figure("confusion", "Which digit is taken for which, in percent of the true ones.", figure)
        shown = np.flatnonzero(self.judged.truth != self.judged.found)[:5]
        p = self.model.predict_proba([self.examples.X_test[k] for k in shown]).max(1) if len(shown) else []
        rows = compared(None, self.judged.truth[shown].tolist(), self.judged.found[shown].tolist())
        if rows:
            page.text("Where it errs, and how sure it was:")
            page.table([row | {"probability": float(sure)} for row, sure in zip(rows, p, strict=True)])


class Regress(Shape):
    """How often a customer will buy."""

    verb, estimator, goes = "regress", "SequenceRegressor", "many steps in, one number out"
    question = "On how many days of the next nine months will a customer buy, by the nine months before?"
    literature = "Fader & Hardie 2001, Interfaces 31, S94-S107 (the data, and a model with four parameters)."

    def learn(self, every: int) -> Board:
        X, y, _ = read_examples(SHIPPED / "cdnow_customers.npz", Columns())
        self.examples = Examples.split(X[::every], y[::every], 0.2, 0)
        self.model = SequenceRegressor(hidden_size=64, max_steps=300 // every)
        self.judged = judge_labels(self.model, self.examples)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        X, y = np.array(self.examples.X_test), self.examples.y_test
        page.text(
            f"{len(self.examples.X)} customers of a shop for compact discs to learn from, {len(X)} to judge by: of "
            f"each week the days with a purchase and the discs bought. {np.mean(np.asarray(y) == 0):.0%} never come "
            "back."
        )
        chosen = np.argsort(-X[:, :, 0].sum(1), kind="stable")[: max(12, len(X) // 12) : max(1, len(X) // 144)][:12]
        caption = "Twelve customers: a dot for each week with a purchase, its size by the discs; right: what came then."
        with page.picture("data", caption, size=(7.2, 3.4)) as axes:
            for line, k in enumerate(chosen):
                weeks = np.flatnonzero(X[k, :, 0])
                axes.scatter(weeks, [line] * len(weeks), s=12 + 8 * X[k, weeks, 1], color=COLOURS[0], alpha=0.7, lw=0)
                axes.text(40.5, line, f"{y[k]:.0f} days", va="center", color=QUIET)
            dress(axes, "Purchases in 39 weeks", "week", "")
            axes.set_xlim(-1, 45)
            axes.set_yticks([])

    def said(self, page: Page) -> None:
        truth, found = self.judged.truth, self.judged.found
        page.figure("said", "Said against true, in days.", plot_numbers(truth, found))
        page.text(
            f"The mean of what came is {truth.mean():.2f} days, of what was said {found.mean():.2f}; those who came "
            f"most often, {truth.max():.0f} days, were given {found[int(truth.argmax())]:.1f}."
        )


class Tag(Shape):
    """The part of speech of each word."""

    verb, estimator, goes = "tag", "SequenceTagger", "many steps in, a label for each out"
    question = "Which part of speech has each word of a sentence?"
    literature = (
        "Nivre et al. 2016, aclanthology L16-1262 (the labels); Graves & Schmidhuber 2005, "
        "doi:10.1016/j.neunet.2005.06.042 (both ways)."
    )

    def learn(self, every: int) -> Board:
        X, y, _ = read_examples(SHIPPED / "english_web_train.conll.gz", Columns(), each_step=True)
        X_test, y_test, _ = read_examples(SHIPPED / "english_web_test.conll.gz", Columns(), each_step=True)
        self.examples = Examples(X[::every], y[::every], X_test[::every], y_test[::every])
        self.model = SequenceTagger(hidden_size=64, max_steps=1000 // every)
        self.judged = judge_labels(self.model, self.examples)
        return self.judged.scoreboard

    def look(self, page: Page) -> None:
        X, y = self.examples.X, self.examples.y
        page.text(
            f"{len(X)} sentences from the web to learn from, {len(self.examples.X_test)} to judge by. Two of them:"
        )
        for k in _of_length(X, 12)[:2]:
            page.text(block(_aligned(X[k], y[k])))

    def said(self, page: Page) -> None:
        X, y = self.examples.X_test, self.examples.y_test
        chosen = _of_length(X, 12)[:4]
        page.text("What it said of test sentences; in the third line what is true, where that is something else:")
        for k, said in zip(chosen, self.model.predict([X[k] for k in chosen]), strict=True):
            right = [t if t != s else "" for t, s in zip(y[k], said, strict=True)]
            page.text(block(_aligned(X[k], list(said), right)))


def _of_length(sentences: Sequence[Any], words: int) -> list[int]:
    """Sentences by how near they are to so many words."""
    return sorted(range(len(sentences)), key=lambda k: abs(len(sentences[k]) - words))


def _aligned(*lines: Sequence[Any]) -> str:
    """Texts below each other."""
    widths = [max(len(str(line[k])) for line in lines) for k in range(len(lines[0]))]
    said = (" ".join(str(word).ljust(w) for word, w in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(line for line in said if line)
