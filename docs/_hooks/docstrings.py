"""Our docstrings, plain text that is made to be read in an editor, as Markdown for the reference pages.

A paragraph is one of four things, and says so by its form: equations (each line is `… = …`, or all are indented), a
list of `name  description` in two columns, examples (`>>>`), or prose. Names of ours in prose become links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import griffe

EQUATION = re.compile(r"\S.* = \S")
ENTRY = re.compile(r"(\S.*?)(?: {2,}(\S.*))?$")
NAME = re.compile(r"`([A-Za-z_][\w.]*)`")


class PlainDocstrings(griffe.Extension):
    """Rewrites every docstring of the package when it has been loaded."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Called by griffe once for elman."""
        for found in _documented(pkg):
            if found.docstring is not None:
                found.docstring.value = to_markdown(found.docstring.value, found)


def _documented(found: griffe.Object) -> Iterator[griffe.Object]:
    yield found
    for member in found.members.values():
        if isinstance(member, griffe.Object):
            yield from _documented(member)


def to_markdown(text: str, found: griffe.Object) -> str:
    """A docstring's paragraphs, each as Markdown."""
    return "\n\n".join(_paragraph(part.split("\n"), found) for part in re.split(r"\n{2,}", text.strip("\n")))


def _paragraph(lines: list[str], found: griffe.Object) -> str:
    if lines[0].startswith(">>>"):
        return "\n".join(["```pycon", *lines, "```"])
    if all(line.startswith("  ") or EQUATION.match(line) for line in lines):
        return "\n".join(["```text", *lines, "```"])
    if (entries := _entries(lines)) is not None:
        return "\n\n".join(f"`{name}`\n:   {_prose(words, found)}" for name, words in entries)
    return _prose(re.sub("::$", ":", "\n".join(lines)), found)


def _entries(lines: list[str]) -> list[tuple[str, str]] | None:
    """Names and descriptions, where every line that is not indented has both, or goes on in the next after a comma."""
    entries: list[tuple[str, str]] = []
    names = ""
    for line in lines:
        if line.startswith(" ") and entries:
            entries[-1] = entries[-1][0], f"{entries[-1][1]} {line.strip()}"
            continue
        match = ENTRY.match(line)
        if match is None or (match[2] is None and not line.endswith(",")):
            return None
        names = f"{names} {match[1]}".strip()
        if match[2] is not None:
            entries.append((names, match[2]))
            names = ""
    return None if names else entries


def _prose(text: str, found: griffe.Object) -> str:
    """Words as they are; `Name` becomes a link where the reference has it."""
    code = re.split(r"(`+[^`]*`+)", text)
    return "".join(_link(part, found) if part.startswith("`") else part.replace("<", "&lt;") for part in code)


def _link(code: str, found: griffe.Object) -> str:
    match = NAME.fullmatch(code)
    if match is None:
        return code
    name = match[1]
    try:
        path = name if name.startswith("elman.") else found.resolve(name)
    except griffe.NameResolutionError:
        return code
    return f'<autoref optional identifier="{path}">{code}</autoref>' if path.startswith("elman") else code
