"""The live page as a file with the model inside, opened from the disk: it answers as a stream in Python does."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import elman
from elman.export import to_wasm, wasm
from elman.live.standalone import write_page
from tests.live.browser import INK, after, expect, play, push
from tests.steps.models import fitted, steps_for

PUSH = """async (steps) => {
    const { source } = await import("source.js");
    const stream = source.open("here", 0, () => {});
    const found = [];
    for (const x of steps) found.push(await stream.push(x));
    return found;
}"""
KINDS = (
    "classifier max",
    "classifier attention",
    "classifier of layers",
    "regressor",
    "tagger of numbers",
    "tagger crf=True spelling=0",
    "letters",
    "notes",
)


@pytest.fixture
def page_of(tmp_path):
    def write(model):
        try:
            made = to_wasm(model, tmp_path, "it")
        except elman.errors.MissingExtraError as reason:
            pytest.skip(str(reason))
        write_page(model.causal(), made.path, "it", tmp_path / "it.html")
        return (tmp_path / "it.html").as_uri()

    return write


def _json(x):
    return x if isinstance(x, str) else [None if v != v else float(v) for v in np.atleast_1d(x)]


@pytest.mark.parametrize("name", KINDS)
def test_it_answers_as_the_stream_does(name, page_of, opened):
    model, steps = fitted(name), steps_for(name)
    page = opened(page_of(model))
    expect(page.locator("#hint")).not_to_be_empty()
    stream = model.stream()
    for x, found in zip(steps, page.evaluate(PUSH, [_json(x) for x in steps]), strict=True):
        y = stream.push(x)
        np.testing.assert_allclose(found["y"], y, rtol=1e-5, atol=1e-5)
        assert found["number"] == stream.steps
        said = stream.answer(y)
        assert list(found["answer"]) == list(said)
        assert all(found["answer"][word] == said[word] for word in ("label", "next", "notes") if word in said)
    for part, values in stream.state.items():
        np.testing.assert_allclose(np.array(found["state"][part]), values, rtol=1e-5, atol=1e-5)


def test_ten_thousand_steps_in_the_page(page_of, opened):
    model = fitted("classifier max")
    X = np.random.default_rng(3).normal(size=(10_000, 2)) * [1, 50] + [0, 1000]
    page = opened(page_of(model))
    found = page.evaluate(PUSH, X.tolist())
    stream = model.stream()
    apart = [np.abs(np.array(f["y"]) - stream.push(x)).max() for f, x in zip(found, X, strict=True)]
    assert max(apart) < 1e-5


def test_it_is_used_as_a_server_s_page_is(page_of, opened, picture, tmp_path):
    model = fitted("classifier max")
    page = opened(page_of(model))
    push(page, "0.5, 1000; 1, 990")
    expect(page.locator("#link")).to_have_text("in this page")
    page.get_by_role("button", name="Fork here").click()
    push(page, "-30, 900")
    page.get_by_role("radio", name="main").check()
    push(page, "30, 1100")
    stream = model.stream()
    for x in ([0.5, 1000.0], [1.0, 990.0]):
        stream.push(x)
    other = stream.fork()
    assert after(page, 3, 0) == stream.answer(stream.push([30.0, 1100.0]))["label"]
    assert after(page, 3, 1) == other.answer(other.push([-30.0, 900.0]))["label"]
    assert all(chart.evaluate(INK) for chart in page.locator("canvas").all())
    picture(page, "standalone")
    for text, line in (("1, 2, 3", "must have 2 numbers"), ("1, 1e30", "at most 1000000000000000000")):
        push(page, text)
        expect(page.get_by_role("alert")).to_contain_text(line)
    (tmp_path / "steps.csv").write_text("1,1000\n" * 20)
    play(page, tmp_path / "steps.csv")
    after(page, 23)
    page.get_by_role("button", name="Start again").click()
    push(page, "1, 1000")
    assert after(page, 1) == model.stream().answer(model.stream().push([1.0, 1000.0]))["label"]


def test_many_sequences_in_one_page(page_of, opened):
    """Memory grows as sequences begin, and is used again when they end."""
    page = opened(page_of(fitted("letters")))
    sizes = page.evaluate("""async () => {
        const { source } = await import("source.js");
        const sizes = [];
        for (let round = 0; round < 3; round++) {
            for (let i = 0; i < 2000; i++) await source.open(`key ${i}`, 0, () => {}).push("s");
            sizes.push(source.code.memory.buffer.byteLength);
            for (let i = 0; i < 2000; i++) await source.forget(`key ${i}`);
        }
        return sizes;
    }""")
    assert sizes[0] == sizes[1] == sizes[2]


def test_a_model_that_cannot_be_there_says_so(tmp_path):
    made = tmp_path / "it.wasm"
    for name in ("detector", "tagger crf=False spelling=6"):
        with pytest.raises(elman.errors.OptionError, match="a page of its own"):
            write_page(fitted(name).causal(), made, "it", tmp_path / "it.html")


def test_without_a_compiler_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(wasm.shutil, "which", lambda program: None)
    monkeypatch.setattr(wasm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(elman.errors.MissingExtraError, match="compiler"):
        to_wasm(fitted("regressor"), tmp_path)


def test_what_the_compiler_refuses_is_one_line(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "wasm-ld: error: undefined symbol: memcpy\nmore")
    monkeypatch.setattr(wasm, "_compiler", lambda: ["clang"])
    monkeypatch.setattr(wasm.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(elman.errors.CompileError, match="undefined symbol: memcpy") as refused:
        to_wasm(fitted("regressor"), tmp_path)
    assert "\n" not in str(refused.value) and not (tmp_path / "model.wasm").exists()
