"""Shape by shape: every verb has its page, with its diagram, the source that ran, and the scoreboard's sentence."""

from __future__ import annotations

import json

import pytest
import shapes
from shape import compared

from elman import estimators
from elman.cli.demos import DEMOS
from elman.evidence.explain import DIAGRAMS


@pytest.fixture(scope="module")
def page(made):
    return made(shapes)


@pytest.mark.slow
def test_every_verb_has_a_page(page):
    verbs = {demo.words.split()[0] for demo in DEMOS.values()}
    assert {shape.verb for shape in shapes.SHAPES} == verbs == set(page[0].numbers)
    for shape in shapes.SHAPES:
        assert hasattr(estimators, shape.estimator) and f"](shapes/{shape.verb}.md)" in page[1]


@pytest.mark.slow
@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_a_shape_tells_what_was_measured(shape, page):
    folder, found = page[0].folder / "shapes", page[0].numbers[shape.verb]
    text = (folder / f"{shape.verb}.md").read_text("utf-8")
    board = json.loads((folder / shape.verb / "numbers.json").read_text("utf-8"))
    assert board["verdict"][1:] in text and board["verdict"][1:] in page[1]
    assert found["wins"] == board["network_wins"]
    others = [row for row in board["rows"] if not row["is_network"]]
    assert len(others) >= 2 and found["baseline"] == others[0]["model"]
    assert "def learn(self, every: int)" in text and f"= {shape.estimator}(" in text
    diagram = (folder / shape.verb / "diagram.svg").read_text("utf-8")
    assert DIAGRAMS[shape.verb].words in text and ">LSTM<" in diagram and "--ink:" in diagram


def test_what_differs_is_bold():
    assert compared(["a|b"], ["x", "y"][:1], ["z"]) == [{"read": "a\\|b", "true": "x", "said": "**z**"}]
    assert compared(None, ["x"], ["x"]) == [{"true": "x", "said": "x"}]
    assert compared(None, ["x"], [""]) == [{"true": "x", "said": "**(nothing)**"}]
