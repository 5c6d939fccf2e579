"""Where the benchmarks keep what they measured: a table in docs/results.md, the numbers in docs/results/*.json."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import elman

DOCS = Path(__file__).parents[1] / "docs"


def keep(name: str, table: str, results: Sequence[Any]) -> None:
    """Puts the table between the marks <!-- name --> and <!-- /name -->, and writes results/name.json."""
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    machine |= {"threads": torch.get_num_threads()}
    kept = {"machine": machine, "elman": elman.__version__, "results": list(results)}
    (DOCS / "results").mkdir(exist_ok=True)
    (DOCS / "results" / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    page, (begin, end) = DOCS / "results.md", (f"<!-- {name} -->", f"<!-- /{name} -->")
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}")
