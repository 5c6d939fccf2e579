"""What `elman tune` does: reads what the verb reads, searches, judges."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from elman.cli.again import trained_by
from elman.cli.jobs import (
    build,
    load_cells,
    nothing_left,
    parse_value,
    print_board,
    read_labelled,
    run_folder,
    talk,
    write_columns,
)
from elman.cli.labels import VERBS
from elman.cli.language_jobs import read_judged_corpus
from elman.data import read_table
from elman.data.examples import Columns
from elman.errors import OptionError, suggest
from elman.estimators.base import changed
from elman.estimators.forecasting.plan import Plan
from elman.evidence.tune.evolved import evolve_labels, evolve_language
from elman.evidence.tune.judged import (
    KEEP,
    SEARCH,
    Outcome,
    before_windows,
    tuned_forecast,
    tuned_labels,
    tuned_language,
)
from elman.evidence.tune.search import load_optuna
from elman.evidence.tune.space import fixed, make_space
from elman.evidence.tune.tasks import ForecastTask, LabelTask, Task, TextTask
from elman.evidence.tune.tuning import Tuned, run_search, shorten
from elman.training.run import RunFolder

KINDS = {verb: kind for verb, (kind, _) in VERBS.items()} | {"forecast": "Forecaster", "generate": "LanguageModel"}
"""the estimator of each verb that can be tuned"""
OF_LABELS = {"label", "input", "sequence", "test", "share", "time"}
OF = {
    **dict.fromkeys(VERBS, OF_LABELS),
    "generate": {"test", "share"},
    "forecast": {"time", "target", "series", "freq", "horizon", "windows"},
}
"""options that only some verbs know"""
EVOLVED = (*VERBS, "generate")
"""verbs whose `Data` have an `evolve`"""
OF_METHOD = {"search": {"search", "only", "trials", "workers"}, "evolve": {"objective"}}
"""options that only one method knows"""
FLAGS = {"cell": "--cell", "num_layers": "--layers", "hidden_size": "--hidden-size"}
"""arguments that have an option of their own; any other is given by --set"""


@dataclass(frozen=True)
class Asked:
    """What was asked for, as it stands on the command line. table: the forecaster's columns, and its horizon."""

    verb: str
    file: Path
    test: Path | None
    share: float
    columns: Columns
    table: Mapping[str, Any]
    windows: int
    cell: tuple[str, ...]
    cells: Path | None
    seed: int


@dataclass(frozen=True)
class Data:
    """What a search sees, and how its outcome is judged by what it did not see. evolve: how weights are evolved."""

    task: Task
    judge: Callable[..., Outcome]
    evolve: Any = None
    columns: Columns | None = None


def check_options(verb: str, method: str, given: Mapping[str, str]) -> None:
    """Raises `OptionError` for an option that says nothing here, or one that is missing; given: name → as written."""
    if verb not in KINDS:
        raise OptionError(f"elman tune: no verb {verb!r} that can be tuned, {suggest(verb, KINDS)}")
    if method not in OF_METHOD:
        raise OptionError(f"elman tune: --method must be search or evolve, got {method!r}.")
    for known, mine, what in ((OF, OF[verb], f"of {verb}"), (OF_METHOD, OF_METHOD[method], f"of --method {method}")):
        foreign = [name for name in given if any(name in names for names in known.values()) and name not in mine]
        if foreign:
            raise OptionError(f"elman tune: {given[foreign[0]]} is no option {what}. Leave it out.")
    if verb == "forecast":
        for name in ("time", "target", "horizon"):
            if name not in given:
                raise OptionError(f"elman tune forecast: --{name} is missing. Give it, as to elman forecast.")
    if method == "evolve" and verb not in EVOLVED:
        raise OptionError(f"elman tune: --method evolve is for {', '.join(EVOLVED)}, got {verb}.")


