"""What a cell may be, and how one that may not is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

import elman
from elman.cells import CATALOGUE, find_cell, name_of
from elman.errors import CellError, UnknownNameError

REFUSED = {
    "s.h @ s.h.T": "not pointwise",
    "x.a.sum() + x.a": "not pointwise (sum)",
    "torch.softmax(x.a, -1)": "not pointwise (_softmax)",
    "x.a if x.a > 0 else s.h": "use torch.where instead of a branch on data",
    "x.a if (x.a > 0).all() else s.h": "not pointwise (all)",
    "x.a.add_(1)": "not pointwise (add_)",
    "x.__dict__.update(a=x.a.__iadd__(1)) or x.a": "not pointwise (add_)",
    "x.a * torch.rand_like(x.a)": "not pointwise (rand_like)",
    "x.a[0]": "not pointwise (select)",
    "x.a.detach()": "not pointwise (detach)",
    "x.b": "'b' is not declared here: choose from: a.",
    "s.c": "'c' is not declared here",
    "1 / 0": "division by zero",
}


def define(step: str, **attributes):
    source = f"class Given(elman.Cell):\n    def step(self, x, r, s, p):\n        return {step}\n"
    source = source.replace("    def", "".join(f"    {k} = {v!r}\n" for k, v in attributes.items()) + "    def", 1)
    names = {"elman": elman, "torch": torch}
    exec(source, names)
    return names["Given"]


@pytest.mark.parametrize("step", REFUSED)
def test_a_step_that_is_not_pointwise_is_refused_at_definition(step):
    with pytest.raises(CellError) as caught:
        define(step, gates=("a",))
    assert REFUSED[step] in str(caught.value)
    assert "Given.step, line 4" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_offending_line_is_quoted():
    with pytest.raises(CellError, match=r"`h = torch\.cumsum\(x\.a, -1\)` is not pointwise"):

        class Bad(elman.Cell):
            gates = ("a",)

            def step(self, x, r, s, p):
                h = torch.cumsum(x.a, -1)
                return h + s.h


@pytest.mark.parametrize("step, got", [("(x.a, x.a)", "(2, 3), (2, 3)"), ("None", "NoneType"), ("1.0", "float")])
def test_a_step_must_return_its_states(step, got):
    with pytest.raises(CellError, match="Return one tensor per state") as caught:
        define(step, gates=("a",))
    assert got in str(caught.value)


@pytest.mark.parametrize(
    "attributes, message",
    [
        ({"gates": "a"}, r"expected a tuple of names, got 'a'"),
        ({"gates": ("a", "a")}, "'a' stands twice"),
        ({"gates": ("a b",)}, "is not a name"),
        ({"gates": ("a",), "states": ()}, "at least one name"),
        ({"gates": ("a",), "initial": {"q": 1.0}}, "'q' is no state of it"),
        ({"gates": ("a",), "params": {"items": 1.0}}, r"Given\.params: 'items' is taken .* as items_\."),
        ({"gates": ("a",), "states": ("keys",)}, r"Given\.states: 'keys' is taken .* as keys_\."),
        ({"gates": ("a",), "params": {"lambda": 1.0}}, "'lambda' is not a name"),
    ],
)
def test_a_wrong_declaration_is_refused(attributes, message):
    with pytest.raises(CellError, match=message):
        define("x.a", **attributes)


def test_names_that_are_taken_elsewhere_may_be_gates():
    assert elman.Recurrent(define("x.items + r.items", gates=("items",)), 2, 3).layers[0].R is not None


@pytest.mark.parametrize(
    "attributes, message",
    [
        ({"states": ("h", "c")}, "expected the 2 state"),
        ({"states": ("q",)}, "'h' is not declared here"),
        ({"params": {"other": 1.0}}, "'slope' is not declared here"),
        ({"params": {"slope": 1.0, "update": 0.0}}, "'update' is taken"),
        ({"initial": {"q": 1.0}}, "'q' is no state of it"),
        ({"gates": ("b",)}, "'a' is not declared here"),
    ],
)
def test_a_subclass_that_declares_anew_is_checked_anew(attributes, message):
    parent = define("x.a + p.slope * s.h", gates=("a",), params={"slope": 1.0})
    type("Same", (parent,), {"params": {"slope": 2.0}, "initial": {"h": 1.0}})
    with pytest.raises(CellError, match=message) as caught:
        type("Child", (parent,), attributes)
    assert str(caught.value).startswith("Child") and "\n" not in str(caught.value)


def test_a_cell_that_needs_arguments_is_refused_in_one_line():
    def init(self, slope):
        self.slope = slope

    parent = define("x.a", gates=("a",))
    with pytest.raises(CellError, match=r"Child: its __init__ must do without arguments, got: .*'slope'.*default\.$"):
        type("Child", (parent,), {"__init__": init})

    @dataclass
    class Late(parent):  # its __init__ comes after the class was checked
        slope: float

    with pytest.raises(CellError, match="Late: its __init__ must do without arguments"):
        elman.Recurrent(Late, 1, 1)
    assert elman.Recurrent(Late(2.0), 1, 1).cell.slope == 2.0


def test_a_cell_without_a_step_says_so():
    with pytest.raises(CellError, match=r"^Stepless: a cell needs a method step\(self, x, r, s, p\); define one\.$"):

        class Stepless(elman.Cell):
            gates = ("a",)


def test_a_mistake_in_init_names_the_cell():
    cell = define("x.a", gates=("a",))
    cell.init = lambda self, w: w.b.f.fill_(1.0)
    with pytest.raises(CellError, match=r"\.init: 'f' is not declared here: choose from: a\.$"):
        elman.Recurrent(cell, 2, 3)


def test_cells_are_found_by_name_class_and_instance():
    for name, kind in CATALOGUE.items():
        assert type(find_cell(name)) is type(find_cell(kind)) is type(find_cell(kind())) is kind
        assert name_of(kind()) == name

    class FoundByItsName(elman.Cell):
        gates = ("a",)

        def step(self, x, r, s, p):
            return x.a

    assert type(find_cell("FoundByItsName")) is FoundByItsName
    assert name_of(FoundByItsName()) == "FoundByItsName"


def test_a_misspelt_cell_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"Recurrent: unknown cell 'ltsm', did you mean 'lstm'\?"):
        elman.Recurrent("ltsm", 1, 1)
    with pytest.raises(CellError, match="expected a cell's name, a Cell class or a Cell, got int"):
        elman.Recurrent(3, 1, 1)


def test_every_catalogued_cell_documents_equation_shapes_and_source():
    for cell in CATALOGUE.values():
        for part in ("h_t = ", "(B, ", "Source: "):
            assert part in cell.__doc__, (cell, part)
        assert "doi:10." in cell.__doc__ or "arXiv:" in cell.__doc__, cell


def test_a_singular_name_is_refused():
    with pytest.raises(CellError, match=r"Odd\.state: a cell has no such thing\. Write states = …"):

        class Odd(elman.Cell):
            gates = ("h",)
            state = ("h", "m")

            def step(self, x, r, s, p):
                return x.h


@pytest.mark.parametrize(
    "value, message",
    [
        (lambda x: x * torch.tensor(2.0), "reads a tensor from outside. Use a Python number, or declare it in params"),
        (lambda x: x / x.shape[-1] ** 0.5, "does not work on one unit at a time"),
    ],
)
def test_what_a_single_unit_does_not_have_is_one_line(value, message):
    class Odd(elman.Cell):
        gates = ("h",)

        def step(self, x, r, s, p):
            return value(x.h + r.h)

    with pytest.raises(CellError, match=message) as caught:
        elman.Recurrent(Odd, 2, 3)
    assert "\n" not in str(caught.value)
