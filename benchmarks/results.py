"""How a benchmark is run by seeds, and where it keeps what it measured: docs/results.md and docs/results/*.json."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

import elman

DOCS = Path(__file__).parents[1] / "docs"


Results = list[dict[str, Any]]
"""what was measured, each a task by a seed"""


def keep(name: str, table: Callable[[Results], str], results: Results) -> None:
    """Puts the table between the marks <!-- name --> and <!-- /name -->, and writes results/name.json.

    What was kept of other tasks and seeds stays in both.
    """
    file = DOCS / "results" / f"{name}.json"
    kept = json.loads(file.read_text())["results"] if file.exists() else []
    again = {(r["task"], r["seed"]) for r in results}
    every = [r for r in kept if (r["task"], r["seed"]) not in again] + results
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    machine |= {"threads": torch.get_num_threads()}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine, "elman": elman.__version__, "results": every}, indent=1) + "\n")
    page, (begin, end) = DOCS / "results.md", (f"<!-- {name} -->", f"<!-- /{name} -->")
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}\n{table(every)}\n{end}{rest.split(end)[1]}")


def main(
    name: str,
    about: str | None,
    tasks: Iterable[str],
    run: Callable[[Path, str, int, bool], dict[str, Any]],
    table: Callable[[Results], str],
    *,
    reads: bool = True,
) -> None:
    """A benchmark's command line: every task and seed by `run(folder, task, seed, with_baselines)`, then a table.

    reads: whether there is a folder of data to be named.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, **({} if reads else {"nargs": "?", "default": Path()}))
    parser.add_argument("--only", nargs="+", choices=list(tasks), default=list(tasks))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--baselines", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    results = []
    for task in options.only:
        for seed in options.seeds:
            results.append(run(options.folder, task, seed, options.baselines))
            print(json.dumps(results[-1]), flush=True)
    print(table(results))
    if options.write:
        keep(name, table, results)
