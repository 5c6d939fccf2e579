"""What was measured of each training, in memory and in a folder, so that a comparison that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elman.errors import RunError
from elman.training.run import RunFolder

OUTCOMES = "outcomes.json"


@dataclass(frozen=True)
class Outcome:
    """One model, trained once and judged.

    losses  of each unit of the test data; score: what decides
    parameters  weights; None: it is no net
    fit_seconds, answer_seconds   of training, and of an answer to one more step
    """

    losses: list[float]
    score: float
    parameters: int | None
    fit_seconds: float
    answer_seconds: float


class Kept:
    """Outcomes by model and seed; with a folder, each is there as soon as it is known.

    asked: what is compared; raises `RunError` where the folder holds outcomes of something else.
    """

    def __init__(self, folder: Path | str | None, asked: Mapping[str, Any], *, resume: bool) -> None:
        self.run = None if folder is None else RunFolder(folder).create(resume=resume)
        self.asked = json.loads(json.dumps(asked))
        self.known: dict[str, Outcome] = {}
        file = None if self.run is None else self.run.path / OUTCOMES
        if file is not None and file.exists():
            found = json.loads(file.read_text("utf-8"))
            if found["asked"] != self.asked:
                raise RunError(
                    f"{folder}: holds a comparison of other models. Resume that one, or choose another name."
                )
            self.known = {name: Outcome(**one) for name, one in found["outcomes"].items()}

    def get(self, model: str, seed: int) -> Outcome | None:
        """What is known of a training, if it has ended."""
        return self.known.get(f"{model}, seed {seed}")

    def add(self, model: str, seed: int, outcome: Outcome) -> Outcome:
        """Notes it, and gives it back."""
        self.known[f"{model}, seed {seed}"] = outcome
        if self.run is not None:
            every = {name: asdict(one) for name, one in self.known.items()}
            self.run.write_text(OUTCOMES, json.dumps({"asked": self.asked, "outcomes": every}))
        return outcome
