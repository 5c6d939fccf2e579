"""What the pages show, done as they show it: Python line by line, commands in a folder of their own, options by name."""

from __future__ import annotations

import doctest
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from elman.cli.app import app
from elman.estimators import ESTIMATORS
from tests.docs.pages import DOCS, PAGES, ROOT, blocks, commands, inline, python_of

LANGUAGES = {"python", "bash", "text", "json", "c", "html"}
NOT_RUN = 12
"""blocks of commands that are not run, at most"""
START = DOCS / "start.md"
FLAG = re.compile(r"--[a-z][\w-]*")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def with_blocks(language: str) -> list[Path]:
    return [page for page in PAGES if any(b.language == language and not b.not_run for b in blocks(page))]


@pytest.mark.parametrize("page", with_blocks("python"), ids=named)
def test_python(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        assert block.language != "python" or ">>> " in block.text, f"{named(page)}:{block.line}: nothing that runs"
    found = doctest.DocTestParser().get_doctest(python_of(page), {"__name__": "__main__"}, named(page), str(page), 0)
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(found)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    "page", [p if p == START else pytest.param(p, marks=pytest.mark.slow) for p in with_blocks("bash")], ids=named
)
def test_commands(page, tmp_path):
    """Each block by bash, in its order; a block of text right after it is what it prints."""
    (tmp_path / "src").symlink_to(ROOT / "src")  # a reader stands in the clone
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    shown = blocks(page)
    for block, after in zip(shown, [*shown[1:], None], strict=True):
        if block.language != "bash" or block.not_run:
            continue
        shell = ["bash", "-euo", "pipefail", "-c", block.text]
        done = subprocess.run(shell, cwd=tmp_path, env=own, capture_output=True, text=True)
        assert done.returncode == 0, f"{named(page)}:{block.line}: {done.stdout}{done.stderr}"
        if after is not None and after.language == "text" and after.line == block.line + block.text.count("\n") + 3:
            missing = unprinted(after.text, done.stdout)
            assert not missing, f"{named(page)}:{after.line}: {missing} is not in\n{done.stdout}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=named)
def test_commands_and_options_exist(page):
    known = options()
    measuring = "".join(script.read_text("utf-8") for script in (ROOT / "benchmarks").glob("*.py"))
    every = set(FLAG.findall(measuring)).union(*known.values())
    arguments = {name for kind in ESTIMATORS.values() for name in inspect.signature(kind).parameters}
    for words in commands(page):
        verb = words[0] if words[0] != "bench" else " ".join(words[:2])
        if verb.startswith("-") or verb.isupper():
            continue
        assert verb in known, f"{named(page)}: elman {' '.join(words)}"
        wanted = {match[0] for word in words if (match := FLAG.match(word))}
        assert wanted <= known[verb], f"{named(page)}: elman {verb} has no {wanted - known[verb]}"
        for flag, value in zip(words, words[1:], strict=False):
            assert flag != "--set" or value.split("=")[0] in {*arguments, "NAME"}, f"{named(page)}: --set {value}"
    for text in inline(page.read_text("utf-8")):
        if text.startswith("--"):
            assert set(FLAG.findall(text)) <= every, f"{named(page)}: {text}"


def test_what_is_not_run_is_little_and_says_why():
    shown = [block for page in PAGES for block in blocks(page)]
    assert {block.language for block in shown} <= LANGUAGES
    left_out = [block.title for block in shown if block.not_run]
    run = [block for block in shown if block.language == "bash" and not block.not_run]
    assert len(left_out) <= NOT_RUN < len(run), left_out
    assert all(len(title) > len("Not run by the tests: ") for title in left_out)


def unprinted(shown: str, printed: str) -> list[str]:
    """The lines of what is shown that are not among those printed, digits and the width of columns aside.

    `...` stands for anything. Order is left open: of two models that are close, another machine may find the other better.
    """
    there = [in_words(line) for line in printed.splitlines()]
    patterns = {line: re.escape(in_words(line)).replace(r"\.\.\.", ".*") for line in shown.splitlines()}
    return [line for line, pattern in patterns.items() if not any(re.fullmatch(pattern, one) for one in there)]


def in_words(line: str) -> str:
    return re.sub(r"<?-?\d+(\.\d+)?(e[+-]\d+)?", "0", " ".join(line.split()))


def options() -> dict[str, set[str]]:
    """The options of every verb, as its help names them."""
    group = typer.main.get_command(app)
    verbs = [[name] if name != "bench" else [name, "cpu"] for name in getattr(group, "commands")]  # noqa: B009
    helps = {" ".join(verb): CliRunner().invoke(app, [*verb, "--help"]).output for verb in verbs}
    return {verb: set(FLAG.findall(told)) for verb, told in helps.items()}
