"""The command that was given, as the one that trains what it found."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence

OWN = frozenset(
    [
        *("--cell", "--seeds", "--parameters", "--seconds", "--trials", "--workers", "--search", "--only", "--method"),
        *("--objective", "--out", "--title"),
    ]
)
"""options of `compare` and `tune` that are nothing to the verbs that they try"""
FLAGS = ("--resume",)


def trained_by(
    found: Sequence[str], without: Collection[str] = (), *, given: Sequence[str] | None = None, cell: bool = False
) -> str:
    """`elman compare VERB …` or `elman tune VERB …` as `elman VERB …`, with the words that were found at its end.

    without  options, and names of --set, that the found ones take the place of
    given    the words of the command; None: those of this process
    cell     whether the first --cell stays

    >>> given = ["tune", "tag", "a b.csv", "--trials", "9", "--cell", "gru", "--set", "dropout=0", "--resume"]
    >>> trained_by(["--layers", "2"], given=given, cell=True)
    "elman tag 'a b.csv' --set dropout=0 --cell gru --layers 2"
    """
    words = list(sys.argv[1:] if given is None else given)
    if words[:1] not in (["compare"], ["tune"]):  # called from within Python: what was given is not known
        return shlex.join(["elman", "…", *found])
    verb, words = words[1], words[2:]
    kept: list[str] = []
    first: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            kept.append(word)
            continue
        if name in FLAGS:
            continue
        value = value if equals else words.pop(0) if words else ""
        if name == "--cell" and cell and not first:
            first = [name, value]
        replaced = name in without or (name == "--set" and value.partition("=")[0].strip() in without)
        if name not in OWN and not replaced:
            kept += [name, value]
    return shlex.join(["elman", verb, *kept, *first, *found])
