"""From data to a judged run folder: the search, then the best and the defaults on data that no trial saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from elman.data import Panel
from elman.data.corpus import Corpus
from elman.estimators import Forecaster, LanguageModel
from elman.estimators.base import changed
from elman.estimators.forecasting.backtest import Backtest
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence import label_study, language_study, study
from elman.evidence.board import Board, finite
from elman.evidence.judging import Kept, cell_of, judged_run
from elman.evidence.label_study import Examples
from elman.evidence.report import Report
from elman.evidence.tune.pictures import to_html
from elman.evidence.tune.tuning import Tuned, shorten
from elman.training.run import RunFolder

SEARCH = "search.json"
DEFAULTS = "defaults"
"""the folder inside a run that keeps the model with the estimator's own arguments"""


KEEP = "Keep the defaults."
"""how the sentence ends where a search was in vain"""


@dataclass(frozen=True)
class Outcome:
    """What a search was good for, judged on unseen data. `sentence` says whether it helped."""

    tuned: Tuned
    judged: Any
    sentence: str


def whether_it_helped(tuned: Tuned, board: Board, rival: str | None) -> str:
    """In a sentence, by the paired test of the tuned net against the one with the defaults, a line of the board."""
    count = len(tuned.trials)
    if rival is None and tuned.first.loss is None:
        return f"Tuning helped: the defaults diverge, the best of {count} trials does not."
    if rival is None:
        return f"Tuning did not help: none of {count} trials had a lower validation loss. {KEEP}"
    duel = board.against(rival)
    numbers = f"on unseen data {duel.mine} against {duel.theirs} with the defaults, {duel.chance}."
    if duel.better and duel.sure:
        return f"Tuning helped: {numbers}"
    return f"Tuning did not help{' beyond chance' if duel.better else ''}: {numbers} {KEEP}"


def tuned_labels(tuned: Tuned, folder: Path, examples: Examples, *, title: str, **job: Any) -> Outcome:
    """The best estimator, and the defaults, trained on all training sequences and judged on the test sequences."""
    model: SequenceEstimator = tuned.estimator
    rivals = _rivals(tuned, label_study.name_of(tuned.given), folder, **job)
    judge = partial(label_study.judge_labels, model, examples, rivals=rivals)

    def report(judged: Any) -> Report:
        return _with_search(label_study.label_report(title, model, examples, judged), tuned, rivals)

    return _outcome(tuned, judged_run(model, folder, judge, report, resume=True, **job), rivals, folder)


def tuned_language(tuned: Tuned, folder: Path, corpus: Corpus, *, title: str, **job: Any) -> Outcome:
    """The same of a language model and a corpus."""
    model: LanguageModel = tuned.estimator
    rivals = _rivals(tuned, cell_of(tuned.given), folder, **job)
    judge = partial(language_study.judge_language, model, corpus, rivals=rivals)

    def report(judged: Any) -> Report:
        return _with_search(language_study.language_report(title, model, corpus, judged), tuned, rivals)

    return _outcome(tuned, judged_run(model, folder, judge, report, resume=True, **job), rivals, folder)


def tuned_forecast(tuned: Tuned, folder: Path, panel: Panel, *, title: str, windows: int, **job: Any) -> Outcome:
    """The same of a forecaster and series, whose last windows no trial saw; then the best is trained on all data."""
    model: Forecaster = tuned.estimator
    rivals = _rivals(tuned, cell_of(tuned.given), folder, **job)
    judged = study.study(model, panel, folder, title=title, n_windows=windows, rivals=rivals, resume=True, **job)
    _with_search(study.make_report(title, model, judged), tuned, rivals).write(RunFolder(folder))
    return _outcome(tuned, judged, rivals, folder)


def before_windows(panel: Panel, horizon: int, windows: int) -> Panel:
    """What is known before the first window that judges: all that a search may see."""
    return Backtest.plan(panel, horizon, windows, None, study.LEVELS).windows[0].history


def _rivals(tuned: Tuned, name: str, folder: Path, **job: Any) -> dict[str, Kept]:
    """The defaults, unless they were not beaten, or cannot be trained."""
    if not tuned.changes or tuned.first.loss is None:
        return {}
    return {f"untuned {name}": Kept(changed(tuned.given), folder / DEFAULTS, job.get("progress", lambda: None))}


def _with_search(report: Report, tuned: Tuned, rivals: Mapping[str, Any]) -> Report:
    board: Any = report.scoreboard
    sentence = whether_it_helped(tuned, board, next(iter(rivals), None))
    changed = ", ".join(f"{name} {shorten(value)}" for name, value in tuned.changes.items())
    words = f"<p><strong>{escape(sentence)}</strong></p>" + (f"<p>The best: {escape(changed)}.</p>" if changed else "")
    sections = {"Tuning": words, "The search": to_html(tuned), **report.sections}
    return replace(report, sections=sections, notes=(sentence, *report.notes))


def _outcome(tuned: Tuned, judged: Any, rivals: Mapping[str, Any], folder: Path) -> Outcome:
    """Says what was found, and leaves the trials as JSON."""
    sentence = whether_it_helped(tuned, judged.scoreboard, next(iter(rivals), None))
    trials = [asdict(trial) for trial in tuned.trials]
    found = {"sentence": sentence, "changes": tuned.changes, "importances": tuned.importances, "trials": trials}
    RunFolder(folder).write_text(SEARCH, json.dumps(finite(found), indent=1))
    return Outcome(tuned, judged, sentence)
