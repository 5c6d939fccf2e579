"""A recurrent stack as C: the product with a matrix, one layer as a function, and the calls of it."""

from __future__ import annotations

import re

import numpy as np
from torch import Tensor

from elman.backends.base import Weights
from elman.backends.eager import evaluate
from elman.backends.native.render import Fixed, body
from elman.graph import Graph, Traced
from elman.graph.expression import substitute
from elman.recurrent import Recurrent
from elman.steps.writer import PANELS, TOGETHER, Array, Call, Item, Pointer, Writer, alone, as_array, together

# A product's sums stay in registers while a panel of outputs goes through x. Short loops GCC would copy out number by
# number before it thinks of vectors.
_AS_A_LOOP = """#if defined(__GNUC__) && !defined(__clang__)
#define AS_A_LOOP _Pragma("GCC unroll 1")
#else
#define AS_A_LOOP
#endif
"""
_PANEL = """    for (; out >= {n}; out -= {n}, z += {n}{moves}) {{
        real sum[{n}];
        for (int j = 0; j < {n}; j++) sum[j] = 0;
        for (int k = 0; k < in; k++, w += {n}) {{
            AS_A_LOOP for (int j = 0; j < {n}; j++) sum[j] += x[k] * (real)w[j];
        }}
        for (int j = 0; j < {n}; j++) z[j] += {scale}sum[j];
    }}
"""
_REST = """    for (int j = 0; j < out; j++) {{
        real sum = 0;
        for (int k = 0; k < in; k++) sum += x[k] * (real)w[k * out + j];
        z[j] += {scale}sum;
    }}
"""
# The same for some sequences: a panel of weights is read once for all of them, each sum in the same order.
_PANEL_TOGETHER = """    for (; out >= {n}; out -= {n}, at += {n}) {{
        for (int part = 0; part < {n}; part += {wide}) {{
            const weight *p = w + part;
            real {sums};
            for (int j = 0; j < {wide}; j++) {zero} = 0;
            for (int k = 0; k < in; k++, p += {n}) {{
                AS_A_LOOP for (int j = 0; j < {wide}; j++) {{
                    {add}
                }}
            }}
            for (int j = 0; j < {wide}; j++) {{
                {store}
            }}
        }}
        w += {n} * in;
    }}
"""
_WIDE = """#ifdef __AVX512F__
enum { WIDE = 32 };
#else
enum { WIDE = 16 };
#endif
"""
NORMALISE = """/* (z - mean) / sqrt(variance + 1e-5) gain. */
static void normalise(real *z, int n, const real *gain)
{
    real mean = 0, spread = 0;
    for (int i = 0; i < n; i++) mean += z[i] / (real)n;
    for (int i = 0; i < n; i++) spread += (z[i] - mean) * (z[i] - mean) / (real)n;
    const real scale = 1 / square_root(spread + 1e-5f);
    for (int i = 0; i < n; i++) z[i] = (z[i] - mean) * scale * gain[i];
}
"""


def write_stack(out: Writer, stack: Recurrent, *, many: bool) -> tuple[str, str]:
    """Adds the lines that take `read` through all layers; the functions they call, and where the last output is.

    many  whether there are functions for some sequences together, too
    """
    traced, units = stack.traced, stack.hidden_size
    fixed, lines = _cell(traced, stack.num_layers, stack.zoneout)
    below, size, at = "read", stack.input_size, {}
    for number, layer in enumerate(stack.layers):
        weights: Weights = layer.weights()  # pyright: ignore
        cut = len(traced.summed) * units
        blocks = [W for W in (weights.W, *_split(weights.R, cut)) if W is not None and len(W)]
        given, scales = zip(*(out.matrix(W) for W in blocks), strict=True)
        vectors = _vectors(traced, weights, _fixed_values(traced, fixed, weights), scales)
        at = {name: sum(v.size for v in list(vectors.values())[:i]) for i, name in enumerate(vectors)}
        place = out.vector(np.concatenate(list(vectors.values())))
        out.lines += [
            Pointer("real", f"s_{number}", f"s + {number * units}"),
            Call("layer", f"{', '.join(given)}, v + {place}", below, str(size), f"s_{number}"),
        ]
        above = f"s_{number}"
        if stack.residual and number:
            above = f"out_{number}"
            out.lines.append(Array(above, units))
            out.each(units, f"{above}[i] = {below}[i] + s_{number}[i];")
        below, size = above, units
    return _functions(traced, units, stack.layer_norm, out.quantised, at, lines, many=many), below


