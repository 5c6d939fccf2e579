"""The live page in headless Chromium: what a user does, and what the page shows; pictures of it are kept."""

from __future__ import annotations

import json
import re

import pytest
import torch

from tests.live.browser import INK, PHONE, after, expect, play, push
from tests.live.test_server import running, served
from tests.steps.models import fitted, forecaster, steps_for

pytest.importorskip("fastapi")
WIDER = "() => document.documentElement.scrollWidth - innerWidth"


@pytest.fixture(scope="module")
def address():
    with served(fitted("classifier max")) as url:
        yield url


def test_steps_that_are_typed_are_answered_and_drawn(address, opened, picture):
    page = opened(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sequence classifier")
    push(page, "0.5, 1000; null, 990; 1, null")
    stream = fitted("classifier max").stream()
    for x in ([0.5, 1000.0], [float("nan"), 990.0], [1.0, float("nan")]):
        y = stream.push(x)
    assert after(page, 3) == stream.answer(y)["label"]
    assert page.locator(".bars span").first.inner_text() == f"{100 * max(y):.1f} %"
    expect(page.locator("#said")).to_contain_text("Step 3 of main")
    charts = page.locator("canvas")
    assert charts.count() == 4, "probabilities, two inputs, the state"
    assert all(chart.evaluate(INK) for chart in charts.all())
    expect(page.get_by_label("Push steps")).to_have_value("")
    picture(page, "classifier")


def test_the_state_is_the_model_s(address, opened):
    page = opened(address)
    push(page, "0.5, 1000; 1, 990")
    after(page, 2)
    stream = fitted("classifier max").stream()
    stream.push([0.5, 1000.0])
    stream.push([1.0, 990.0])
    page.get_by_role("img", name="Hidden state").focus()
    page.keyboard.press("ArrowDown")
    told = page.locator("#heat output").inner_text()
    assert told.startswith("step 2, row 2: ")
    value = float(told.split(": ")[1].replace("−", "-"))
    assert value == pytest.approx(stream.state["h"][0, 1], rel=1e-3)
    page.get_by_label("Part").select_option("most")
    expect(page.get_by_role("img", name="Hidden state: 8 rows, steps 1 to 2")).to_be_visible()


def test_gates_are_told_when_they_are_asked_for(address, opened, picture):
    page = opened(address)
    push(page, "0.5, 1000")
    after(page, 1)
    page.get_by_label("Part").select_option("gate f")
    expect(page.get_by_role("heading", name="Gates")).to_be_visible()
    expect(page.locator("#heat output")).to_have_text("told of the next steps")
    push(page, "1, 990; 1.5, 980; 2, 1010")
    after(page, 4)
    model = fitted("classifier max")
    stream, step = model.stream(), model.causal()
    for x in ([0.5, 1000.0], [1.0, 990.0], [1.5, 980.0]):
        stream.push(x)
    before = [torch.from_numpy(part)[None] for part in stream.state.values()]
    weights, x = step.stack.layers[0].by_gate(), step.reads(torch.tensor([[2.0, 1010.0]], dtype=torch.float64))
    expected = torch.sigmoid(weights.W.f @ x[0] + weights.R.f @ before[0][0, 0] + weights.b.f)
    page.get_by_role("img", name="Gates").focus()
    page.keyboard.press("ArrowUp")
    told = page.locator("#heat output").inner_text()
    assert told.startswith("step 4, row 1: ")
    assert float(told.split(": ")[1]) == pytest.approx(float(expected[0]), abs=1e-3)
    picture(page, "gates")


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_a_file_is_played_step_by_step(address, opened, tmp_path, form):
    steps = [[round(0.1 * i, 1), 1000 + i] for i in range(25)]
    written = {
        "csv": "load,speed\n" + "".join(f"{a},{b}\n" for a, b in steps),
        "jsonl": "".join(json.dumps({"x": step}) + "\n" for step in steps),
        "json": json.dumps(steps),
    }
    path = tmp_path / f"steps.{form}"
    path.write_text(written[form])
    page = opened(address)
    play(page, path)
    stream = fitted("classifier max").stream()
    for step in steps:
        y = stream.push(step)
    assert after(page, 25) == stream.answer(y)["label"]
    expect(page.locator("#filed")).to_have_text("25 of 25 steps pushed.")
    expect(page.locator("#play")).to_have_text("Play")


def test_playing_pauses_and_goes_on(address, opened, tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("1,1000\n" * 200)
    page = opened(address)
    play(page, path)
    expect(page.locator(".said")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#play")).to_have_text("Play")
    at = page.locator("#progress").get_attribute("value")
    page.wait_for_timeout(150)
    assert page.locator("#progress").get_attribute("value") == at and 0 < int(at) < 200
    page.locator("#play").click()
    after(page, 200)


def test_what_ifs_go_their_own_ways(address, opened, picture):
    page = opened(address)
    expect(page.get_by_role("button", name="Fork here")).to_be_disabled()
    push(page, "0.5, 1000; 1, 990")
    after(page, 2)
    page.get_by_role("button", name="Fork here").click()
    expect(page.get_by_role("radio", name="what-if 1")).to_be_checked()
    push(page, "-30, 900; -30, 900")
    after(page, 4, 1)
    page.get_by_role("radio", name="main").check()
    push(page, "30, 1100")
    stream = fitted("classifier max").stream()
    for x in ([0.5, 1000.0], [1.0, 990.0]):
        stream.push(x)
    other = stream.fork()
    assert after(page, 3, 0) == stream.answer(stream.push([30.0, 1100.0]))["label"]
    other.push([-30.0, 900.0])
    y = other.push([-30.0, 900.0])
    assert after(page, 4, 1) == other.answer(y)["label"]
    assert page.locator(".said").nth(1).locator(".bars span").first.inner_text() == f"{100 * max(y):.1f} %"
    expect(page.locator(".u-legend").first).to_contain_text("what-if 1")
    picture(page, "what-ifs")
    page.get_by_role("button", name="Drop what-if 1").click()
    expect(page.locator(".said")).to_have_count(1)
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#answers")).to_contain_text("Nothing yet")
    push(page, "1, 1000")
    after(page, 1)


SLOW_FORKS = """() => {
    const plain = fetch;
    window.fetch = async (...asked) => {
        if (`${asked[0]}`.endsWith("/fork")) await new Promise((resolve) => setTimeout(resolve, 500));
        return plain(...asked);
    };
}"""


def test_steps_typed_after_a_fork_are_the_fork_s_however_slow_it_is(address, opened):
    page = opened(address)
    page.evaluate(SLOW_FORKS)
    push(page, "0.5, 1000; 1, 990")
    after(page, 2)
    page.get_by_role("button", name="Fork here").click()
    push(page, "-30, 900")
    stream = fitted("classifier max").stream()
    for x in ([0.5, 1000.0], [1.0, 990.0]):
        stream.push(x)
    assert after(page, 3, 1) == stream.answer(stream.push([-30.0, 900.0]))["label"]
    after(page, 2, 0)
    page.get_by_role("button", name="Fork here").dblclick()
    page.get_by_role("button", name="Start again").click()
    push(page, "1, 1000")
    after(page, 1)
    page.wait_for_timeout(1200)  # both forks of what was ended have come by then
    expect(page.get_by_role("radio")).to_have_count(1)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_is_no_step_is_a_line_and_stops_nothing(address, opened, tmp_path, picture):
    page = opened(address)
    problem = page.get_by_role("alert")
    for text, line in (
        ("", "Nothing to push"),
        ("1, up", "a step must be numbers, got “up”"),
        ("1, 2, 3", "a step must be 2 numbers"),
        ("1, 1e30", "must be finite"),
        ("[1, 2", "not JSON"),
    ):
        push(page, text)
        expect(problem).to_contain_text(line)
    picture(page, "problem")
    push(page, "1, 1000")
    after(page, 1)
    expect(problem).to_be_hidden()
    path = tmp_path / "steps.jsonl"
    path.write_text('[1, 1000]\n"up"\n[2, 990]\n')
    play(page, path)
    expect(problem).to_contain_text("Row 2 was left out")
    page.locator("#play").click()
    after(page, 3)
    (tmp_path / "none.csv").write_text("\n")
    page.get_by_label("Play a file").set_input_files(tmp_path / "none.csv")
    expect(problem).to_contain_text("none.csv has no steps")
    page.get_by_role("button", name="Start again").click()
    expect(problem).to_be_hidden()


def test_all_of_it_by_keyboard_alone(address, opened):
    page = opened(address)
    expect(page.locator("#hint")).to_contain_text("2 numbers")
    page.keyboard.press("Tab")
    page.keyboard.type("1, 1000; 2, 990")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Push")).to_be_focused()
    page.keyboard.press("Enter")
    after(page, 2)
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.get_by_role("button", name="Fork here").evaluate("button => button === document.activeElement"):
            break
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="what-if 1")).to_be_checked()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("radio", name="what-if 1")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("radio", name="main")).to_be_checked()
    expect(page.get_by_role("radio", name="main")).to_be_focused()


