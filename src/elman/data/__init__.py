"""From a file or frame to arrays on a time grid: tables, panels of series, calendars, vocabularies.

Names load when first used: pandas (0.3 s) and torch wait until something needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elman.data.batch import Batch, Batches
    from elman.data.calendar import calendar_features, calendar_names, default_season, seasons
    from elman.data.corpus import Corpus, read_corpus
    from elman.data.examples import Columns, read_examples
    from elman.data.long_frame import future_from_frame, panel_from_frame
    from elman.data.panel import Panel
    from elman.data.table import read_table, write_csv
    from elman.data.vocabulary import Vocabulary

_HOMES = {
    "Batch": "batch",
    "Batches": "batch",
    "Columns": "examples",
    "Corpus": "corpus",
    "Panel": "panel",
    "Vocabulary": "vocabulary",
    "calendar_features": "calendar",
    "calendar_names": "calendar",
    "default_season": "calendar",
    "future_from_frame": "long_frame",
    "panel_from_frame": "long_frame",
    "read_corpus": "corpus",
    "read_examples": "examples",
    "read_table": "table",
    "seasons": "calendar",
    "write_csv": "table",
}

__all__ = [
    "Batch",
    "Batches",
    "Columns",
    "Corpus",
    "Panel",
    "Vocabulary",
    "calendar_features",
    "calendar_names",
    "default_season",
    "future_from_frame",
    "panel_from_frame",
    "read_corpus",
    "read_examples",
    "read_table",
    "seasons",
    "write_csv",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'elman.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"elman.data.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
