"""Pages of the gallery at small size, each made once for all tests of its file."""

from __future__ import annotations

import re

import pytest
import torch
from page import Page


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Makes a script's page; it comes back with its text."""

    def make(script) -> tuple[Page, str]:
        torch.set_num_threads(1)
        name = script.__name__.rpartition(".")[2]
        page = Page(name, script.TITLE, tmp_path_factory.mktemp("gallery"), quick=True)
        script.make(page)
        text = page.write().read_text("utf-8")
        for written in page.folder.rglob("*.md"):
            pictures = re.findall(r"!\[.*?\]\((.*?)\)", written.read_text("utf-8"))
            assert pictures and all((written.parent / picture).is_file() for picture in pictures), written
        return page, text

    return make
