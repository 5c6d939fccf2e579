"""SIGINT and SIGTERM as a polite request: finish the step, write a checkpoint, then stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

INSISTENT = 3
"""signals after which the user means it: a terminal and a wrapper may each deliver the same Ctrl-C"""


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop and did, between two steps; the message says how to go on.

    A KeyboardInterrupt and no ElmanError, for nothing went wrong: a search that catches `Exception` and tries the next
    candidate must stop too. `exit_code` is the shell's 128 + signal number.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@dataclass
class Request:
    """The signal that asked to stop; 0 as long as none did."""

    number: int = 0
    count: int = 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler: only remembers, since a signal may come in the middle of anything."""
        self.number, self.count = number, self.count + 1
        if self.count >= INSISTENT:
            raise KeyboardInterrupt


@contextmanager
def requests_to_stop() -> Iterator[Request]:
    """Within the block SIGINT and SIGTERM only set the yielded request; afterwards the old handlers are back.

    Outside the main thread, where Python allows no handlers, the request stays empty.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            # None: a handler that was not set from Python and cannot be put back from it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
