"""Cells as Triton: each operation has a line, each cell a source, and repeated lines are what they should be."""

from __future__ import annotations

import ast

import pytest

from elman.backends.triton import modules
from elman.backends.triton.render import OPERATIONS, expand, ranges_of, render
from elman.graph import ARITY, trace
from tests.contracts.conftest import CELLS


def test_every_operation_has_a_line_that_takes_its_arguments():
    assert set(OPERATIONS) == set(ARITY)
    for op, count in ARITY.items():
        assert OPERATIONS[op].count("{}") == count


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_has_a_source_without_a_name_left_over(name):
    traced = trace(CELLS[name]())
    source = render(traced, 3)
    tree = ast.parse(source)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {"cell_forward", "cell_backward", "forward", "backward"} <= functions
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    left = {n for n in names for word in ranges_of(traced, 3) if word in n.split("_")}
    assert not left


def test_only_cells_that_are_linear_in_their_state_have_a_scan():
    scanned = {name for name in CELLS if "forward_scan" in render(trace(CELLS[name]()))}
    assert scanned == {"mingru", "minlstm", "lru", "leaky"}


@pytest.mark.parametrize("version, good", [("3.2.0", False), ("3.3.1", True), ("10.0.0+git1", True)])
def test_a_triton_that_cannot_compile_them_is_refused(version, good, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    reason = modules.missing.__wrapped__()
    assert (reason is None) == good and (good or "triton 3.2.0 is too old. It takes 3.3" in reason)


def test_lines_are_repeated_for_all_that_they_name():
    ranges = {"GATE": [{"GATE": 0}, {"GATE": 1}], "APART": [{"APART": 0, "APARTREC": 2}], "CHUNK": []}
    assert expand("x_GATE = GATE + APARTREC", ranges) == "x_0 = 0 + 2\nx_1 = 1 + 2"
    assert expand("k_CHUNK = 0", ranges) == ""
    assert expand("f(EACH(x_GATE) EACH(q_APART) blank)", ranges) == "f(x_0, x_1, q_0, blank)"
    assert expand("REVERSE = BU", ranges) == "REVERSE = BU"
