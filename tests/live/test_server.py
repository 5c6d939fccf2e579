"""The server, over real sockets: what it answers, what it refuses, and what is left of it when it is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

import elman
from elman.live.guards import Limits
from elman.live.sessions import Sessions
from elman.steps import StackStep, Stream
from tests.steps.models import classifier, fitted

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")
websockets = pytest.importorskip("websockets.sync.client")

JSON = {"content-type": "application/json"}


@contextlib.contextmanager
def served(model, **options):
    """The application behind a real socket; gives its address."""
    from elman.live.server import create_app

    sessions = Sessions(model, options.pop("store", None), **options.pop("sessions", {}))
    port = options.pop("port", 0)
    with running(create_app(sessions, **options), port) as url:
        yield url


@contextlib.contextmanager
def running(app, port=0):
    """An application behind a real socket; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error")
    server, socket = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def address():
    with served(fitted("classifier max"), limits=Limits(body=20_000, steps=50)) as url:
        yield url


@pytest.fixture
def client(address):
    with httpx.Client(base_url=address, timeout=20) as found:
        yield found


def test_a_session_is_a_stream(client):
    stream, steps = fitted("classifier max").stream(), [[0.5, 1000.0], [None, 990.0], [1.0, None]]
    for number, x in enumerate(steps, 1):
        y = stream.push([np.nan if v is None else v for v in x])
        said = client.post("/v1/sessions/one/push", json={"x": x, "number": number}).json()
        np.testing.assert_allclose(said["y"], y, rtol=1e-6)
        assert said["number"] == number and said["answer"]["label"] == stream.answer(y)["label"]
    assert client.post("/v1/sessions/one/push", json={"x": [9, 9], "number": 3}).json() == said
    told = client.get("/v1/sessions/one").json()
    np.testing.assert_allclose(told["state"]["h"], stream.state["h"], rtol=1e-5)
    assert told["steps"] == 3
    forked = client.post("/v1/sessions/one/fork", json={"to": "if"})
    assert forked.status_code == 201 and forked.json()["state"] == told["state"]
    assert client.post("/v1/sessions/one/fork", json={"to": "if"}).status_code == 409
    assert client.delete("/v1/sessions/one").status_code == 204
    assert client.delete("/v1/sessions/one").status_code == client.get("/v1/sessions/one").status_code == 404


def test_steps_of_many_at_once_and_whole_sequences(client):
    pushes = [{"key": key, "x": [v, 1000.0]} for key, v in (("p", 1.0), ("q", 2.0), ("p", 3.0))]
    answers = client.post("/v1/push", json={"pushes": pushes}).json()["answers"]
    assert [a["number"] for a in answers] == [1, 1, 2]
    whole = client.post("/v1/predict", json={"sequences": [[[1.0, 1000.0], [3.0, 1000.0]], [[2.0, 1000.0]]]}).json()
    assert [a["y"] for a in whole["answers"]] == [answers[2]["y"], answers[1]["y"]]


def test_a_socket_goes_on_after_a_wrong_message(address):
    with websockets.connect(f"ws{address[4:]}/v1/sessions/ws/stream") as socket:
        found = []
        for message in ('{"x": [1, 1000]}', "oops", '{"x": "up"}', '{"x": [1, 2], "number": 9}', '{"x": [2, 1000]}'):
            socket.send(message)
            found.append(json.loads(socket.recv()))
    assert [("error" in one) for one in found] == [False, True, True, True, False]
    assert found[3]["expected"] == 2 and found[4]["number"] == 2


def test_a_socket_tells_the_state_when_asked(address):
    stream = fitted("classifier max").stream()
    with websockets.connect(f"ws{address[4:]}/v1/sessions/watched/stream") as socket:
        for x in ([1.0, 1000.0], [2.0, 990.0]):
            stream.push(x)
            socket.send(json.dumps({"x": x, "state": True}))
            told = json.loads(socket.recv())["state"]
            assert list(told) == list(stream.state)
            for name, part in stream.state.items():
                np.testing.assert_allclose(told[name], part, rtol=1e-5)
        socket.send('{"x": [1, 1000], "state": false}')
        assert "state" not in json.loads(socket.recv())


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/sessions/a/push", {"x": [1]}, 422, "a step must be 2 numbers"),
        ("/v1/sessions/a/push", {"x": [1, 1e30]}, 422, "must be finite"),
        ("/v1/sessions/a/push", {"x": [1, 2], "number": 5}, 409, "number 1"),
        ("/v1/sessions/a/push", {"x": [1, 2], "number": 0}, 422, "number"),
        ("/v1/sessions/a/push", {"y": 1}, 422, "x"),
        ("/v1/sessions/a/push", b"[1, 2", 422, "JSON"),
        (f"/v1/sessions/{'a' * 201}/push", {"x": [1, 2]}, 422, "key"),
        ("/v1/push", {"pushes": [{"key": "a", "x": [1, 2]}] * 51}, 413, "at most 50 steps"),
        ("/v1/push", {"pushes": [{"key": "a", "x": [1, 2], "number": 1}, {"key": "a", "x": [1, 2]}]}, 422, "all steps"),
        ("/v1/push", {"pushes": []}, 422, "pushes"),
        ("/v1/predict", {"sequences": [[]]}, 422, "sequence 0 has none"),
        ("/v1/predict", {"sequences": [[[1, 2]] * 51]}, 413, "at most 50 steps"),
        ("/v1/push", b" " * 30_000, 413, "at most 20000 bytes"),
        ("/v1/nowhere", {}, 404, ""),
    ],
)
def test_what_is_refused_is_a_4xx_of_one_line(client, path, body, status, message):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = client.post(path, content=content, headers=JSON)
    assert found.status_code == status, found.text
    assert message in found.text and "\\n" not in found.text and "Traceback" not in found.text


