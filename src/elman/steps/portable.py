"""The mathematics of a step in plain C99: of functions.h and what is around it, just what is used."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from importlib import resources

PLACES = (("steps", "scalar.h"), ("backends.native", "functions.h"), ("steps", "without_libm.h"))
_CHOICE = re.compile(r"#if REAL_BITS == 32\n(.*?)#else\n.*?#endif\n", re.DOTALL)
_NAME = re.compile(r"#define (\w+)|(?:INLINE|static)[^(={;]*?(\w+)(?:\[\])?\s*[(=]")
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")


def mathematics(using: str | None = None) -> str:
    """Definitions of all that a C text uses, one number at a time and of 32 bits; None: of everything.

    >>> "erf" in mathematics("tanh of x: hyperbolic_tangent(x)"), "polynomial" in mathematics("hyperbolic_tangent(x)")
    (False, True)
    """
    parts = _definitions()
    kept, size = {i for i, (name, _) in enumerate(parts) if not name or using is None}, -1
    words = set(_WORD.findall(using or ""))
    while len(kept) != size:
        size = len(kept)
        for i, (name, text) in enumerate(parts):
            if i in kept or name in words:
                kept.add(i)
                words |= set(_WORD.findall(_without_comments(text)))
    texts = [parts[i][1] for i in sorted(kept)]
    return "\n".join(f"\n{text}\n" if "\n" in text else text for text in texts).replace("\n\n\n", "\n\n").strip("\n")


@functools.cache
def _definitions() -> tuple[tuple[str, str], ...]:
    """Each definition with its name and the comment above it; the name of a type or an include is ""."""
    return tuple(found for folder, name in PLACES for found in _split(folder, name))


def _split(folder: str, name: str) -> Iterator[tuple[str, str]]:
    text = (resources.files(f"elman.{folder}") / "c" / name).read_text("utf-8")
    text = _CHOICE.sub(r"\1", text).split("*/\n", 1)[1]  # the first comment is about the file
    waiting: list[str] = []
    for line in text.splitlines():
        if line.startswith("#pragma"):
            continue
        waiting.append(line)
        if _ends(line, waiting):
            whole = "\n".join(waiting).strip("\n")
            found = _NAME.search(_without_comments(whole))
            yield (found[1] or found[2] if found else ""), whole
            waiting = []


def _ends(line: str, so_far: list[str]) -> bool:
    """Whether a definition ends with this line."""
    if line.startswith("#"):
        return True
    code = _without_comments("\n".join(so_far))
    return bool(code.strip()) and code.count("{") == code.count("}") and code.rstrip().endswith(("}", ";"))


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
