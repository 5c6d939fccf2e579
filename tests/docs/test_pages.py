"""What the pages show, done as they show it: Python by doctest, commands by bash, options by the command's own help."""

from __future__ import annotations

import doctest
import inspect
import os
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elman.cli.app import app
from elman.estimators import ESTIMATORS
from tests.docs.pages import DOCS, PAGES, ROOT, blocks, commands, hook, inline, python_of

LANGUAGES = {"python", "bash", "text", "json", "c", "html"}
NOT_RUN = 3
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
def test_commands_and_their_options_exist(page):
    known = options()
    arguments = {"NAME", *(name for kind in ESTIMATORS.values() for name in inspect.signature(kind).parameters)}
    for words in commands(page):
        if words[0] in ("--help", "--version", "VERB"):
            continue
        verb = next((verb for verb in (" ".join(words[:2]), words[0]) if verb in known), "")
        assert verb, f"{named(page)}: elman {' '.join(words)}"
        wanted = {flag[0] for word in words if (flag := FLAG.match(word))}
        assert wanted <= known[verb], f"{named(page)}: elman {verb} has no {wanted - known[verb]}"
        given = {pair.split("=")[0] for option, pair in pairwise(words) if option == "--set"}
        assert given <= arguments, f"{named(page)}: no estimator has {given - arguments}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=named)
def test_options_that_the_text_names_exist(page):
    measuring = "".join(script.read_text("utf-8") for script in (ROOT / "benchmarks").glob("*.py"))
    known = set(FLAG.findall(measuring)).union(*options().values())
    for text in inline(page.read_text("utf-8")):
        assert not text.startswith("--") or set(FLAG.findall(text)) <= known, f"{named(page)}: {text}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=named)
def test_make_has_the_targets(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make ([\w-]+)", page.read_text("utf-8"), re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_what_is_not_run_is_little_and_says_why():
    shown = [block for page in PAGES for block in blocks(page)]
    assert {block.language for block in shown} <= LANGUAGES
    left_out = [block.title for block in shown if block.not_run]
    run = [block for block in shown if block.language == "bash" and not block.not_run]
    assert len(left_out) <= NOT_RUN < len(run), left_out
    assert all(len(title) > len("Not run by the tests: ") for title in left_out)


def unprinted(shown: str, printed: str) -> list[str]:
    """The lines of what is shown that are not among those printed, digits and the width of columns aside.

    `...` stands for anything. Order is left open: of two models that are close, either may be the better one elsewhere.
    """
    there = [in_words(line) for line in printed.splitlines()]
    patterns = {line: re.escape(in_words(line)).replace(r"\.\.\.", ".*") for line in shown.splitlines()}
    return [line for line, pattern in patterns.items() if not any(re.fullmatch(pattern, one) for one in there)]


def in_words(line: str) -> str:
    return re.sub(r"<?-?\d+(\.\d+)?(e[+-]\d+)?", "0", " ".join(line.split()))


@cache
def options() -> dict[str, set[str]]:
    """The options of every verb, as its help names them."""
    verbs = [" ".join(words) for words in hook("command").verbs()]
    return {verb: set(FLAG.findall(CliRunner().invoke(app, [*verb.split(), "--help"]).output)) for verb in verbs}
