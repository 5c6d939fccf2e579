"""From a graph to C: every operation, random expressions, and a source that compiles without a warning."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import elman
from elman.backends import eager
from elman.backends.native import cache, render
from elman.backends.native.compiler import find_compiler, no_compiler_reason
from elman.cells import CATALOGUE
from elman.graph import Graph, Traced, trace
from elman.graph.expression import ARITY, TRUTHS, Builder, Node
from tests.contracts.conftest import UsersOwn, gradients, make, run

DTYPES = {torch.float32: np.float32, torch.float64: np.float64}
LEAVES = ("x.u", "r.v", "s.n0", "p.k")
CONSTANTS = (0.0, 1.0, -1.0, 0.5, 2.0, -0.0, 3.7, 1e-3, float("inf"), float("nan"))
CALL = """
void test_call(long n, const real *in, real *out)
{
    vec x[GATES], r[1], s[STATES], p[1], q[FIXED + 1], new[STATES];
    for (long i = 0; i < n; i += V) {
        x[0] = load(in + i), x[1] = load(in + n + i), r[0] = x[1], s[0] = load(in + 2 * n + i), p[0] = load(in + 3 * n + i);
        cell_fixed(p, q);
        cell_forward(x, r, s, p, q, new);
        for (int k = 0; k < STATES; k++) store(out + k * n + i, new[k]);
    }
}
long elman_lanes(void) { return V; }
"""  # noqa: E501


@pytest.fixture(scope="module", autouse=True)
def _a_cache_of_our_own(tmp_path_factory):
    """Random expressions would fill the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELMAN_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def as_cell(graph: Graph) -> Traced:
    """The graph as a cell whose states are its results; its backward gives nothing."""
    cell = SimpleNamespace(states=tuple(graph.outputs), params={"k": 0.0}, initial={})
    empty = Graph((), {})
    return Traced(cast(Any, cell), graph, empty, ("u",), ("v",), ())


def evaluate_in_c(graph: Graph, values: dict[str, torch.Tensor], dtype, compiler) -> dict[str, np.ndarray]:
    """The graph's results as the compiled C has them, without the time loop around it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "PARTS", ("lanes.h", "functions.h"))
        text = render.render(as_cell(graph), dtype, layer_norm=False) + CALL
    code = ctypes.CDLL(str(cache.library(text, compiler, "test_render")))
    whole = -(-len(values["x.u"]) // code.elman_lanes()) * code.elman_lanes()
    size = len(values["x.u"])
    given_in, out = (np.zeros((rows, whole), DTYPES[dtype]) for rows in (4, len(graph.outputs)))
    for row, name in zip(given_in, LEAVES, strict=True):
        row[:size] = values[name].numpy()
    code.test_call(ctypes.c_long(whole), *(a.ctypes.data_as(ctypes.c_void_p) for a in (given_in, out)))
    return dict(zip(graph.outputs, out[:, :size], strict=True))


def some_values(dtype, seed=0, *, size=200):
    """Numbers of both signs, equal ones and 0 among them."""
    generator = torch.Generator().manual_seed(seed)
    values = {n: torch.randn(size, generator=generator, dtype=torch.float64) * 2 for n in LEAVES}
    for name, start in zip(LEAVES, range(4), strict=True):
        values[name][start * 20 : start * 20 + 40] = torch.arange(40) % 5 - 2.0
    values["p.k"] = values["p.k"].to(dtype)
    return {n: v.to(dtype) for n, v in values.items()}


def every_value(build: Builder, last: list[int]) -> Graph:
    """A graph whose results are all of its values, truths as 1 and 0."""
    whole = build.graph({f"last{i}": number for i, number in enumerate(last)})
    again = Builder()
    new: list[int] = []
    for node in whole.nodes:
        if node.op in ("input", "const"):
            new.append(again._place(node))
        else:
            new.append(again.op(node.op, *(new[a] for a in node.args)))
    one, zero = again.const(1.0), again.const(0.0)
    shown = [again.op("where", n, one, zero) if again.is_truth(n) else n for n in new]
    return again.graph({f"n{i}": number for i, number in enumerate(shown)})


def assert_each_operation_agrees(graph: Graph, dtype, compiler, seed=0):
    """Each value of the C code is what eager makes of the C code's own arguments, so that errors do not add up."""
    values = some_values(dtype, seed)
    at: dict[int, torch.Tensor] = {}
    for name, array in evaluate_in_c(graph, values, dtype, compiler).items():
        number, value = graph.outputs[name], torch.from_numpy(np.ascontiguousarray(array))
        at[number] = value
        node = graph.nodes[number]
        if node.op == "where" and [graph.nodes[a] for a in node.args[1:]] == [Node("const", (v,)) for v in (1.0, 0.0)]:
            at[node.args[0]] = value != 0
    eps, tiny = torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    for number, node in enumerate(graph.nodes):
        if node.op == "input":
            assert torch.equal(at[number], values[node.args[0]])
        elif node.op == "const":
            at[number] = torch.full_like(values["x.u"], node.args[0])
        elif number in at:
            arguments = [at[a] for a in node.args]
            wanted = eager.OPERATIONS[node.op](*arguments)
            if node.op in TRUTHS:
                assert torch.equal(at[number], wanted), f"{graph}\n{node}"
                continue
            # A product that goes on into a sum may not have been rounded.
            scale = sum(a.abs() for a in arguments) if node.op in ("add", "sub") else wanted.abs()
            same = (at[number] == wanted) | (at[number].isnan() & wanted.isnan())
            wrong = ~same & ~((at[number] - wanted).abs() <= 16 * eps * scale + 4 * tiny)
            assert not wrong.any(), f"{graph}\n{node} gives {at[number][wrong][:3]}, not {wanted[wrong][:3]}"