def test_a_body_without_a_length_is_bounded_too(client):
    found = client.post("/v1/push", content=iter([b" " * 10_000] * 5), headers=JSON)
    assert found.status_code == 413


def test_it_tells_of_itself(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    about = client.get("/v1/model").json()
    assert about["names"] == ["down", "up"] and about["inputs"] == 2 and about["reads"] == "numbers"
    assert "elman_steps_total" in client.get("/metrics").text
    assert "/v1/push" in client.get("/openapi.json").json()["paths"]
    page = client.get("/")
    assert "<html" in page.text and "default-src 'self'" in page.headers["content-security-policy"]


def test_a_token_is_asked_for():
    with served(fitted("classifier max"), token="word") as url, httpx.Client(base_url=url) as client:
        body = {"x": [1, 2]}
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic word"}):
            assert client.post("/v1/sessions/a/push", json=body, headers=headers).status_code == 401
        assert (
            client.post("/v1/sessions/a/push", json=body, headers={"Authorization": "Bearer word"}).status_code == 200
        )
        assert client.get("/healthz").status_code == client.get("/").status_code == 200
        with pytest.raises(Exception, match=r"403|1008"), websockets.connect(f"ws{url[4:]}/v1/sessions/a/stream") as s:
            s.recv()
        with websockets.connect(f"ws{url[4:]}/v1/sessions/a/stream?token=word") as socket:
            socket.send('{"x": [1, 2]}')
            assert json.loads(socket.recv())["number"] == 2


def test_rate_sessions_and_waiting_are_bounded():
    with served(fitted("classifier max"), limits=Limits(rate=5)) as url:
        assert {httpx.get(f"{url}/healthz").status_code for _ in range(30)} == {200, 429}
    with served(fitted("classifier max"), limits=Limits(sessions=2)) as url:
        codes = [httpx.post(f"{url}/v1/sessions/{k}/push", json={"x": [1, 2]}).status_code for k in "abca"]
        assert codes == [200, 200, 429, 200]
    with served(fitted("classifier max"), limits=Limits(waiting=0)) as url:
        refused = httpx.post(f"{url}/v1/sessions/a/push", json={"x": [1, 2]})
        assert refused.status_code == 503 and refused.headers["retry-after"]


def test_clients_side_by_side_are_each_as_if_alone():
    step = StackStep("net", elman.Recurrent("gru", 1, 8))
    X = np.random.default_rng(0).normal(size=(20, 15)).round(3)

    def talk(url, key, values):
        with httpx.Client(base_url=url, timeout=30) as client:
            return [client.post(f"/v1/sessions/{key}/push", json={"x": v}).json()["y"] for v in values]

    with served(step) as url, ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda i: talk(url, f"k{i}", X[i].tolist()), range(20)))
    for values, said in zip(X, found, strict=True):
        stream = Stream(step)
        np.testing.assert_allclose(said, [stream.push(float(v)) for v in values], rtol=1e-6)


def test_a_body_that_is_sent_as_a_form_is_told_how(address):
    form = {"content-type": "application/x-www-form-urlencoded"}
    said = httpx.post(f"{address}/v1/sessions/form/push", content=b'{"x": [1, 2]}', headers=form)
    assert said.status_code == 422 and "Send Content-Type: application/json" in said.json()["error"]
    said = httpx.post(f"{address}/v1/sessions/form/push", content=b'{"x": [1, 1000]}', headers=JSON)
    assert said.status_code == 200


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_under_load_it_loses_and_repeats_nothing(kills, tmp_path):
    model = classifier(cell="gru")
    model.save(tmp_path / "run")
    dice, done = np.random.default_rng(0), threading.Event()
    X = {f"k{i}": dice.normal(size=(4000, 2)).round(3) for i in range(4)}
    counted = dict.fromkeys(X, 0)
    place: dict[str, str] = {}

    def talk(key):
        at, asked = 0, False
        with httpx.Client(timeout=5) as client:
            while at < len(X[key]) and (
                asked or at < 50 or not done.is_set()
            ):  # what was asked is asked until answered
                body = {"x": X[key][at].tolist(), "number": at + 1}
                try:
                    said = client.post(f"{place['url']}/v1/sessions/{key}/push", json=body)
                except httpx.HTTPError:
                    asked = True
                    time.sleep(0.01)  # leaves the processor to the server that starts
                    continue
                asked = False
                if said.status_code == 200:
                    at += 1
                else:
                    assert said.status_code in (409, 503), said.text
                    at = said.json()["expected"] - 1 if said.status_code == 409 else at
                counted[key] = at

    process = start(tmp_path, place)
    with ThreadPoolExecutor(4) as pool:
        talking = [pool.submit(talk, key) for key in X]
        for _ in range(kills):
            time.sleep(float(dice.uniform(0.05, 0.8)))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start(tmp_path, place)
        done.set()
        for one in talking:
            one.result()
    for key, steps in counted.items():
        stream = model.stream()
        for x in X[key][:steps]:
            stream.push(x)
        told = httpx.get(f"{place['url']}/v1/sessions/{key}").json()
        assert told["steps"] == steps >= 50
        np.testing.assert_allclose(told["state"]["h"], stream.state["h"], rtol=1e-6)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in (0, -signal.SIGTERM)  # it went in its own time: what was counted is there


def start(folder, place):
    """`elman serve` as a process, when it listens."""
    command = [sys.executable, "-m", "elman", "serve", "run", "--port", "0", "--store", "s.db"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=os.environ)
    place["url"] = process.stdout.readline().split()[-1]
    return process
