"""The page about the command, as the command tells it."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.testing import CliRunner

from elman.cli.app import app

PAGE = "reference/command.md"
WIDTH = {"COLUMNS": "96", "TERMINAL_WIDTH": "96"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page."""
    files.append(File.generated(config, PAGE, content="\n\n".join(_sections())))
    return files


def verbs() -> Iterator[tuple[str, ...]]:
    """The words of each subcommand, sorted: ("bench", "cpu"), ("cache",), …"""
    yield from _below(typer.main.get_command(app), ())


def _below(group: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    commands = getattr(group, "commands", None)
    if commands is None:
        yield words
        return
    for name in sorted(commands):
        yield from _below(commands[name], (*words, name))


def _sections() -> Iterator[str]:
    yield "# The command"
    yield "A mistake of yours is one line on stderr and exit code 2; whatever a verb leaves is in a folder of its own."
    for words in verbs():
        told = CliRunner().invoke(app, [*words, "--help"], prog_name="elman", env=WIDTH).output
        yield f"## elman {' '.join(words)}"
        yield f"```text\n{told.strip()}\n```"
