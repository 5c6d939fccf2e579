"""What mkdocs.yml cannot say: folders in the nav, documents of the root as pages, links that leave the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
OF_THE_ROOT = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")
FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
UPWARDS = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]*)[^)]*\)")
BEFORE_LIST = re.compile(r"^([^\s|#-].*)\n(?=(?:[-*]|1\.) )", re.MULTILINE)
PAGES = "<!-- pages -->"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """An entry of the nav that is a folder, "gallery/", stands for the pages in it, the index first."""
    config.nav = [_expanded(entry, Path(config.docs_dir)) for entry in config.nav or ()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The documents that every repository has in its root are pages, too."""
    for name in OF_THE_ROOT:
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name.lower(), content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Links to the source keep their words, an index names the pages beside it, lists need no empty line before."""
    here = Path(config.docs_dir, page.file.src_uri).parent

    def within(link: re.Match[str]) -> str:
        return link[0] if (here / link[2]).resolve().is_relative_to(config.docs_dir) else link[1]

    parts = FENCED.split(markdown)  # what is fenced has every second place, and stays as it is
    parts[::2] = [BEFORE_LIST.sub(r"\1\n\n", UPWARDS.sub(within, part)) for part in parts[::2]]
    return "".join(parts).replace(PAGES, "\n".join(f"- [{_title(path)}]({path.name})" for path in _beside(here)))


def _expanded(entry: Any, docs: Path) -> Any:
    if not isinstance(entry, dict):
        return entry
    ((title, place),) = entry.items()
    if isinstance(place, list):
        return {title: [_expanded(below, docs) for below in place]}
    if not place.endswith("/"):
        return entry
    return {title: [f"{place}index.md", *(_with_parts(path, docs) for path in _beside(docs / place))]}


def _with_parts(page: Path, docs: Path) -> Any:
    """A page; with a folder of its name that has pages, too, their heading."""
    name, parts = page.relative_to(docs).as_posix(), _beside(page.with_suffix(""))
    if not parts:
        return name
    return {_title(page): [name, *(part.relative_to(docs).as_posix() for part in parts)]}


def _beside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.md") if path.name != "index.md")


def _title(page: Path) -> str:
    with page.open(encoding="utf-8") as lines:
        return next(lines).lstrip("# ").strip()