def run_tune(
    asked: Asked,
    method: str,
    shape: Mapping[str, Any],
    more: Sequence[str] | None,
    how: Mapping[str, Any],
    *,
    title: str,
    out: Path | None,
    resume: bool,
) -> None:
    """The search and its judgement in a run folder, told on the terminal."""
    folder = run_folder("tune", asked.file, out, resume=resume, share=asked.share)
    columns = asked.table if asked.verb == "forecast" else {}
    first = asked.cell[0] if asked.cell else None
    with nothing_left(folder):
        estimator = build(KINDS[asked.verb], first, asked.cells, more, **shape, **columns)
        if method == "evolve":
            data, lines = _begin(asked, estimator, folder, 0, resume=resume), []
            outcome: Any = data.evolve(folder, title=title, objective=how["objective"], **talk())
        else:
            load_optuna()
            search = {"cell": list(asked.cell)} if asked.cell else {}
            search |= {name: read_range(name, text) for name, text in map(_pair, how["search"])}
            estimator = changed(estimator, **fixed(estimator, search))
            space = make_space(estimator, search, how["only"])
            data = _begin(asked, estimator, folder, how["trials"], resume=resume)
            counts = {"trials": how["trials"], "workers": how["workers"], "seed": asked.seed}
            ready = partial(load_cells, asked.cells, first)
            tuned = run_search(data.task, space, folder, prepare=ready, say=talk()["say"], **counts)
            outcome = data.judge(tuned, folder, title=title, **talk())
            lines = _lines(tuned, outcome.sentence)
    if data.columns is not None:
        write_columns(folder, data.columns)
    print_board(outcome.judged.scoreboard)
    print("", outcome.sentence, *lines, f"Report: {folder / 'report.html'}", sep="\n")


def _begin(asked: Asked, estimator: Any, folder: Path, trials: int, *, resume: bool) -> Data:
    """What is read from the file, the run folder ready; a mistake in either is told before hours are spent."""
    kept = folder / SEARCH
    if kept.exists() and (done := len(json.loads(kept.read_text("utf-8"))["trials"])) < trials:
        raise OptionError(f"elman tune: {folder} is judged, with {done} trials. Begin {trials} elsewhere: --out RUN.")
    data = READ[asked.verb](asked, estimator)
    run = RunFolder(folder)
    if not (resume and run.finished):
        run.create(resume=resume)
    return data


def read_range(name: str, text: str) -> Any:
    """A range as it is written: LOW..HIGH, A,B,C, or one value.

    >>> read_range("hidden_size", "16..64"), read_range("cell", "gru,lstm"), read_range("dropout", "0.5")
    ((16, 64), ['gru', 'lstm'], 0.5)
    """
    low, dots, high = text.partition("..")
    if not dots:
        values = [parse_value(part.strip()) for part in text.split(",")]
        return values if len(values) > 1 else values[0]
    ends = parse_value(low.strip()), parse_value(high.strip())
    if not all(isinstance(end, (int, float)) for end in ends):
        raise OptionError(f"--search: {name} must go from a number to a number, got {text!r}. Write {name}=1..10.")
    return ends


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not sign or not value.strip():
        raise OptionError(f"--search: expected NAME=LOW..HIGH or NAME=A,B, got {text!r}. Write --search {name}=….")
    return name, value.strip()


def _read_labels(asked: Asked, estimator: Any) -> Data:
    where = {"each_step": estimator.per_step, "share": asked.share}
    examples, found = read_labelled(asked.file, asked.test, asked.columns, **where)
    judge, evolve = partial(tuned_labels, examples=examples), partial(evolve_labels, estimator, examples)
    return Data(LabelTask.split(estimator, examples.X, examples.y), judge, evolve, found)


def _read_series(asked: Asked, estimator: Any) -> Data:
    panel = estimator.read(read_table(asked.file))
    Plan.make(estimator, panel, asked.windows + 1)  # the search holds a window back of what precedes those that judge
    known = before_windows(panel, estimator.horizon, asked.windows)
    return Data(ForecastTask(estimator, known), partial(tuned_forecast, panel=panel, windows=asked.windows))


def _read_texts(asked: Asked, estimator: Any) -> Data:
    corpus = read_judged_corpus(asked.file, asked.test, asked.share)
    held = list(corpus.validation) or None
    judge, evolve = partial(tuned_language, corpus=corpus), partial(evolve_language, estimator, corpus)
    return Data(TextTask(estimator, list(corpus.learn), held), judge, evolve)


READ: dict[str, Callable[[Asked, Any], Data]] = {
    **dict.fromkeys(VERBS, _read_labels),
    "forecast": _read_series,
    "generate": _read_texts,
}


def _lines(tuned: Tuned, sentence: str) -> list[str]:
    """The command that trains the best, where it is better than the defaults."""
    if not tuned.changes or sentence.endswith(KEEP):
        return []
    found: list[str] = []
    for name, value in tuned.changes.items():
        found += [FLAGS[name], str(value)] if name in FLAGS else ["--set", f"{name}={shorten(value)}"]
    replaced = {FLAGS.get(name, name) for name in tuned.changes}
    return [f"Train the best: {trained_by(found, replaced, cell='cell' not in tuned.changes)}"]
