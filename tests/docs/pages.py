"""The pages of the documentation as tests read them: their blocks of code, and the commands that they name."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MEASURED = {"gallery", "results"}
"""folders whose pages are written by what measures them, and show code that has run there"""
PAGES = sorted(
    page for page in DOCS.rglob("*.md") if MEASURED.isdisjoint(page.relative_to(DOCS).parts) or page.name == "index.md"
)

_BLOCK = re.compile(r"^```(\w*)(?: title=\"(.*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and the line where it begins."""

    language: str
    title: str
    text: str
    line: int

    @property
    def not_run(self) -> bool:
        """Whether the reader is told that the tests leave it out, and why: pip, git, a server that stays."""
        return self.title.startswith("Not run by the tests: ")


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in their order."""
    text = page.read_text("utf-8")
    return [
        Block(found[1], found[2] or "", found[3], text.count("\n", 0, found.start()) + 2)
        for found in _BLOCK.finditer(text)
    ]


def python_of(page: Path) -> str:
    """The page with all but its Python blanked out, so that lines keep their numbers."""
    lines = [""] * page.read_text("utf-8").count("\n")
    for block in blocks(page):
        if block.language == "python":
            lines[block.line - 1 : block.line - 1 + block.text.count("\n")] = block.text.splitlines()
    return "\n".join(lines) + "\n"


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `elman` of every command in a block or in a line of text."""
    text = page.read_text("utf-8")
    shown = [block.text.replace("\\\n", " ") for block in blocks(page) if block.language == "bash"]
    for line in [*"\n".join(shown).splitlines(), *inline(text)]:
        for part in re.split(r"[|;]|&&|\$\(|\)", line.partition(" # ")[0]):
            words = shlex.split(part, comments=True) if part.strip().startswith("elman ") else []
            if words:
                yield words[1:]


def inline(text: str) -> list[str]:
    """What stands between backticks in a text, its blocks left out."""
    return _INLINE.findall(_BLOCK.sub("", text))


def hook(name: str) -> Any:
    """A module of docs/_hooks, which mkdocs loads by its path, too."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
