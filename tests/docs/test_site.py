"""The site as it is built: no warning, no link to nowhere, nothing from elsewhere, every public name is there."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from types import FunctionType
from urllib.parse import unquote, urlsplit

import griffe
import pytest

from tests.docs.pages import DOCS, ROOT, hook

PUBLIC = ("elman", *(f"elman.{floor}" for floor in ("cells", "data", "decode", "estimators", "evidence", "export")))
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""what a browser fetches by itself"""


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag in LOADED and LOADED[tag] in found:
            self.loads.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


@pytest.fixture(scope="module")
def reference(site) -> set[str]:
    """Names that can be linked to, from the inventory that other sites read: four lines of head, then deflated."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}


def test_every_page_is_there(site, pages):
    for source in DOCS.rglob("*.md"):
        assert site / source.relative_to(DOCS).with_suffix(".html") in pages


def test_links_and_pictures_lead_somewhere(site, pages):
    within = 0
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            to = urlsplit(link)
            if to.scheme:
                assert to.scheme == "https", f"{path.name}: {link}"
                assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", to.netloc), f"{path.name}: {link}"
                continue
            within += 1
            target = (path.parent / unquote(to.path)).resolve() if to.path else path
            assert target.is_file(), f"{path.relative_to(site)}: {link}"
            if to.fragment and not to.fragment.startswith("__"):
                assert unquote(to.fragment) in pages[target].places, f"{path.relative_to(site)}: {link}"
    assert within > 1000


def test_nothing_comes_from_elsewhere(site, pages):
    for path, page in pages.items():
        assert page.loads
        for address in page.loads:
            assert not urlsplit(address).netloc, f"{path.name} loads {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", style.read_text("utf-8")), style.name


def test_lists_are_lists(site, pages):
    for path in pages:
        assert not re.search(r"<p>[^<]*\n- ", path.read_text("utf-8")), path.name


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_reference(name, reference):
    module = importlib.import_module(name)
    found = {word: getattr(module, word) for word in module.__all__}
    public = {word: thing for word, thing in found.items() if isinstance(thing, (type, FunctionType))}
    assert public
    for word, thing in public.items():
        assert {f"{name}.{word}", f"{thing.__module__}.{thing.__qualname__}"} & reference, f"{name}.{word}"
    assert "elman.cells.CATALOGUE" in reference


@pytest.mark.parametrize(
    ("plain", "markdown"),
    [
        ("Adds a < b,\nas `int`.", "Adds a &lt; b,\nas `int`."),
        ("h_t = tanh(x_t)       output\nc_t = 0", "```text\nh_t = tanh(x_t)       output\nc_t = 0\n```"),
        ("So::\n\n    a: b / c", "So:\n\n```text\n    a: b / c\n```"),
        ("a,\nb   both,\n    or none\nc   a third", "`a, b`\n:   both, or none\n\n`c`\n:   a third"),
        ("Two.\n\n>>> 1 + 1\n2", "Two.\n\n```pycon\n>>> 1 + 1\n2\n```"),
        ("See `Other`.", 'See <autoref optional identifier="elman.Other">`Other`</autoref>.'),
    ],
)
def test_how_docstrings_become_markdown(plain, markdown):
    package = griffe.Module("elman")
    package["Other"] = griffe.Class("Other")
    assert hook("docstrings").to_markdown(plain, package) == markdown
