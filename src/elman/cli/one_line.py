"""What typer would tell in several lines, a wrong number or a missing option, in the one line of all other mistakes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import typer
from typer.core import TyperGroup

NUMBERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "integer": ("a whole number", int),
    "number": ("a number", float),
    "float": ("a number", float),
}
"""by a word of typer's own message: what was expected, and what reads it"""


class OneLine(TyperGroup):
    """A group of commands that tells a wrong command line in one line on stderr, with exit code 2."""

    def main(self, args: Sequence[str] | None = None, *more: Any, standalone_mode: bool = True, **how: Any) -> Any:
        """Runs a command line."""
        if not standalone_mode:
            return super().main(args, *more, standalone_mode=False, **how)
        words = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(words, *more, standalone_mode=False, **how)
        except typer.Abort:
            sys.exit(1)
        except Exception as problem:
            if not hasattr(problem, "format_message"):  # none of typer's, whatever its version calls them
                raise
            told = one_line(problem, words)
            print(told, file=sys.stderr)
            sys.exit(getattr(problem, "exit_code", 2))
        sys.exit(code if isinstance(code, int) else 0)


def one_line(problem: Any, words: Sequence[str]) -> str:
    """The mistake in a command line; all of typer's own text where that is a page, as the help is."""
    message = problem.format_message().strip()
    if "\n" in message:
        return message
    place, names = getattr(problem, "ctx", None), []
    while place is not None and place.parent is not None:
        names.insert(0, place.info_name)
        place = place.parent
    if getattr(problem, "ctx", None) is None:  # then the verb is not told
        names = [word for word in words[:1] if not word.startswith("-")]
    where = " ".join(["elman", *names])
    options = getattr(getattr(problem, "param", None), "opts", [])
    kind = next((k for k in NUMBERS if k in message), None)
    if kind is not None and options:
        expected, read = NUMBERS[kind]
        wrong = next((value for value in _given(words, options) if not _reads(read, value)), None)
        if wrong is not None:
            return f"{where}: {options[0]} must be {expected}, got {wrong!r}."
    return f"{where}: {message[:1].lower()}{message[1:].rstrip('.')}. See {where} --help."


def _given(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """The values of an option, as they were written."""
    apart = [b for a, b in pairwise(words) if a in options]
    return [*apart, *(word.partition("=")[2] for word in words if word.partition("=")[0] in options and "=" in word)]


def _reads(read: Callable[[str], Any], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True
