"""Many sequences: each as if it were alone, whatever runs beside it, is put away, or crashes."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

import elman
from elman.errors import DataError, OptionError, RunError
from elman.live.sessions import OutOfTurnError, Sessions
from elman.live.store import Kept, SQLiteStore
from elman.steps import StackStep, Stream
from tests.steps.models import fitted, steps_for


def net():
    return StackStep("net", elman.Recurrent("gru", 2, 5, num_layers=2))


def plan(seed=0, keys=7, pushes=300):
    """Which key is pushed when, and with what."""
    dice = np.random.default_rng(seed)
    return [f"k{i}" for i in dice.integers(0, keys, pushes)], dice.normal(size=(pushes, 2))


def alone(step, keys, X):
    """The same by a stream for each key."""
    streams = {key: Stream(step) for key in keys}
    return np.array([streams[key].push(x) for key, x in zip(keys, X, strict=True)]), streams


@pytest.mark.parametrize("most", [3, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_each_sequence_is_as_if_alone_to_the_last_bit(most, threads, tmp_path):
    step, (keys, X) = net(), plan()
    expected, streams = alone(step, keys, X)
    for size in (1, 3, 50):
        with Sessions(step, tmp_path / f"{size}.db", most=most, every=5, threads=threads) as sessions:
            found = [sessions.push_many(keys[i : i + size], X[i : i + size]) for i in range(0, len(keys), size)]
            np.testing.assert_array_equal(np.concatenate(found), expected)
            assert len(sessions) <= most
            for key, stream in streams.items():
                assert sessions.steps(key) == stream.steps
                for name, part in stream.state.items():
                    np.testing.assert_array_equal(sessions.state(key)[name], part)


def test_many_at_once_share_threads_and_stay_alone():
    step = net()
    X = np.random.default_rng(0).normal(size=(400, 2))
    keys = [str(i) for i in range(400)]
    one, four = (Sessions(step, threads=n).push_many(keys, X) for n in (1, 4))
    np.testing.assert_array_equal(one, four)


@pytest.mark.parametrize("name", ["classifier max", "tagger crf=True spelling=0", "detector", "letters"])
def test_models_of_every_kind(name):
    model, steps = fitted(name), steps_for(name)
    stream, sessions = model.stream(), Sessions(model)
    for i, x in enumerate(steps):
        np.testing.assert_allclose(sessions.push("a", x), stream.push(x), rtol=1e-6, atol=1e-6)
        if i % 2:
            sessions.push("b", x)
    assert (sessions.steps("a"), sessions.steps("b")) == (len(steps), len(steps) // 2)


@pytest.mark.parametrize("every", [1, 4])
def test_after_a_crash_a_client_that_goes_by_the_numbers_loses_and_repeats_nothing(every, tmp_path):
    step, (keys, X) = net(), plan(1, keys=3, pushes=120)
    _, streams = alone(step, keys, X)
    inputs = {key: [x for k, x in zip(keys, X, strict=True) if k == key] for key in streams}
    dice, at = np.random.default_rng(2), dict.fromkeys(inputs, 0)
    sessions = Sessions(step, tmp_path / "s.db", every=every)
    while True:
        if all(at[key] == len(inputs[key]) for key in at):
            sessions.save()
            at = {key: sessions.steps(key) for key in at}  # a client is done when what it sent is written
            if all(at[key] == len(inputs[key]) for key in at):
                break
        key = dice.choice([k for k in at if at[k] < len(inputs[k])])
        try:
            sessions.push(key, inputs[key][at[key]], at[key] + 1)
            at[key] += dice.random() < 0.8  # else the answer is lost on its way, and the client asks again
        except OutOfTurnError as told:
            assert every > 1
            at[key] = told.expected - 1
        if dice.random() < 0.1:  # killed: what was not written is gone
            sessions.store.close()
            sessions = Sessions(step, tmp_path / "s.db", every=every)
    for key, stream in streams.items():
        assert sessions.steps(key) == stream.steps
        np.testing.assert_array_equal(sessions.state(key)["h"], stream.state["h"])


def test_a_repeated_number_has_the_same_answer_and_is_not_counted():
    sessions = Sessions(net())
    first = sessions.push("a", [0.5, 1.0], 1)
    np.testing.assert_array_equal(sessions.push("a", [9.0, 9.0], 1), first)
    assert sessions.steps("a") == 1
    both = sessions.push_many(["a", "a", "b"], [[1.0, 1.0]] * 3, [2, 2, 1])
    np.testing.assert_array_equal(both[0], both[1])
    assert sessions.steps("a") == 2
    for number in (0, 1, 4, -1):
        with pytest.raises(OutOfTurnError, match="number 3") as told:
            sessions.push("a", [1.0, 1.0], number)
        assert told.value.expected == 3


def test_what_is_no_step_changes_nothing_of_the_others():
    sessions = Sessions(net())
    sessions.push_many(["a", "b"], [[1.0, 2.0]] * 2)
    before = sessions.state("a")["h"]
    for wrong in ([np.nan, 1.0], [np.inf, 1.0], [1.0], "x", None):
        with pytest.raises(DataError, match="step must be"):
            sessions.push_many(["a", "b"], [[1.0, 2.0], wrong])
    with pytest.raises(DataError, match=r"must be finite, .* for 'b'"):
        sessions.push_many(["a", "b"], np.array([[1.0, 2.0], [np.nan, 1.0]]))
    with pytest.raises(DataError, match="as many"):
        sessions.push_many(["a"], [])
    for key in ("", "k" * 201, 7, ["a"]):
        with pytest.raises(DataError, match="a key must be text"):
            sessions.push(key, [1.0, 1.0])
    np.testing.assert_array_equal(sessions.state("a")["h"], before)
    assert sessions.steps("a") == sessions.steps("b") == 1
    with pytest.raises(OptionError, match="most must be"):
        Sessions(net(), most=0)


def test_sequences_are_forked_and_forgotten():
    sessions = Sessions(net())
    sessions.push("a", [1.0, 2.0])
    sessions.fork("a", "what if")
    np.testing.assert_array_equal(sessions.push("what if", [0.0, 1.0]), sessions.push("a", [0.0, 1.0]))
    with pytest.raises(DataError, match="has begun already"):
        sessions.fork("a", "what if")
    assert sessions.delete("a") and not sessions.delete("a") and "a" not in sessions
    assert sessions.steps("what if") == 2


def test_written_by_time(tmp_path):
    with Sessions(net(), tmp_path / "s.db", every=1000, seconds=0.0) as sessions:
        sessions.push("a", [1.0, 2.0])
        assert SQLiteStore(tmp_path / "s.db", sessions.store.model).read(["a"])["a"].steps == 1


def test_a_store_of_another_model_or_kind_is_refused(tmp_path):
    with SQLiteStore(tmp_path / "s.db", "one") as store:
        store.write({"a": Kept(1, b"abc", b"")})
        assert list(store.keys()) == ["a"] and len(store) == 1
    with pytest.raises(RunError, match="another model"):
        SQLiteStore(tmp_path / "s.db", "two")
    (tmp_path / "text").write_text("not a database, but long enough to be looked at" * 10)
    with pytest.raises(RunError, match="not a store of sessions"):
        SQLiteStore(tmp_path / "text", "one")
    with pytest.raises(RunError, match="not a store"):
        SQLiteStore(tmp_path / "no" / "folder.db", "one")


def test_many_keys_are_read_at_once():
    store = SQLiteStore(None, "m")
    store.write({str(i): Kept(i, b"", b"") for i in range(2000)})
    found = store.read(map(str, range(0, 4000, 2)))
    assert len(found) == 1000 and found["1998"].steps == 1998
    assert store.delete("0") and not store.delete("0")


def test_a_store_that_cannot_be_written_says_so_and_the_step_can_be_pushed_again(tmp_path):
    sessions = Sessions(net(), tmp_path / "s.db")
    sessions.push("a", [1.0, 2.0], 1)
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("CREATE TRIGGER full BEFORE INSERT ON sessions BEGIN SELECT RAISE(ABORT, 'no room'); END")
    other.commit()
    with pytest.raises(RunError, match="could not be written"):
        sessions.push("a", [0.5, 0.5], 2)
    other.execute("DROP TRIGGER full")
    other.commit()
    sessions.push("a", [0.5, 0.5], 2)
    assert SQLiteStore(tmp_path / "s.db", sessions.store.model).read(["a"])["a"].steps == 2
