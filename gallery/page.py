"""A page of the gallery: what a script measured, in the order in which it is read.

python gallery/NAME.py            writes docs/gallery/NAME.md, its pictures and numbers.json
python gallery/NAME.py --quick    the same at small size into a folder of its own, as the tests do
"""

from __future__ import annotations

import argparse
import inspect
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from elman.evidence.plots import HISTORY, INK, PALETTE, QUIET, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"

COLOURS = (*PALETTE, HISTORY, QUIET)
"""told apart with every kind of colour blindness"""


@dataclass
class Page:
    """Text, tables and pictures in the order in which they are given, and every number that was measured.

    name   of the script and of the page, such as vanishing_gradient
    quick  whether to measure at small size only
    of     the script, where it makes more pages than that of its name
    """

    name: str
    title: str
    folder: Path = GALLERY
    quick: bool = False
    of: str | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    _parts: list[str] = field(default_factory=list)
    _started: float = field(default_factory=time.perf_counter)

    def text(self, words: str) -> None:
        """Paragraphs in Markdown. A number in them is formatted in by the caller from what was measured."""
        self._parts.append(inspect.cleandoc(words))

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """A table whose columns are the keys of its rows; a number is shown with three digits."""
        columns = list(rows[0])
        lines = [columns, ["---" for _ in columns], *([_said(row[c]) for c in columns] for row in rows)]
        self._parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def code(self, *shown: Callable[..., Any]) -> None:
        """The source of functions and classes, as they ran."""
        source = "\n\n\n".join(dedent(inspect.getsource(each)).strip() for each in shown)
        self._parts.append(f"```python\n{source}\n```")

    @contextmanager
    def picture(
        self, name: str, caption: str, panels: tuple[int, int] = (1, 1), size: tuple[float, float] = (7.2, 3.6)
    ) -> Iterator[Any]:
        """Axes to draw on, one or an array of `panels` (rows, columns), kept as NAME.svg when the block ends."""
        with rc_context(STYLE):
            figure = Figure(figsize=size, layout="constrained")
            yield figure.subplots(*panels)
        self.figure(name, caption, figure)

    def figure(self, name: str, caption: str, figure: Figure) -> None:
        """A picture that is drawn already, such as those of `elman.evidence`, kept as NAME.svg."""
        with rc_context(STYLE):
            figure.savefig(self._place(name, caption), facecolor="white", metadata={"Date": None})

    def drawing(self, name: str, caption: str, svg: str) -> None:
        """A picture that is SVG already, kept as NAME.svg."""
        self._place(name, caption).write_text(svg, "utf-8")

    def part(self, name: str, title: str) -> Page:
        """Another page of the same script: NAME/PART.md below this one. Write it, too."""
        return Page(name, title, self.folder / self.name, self.quick, self.of or self.name)

    def _place(self, name: str, caption: str) -> Path:
        self._parts.append(f"![{caption}]({self.name}/{name}.svg)\n\n*{caption}*")
        place = self.folder / self.name / f"{name}.svg"
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def write(self) -> Path:
        """The page as docs/gallery/NAME.md, its numbers as NAME/numbers.json; returns the page's path."""
        import torch

        seconds = time.perf_counter() - self._started
        machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
        end = f"Made by `python gallery/{self.of or self.name}.py` in {seconds / 60:.1f} minutes ({machine})."
        page = self.folder / f"{self.name}.md"
        (self.folder / self.name).mkdir(parents=True, exist_ok=True)
        page.write_text("\n\n".join([f"# {self.title}", *self._parts, "---", end]) + "\n", "utf-8")
        numbers = json.dumps(self.numbers, indent=1, ensure_ascii=False) + "\n"
        (self.folder / self.name / "numbers.json").write_text(numbers, "utf-8")
        return page


def legend(axes: Axes, **more: Any) -> None:
    """A legend without a frame, in the ink of the text."""
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, **more)


def main(make: Callable[[Page], None], title: str) -> None:
    """A script's command line: makes its page, at full size into docs/gallery, with --quick elsewhere."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="small size, into --out")
    parser.add_argument("--out", type=Path, help="folder to write to")
    options = parser.parse_args()
    folder = options.out or (Path("runs") / "gallery" if options.quick else GALLERY)
    page = Page(Path(inspect.getfile(make)).stem, title, folder, options.quick)
    make(page)
    print(f"Written: {page.write()}")


def _said(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
