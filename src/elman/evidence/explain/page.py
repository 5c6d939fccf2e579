"""All there is to tell about a cell, as text for a terminal, as a page, as LaTeX and as pictures."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import torch

from elman.backends.native import render as native
from elman.backends.triton import render as triton
from elman.cells import Cell, find_cell, name_of
from elman.errors import OptionError
from elman.evidence.explain.counts import Counts, counts
from elman.evidence.explain.derivation import Derivation, derive
from elman.evidence.explain.diagrams import DIAGRAMS, unrolled
from elman.evidence.explain.notation import PLAIN, Equation, align, split_indices
from elman.evidence.report import Report, page_style
from elman.files import write_atomic
from elman.graph import trace


@dataclass(frozen=True)
class Explanation:
    """A cell explained.

    name        as the catalogue has it, or its class
    title       its docstring's first line
    derivation  equations, forward and backward
    counts      parameters, operations, memory
    net         of which net they are, in words
    diagrams    name of a picture → SVG, its colours the page's
    unread      gates and parameters that the step never reads, whose weights learn nothing
    sources     what its kernels are compiled from, by file: "cell.c" for CPUs, "cell_triton.py" for GPUs
    """

    name: str
    title: str
    derivation: Derivation
    counts: Counts
    net: str
    diagrams: Mapping[str, str]
    unread: Sequence[str]
    sources: Mapping[str, str]

    def parts(self) -> list[tuple[str, str, tuple[Equation, ...]]]:
        """Heading, words and equations of each part of the mathematics."""
        found = self.derivation
        given = ", ".join(map(PLAIN.symbol, found.given))
        words = "⊙ multiplies unit by unit, as all functions work. W and R are matrices."
        if self.unread:
            words += (
                f" Never read, with weights that learn nothing: {', '.join(self.unread)}. Leave them out of the cell."
            )
        return [
            ("Forward, step t", words, found.forward),
            (
                "Backward through step t",
                f"δv is ∂L/∂v. Given, from step t+1 and from the loss at step t: {given}. "
                "Each line: the chain rule, then its value.",
                found.within,
            ),
            ("On to step t-1, and to the input", "What the step before is given, and the layer below.", found.beyond),
            ("What the weights get", "Sums over the steps, and over the sequences of a batch.", found.weights),
        ]

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}"]
        for heading, words, equations in self.parts():
            lines += ["", heading, textwrap.fill(words, 110, initial_indent="  ", subsequent_indent="  "), ""]
            lines += [textwrap.indent(str(equation), "  ") for equation in equations]
        lines += ["", f"Counts of {self.net}", ""]
        width = max(len(number) for _, number in self.counts.rows())
        lines += [f"  {number:>{width}}  {what}" for what, number in self.counts.rows()]
        return "\n".join(lines)

    def to_latex(self) -> str:
        """`equations.tex`: a fragment to \\input into a document that loads amsmath."""
        parts = [f"% {self.name}, written by elman explain. Needs amsmath; \\allowdisplaybreaks lets pages break."]
        parts += [f"\\paragraph{{{heading}}}\n{align(equations)}" for heading, _, equations in self.parts()]
        return "\n\n".join(parts) + "\n"

    def to_html(self) -> str:
        """`explain.html`: self-contained, no script; follows the reader's light or dark theme."""
        sections = {heading: _said(words) + _table(equations) for heading, words, equations in self.parts()}
        rows = "".join(f'<tr><th scope="row">{escape(w)}</th><td>{n}</td></tr>' for w, n in self.counts.rows())
        sections[f"Counts of {self.net}"] = f'<div class="scroll"><table>{rows}</table></div>'
        for name, svg in self.diagrams.items():
            diagram = DIAGRAMS[name]
            picture = f'<figure class="drawing">{svg}</figure>'
            sections[diagram.title.capitalize()] = _said(diagram.words) + picture
        latex = f"<details><summary>equations.tex</summary><pre>{escape(self.to_latex())}</pre></details>"
        return Report(f"{self.name}: {self.title}", sections=sections | {"LaTeX": latex}).to_html()

    def write(self, folder: Path, *, sources: Sequence[str] = ()) -> list[Path]:
        """Writes explain.html, equations.tex, a NAME.svg for each picture, and those of `sources`; gives their paths.

        Raises `OptionError` where there can be no such folder, `RunError` where nothing can be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise OptionError(f"explain: {folder} cannot be a folder: {problem.strerror}. Name another.") from None
        files = {"explain.html": self.to_html(), "equations.tex": self.to_latex()}
        files |= {f"{name}.svg": alone(svg) for name, svg in self.diagrams.items()}
        files |= {name: self.sources[name] for name in sources}
        for name, text in files.items():
            write_atomic(folder / name, text.encode())
        return [folder / name for name in files]


def explain(
    cell: str | type[Cell] | Cell,
    input_size: int = 16,
    hidden_size: int = 64,
    num_layers: int = 1,
    *,
    bidirectional: bool = False,
    shapes: Sequence[str] = tuple(DIAGRAMS),
) -> Explanation:
    """What a cell computes and how it learns: equations, derived backward pass, counts, pictures, generated kernels.

    All of it comes from the trace that the kernels run. `print` shows the mathematics; `write` makes a page of it.
    shapes: names in `DIAGRAMS`. Raises `OptionError`, `UnknownNameError`, `CellError`.

    >>> import elman
    >>> print(elman.explain("elman"))  # doctest: +ELLIPSIS
    elman: Simple recurrent network.
    <BLANKLINE>
    Forward, step t
      ⊙ multiplies unit by unit, as all functions work. W and R are matrices.
    <BLANKLINE>
      x_h = W_h x_t + R_h h_{t-1} + b_h
      h_t = tanh(x_h)
    ...
    """
    found = find_cell(cell, "explain")
    traced = trace(found)
    read = traced.forward.inputs
    layers = "1 layer" if num_layers == 1 else f"{num_layers} layers"
    ways = " in both directions" if bidirectional else ""
    return Explanation(
        name=name_of(found),
        title=inspect.cleandoc(type(found).__doc__ or "a cell of your own.").splitlines()[0],
        derivation=derive(found),
        counts=counts(found, input_size, hidden_size, num_layers, bidirectional=bidirectional),
        net=f"{layers}{ways}, F = {input_size} inputs, H = {hidden_size} units",
        unread=[
            *(f"gate {gate}" for gate in found.gates if not {f"x.{gate}", f"r.{gate}"} & set(read)),
            *(f"parameter {name}" for name in found.params if f"p.{name}" not in read),
        ],
        diagrams={shape: unrolled(found, shape, max(num_layers, 2)) for shape in shapes},
        sources={
            "cell.c": native.render(traced, torch.float32, layer_norm=False),
            "cell_triton.py": triton.render(traced),
        },
    )


def _said(words: str) -> str:
    return f'<p class="quiet">{_indexed(words)}</p>'


def _table(equations: Sequence[Equation]) -> str:
    """Equations, their signs of equality below each other."""
    rows = [
        f"<tr><th>{'' if n else _indexed(equation.plain[0])}</th><td>= {_indexed(side)}</td></tr>"
        for equation in equations
        for n, side in enumerate(equation.plain[1:])
    ]
    return f'<div class="scroll"><table class="equations">{"".join(rows)}</table></div>'


def _indexed(text: str) -> str:
    """A text with its indices set low."""
    return "".join(f"<sub>{escape(part)}</sub>" if low else escape(part) for part, low in split_indices(text))


def alone(svg: str) -> str:
    """A picture that is its own page, with the colours of a report's."""
    head, rest = svg.split(">", 1)
    return f"{head}>\n<style>{page_style()}\nsvg {{ background: var(--card); }}</style>{rest}"
