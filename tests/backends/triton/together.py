"""Triton's interpreter with all programs of a launch at work at once, as a GPU has them: each is a thread.

By itself it runs them one after another, in which programs that wait for each other never end.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from itertools import product
from typing import Any

from triton.runtime import interpreter
from triton.runtime.interpreter import GridExecutor, InterpreterBuilder, interpreter_builder


class Threaded(InterpreterBuilder):
    """The interpreter's operations; which program asks is told by its thread."""

    here = threading.local()
    size: tuple[int, ...] = (1, 1, 1)

    @property
    def grid_idx(self) -> tuple[int, int, int]:
        return self.here.place

    @property
    def grid_dim(self) -> tuple[int, ...]:
        return self.size

    def set_grid_idx(self, x: int, y: int, z: int) -> None:
        """Each thread has its own."""

    def set_grid_dim(self, nx: int, ny: int, nz: int) -> None:
        """That of the whole launch."""


@contextlib.contextmanager
def together(monkeypatch: Any) -> Iterator[list[int]]:
    """Within the block programs run at once; what comes back fills with how many each launch had."""
    alone, counts = GridExecutor.__call__, []

    def call(self: GridExecutor, *given: Any, **named: Any) -> None:
        grid = (*self.grid, 1, 1)[:3]
        problems: list[BaseException] = []

        def program(place: tuple[int, int, int]) -> None:
            Threaded.here.place = place
            try:
                alone(one, *given, **named)
            except BaseException as problem:
                problems.append(problem)

        one = GridExecutor(self.fn, self.arg_names, (1, 1, 1))
        Threaded.size = grid
        counts.append(grid[0] * grid[1] * grid[2])
        scope = interpreter._patch_lang(self.fn)  # held by this thread, for each gives back only what it found
        threads = [threading.Thread(target=program, args=(p,), daemon=True) for p in product(*map(range, grid))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        finally:
            scope.restore()
        assert not problems, problems
        assert not any(thread.is_alive() for thread in threads), "programs wait for ever"

    before = sys.getswitchinterval()
    with monkeypatch.context() as patch:
        patch.setattr(interpreter_builder, "__class__", Threaded)
        patch.setattr(GridExecutor, "__call__", call)
        sys.setswitchinterval(1e-4)  # who waits lets the others go on
        try:
            yield counts
        finally:
            sys.setswitchinterval(before)
