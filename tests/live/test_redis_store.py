"""Sequences in a real Redis server that several processes push to."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time

import numpy as np
import pytest

from elman.errors import DataError, OptionError, RunError
from elman.live.redis_store import RedisStore
from elman.live.sessions import BegunError, OutOfTurnError, Sessions
from elman.live.store import Kept, MovedError, SharedStore, SQLiteStore
from tests.live.test_sessions import alone, net, plan
from tests.steps.models import fitted, steps_for

pytest.importorskip("redis")
SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="needs redis-server")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [SERVER, "--port", str(port), "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    for _ in range(100):
        try:
            RedisStore(url, "m").close()
            break
        except RunError:
            time.sleep(0.05)
    yield url
    server.terminate()
    server.wait()


@pytest.fixture
def url(running):
    import redis

    redis.Redis.from_url(running).flushall()
    return running


def test_what_was_written_is_read_under_its_model(url):
    one, other = RedisStore(url, "one"), RedisStore(url, "other")
    assert isinstance(one, SharedStore) and not isinstance(SQLiteStore(None, "m"), SharedStore)
    kept = {"pump 7": Kept(3, b"\x00state\n", b""), "päron:{}": Kept(1, b"s", b"a")}
    one.write(kept)
    assert one.read([*kept, "none"]) == kept and list(one.keys()) == sorted(kept) and len(one) == 2
    assert other.read(kept) == {} and len(other) == 0
    assert one.delete("pump 7") and not one.delete("pump 7") and list(one.keys()) == ["päron:{}"]


def test_all_or_none_is_exchanged(url):
    store = RedisStore(url, "m")
    store.exchange({"a": Kept(1, b"", b""), "b": Kept(1, b"", b"")}, {"a": 0, "b": 0})
    with pytest.raises(MovedError, match="another server"):
        store.exchange({"a": Kept(2, b"x", b""), "b": Kept(1, b"x", b"")}, {"a": 1, "b": 0})
    assert store.read(["a", "b"]) == {"a": Kept(1, b"", b""), "b": Kept(1, b"", b"")}


def test_servers_take_turns_with_the_same_sequences(url):
    step, (keys, X) = net(), plan()
    expected, streams = alone(step, keys, X)
    servers = [Sessions(step, url) for _ in range(3)]
    found = [servers[i % 3].push_many(keys[i : i + 5], X[i : i + 5]) for i in range(0, len(keys), 5)]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    for key, stream in streams.items():
        for server in servers:
            assert server.steps(key) == stream.steps
            np.testing.assert_array_equal(server.state(key)["h"], stream.state["h"])


def test_at_the_same_time_none_is_lost_and_none_counted_twice(url):
    """Each worker pushes its own numbers of every sequence; one that is out of turn waits until it is its turn."""
    step, steps = net(), 40
    keys, X = ["a", "b", "c"], np.random.default_rng(0).normal(size=(3, steps, 2))

    def work(mine):
        server = Sessions(step, url)
        for t in range(mine, steps, 3):
            for i, key in enumerate(keys):
                while True:
                    try:
                        server.push(key, X[i, t], t + 1)
                        break
                    except OutOfTurnError as problem:
                        assert problem.expected <= t + 1
                        time.sleep(0.001)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    _, streams = alone(step, np.repeat(keys, steps), X.reshape(-1, 2))
    server = Sessions(step, url)
    for key, stream in streams.items():
        assert server.steps(key) == steps
        np.testing.assert_array_equal(server.state(key)["h"], stream.state["h"])


def test_without_numbers_each_push_is_one_step(url):
    step = net()

    def work():
        server = Sessions(step, url)
        for _ in range(50):
            server.push_many(["a", "b"], np.ones((2, 2)))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    server = Sessions(step, url)
    _, streams = alone(step, ["a"] * 100, np.ones((100, 2)))
    assert (server.steps("a"), server.steps("b")) == (100, 100)
    np.testing.assert_array_equal(server.state("b")["h"], streams["a"].state["h"])


def test_forks_and_deletions_are_seen_by_all(url):
    step = net()
    one, other = (Sessions(step, url) for _ in range(2))
    one.push("a", [1.0, 2.0])
    other.fork("a", "b")
    with pytest.raises(BegunError):
        one.fork("a", "b")
    np.testing.assert_array_equal(one.push("b", [0.5, 1.0]), other.push("a", [0.5, 1.0]))
    assert other.delete("b") and one.steps("b") == 0
    other.put("b", one.state("a"), 2)
    assert one.steps("b") == 2


def test_two_servers_answer_for_one_sequence(url):
    httpx = pytest.importorskip("httpx")
    from tests.live.test_server import served

    model, steps = fitted("classifier max"), steps_for("classifier max")[3:9]
    stream = model.stream()
    with served(model, store=url) as one, served(model, store=url) as other:
        for i, x in enumerate(steps):
            said = httpx.post(f"{(one, other)[i % 2]}/v1/sessions/a/push", json={"x": list(x), "number": i + 1})
            np.testing.assert_allclose(said.json()["y"], stream.push(x), rtol=1e-6)


def test_what_cannot_be_is_one_line(url):
    with pytest.raises(OptionError, match="written at every step"):
        Sessions(net(), url, every=10)
    with pytest.raises(RunError, match="no Redis that can be used"):
        RedisStore("redis://127.0.0.1:1/0", "m")
    sessions = Sessions(net(), url)
    with pytest.raises(DataError, match="step must be"):
        sessions.push("a", [1.0])
    assert sessions.steps("a") == 0
