"""A pipe of JSON lines: what is no step has an answer, too, and changes nothing."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.live.lines import LONGEST, answers
from elman.steps import StackStep, Stream
from tests.steps.models import fitted

STEP = StackStep("net", elman.Recurrent("gru", 2, 3))


def told(text, stream=None, inputs=()):
    data = text if isinstance(text, bytes) else text.encode()
    return [json.loads(line) for line in answers(stream or Stream(STEP), io.BytesIO(data), inputs)]


def test_steps_of_all_forms_are_answered_in_turn():
    found = told('[1, 2]\n\n{"x": [3, 4], "id": 7}\n{"x": [5, 6]}')
    stream = Stream(STEP)
    for line, x in zip(found, ([1, 2], [3, 4], [5, 6]), strict=True):
        np.testing.assert_allclose(line["y"], stream.push(x), rtol=1e-6)
    assert [line["step"] for line in found] == [1, 2, 3]
    assert found[1]["id"] == 7


def test_columns_by_name():
    assert told('{"a": 1, "b": 2, "when": "now"}', inputs=("a", "b"))[0]["when"] == "now"
    assert "'b' is missing" in told('{"a": 1}', inputs=("a", "b"))[0]["error"]


def test_missing_numbers_are_null():
    stream = fitted("classifier max").stream()
    found = told("[null, 1000]\n[null, null]\nnull\n", stream)
    assert [("error" in line) for line in found] == [False, False, True]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("oops", "must be JSON"),
        ("[1, 2", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        (b"\xff\xfe", "must be JSON in UTF-8"),
        ("[1, 1e999]", "must be finite"),
        ("[1, NaN]", "must be finite"),
        ("1" * 400, "2 numbers"),
        ("[1, " + "9" * 400 + "]", "2 numbers"),
        ("{}", "'x' is missing"),
        ('{"x": {"y": 1}}', "2 numbers"),
        ('["1", "2"]', "2 numbers"),
        ("[[1, 2]]", "2 numbers"),
        ("[1, 2] [3, 4]", "must be JSON"),
        ("[" + "1," * LONGEST + "1]", "got more"),
    ],
)
def test_a_malformed_line_has_its_number_and_stops_nothing(line, message):
    data = line if isinstance(line, bytes) else line.encode()
    stream = Stream(STEP)
    found = told(b"[1, 2]\n" + data + b"\n[3, 4]\n", stream)
    assert found[1]["line"] == 2 and message in found[1]["error"]
    assert [found[0]["step"], found[2]["step"]] == [1, 2]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_line_has_one_answer_of_plain_json(line):
    line = line.replace(b"\n", b" ")
    stream = Stream(STEP)
    found = list(answers(stream, io.BytesIO(line + b"\n")))
    assert len(found) == bool(line.strip())
    for text in found:
        said = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert ("error" in said) == (stream.steps == 0) and "\n" not in text
    assert np.isfinite(np.concatenate([part.ravel() for part in stream.state.values()])).all()
