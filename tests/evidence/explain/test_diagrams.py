"""Every picture of every cell: well-formed, nothing outside, nothing on top of another, large enough to read."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import pytest

import elman
from elman.errors import OptionError, UnknownNameError
from elman.evidence.explain import DIAGRAMS, unrolled
from elman.evidence.explain.canvas import GLYPH
from tests.contracts.conftest import CELLS

SVG = "{http://www.w3.org/2000/svg}"


class AVeryLongNameThatNoBoxCouldEverHold(elman.Cell):
    gates = ("candidate",)
    states = ("hidden_activation", "memory_of_the_past")
    params = {f"parameter_{n}": 0.5 for n in range(12)}

    def step(self, x, r, s, p):
        return x.candidate + s.hidden_activation + p.parameter_0, s.memory_of_the_past


LONG = AVeryLongNameThatNoBoxCouldEverHold


def labels(svg):
    """(text, left, top, right, bottom) of each label, by the mean width of a letter."""
    found = []
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        size = float(text.get("font-size"))
        parts = [(span.text, float(span.get("font-size", size))) for span in text]
        assert all(size >= 14 for _, size in parts)
        width = sum(len(part) * size * GLYPH for part, size in parts)
        x, y = float(text.get("x")), float(text.get("y"))
        left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor")]
        found.append(("".join(part for part, _ in parts), left, y - 0.7 * size, left + width, y))
    return found


@pytest.mark.parametrize("cell", [*CELLS.values(), LONG], ids=[*CELLS, "long"])
@pytest.mark.parametrize("shape", DIAGRAMS)
def test_labels_lie_within_and_apart(cell, shape):
    svg = unrolled(cell, shape, 3)
    root = ET.fromstring(svg)
    width, height = map(float, root.get("viewBox").split()[2:])
    assert width == 900
    assert not re.search(r'(fill|stroke)="(?!var\(--|none)', svg), "colours are the page's"
    placed = labels(svg)
    for text, left, top, right, bottom in placed:
        assert left >= 0 and right <= width and top >= 0 and bottom <= height, text
    for (one, a, b, c, d), (other, e, f, g, h) in itertools.combinations(placed, 2):
        assert c <= e or g <= a or d <= f or h <= b, f"{one} on {other}"
    for box in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.get(k)) for k in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height


def test_inputs_states_outputs_and_shared_weights_are_labelled():
    texts = [label[0] for label in labels(unrolled("lstm"))]
    assert {"x1", "x2", "xT", "h1, c1", "hT-1, cT-1", "hT, cT", "h0, c0", "inputs", "outputs"} <= set(texts)
    assert texts.count("W") == 3 and texts.count("R") == 4 and texts.count("LSTM") == 3
    assert "the same W, R, b at every step" in texts
    assert "R" not in [label[0] for label in labels(unrolled("mingru"))]
    assert "the same W, b, ν, θ, γ at every step" in [label[0] for label in labels(unrolled("lru"))]


def test_layers_are_drawn():
    stacked = [label[0] for label in labels(unrolled("gru", "stacked", 3))]
    assert stacked.count("GRU") == 9 and stacked.count("W3") == 3 and stacked.count("R2") == 4


def test_unknown_shapes_and_cells_are_one_line():
    with pytest.raises(OptionError, match="unknown shape 'taq', did you mean 'tag'"):
        unrolled("gru", "taq")
    with pytest.raises(UnknownNameError, match="did you mean 'gru'"):
        unrolled("grv")
    with pytest.raises(OptionError, match="layers must be 1 or more"):
        unrolled("gru", "stacked", 0)
