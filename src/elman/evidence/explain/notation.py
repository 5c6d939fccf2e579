"""How mathematics is written: one table for plain text, one for LaTeX, and what both have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

GREEK: dict[str, str] = dict(
    zip(
        (
            *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
            *("nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
        ),
        "αβγδεζηθικλμνξπρστυφχψω",
        strict=True,
    )
)
_ENGLISH = {letter: name for name, letter in GREEK.items()}
TOTAL, GIVEN = "δ", "δ⁺"


@dataclass(frozen=True)
class Symbol:
    """A name with an index: h_{t-1}, W_i, δc_t.

    mark: "δ" for the loss's derivative by the value, "δ⁺" for the part of it that comes from later steps and the loss;
    tildes: how many, where the plain name is another value's.

    >>> PLAIN.symbol(Symbol("nu")), PLAIN.symbol(Symbol("h", "t-1")), PLAIN.symbol(Symbol("c", "t", TOTAL))
    ('ν', 'h_{t-1}', 'δc_t')
    >>> LATEX.symbol(Symbol("keep", "t", GIVEN))
    '\\\\delta^{+}\\\\mathrm{keep}_{t}'
    """

    base: str
    index: str = ""
    mark: str = ""
    tildes: int = 0


@dataclass(frozen=True)
class Notation:
    """A way of writing.

    functions  operation → name, written before its argument in parentheses
    forms      operation → format string, and how tightly its result binds (`OR` … `ATOM`)
    times, scaled, fraction, group, power   how products of units, products with a number and the rest are written
    """

    functions: Mapping[str, str]
    forms: Mapping[str, tuple[str, int]]
    times: str
    scaled: str
    fraction: str
    group: str
    power: Mapping[int, str]
    transposed: str
    partial: str
    sum: str
    is_latex: bool

    def symbol(self, symbol: Symbol) -> str:
        """A name with its mark and index."""
        if not self.is_latex:
            index = symbol.index if symbol.index.isalnum() else f"{{{symbol.index}}}"
            base = GREEK.get(symbol.base.removesuffix("_"), symbol.base) + "\u0303" * symbol.tildes
            return symbol.mark + base + (f"_{index}" if symbol.index else "")
        mark = {TOTAL: r"\delta ", GIVEN: r"\delta^{+}"}.get(symbol.mark, "")
        base = r"\tilde{" * symbol.tildes + _latex_name(symbol.base) + "}" * symbol.tildes
        index = ",".join(part if part == "t-1" else _latex_name(part) for part in symbol.index.split(","))
        return mark + base + (f"_{{{index}}}" if symbol.index else "")

    def number(self, value: float) -> str:
        """A number: whole ones without a point, powers of ten as such in LaTeX."""
        text = f"{value:.15g}"
        if "inf" in text:
            return text.replace("inf", r"\infty" if self.is_latex else "∞")
        if self.is_latex and "e" in text:
            digits, exponent = text.split("e")
            return rf"{digits} \times 10^{{{int(exponent)}}}"
        return text

    def derivative(self, of: Symbol, by: Symbol) -> str:
        """∂h_t/∂c_t."""
        return self.partial.format(self.symbol(of), self.symbol(by))

    def product(self, matrix: Symbol, vector: Symbol, *, transposed: bool = False) -> str:
        """W x, or Wᵀ x."""
        return f"{self.symbol(matrix)}{self.transposed if transposed else ''} {self.symbol(vector)}"

    def loss(self, by: Symbol) -> str:
        """∂L/∂W_i."""
        return self.partial.format("L", self.symbol(by))

    def total(self, slope: Symbol, seen: Symbol | None) -> str:
        """Σ_t δ, or Σ_t δ xᵀ."""
        return self.sum + self.symbol(slope) + ("" if seen is None else f" {self.symbol(seen)}{self.transposed}")


def _latex_name(name: str) -> str:
    greek = _ENGLISH.get(name, name.removesuffix("_"))  # a Python variable cannot be called lambda
    if greek in GREEK:
        return f"\\{greek}"
    escaped = name.replace("_", r"\_")
    return escaped if len(name) == 1 or name.isdigit() else rf"\mathrm{{{escaped}}}"


# How tightly an expression binds, from loose to tight: what binds less tightly than its place asks for is grouped.
CHOICE, OR, AND, NOT, COMPARED, SUM, PRODUCT, POWER, ATOM = range(9)

PLAIN = Notation(
    functions={
        **{name: name for name in ("tanh", "exp", "sin", "cos", "erf", "abs", "sign")},
        "sigmoid": "σ",
        "log": "ln",
        "sqrt": "√",
        "minimum": "min",
        "maximum": "max",
    },
    forms={
        "gt": ("{} > {}", COMPARED),
        "ge": ("{} ≥ {}", COMPARED),
        "lt": ("{} < {}", COMPARED),
        "le": ("{} ≤ {}", COMPARED),
        "eq": ("{} == {}", COMPARED),
        "ne": ("{} ≠ {}", COMPARED),
        "and": ("{} and {}", AND),
        "or": ("{} or {}", OR),
        "not": ("not {}", NOT),
        "where": ("{1} if {0} else {2}", CHOICE),
        "pow": ("{}^{}", POWER),
        "relu": ("max(0, {})", ATOM),
        "expm1": ("(exp({}) - 1)", ATOM),
        "log1p": ("ln(1 + {})", ATOM),
        "rsqrt": ("1 / √({})", PRODUCT),
    },
    times=" ⊙ ",
    scaled=" · ",
    fraction="{} / {}",
    group="({})",
    power={2: "²", 3: "³"},
    transposed="ᵀ",
    partial="∂{}/∂{}",
    sum="Σ_t ",
    is_latex=False,
)
LATEX = Notation(
    functions={
        **{name: rf"\{name}" for name in ("tanh", "exp", "sin", "cos")},
        "erf": r"\operatorname{erf}",
        "sign": r"\operatorname{sign}",
        "sigmoid": r"\sigma",
        "log": r"\ln",
        "minimum": r"\min",
        "maximum": r"\max",
    },
    forms={
        "gt": ("{} > {}", COMPARED),
        "ge": (r"{} \ge {}", COMPARED),
        "lt": ("{} < {}", COMPARED),
        "le": (r"{} \le {}", COMPARED),
        "eq": ("{} = {}", COMPARED),
        "ne": (r"{} \ne {}", COMPARED),
        "and": (r"{} \land {}", AND),
        "or": (r"{} \lor {}", OR),
        "not": (r"\lnot {}", NOT),
        "where": (r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{else}} \end{{cases}}", CHOICE),
        "pow": ("{}^{{{}}}", POWER),
        "relu": (r"\max\left(0, {}\right)", ATOM),
        "expm1": (r"\left(\exp\left({}\right) - 1\right)", ATOM),
        "rsqrt": (r"\frac{{1}}{{\sqrt{{{}}}}}", PRODUCT),
        "log1p": (r"\ln\left(1 + {}\right)", ATOM),
        "abs": (r"\left|{}\right|", ATOM),
        "sqrt": (r"\sqrt{{{}}}", ATOM),
    },
    times=r" \odot ",
    scaled=r"\,",
    fraction=r"\frac{{{}}}{{{}}}",
    group=r"\left({}\right)",
    power={2: "^{2}", 3: "^{3}"},
    transposed=r"^\top",
    partial=r"\frac{{\partial {}}}{{\partial {}}}",
    sum=r"\sum_t ",
    is_latex=True,
)


@dataclass(frozen=True)
class Equation:
    """A value and what it is equal to, once or in several forms, the last of which can be computed.

    >>> print(Equation(("y", "f(x)", "2 x"), ("y", "f(x)", "2 x")))
    y = f(x)
      = 2 x
    """

    plain: tuple[str, ...]
    latex: tuple[str, ...]

    def __str__(self) -> str:
        left, *right = self.plain
        width = len(left) - left.count("\u0303")  # a tilde stands above its letter
        return "\n".join(f"{left if not i else ' ' * width} = {side}" for i, side in enumerate(right))

    def to_latex(self) -> str:
        """Lines of an `align*` environment of amsmath."""
        left, *right = self.latex
        return " \\\\\n".join(f"{left if not i else ''} &= {side}" for i, side in enumerate(right))


def split_indices(text: str) -> list[tuple[str, bool]]:
    """Parts of a text, and whether each is an index: c_{t-1} is c and the index t-1.

    >>> split_indices("c_{t-1} + W_x x_t")
    [('c', False), ('t-1', True), (' + W', False), ('x', True), (' x', False), ('t', True)]
    """
    parts = re.split(r"_(\{[^}]*\}|[^\W_²³ᵀ]+)(?![^\W²³ᵀ])", text)
    return [(part.strip("{}") if n % 2 else part, n % 2 == 1) for n, part in enumerate(parts) if part]


def both(write: Callable[[Notation], tuple[str, ...]]) -> Equation:
    """An equation in each notation, from what writes it in one."""
    return Equation(write(PLAIN), write(LATEX))


def align(equations: Sequence[Equation]) -> str:
    """Equations as LaTeX, their signs of equality below each other; needs amsmath.

    >>> print(align([Equation(("y", "2"), ("y", "2"))]))
    \\begin{align*}
    y &= 2
    \\end{align*}
    """
    return "\\begin{align*}\n" + " \\\\\n".join(e.to_latex() for e in equations) + "\n\\end{align*}"