@pytest.mark.parametrize(
    ("name", "what", "charts"),
    [
        ("detector", "larm", 4),
        ("letters", "next:", 2),
        ("tagger crf=False spelling=0", "", 2),
        ("tagger crf=True spelling=6", "", 2),
        ("tagger of numbers", "", 4),
        ("notes", "note", 6),
        ("forecaster", "next:", 2),
    ],
)
def test_every_kind_on_a_phone_in_the_dark(opened, picture, name, what, charts):
    model = forecaster(("a",)) if name == "forecaster" else fitted(name)
    steps = [10, 11, 12.5, 13] if name == "forecaster" else steps_for(name)
    named = isinstance(steps[0], str)
    text = "".join(steps) if name == "letters" else " ".join(steps) if named else None
    told = json.dumps([x if x is None else _plain(x) for x in steps]) if text is None else text
    with served(model) as url:
        page = opened(url, PHONE, "dark")
        push(page, told)
        assert what in after(page, len(steps))
        assert page.locator("canvas").count() == charts
        page.get_by_role("button", name="Fork here").click()
        expect(page.locator(".said")).to_have_count(2)
        assert page.evaluate(WIDER) <= 0, "nothing is to be scrolled sideways"
        red, green, blue = map(
            int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))
        )
        assert max(red, green, blue) < 60
        picture(page, f"{name.replace(' ', '-').replace('=', '-')}-phone-dark")
        page.close(run_before_unload=False)


