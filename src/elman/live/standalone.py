"""The live page as one file, the model inside as WebAssembly: opened from a disk, with no server."""

from __future__ import annotations

import base64
import html
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from elman.errors import OptionError
from elman.files import write_atomic
from elman.live.messages import about
from elman.steps.causal import Causal, StackStep
from elman.steps.parts import MOST_NAMED, Looked, Measured, Spelt

_LINK = re.compile(r'<link rel="(?P<rel>[a-z]+)" href="page/(?P<file>[^"]+)"[^>]*>')
_SCRIPT = re.compile(r'<script src="page/(?P<file>[^"]+)"[^>]*></script>')
_IMPORT = re.compile(r'from "\./([a-z]+\.js)"')


def write_page(step: Causal, module: Path, name: str, page: Path) -> None:
    """Writes the page of a model.

    module  its WebAssembly, whose functions begin with `name`

    Raises `OptionError` for a model that cannot run in a page by itself, `RunError` where it cannot write.
    """
    model = about(step) | {"here": here(step, name)}
    write_atomic(page, bundle(model, module.read_bytes()).encode())


def here(step: Causal, name: str) -> dict[str, Any]:
    """What a page must know to do what `Stream` does around the compiled step."""
    if not isinstance(step, StackStep) or isinstance(step.reads, Spelt):
        raise OptionError(f"{step.where}: a page of its own is made for models of numbers or of whole names alone.")
    found: dict[str, Any] = {
        "name": name,
        "missing": isinstance(step.reads, Measured),
        "says": type(step.says).__name__,
    }
    if isinstance(step.reads, Looked) and step.codes is not None:
        found |= {"vocabulary": step.codes.vocabulary.names, "lowercase": step.codes.lowercase}
    return found | {"named": getattr(step.says, "name", "label"), "most": MOST_NAMED}


def bundle(model: dict[str, Any], module: bytes) -> str:
    """`index.html` with all that it loads."""
    text = _LINK.sub(_linked, _file("index.html").decode())
    modules = {path.name: _data("text/javascript", _bare(path.read_bytes())) for path in _folder().glob("*.js")}
    given = json.dumps(model).replace("</", "<\\/")
    head = (
        f'<script type="importmap">{json.dumps({"imports": modules})}</script>\n'
        f'<script type="application/json" id="model">{given}</script>\n'
        f'<script type="application/wasm" id="wasm">{base64.b64encode(module).decode()}</script>\n'
        '<script type="module">import "app.js";</script>'
    )
    return _SCRIPT.sub(lambda found: head if found["file"] == "app.js" else _inline(found["file"]), text)


def _folder() -> Path:
    return Path(str(resources.files("elman.live") / "page"))


def _file(name: str) -> bytes:
    return (_folder() / name).read_bytes()


def _inline(name: str) -> str:
    return f"<script>{_file(name).decode()}</script>"


def _linked(found: re.Match[str]) -> str:
    if found["rel"] == "icon":
        return f'<link rel="icon" href="{html.escape(_data("image/svg+xml", _file(found["file"])))}">'
    return f"<style>{_file(found['file']).decode()}</style>"


def _bare(text: bytes) -> bytes:
    """Modules by their names alone: within a page there is no folder to find them in."""
    return _IMPORT.sub(r'from "\1"', text.decode()).encode()


def _data(kind: str, text: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(text).decode()}"
