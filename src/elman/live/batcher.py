"""Pushes that arrive together run together: one call of the model for all that waited, bounded."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.errors import DataError
from elman.live.sessions import Sessions

Counted = tuple[np.ndarray, np.ndarray]
"""answers (n, K), and which step of its sequence each is of, (n,)"""


class BusyError(Exception):
    """More steps wait than may; to be asked again."""


@dataclass(frozen=True)
class Push:
    """Steps of sequences, encoded (n, I), to be counted together or not at all."""

    keys: list[str]
    x: np.ndarray
    numbers: list[int] | None
    done: asyncio.Future[Counted] = field(compare=False)


class Batcher:
    """Collects pushes while the model runs and gives all of them to its next call.

    most  steps that may wait
    """

    def __init__(self, sessions: Sessions, most: int) -> None:
        self.sessions, self.most = sessions, most
        self.waiting = 0
        self._pushes: list[Push] = []
        self._awake = asyncio.Event()
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def push(self, keys: list[str], steps: list[Any], numbers: list[int] | None) -> Counted:
        """The answers, when they are there. Raises `BusyError`, and what `Sessions.push_many` raises."""
        if self._closing or self.waiting + len(keys) > self.most:
            raise BusyError
        x = self.sessions.encode(keys, steps)
        push = Push(keys, x, numbers, asyncio.get_running_loop().create_future())
        self.waiting += len(keys)
        self._pushes.append(push)
        self._awake.set()
        return await asyncio.shield(push.done)  # what was taken is counted, whether or not the client waits

    async def close(self) -> None:
        """Runs what waits; then takes nothing more."""
        self._closing = True
        self._awake.set()
        await self._task

    async def _work(self) -> None:
        while True:
            await self._awake.wait()
            self._awake.clear()
            while self._pushes:
                taken, self._pushes = self._pushes, []
                await asyncio.to_thread(self._run, taken, asyncio.get_running_loop())
                self.waiting -= sum(len(push.keys) for push in taken)
            if self._closing:
                return

    def _run(self, taken: list[Push], loop: asyncio.AbstractEventLoop) -> None:
        """All at once; where one of them is refused, each by itself."""
        together = len(taken) > 1 and len({push.numbers is None for push in taken}) == 1
        if together:
            numbers = None if taken[0].numbers is None else [n for push in taken for n in push.numbers or ()]
            keys, x = [key for push in taken for key in push.keys], np.concatenate([push.x for push in taken])
            with contextlib.suppress(DataError):
                found = self.sessions.push_counted(keys, x, numbers)
                ends = np.cumsum([len(push.keys) for push in taken])[:-1]
                for push, *part in zip(taken, *(np.split(each, ends) for each in found), strict=True):
                    loop.call_soon_threadsafe(_settle, push.done, tuple(part))
                return
        for push in taken:
            try:
                found: Any = self.sessions.push_counted(push.keys, push.x, push.numbers)
            except Exception as problem:  # whatever it is, the request that waits for it is told
                found = problem
            loop.call_soon_threadsafe(_settle, push.done, found)


def _settle(done: asyncio.Future[Counted], found: Any) -> None:
    if done.done():
        return
    if isinstance(found, Exception):
        done.set_exception(found)
    else:
        done.set_result(found)
