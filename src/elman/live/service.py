"""What the routes of a server share: its sessions, how much is taken, and what is counted."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from elman.errors import DataError
from elman.live.batcher import Batcher, BusyError
from elman.live.guards import Limits
from elman.live.lines import plain
from elman.live.messages import Answer
from elman.live.sessions import Sessions
from elman.live.watchers import Watchers
from elman.steps import StackStep, Stream

SAID = {
    401: "no token, or a wrong one",
    409: "out of turn, or begun already",
    413: "too large",
    422: "no such step",
    429: "too many",
    503: "busy: ask again",
}


class RefusedError(Exception):
    """A request that is not done, with its status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Service:
    """What the routes share: the sessions, how much is taken, and the counts of /metrics."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self.sessions, self.limits = sessions, limits
        self.batcher: Batcher | None = None
        self.watchers = Watchers()
        self.registry = CollectorRegistry()
        self.steps = Counter("elman_steps", "Steps that were counted.", registry=self.registry)
        self.refused = Counter("elman_refused", "Requests refused, by status.", ["status"], registry=self.registry)
        self.seconds = Histogram("elman_push_seconds", "Seconds from push to answer.", registry=self.registry)
        held = Gauge("elman_sessions", "Sequences held ready.", registry=self.registry)
        held.set_function(lambda: len(sessions))
        waiting = Gauge("elman_waiting", "Steps that wait for the model.", registry=self.registry)
        waiting.set_function(lambda: 0 if self.batcher is None else self.batcher.waiting)

    async def push(self, keys: list[str], steps: list[Any], numbers: list[int | None]) -> list[Answer]:
        """The answers to steps that were pushed together."""
        if len(keys) > self.limits.steps:
            raise RefusedError(413, f"a request must have at most {self.limits.steps} steps, got {len(keys)}.")
        if self.batcher is None:
            raise BusyError
        self._check_room(keys)
        given = [n for n in numbers if n is not None]
        if given and len(given) < len(numbers):
            raise DataError("either all steps of a request have a number or none has, got some. Number all of them.")
        since = time.perf_counter()
        y, counted = await self.batcher.push(keys, steps, given or None)
        self.seconds.observe(time.perf_counter() - since)
        self.steps.inc(len(keys))
        answers = [self._answer(*pair) for pair in zip(y, counted.tolist(), strict=True)]
        self._tell(keys, steps, answers)
        return answers

    def _tell(self, keys: list[str], steps: list[Any], answers: list[Answer]) -> None:
        """What was said to those who watch."""
        for key, x, answer in zip(keys, steps, answers, strict=True):
            if key in self.watchers:
                self.watchers.tell(key, {"x": x, **answer.model_dump(), "state": self.state(key)})

    def _check_room(self, keys: list[str]) -> None:
        if all(map(self.sessions.held, keys)):
            return
        new = sum(key not in self.sessions for key in set(keys))
        if new and len(self.sessions.store) + new > self.limits.sessions:
            raise RefusedError(429, f"at most {self.limits.sessions} sequences are kept. Delete some.")

    def _answer(self, y: np.ndarray, number: int) -> Answer:
        said = plain(self.sessions.engine.step.answer(y))
        return Answer(number=number, answer=said, y=plain(y.tolist()))

    def count_refusal(self, status: int) -> None:
        """For /metrics."""
        self.refused.labels(status).inc()

    def state(self, key: str) -> dict[str, Any]:
        """The state of a sequence by parts, as it is now."""
        return {name: plain(part.tolist(), 9) for name, part in self.sessions.state(key).items()}

    def gates(self, key: str, x: Any) -> dict[str, Any]:
        """What each gate would let through at this step, (L, H) of each; nothing of a model without a stack."""
        step = self.sessions.engine.step
        if not isinstance(step, StackStep):
            return {}
        state = [torch.from_numpy(part)[None] for part in self.sessions.state(key).values()]
        found = step.gates(torch.from_numpy(step.encode(x))[None], state)
        return {gate: plain(values.tolist(), 4) for gate, values in found.items()}

    def read(self, sequences: list[list[Any]]) -> list[Answer]:
        """What the model says of whole sequences, each from the beginning."""
        if (steps := sum(map(len, sequences))) > self.limits.steps:
            raise RefusedError(413, f"a request must have at most {self.limits.steps} steps, got {steps}.")
        if empty := [i for i, sequence in enumerate(sequences) if not sequence]:
            raise DataError(f"a sequence must have a step, sequence {empty[0]} has none. Leave it out.")
        answers = []
        for sequence in sequences:
            stream = Stream(self.sessions.engine)
            *_, y = map(stream.push, sequence)
            answers.append(self._answer(y, stream.steps))
        return answers
