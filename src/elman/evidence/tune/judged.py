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
from elman.estimators.forecasting.backtest import Backtest
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence import label_study, language_study, study
from elman.evidence.board import ALPHA, Board, finite, rank, text
from elman.evidence.judging import Kept, cell_of, judged_run
from elman.evidence.label_study import Examples
from elman.evidence.report import Report
from elman.evidence.tune.pictures import to_html
from elman.evidence.tune.space import candidate
from elman.evidence.tune.tuning import Tuned, shorten
from elman.training.run import RunFolder

SEARCH = "search.json"
DEFAULTS = "defaults"
"""the folder inside a run that keeps the model with the estimator's own arguments"""


@dataclass(frozen=True)
class Outcome:
    """What a search was good for, judged on unseen data. `sentence` says whether it helped."""

    tuned: Tuned
    judged: Any
    sentence: str


def whether_it_helped(tuned: Tuned, board: Board, rival: str | None) -> str:
    """In a sentence, by the paired test of the tuned net against the one with the defaults, a line of the board."""
    count = len(tuned.trials)
    if rival is None:
        why = "the defaults diverge" if tuned.first.loss is None else "no trial had a lower validation loss"
        if tuned.first.loss is None:
            return f"Tuning helped: {why}, the best of {count} trials does not."
        return f"Tuning did not help: of {count} trials {why} than the defaults. Keep the defaults."
    mine = next(board.value(row) for row in board.rows if row.is_network)
    other = next(row for row in board.rows if row.model == rival)
    theirs, p = board.value(other), other.test.p_value
    chance = f"too few {board.unit} for a test" if p != p else f"p = {text(p, 3)}".replace("= <", "< ")
    numbers = f"{board.measure()} {text(mine, 3)} against {text(theirs, 3)} with the defaults, {chance}"
    better = rank(mine, higher=board.higher) < rank(theirs, higher=board.higher)
    if better and p < ALPHA:
        return f"Tuning helped: on unseen data {numbers}."
    if better:
        return f"Tuning did not help beyond chance: on unseen data {numbers}. Keep the defaults."
    return f"Tuning did not help: on unseen data {numbers}. Keep the defaults."


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
    return {f"untuned {name}": Kept(candidate(tuned.given, {}), folder / DEFAULTS, job.get("progress", lambda: None))}


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
