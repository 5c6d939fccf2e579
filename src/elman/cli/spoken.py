"""What the library says of its arguments, as the command line has it: freq= is --freq there, crf= is --set crf=."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple, get_type_hints

from typer.models import OptionInfo

ARGUMENTS = {"num_layers": "layers", "max_steps": "steps", "random_state": "seed"}
"""arguments of estimators whose option has another name"""

_GIVEN = re.compile(
    r"(?<![\w.\-/])(?<!--set )([a-z][a-z_0-9]*)=('[^']*'|\"[^\"]*\"|\[[^]]*\]|[^\s,;:()'\"]*[^\s,;:().'\"])?"
)
"""name=value, unless it is an option already; the full stop of a sentence is no part of the value"""
_MUST = re.compile(r"(?<=: )([a-z][a-z_0-9]*)(?= must )")
"""where: NAME must be …"""
_CODE = re.compile(r"(`[^`]*`)")


class Option(NamedTuple):
    """How an option is written, and whether it takes no value."""

    written: str
    flag: bool


def options_of(run: Callable[..., Any]) -> dict[str, Option]:
    """The options of a subcommand, by the names of the arguments that they are for.

    >>> from elman.cli.app import forecast
    >>> found = options_of(forecast)
    >>> found["freq"].written, found["max_steps"].written, found["resume"].flag
    ('--freq', '--steps', True)
    """
    found = {}
    for name, hint in get_type_hints(run, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, OptionInfo):
                declared = [word for word in note.param_decls or () if word.startswith("--")]
                found[name] = Option(next(iter(declared), f"--{name.replace('_', '-')}"), hint.__origin__ is bool)
    return found | {name: found[option] for name, option in ARGUMENTS.items() if option in found}


def spoken(message: str, run: Callable[..., Any]) -> str:
    """An error's line for who typed `elman VERB …`: arguments by their options; what stands between backticks stays.

    >>> from elman.cli.app import forecast
    >>> spoken("forecast: hidden_size must be 1 or more, got 0.", forecast)
    'forecast: --hidden-size must be 1 or more, got 0.'
    >>> spoken("Name the step: freq='D'. Or train with residual=True, on `f(freq=1)`.", forecast)
    'Name the step: --freq D. Or train with --set residual=true, on `f(freq=1)`.'
    """
    options, settable = options_of(run), _arguments()

    def given(found: re.Match[str]) -> str:
        name, value = found[1], found[2] or ""
        plain = value[1:-1] if value[:1] in ("'", '"') and not re.search(r"\s", value) else value
        option = options.get(name)
        if option is not None and not option.flag:
            return f"{option.written} {plain}".rstrip()
        if option is not None and value == "True":
            return option.written
        shown = plain.lower() if plain in ("True", "False") else plain
        return f"--set {name}={shown}" if name in settable else found[0]

    def must(found: re.Match[str]) -> str:
        option = options.get(found[1])
        return found[0] if option is None else option.written

    def said(words: str) -> str:
        return _MUST.sub(must, _GIVEN.sub(given, words))

    parts = _CODE.split(message)
    return "".join(part if part.startswith("`") else said(part) for part in parts)


def _arguments() -> set[str]:
    """Arguments of any estimator: what --set takes."""
    from elman import estimators

    kinds = (getattr(estimators, name) for name in estimators.__all__)
    return {name for kind in kinds if isinstance(kind, type) for name in inspect.signature(kind).parameters}