def test_every_operation_has_c_code():
    assert set(render.OPERATIONS) == set(ARITY) == set(eager.OPERATIONS)
    for name, code in render.OPERATIONS.items():
        assert code.count("{}") == ARITY[name]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_operation_agrees_with_eager(dtype, compiler):
    build = Builder()
    a, b, p = (build.input(name) for name in ("x.u", "s.n0", "p.k"))
    number, truths = {1: (a,), 2: (a, b)}, (build.op("gt", a, b), build.op("le", b, p))
    last = []
    for op, count in ARITY.items():
        if op in ("and", "or", "not"):
            last.append(build.op(op, *truths[:count]))
        elif op == "where":
            last += [build.op(op, truths[0], a, p), build.op(op, truths[1], build.const(2.0), b)]
        else:
            last += [build.op(op, *number[count]), build.op(op, *(p, b)[:count])]
            last.append(build.op(op, *(p, build.const(0.75))[:count]))  # from parameters alone: once per call
    # Roots and logarithms of what is never negative, too.
    last += [build.op(op, build.op("abs", a)) for op in ("sqrt", "rsqrt", "log", "log1p")]
    last.append(build.op("pow", build.op("abs", a), p))
    graph = every_value(build, last)
    assert {node.op for node in graph.nodes} >= set(ARITY)
    assert_each_operation_agrees(graph, dtype, compiler)


@st.composite
def graphs(draw):
    """An expression of up to 15 operations on inputs, parameters and constants; each value a result."""
    build = Builder()
    numbers = [build.input(name) for name in ("x.u", "r.v", "s.n0", "p.k")]
    numbers += [build.const(v) for v in draw(st.lists(st.sampled_from(CONSTANTS), max_size=2))]
    truths: list[int] = []
    for _ in range(draw(st.integers(1, 15))):
        usable = sorted(op for op in ARITY if truths or op not in ("and", "or", "not", "where"))
        op = draw(st.sampled_from(usable))
        kinds = [truths] * ARITY[op] if op in ("and", "or", "not") else [numbers] * ARITY[op]
        kinds = [truths, numbers, numbers] if op == "where" else kinds
        new = build.op(op, *(draw(st.sampled_from(kind)) for kind in kinds))
        (truths if build.is_truth(new) else numbers).append(new)
    return every_value(build, numbers + truths)


def assert_agrees(graph, dtype, seed):
    compiler = find_compiler()
    if compiler is None:
        pytest.skip(no_compiler_reason())
    assert_each_operation_agrees(graph, dtype, compiler, seed)


RANDOM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}


@settings(max_examples=30, **RANDOM)
@given(graphs(), st.sampled_from(list(DTYPES)), st.integers(0, 9))
def test_random_expressions_agree_with_eager(graph, dtype, seed):
    assert_agrees(graph, dtype, seed)


@pytest.mark.slow
@settings(max_examples=300, **RANDOM)
@given(graphs(), st.sampled_from(list(DTYPES)), st.integers(0, 9))
def test_many_random_expressions_agree_with_eager(graph, dtype, seed):
    assert_agrees(graph, dtype, seed)


