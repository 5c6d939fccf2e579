"""The weights themselves, evolved: judged beside the same net learned by gradients, in the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from elman.data.batch import Batch
from elman.data.corpus import Corpus
from elman.errors import OptionError
from elman.estimators import LanguageModel
from elman.estimators.base import changed, one_of
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.board import Board
from elman.evidence.judging import Kept, cell_of, judged_run
from elman.evidence.label_study import Examples, JudgedLabels, judge_labels, label_report, name_of
from elman.evidence.language_study import JudgedLanguage, judge_language, language_report
from elman.evidence.plots import FORECAST, INK, STYLE, TRUTH, dress, to_svg
from elman.evidence.report import Report
from elman.training.evolution import Evolution, mean_loss
from elman.training.history import History
from elman.training.progress import Progress
from elman.training.run import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRADIENTS = "gradients"
"""the folder inside a run that keeps the same net learned by gradients"""


@dataclass(frozen=True)
class Evolved:
    """Evolution beside gradients: the scoreboard, how much each of them did, and who wins, in a sentence."""

    judged: Any
    sentence: str


@dataclass(frozen=True)
class _Pacemaker(Kept):
    """The net learned by gradients: evolution has as many seconds as it took."""

    evolution: Any = None

    def fit(self, *data: Any, **how: Any) -> Any:
        fitted = super().fit(*data, **how)
        self.evolution.seconds = fitted.history_.records[-1]["seconds"]
        return fitted


def error_rate(model: nn.Module, batch: Batch) -> Tensor:
    """The share of wrong labels, which has no gradient."""
    wrong = model(batch.x, batch.lengths).argmax(-1) != batch.y
    if batch.weight is None:
        return wrong.float().mean()
    return (wrong * batch.weight).sum() / batch.weight.sum()


OBJECTIVES: dict[str, Callable[[nn.Module, Batch], Tensor]] = {"loss": mean_loss, "error": error_rate}
"""what may be evolved towards"""


def evolve_labels(
    estimator: SequenceEstimator, examples: Examples, folder: Path, *, title: str, objective: str = "loss", **job: Any
) -> Evolved:
    """The net learned by gradients; evolved for as many seconds from the same weights; both judged on unseen sequences.

    objective   "loss", which the gradients descend, too; or "error", the share of wrong labels
    job         `progress` and `say` of `judged_run`

    The run folder keeps the evolved model, and in `gradients/` the other one. Raises `OptionError` for an estimator
    that has no classes or too many weights, and what `fit` raises.
    """
    one_of("evolve", "objective", objective, list(OBJECTIVES))
    if objective == "error" and np.asarray(examples.y[0]).dtype.kind == "f":
        raise OptionError("evolve: objective 'error' counts wrong labels, and these are numbers. Use 'loss'.")
    data = (examples.X, examples.y), {}

    def report(evolved: Any, judged: JudgedLabels) -> Report:
        return label_report(title, evolved, examples, judged)

    judge = partial(judge_labels, examples=examples)
    return _evolve(estimator, name_of(estimator), data, judge, report, folder, objective, **job)


def evolve_language(
    estimator: LanguageModel, corpus: Corpus, folder: Path, *, title: str, objective: str = "loss", **job: Any
) -> Evolved:
    """The same of a language model; each window of the text is tried from an empty state."""
    if objective != "loss":
        raise OptionError(f"evolve: objective {objective!r} is for labels, a language model has its 'loss' alone.")
    data = (list(corpus.learn),), {"X_validation": list(corpus.validation) or None}

    def report(evolved: Any, judged: JudgedLanguage) -> Report:
        return language_report(title, evolved, corpus, judged)

    judge = partial(judge_language, corpus=corpus)
    return _evolve(estimator, cell_of(estimator), data, judge, report, folder, objective, **job)


def _evolve(
    estimator: Any,
    name: str,
    data: tuple[tuple[Any, ...], dict[str, Any]],
    judge: Callable[..., Any],
    report: Callable[[Any, Any], Report],
    folder: Path,
    objective: str,
    *,
    progress: Callable[[], Progress | None] = lambda: None,
    say: Callable[[str], None] = lambda line: None,
) -> Evolved:
    """Both trained on the same data, what `fit` takes of it, and judged by `judge` as a net and its rival."""
    evolution = Evolution(fitness=OBJECTIVES[objective])
    descended, evolved, tried = (changed(estimator) for _ in range(3))
    evolved.trainer, tried.trainer = evolution, Evolution(generations=1)
    tried.fit(*data[0], **data[1])  # what cannot be evolved is told before anything is kept
    run = RunFolder(folder)
    if not run.finished:
        run.create(resume=True)
    rival = f"{name} by gradients"
    by_gradients = _Pacemaker(descended, folder / GRADIENTS, progress, evolution)  # judged, and so trained, first

    def told(judged: Any) -> Report:
        words = who_wins(judged.scoreboard, rival, _numbers(descended.history_, evolved.history_))
        picture = to_svg(plot_both(descended.history_, evolved.history_), "Loss by time, of both")
        section = f'<p><strong>{escape(words)}</strong></p><div class="plots"><figure>{picture}</figure></div>'
        found = report(evolved, judged)
        return replace(
            found, sections={"Evolution and gradients": section, **found.sections}, training=(), notes=(words,)
        )

    judged = judged_run(
        evolved,
        folder,
        partial(judge, evolved, rivals={rival: by_gradients}, name=f"{name}, evolved"),
        told,
        resume=True,
        progress=progress,
        say=say,
    )
    return Evolved(judged, who_wins(judged.scoreboard, rival, _numbers(descended.history_, evolved.history_)))


def who_wins(board: Board, rival: str, numbers: str) -> str:
    """In a sentence, by the paired test of the evolved net against the same by gradients."""
    duel = board.against(rival)
    winner = "Evolution wins" if duel.better else "Gradients win"
    start = winner if duel.sure else "Neither evolution nor gradients are distinguishably better"
    return f"{start}: {duel.mine} evolved, {duel.theirs} by gradients, {duel.chance}. {numbers}"


def plot_both(descended: History, evolved: History) -> Figure:
    """The mean training loss of both against the seconds. That of gradients is with dropout, as they are trained."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.1), layout="constrained")
        axes = figure.add_subplot()
        for history, colour, label in ((descended, TRUTH, "by gradients"), (evolved, FORECAST, "evolved")):
            axes.plot(history.column("seconds"), history.column("loss"), color=colour, linewidth=1.6, label=label)
        dress(axes, "Training loss by time", "seconds", "loss")
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def _numbers(descended: History, evolved: History) -> str:
    """How much each of them did."""
    mine, theirs = evolved.records[-1], descended.records[-1]
    return (
        f"Evolution tried {mine['evaluations']} nets on a batch each, {mine['evaluations'] // mine['step']} a "
        f"generation, in {mine['seconds']:.1f} s; gradients took {theirs['step']} steps, each a batch forward and "
        f"back, in {theirs['seconds']:.1f} s."
    )
