"""What a run shows while it works: a live bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from typing import IO, Any, Literal, Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from elman.errors import OptionError, suggest

REFRESH = 0.1
"""seconds between two pictures of the bar"""
SILENCE = 5.0
"""seconds between two plain lines, unless an epoch ends or a validation is done later than that"""


class Progress(Protocol):
    """Where the loop reports to; all numbers are plain floats and ints."""

    def begin(self, step: int, total: int) -> None:
        """The run starts, or goes on, at `step` of `total`."""
        ...

    def step(self, step: int, epoch: int, loss: float, norm: float, items: int) -> None:
        """An update is done; `items` time steps were in it."""
        ...

    def record(self, record: dict[str, Any]) -> None:
        """A line was added to `metrics.jsonl`."""
        ...

    def end(self) -> None:
        """The run is over, well or not."""
        ...


class Silent:
    """Shows nothing."""

    def begin(self, step: int, total: int) -> None:
        """Nothing."""

    def step(self, step: int, epoch: int, loss: float, norm: float, items: int) -> None:
        """Nothing."""

    def record(self, record: dict[str, Any]) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Rate:
    """Items per second, smoothed over the last few readings."""

    def __init__(self) -> None:
        self.items, self.since, self.value = 0, time.monotonic(), 0.0

    def add(self, items: int) -> None:
        """So many more are done."""
        self.items += items

    def read(self) -> float:
        """The rate since the last reading, mixed half and half with what it was."""
        now = time.monotonic()
        current = self.items / max(now - self.since, 1e-9)
        self.value = (self.value + current) / 2 if self.value else current
        self.items, self.since = 0, now
        return self.value


class Plain:
    """One line per epoch or validation, at most one in five seconds, for logs and pipes."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.stream = stream or sys.stderr
        self.total = 0
        self.began = self.spoke = time.monotonic()
        self.first = 0
        self.last: dict[str, Any] | None = None
        """a record not yet shown"""

    def begin(self, step: int, total: int) -> None:
        """Says where the run starts."""
        self.first, self.total = step, total
        self.began, self.spoke = time.monotonic(), -SILENCE
        self._say(f"training: {total} steps" + (f", resumed at step {step}" if step else ""))

    def step(self, step: int, epoch: int, loss: float, norm: float, items: int) -> None:
        """Says something when nothing was said for long."""
        if time.monotonic() - self.spoke > 2 * SILENCE:
            self._say(f"epoch {epoch}  step {step}/{self.total}  loss {loss:.4g}  grad {norm:.3g}{self._left(step)}")

    def record(self, record: dict[str, Any]) -> None:
        """Says the record, unless the last line is younger than five seconds."""
        self.last = record
        if time.monotonic() - self.spoke >= SILENCE:
            self._tell()

    def end(self) -> None:
        """Says the last record, if that is still to do."""
        self._tell()

    def _tell(self) -> None:
        if self.last is None:
            return
        r, self.last = self.last, None
        validated = "" if r["val_loss"] is None else f"  val_loss {r['val_loss']:.4g}"
        rate = "" if r["items_per_s"] is None else f"  {r['items_per_s']:.0f} items/s"
        self._say(
            f"epoch {r['epoch']}  step {r['step']}/{self.total}  loss {r['loss']:.4g}{validated}  "
            f"grad {r['grad_norm']:.3g}{rate}{self._left(r['step'])}"
        )

    def _left(self, step: int) -> str:
        done = step - self.first
        seconds = (time.monotonic() - self.began) / max(1, done) * (self.total - step)
        return f"  {seconds:.0f} s left" if self.total > step else ""

    def _say(self, line: str) -> None:
        self.spoke = time.monotonic()
        print(line, file=self.stream, flush=True)


class Live:
    """A bar with epoch, loss, gradient norm, items per second and remaining time, drawn ten times a second at most."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        console = Console(file=stream or sys.stderr)
        texts = ("epoch {task.fields[epoch]}", "loss {task.fields[loss]}", "grad {task.fields[norm]}")
        self.bar = Bar(
            TextColumn(texts[0]),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            *(TextColumn(text) for text in texts[1:]),
            TextColumn("{task.fields[rate]} items/s"),
            TextColumn("{task.fields[validated]}"),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            expand=True,
        )
        self.rate, self.drawn, self.validated = Rate(), 0.0, ""
        self.task: Any = None

    def begin(self, step: int, total: int) -> None:
        """Draws the empty bar."""
        blank: dict[str, Any] = {"epoch": "–", "loss": "–", "norm": "–", "rate": "–", "validated": ""}
        self.task = self.bar.add_task("training", total=total, completed=step, **blank)
        self.bar.start()

    def step(self, step: int, epoch: int, loss: float, norm: float, items: int) -> None:
        """Redraws, if the picture is old enough."""
        self.rate.add(items)
        now = time.monotonic()
        if now - self.drawn < REFRESH:
            return
        self.drawn = now
        shown = {"epoch": epoch, "loss": f"{loss:.4g}", "norm": f"{norm:.3g}", "rate": f"{self.rate.read():.0f}"}
        self.bar.update(self.task, completed=step, validated=self.validated, **shown)
        self.bar.refresh()

    def record(self, record: dict[str, Any]) -> None:
        """Shows the means, and the validation loss from now on."""
        if record["val_loss"] is not None:
            self.validated = f"val {record['val_loss']:.4g}"
        self.bar.update(self.task, completed=record["step"], epoch=record["epoch"], validated=self.validated)

    def end(self) -> None:
        """Leaves the last picture standing."""
        if self.task is not None:
            self.bar.refresh()
        self.bar.stop()


def progress_for(mode: Literal["auto", "live", "plain", "silent"] = "auto", stream: IO[str] | None = None) -> Progress:
    """The display for a stream (stderr): "auto" is live on a terminal and plain lines elsewhere.

    >>> type(progress_for("silent")).__name__
    'Silent'
    """
    known = {"live": Live, "plain": Plain}
    if mode == "silent":
        return Silent()
    if mode == "auto":
        mode = "live" if (stream or sys.stderr).isatty() else "plain"
    if mode not in known:
        raise OptionError(f"progress: unknown mode {mode!r}, {suggest(mode, [*known, 'auto', 'silent'])}")
    return known[mode](stream)
