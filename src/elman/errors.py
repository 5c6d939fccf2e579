"""Every error that elman raises on purpose: one root, each also a built-in kind.

A message is one line, worded **where: expected, received, how to mend it**::

    Recurrent(GRU): x must be (B, T, 8), got (32, 8). Add a time axis: x[:, None].
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ElmanError(Exception):
    """Root of elman's own errors: `except elman.ElmanError` catches them all and nothing else."""


class ShapeError(ElmanError, ValueError):
    """An array or tensor has the wrong number of axes, or an axis of the wrong size."""


class OptionError(ElmanError, ValueError):
    """An argument or command-line option has a value that cannot be used."""


class UnknownNameError(ElmanError, LookupError):
    """A name (cell, column, backend, …) is not one of those that exist; the message suggests the nearest."""


class CellError(ElmanError, TypeError):
    """A cell's step breaks the cell contract; the message quotes the offending line."""


class DataError(ElmanError, ValueError):
    """A table, file or series cannot be used as it is; the message says where and what to change."""


class RunError(ElmanError, RuntimeError):
    """A run folder is missing, truncated, altered or of another making; nothing in it was executed."""


class DivergenceError(ElmanError, ArithmeticError):
    """Training met a NaN, an infinity or an explosion; the message names layer, step and remedy."""


class CompileError(ElmanError, RuntimeError):
    """The C compiler did not make a library of the generated code; the message quotes its first error lines."""


class MissingExtraError(ElmanError, ImportError):
    """An optional package is not installed; the message gives the `pip install` that brings it."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Ends an error line with the nearest known name, or with all of them when none is near.

    >>> suggest("ltsm", ["lstm", "gru"])
    "did you mean 'lstm'?"
    >>> suggest("gur", ["mgu", "gru"])
    "did you mean 'gru'?"
    >>> suggest("transformer", ["lstm", "gru"])
    'choose from: gru, lstm.'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, cutoff=0.6)
    swapped = [other for other in near if sorted(other) == sorted(name)]
    return f"did you mean {(swapped or near)[0]!r}?" if near else f"choose from: {', '.join(names)}."