def _plain(x):
    """A step as JSON has it: null for what was not measured."""
    if not hasattr(x, "__len__"):
        return x
    return [None if v != v else float(v) for v in x]


def test_a_token_is_asked_for_once(opened):
    with served(fitted("classifier max"), token="word") as url:
        page = opened(url)
        dialog = page.get_by_role("dialog")
        for word in ("no", "word"):
            dialog.get_by_label("Token").fill(word)
            dialog.get_by_label("Token").press("Enter")
            if word == "no":
                expect(dialog).to_contain_text("not the server's")
        expect(dialog).to_be_hidden()
        push(page, "1, 1000")
        after(page, 1)
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sequence classifier")
        assert not dialog.is_visible()
        page.close()
        page.complaints[:] = [one for one in page.complaints if "401" not in one]  # Chromium tells each by itself


def test_a_lost_connection_is_taken_up_again(opened, tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = fitted("classifier max")
    with served(model, store=tmp_path / "s.db", port=port) as url:
        page = opened(url)
        push(page, "1, 1000; 2, 990")
        after(page, 2)
    push(page, "3, 1000")
    expect(page.locator("#link")).to_have_text("connecting again…")
    with served(model, store=tmp_path / "s.db", port=port):
        stream = model.stream()
        y = [stream.push(x) for x in ([1.0, 1000.0], [2.0, 990.0], [3.0, 1000.0])][-1]
        assert after(page, 3) == stream.answer(y)["label"]
        assert page.locator(".bars span").first.inner_text() == f"{100 * max(y):.1f} %"
        page.complaints[:] = [one for one in page.complaints if "WebSocket" not in one]


def test_nothing_is_left_on_the_server(opened):
    with served(fitted("classifier max")) as url:
        page = opened(url)
        push(page, "1, 1000")
        after(page, 1)
        kept = page.evaluate("fetch('/metrics').then(found => found.text())")
        assert "elman_sessions 1.0" in kept
        page.get_by_role("button", name="Start again").click()
        expect(page.locator("#answers")).to_contain_text("Nothing yet")
        page.wait_for_timeout(200)
        assert "elman_sessions 0.0" in page.evaluate("fetch('/metrics').then(found => found.text())")


def test_a_sequence_that_others_push_to_is_watched(opened, picture):
    httpx = pytest.importorskip("httpx")
    model, steps = fitted("classifier max"), [[0.1 * i, 1000 + 5 * i] for i in range(30)]
    stream = model.stream()

    def push_outside(some):
        for x in some:
            httpx.post(f"{url}/v1/sessions/pump 7/push", json={"x": x}).raise_for_status()
            y = stream.push(x)
        return y

    with served(model) as url:
        push_outside(steps[:3])
        page = opened(url)
        page.get_by_label("Watch a sequence").fill("nobody")
        page.get_by_role("button", name="Watch").click()
        expect(page.get_by_role("alert")).to_contain_text("no sequence 'nobody'")
        page.complaints[:] = [one for one in page.complaints if "404" not in one]  # Chromium tells each by itself
        page.get_by_label("Watch a sequence").fill("pump 7")
        expect(page.locator("#keys option")).to_have_count(1)
        page.get_by_role("button", name="Watch").click()
        expect(page.locator("#link")).to_have_text("connected")
        y = push_outside(steps[3:20])
        assert after(page, 20) == stream.answer(y)["label"]
        assert page.locator(".bars span").first.inner_text() == f"{100 * max(y):.1f} %"
        push(page, "1, 1000")
        expect(page.get_by_role("alert")).to_contain_text("others push to it")
        page.get_by_role("button", name="Fork here").click()
        push(page, "-30, 900")
        other = stream.fork()
        assert after(page, 21, 1) == other.answer(other.push([-30.0, 900.0]))["label"]
        y = push_outside(steps[20:])
        assert after(page, 30, 0) == stream.answer(y)["label"]
        picture(page, "watched")
        page.get_by_role("button", name="Start again").click()
        assert httpx.get(f"{url}/v1/sessions/pump 7").json()["steps"] == 30, "it is theirs, and stays"
        page.close(run_before_unload=False)


def test_a_run_is_picked(opened, picture):
    from elman.live.server import create_apps
    from elman.live.sessions import Sessions

    models = {"pumps": fitted("classifier max"), "so it goes": fitted("letters")}
    with running(create_apps({name: Sessions(model) for name, model in models.items()})) as url:
        page = opened(url)
        expect(page).to_have_url(f"{url}/runs/pumps/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sequence classifier")
        page.get_by_label("Run").select_option("so it goes")
        expect(page.get_by_role("heading", level=1)).to_have_text("Language model")
        expect(page.get_by_label("Run")).to_have_value("so it goes")
        push(page, "so it")
        after(page, 5)
        picture(page, "runs")
        page.close()