def product(quantised: bool, *, many: bool) -> str:
    """z += W x, or scale (W x), as a function; of some sequences together, another one."""
    scale, moves = ("scale[j] * ", ", scale += {n}") if quantised else ("", "")
    panels = [_PANEL.format(n=n, moves=moves.format(n=n), scale=scale) for n in PANELS]
    panels.append(_REST.format(scale=scale))
    given = f"const weight *w, {'const real *scale, ' * quantised}const real *x, int in, int out, real *z"
    about = f"/* z += {'scale (W x)' if quantised else 'W x'}: `in` numbers to `out`, {PANELS[0]} at once. */"
    text = f"{_AS_A_LOOP}\n{about}\nstatic void product({given})\n{{\n{''.join(panels)}}}\n"
    return text + _product_together() if many else text


def _product_together() -> str:
    """The product for `TOGETHER` sequences; what no panel has is left to `product`."""
    b = range(TOGETHER)
    add = " ".join(f"sum{i}[j] += x[{i}][k] * (real)p[j];" for i in b)
    store = " ".join(f"z[{i}][at + part + j] += sum{i}[j];" for i in b)
    code = ""
    for n in PANELS:
        wide = "WIDE" if n > 16 else str(n)
        sums, zero = ", ".join(f"sum{i}[{wide}]" for i in b), " = ".join(f"sum{i}[j]" for i in b)
        code += _PANEL_TOGETHER.format(n=n, wide=wide, sums=sums, zero=zero, add=add, store=store)
    given = "const weight *w, const real *const *x, int in, int out, real *const *z"
    rest = "    for (int b = 0; b < TOGETHER && out; b++) product(w, x[b], in, out, z[b] + at);\n"
    head = f"{_WIDE}\n/* The same for some sequences. */\nstatic void product_together({given})"
    return f"\n{head}\n{{\n    int at = 0;\n{code}{rest}}}\n"


def _split(R: Tensor | None, cut: int) -> tuple[Tensor | None, Tensor | None]:
    """The rows of R that are summed with those of W, and those that stay apart."""
    return (None, None) if R is None else (R[:cut], R[cut:])


