"""A headless Chromium, pages in it, and where pictures of them are kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

LAPTOP = (1280, 800)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def chromium():
    """The browser; tests that ask for it are left out where there is none."""
    sync = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs a Chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Opens the page as on a screen; in the end its console must be empty."""
    contexts, complaints = [], []

    def open_page(url, size=LAPTOP, scheme="light"):
        context = chromium.new_context(viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.goto(url)
        page.complaints = complaints
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def picture(tmp_path):
    """Keeps a picture of a page: with those of CI where it has a folder for them."""
    folder = Path(os.environ.get("ELMAN_ARTEFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page, name):
        page.screenshot(path=folder / f"page-{name}.png", full_page=True)
        assert (folder / f"page-{name}.png").stat().st_size > 10_000

    return keep
