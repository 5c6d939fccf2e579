"""Those who watch a sequence that others push to."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

WAITING = 1000
"""messages that a watcher may be behind by; one that is slower is let go"""

Messages = asyncio.Queue[dict[str, Any] | None]
"""what is told to a watcher; None: it was too slow, or the server ends"""


class Watchers:
    """Queues by key, each with what has been said after the steps of that sequence."""

    def __init__(self) -> None:
        self._queues: defaultdict[str, set[Messages]] = defaultdict(set)

    def __contains__(self, key: str) -> bool:
        return key in self._queues

    @contextlib.contextmanager
    def of(self, key: str) -> Iterator[Messages]:
        """A queue that is told of a sequence, as long as the block lasts."""
        queue: Messages = asyncio.Queue(WAITING)
        self._queues[key].add(queue)
        try:
            yield queue
        finally:
            self._queues[key].discard(queue)
            if not self._queues[key]:
                del self._queues[key]

    def tell(self, key: str, message: dict[str, Any]) -> None:
        """A step of a sequence to all who watch it."""
        for queue in list(self._queues.get(key, ())):
            _put(queue, message)

    def end(self) -> None:
        """Lets all of them go."""
        for queue in [queue for queues in self._queues.values() for queue in queues]:
            _put(queue, None)


def _put(queue: Messages, message: dict[str, Any] | None) -> None:
    if message is None or queue.full():
        while not queue.empty():
            queue.get_nowait()
        message = None
    queue.put_nowait(message)