def _vectors(traced: Traced, w: Weights, fixed: np.ndarray, scales: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """What a layer reads besides matrices, by the name that the C has for it, in the order in which it lies."""
    found = {"bias": w.b, "bias_apart": w.b_r, "gain": w.gain_x, "gain_r": w.gain_r}
    found |= {"scale": scales[0], "scale_r": np.concatenate([*scales[1:], np.empty(0)])}
    params = [as_array(w.params[name]) for name in traced.cell.params]
    found |= {"p": np.concatenate([*params, np.empty(0)]), "q": fixed}
    arrays = {name: as_array(values).reshape(-1) for name, values in found.items() if values is not None}
    return {name: values for name, values in arrays.items() if values.size}


def _fixed_values(traced: Traced, fixed: dict[int, int], w: Weights) -> np.ndarray:
    """What depends on parameters alone, computed now: one row of H numbers after another."""
    if not fixed:
        return np.empty(0)
    graph = substitute(Graph(traced.forward.nodes, {str(i): node for i, node in fixed.items()}), {})
    values = evaluate(graph, {f"p.{name}": p.detach() for name, p in w.params.items()})
    return np.concatenate([as_array(values[str(i)]).reshape(-1) for i in sorted(fixed)])


def _cell(traced: Traced, layers: int, zoneout: float) -> tuple[dict[int, int], list[str]]:
    """Which node of the graph each q is, and the lines of one unit."""
    cell, fixed = traced.cell, Fixed(traced)
    reads = {f"x.{g}": f"x{i}" for i, g in enumerate(traced.gates)}
    reads |= {f"r.{g}": f"r{i}" for i, g in enumerate(traced.apart)}
    reads |= {f"s.{s}": f"s{i}" for i, s in enumerate(cell.states)}
    reads |= fixed.params
    lines = body(traced.forward, reads, {s: f"const vec n{i}" for i, s in enumerate(cell.states)}, fixed)
    text = re.sub(r"\b([pq])\[(\d+)\]", r"\1[\2 * UNITS + u]", "\n".join(lines))
    arrays = {"x": "z", "r": "r", "s": "s"}
    loads = [
        f"const vec {name} = {arrays[name[0]]}[{name[1:]} * {'LAYERS * ' * (name[0] == 's')}UNITS + u];"
        for name in sorted({*reads.values()} - {*fixed.params.values()})
        if re.search(rf"\b{name}\b", text) or (zoneout and name[0] == "s")
    ]
    kept = f"{zoneout!r}f * s{{0}} + {1 - zoneout!r}f * n{{0}}" if zoneout else "n{0}"
    stores = [f"s[{i} * LAYERS * UNITS + u] = {kept.format(i)};" for i in range(len(cell.states))]
    texts = fixed.texts(traced.forward)
    nodes = {fixed.numbers[t]: node for node, t in texts.items() if t in fixed.numbers}
    return nodes, [*loads, *text.splitlines(), *stores]


def _functions(
    traced: Traced, units: int, norm: bool, quantised: bool, at: dict[str, int], lines: list[str], *, many: bool
) -> str:
    """`layer`: x and the state, of this layer at s, to the new state; and, of some sequences, `layer_together`."""
    blocks = {"W": len(traced.gates), "R": len(traced.summed), "R_apart": len(traced.apart)}
    given = ", ".join(f"const weight *{name}" for name, rows in blocks.items() if rows) + ", const real *restrict v"
    code = _layer(traced, units, norm, quantised, at, lines)
    parts = [product(quantised, many=many), *([NORMALISE] if norm else [])]
    head = "/* One layer: x (in) and the state at s to the next state. */"
    parts.append(function(f"{head}\nstatic void layer({given}, const real *x, int in, real *restrict s)", alone(code)))
    if many:
        each: list[Item] = [Pointer("const real", "x", "xs[b]"), Pointer("real", "restrict s", "ss[b]")]
        head = f"static void layer_together({given}, const real *const *xs, int in, real *const *ss)"
        parts.append(function(head, together(code, each)))
    return "\n".join(parts)


def function(head: str, lines: list[str]) -> str:
    """A function in C."""
    return "\n".join([head, "{", *(f"    {line}" for line in lines), "}\n"])


def _layer(traced: Traced, units: int, norm: bool, quantised: bool, at: dict[str, int], lines: list[str]) -> list[Item]:
    """The body of `layer`."""
    gates, summed, apart = (n * units for n in map(len, (traced.gates, traced.summed, traced.apart)))
    scale, scale_r = (", scale", ", scale_r") if quantised else ("", "")
    used = " ".join(lines)
    named = {n: at[n] for n in at if n not in "pq" or f" {n}[" in used or f"({n}[" in used}  # all of p may be in q
    code: list[Item] = [Pointer("const real", name, f"v{f' + {at}' if at else ''}") for name, at in named.items()]
    code.append(Array("z", gates))
    first = Call("product", f"W{scale}", "x", f"in, {gates}", "z")
    if norm:
        code += [f"for (int i = 0; i < {gates}; i++) z[i] = 0;", first]
        code.append(f"normalise(z, {gates}, gain);")
        code.append(f"for (int i = 0; i < {gates}; i++) z[i] += bias[i];")
    else:
        code += [f"for (int i = 0; i < {gates}; i++) z[i] = bias[i];", first]
    if norm and traced.recurrent:
        code += _normalised_product(traced, units, scale_r)
    else:
        if summed:
            code.append(Call("product", f"R{scale_r}", "s", f"UNITS, {summed}", "z"))
        if apart:
            further = f"{scale_r} + {summed}" if quantised else ""
            code += [Array("r", apart), f"for (int i = 0; i < {apart}; i++) r[i] = bias_apart[i];"]
            code.append(Call("product", f"R_apart{further}", "s", f"UNITS, {apart}", "r"))
    return [*code, "AS_A_LOOP for (int u = 0; u < UNITS; u++) {", *(f"    {line}" for line in lines), "}"]


def _normalised_product(traced: Traced, units: int, scale: str) -> list[Item]:
    """R h for all gates at once, normalised, then added to z or, where a gate reads it apart, to the second bias."""
    summed, apart = (n * units for n in map(len, (traced.summed, traced.apart)))
    code: list[Item] = [Array("h", summed + apart), f"for (int i = 0; i < {summed + apart}; i++) h[i] = 0;"]
    if summed:
        code.append(Call("product", f"R{scale}", "s", f"UNITS, {summed}", "h"))
    if apart:
        further = f"{scale} + {summed}" if scale else ""
        code.append(Call("product", f"R_apart{further}", "s", f"UNITS, {apart}", f"h + {summed}"))
    code.append(f"normalise(h, {summed + apart}, gain_r);")
    if summed:
        code.append(f"for (int i = 0; i < {summed}; i++) z[i] += h[i];")
    if apart:
        code += [Array("r", apart), f"for (int i = 0; i < {apart}; i++) r[i] = bias_apart[i] + h[{summed} + i];"]
    return code