class Mixed(elman.Cell):
    """Comparisons, logic and constants, in the step and so in its derivative."""

    gates = ("a", "b")
    states = ("h", "m")
    params = {"k": 0.3, "l": -0.2}

    def step(self, x, r, s, p):
        one = torch.ones_like(x.a)
        both = (x.a > r.a) & (s.h >= p.l) | ~(x.b < 0.1)
        inside = torch.where(both != (s.m == 0), torch.tanh(x.a) * torch.exp(p.k * p.l), torch.sigmoid(r.a) * p.k)
        m = torch.minimum(torch.maximum(s.m, -one), torch.sqrt(one * 2)) * 0.5 + torch.erf(x.b + r.b)
        return inside.clamp(-0.8, 0.9) + torch.where(one > 0.5, 0.25, s.h), torch.where(m.abs() > 1, m.sign(), m)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_cell_of_comparisons_logic_and_constants(dtype, compiler):
    x = torch.randn(4, 11, 3, dtype=dtype)
    rnn = make(Mixed, "eager", dtype=dtype)
    expected = run(rnn, x)[0], {n: g.clone() for n, g in gradients(rnn, x).items()}
    rnn.backend = "native"
    torch.testing.assert_close(run(rnn, x)[0], expected[0])
    for name, got in gradients(rnn, x).items():
        torch.testing.assert_close(got, expected[1][name], msg=lambda m, name=name: f"{name}: {m}")


WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-unused-function")
EVERY = {**CATALOGUE, "users_own": UsersOwn}


def assert_no_warning(cell, flags, compiler, tmp_path):
    for dtype in DTYPES:
        for layer_norm in (False, True):
            path = tmp_path / f"{str(dtype)[6:]}_{layer_norm}.c"
            path.write_text(render.render(trace(EVERY[cell]()), dtype, layer_norm=layer_norm))
            command = [*compiler.command, *compiler.flags, *WARNINGS, *flags, str(path)]
            made = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
            assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("cell", EVERY)
def test_the_source_has_no_warning(cell, compiler, tmp_path):
    assert_no_warning(cell, ["-fsyntax-only"], compiler, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("cell", EVERY)
def test_the_source_has_no_warning_when_it_is_optimised(cell, compiler, tmp_path):
    assert_no_warning(cell, ["-c", "-o", "cell.o"], compiler, tmp_path)


def test_a_warning_would_be_seen(compiler, tmp_path, monkeypatch):
    whole = render.render

    def doubtful(*given: Any, **options: Any) -> str:
        return whole(*given, **options) + "int doubtful(void) { int unset; return 0; }\n"

    monkeypatch.setattr(render, "render", doubtful)
    with pytest.raises(AssertionError, match="unset"):
        assert_no_warning("elman", ["-fsyntax-only"], compiler, tmp_path)


def test_no_shape_is_in_the_source_and_a_new_one_compiles_nothing(compiler, monkeypatch):
    built, build = [], cache._build
    monkeypatch.setattr(cache, "_build", lambda *given: built.append(given) or build(*given))
    for rows, steps, size, hidden in [(2, 3, 3, 5), (1, 1, 1, 1), (5, 40, 7, 33), (9, 2, 64, 3)]:
        monkeypatch.setattr("elman.backends.native.library._open", {})  # forget what this process has opened
        net = make("gru", "native", size=size, hidden=hidden)
        run(net, torch.randn(rows, steps, size, dtype=torch.float64))
        assert len(built) == 1


HASH_ALL = """
import hashlib, torch
from elman.backends.native.render import render
from elman.cells import CATALOGUE
from elman.graph import trace
for name, cell in CATALOGUE.items():
    for dtype in (torch.float32, torch.float64):
        for norm in (False, True):
            text = render(trace(cell()), dtype, layer_norm=norm)
            print(name, dtype, norm, hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_source_is_the_same_in_every_process(capsys):
    environment = {**os.environ, "PYTHONHASHSEED": "1234", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", HASH_ALL]
    elsewhere = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    exec(HASH_ALL, {})
    assert elsewhere == capsys.readouterr().out
    assert len(elsewhere.splitlines()) == 4 * len(CATALOGUE)


def test_constants_that_c_spells_otherwise():
    assert render._constant(float("inf")) == "all((real)INFINITY)"
    assert render._constant(float("-inf")) == "all((real)-INFINITY)"
    assert render._constant(float("nan")) == "all((real)NAN)"
    assert render._constant(0.1) == "all((real)0.1)"
