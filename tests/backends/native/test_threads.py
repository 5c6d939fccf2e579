"""Threads and processes: torch's number of threads, forks, DataLoader workers, and the lock that Python has."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import elman
from elman.backends.native import kernel, library
from tests.conftest import assert_close
from tests.contracts.conftest import gradients, make, run

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds after which something hangs
pytestmark = pytest.mark.usefixtures("compiler")


def net(cell="lstm", dtype=torch.float32, **options):
    """One that is large enough for several threads to be used."""
    return make(cell, "native", options, size=16, hidden=33, dtype=dtype)


def some_input(rows=7, steps=40, dtype=torch.float32):
    return torch.randn(rows, steps, 16, dtype=dtype)


def everything(rnn, x, lengths=None):
    """Outputs, states and gradients by name, copies."""
    y, state = run(rnn, x, lengths=lengths)
    found = {"y": y, **{f"last {n}": s for n, s in zip(rnn.cell.states, state, strict=True)}}
    return {n: v.detach().clone() for n, v in {**found, **gradients(rnn, x, lengths)}.items()}


CASES = {
    "plain": ({}, 7, None),
    "one sequence": ({}, 1, None),
    "fewer sequences than threads": ({"bidirectional": True}, 3, None),
    "lengths": ({"bidirectional": True}, 7, [40, 1, 0, 17, 40, 3, 25]),
    "one long sequence": ({}, 5, [1, 1, 40, 1, 2]),
    "layer norm, dropout, zoneout": ({"layer_norm": True, "recurrent_dropout": 0.3, "zoneout": 0.2}, 6, None),
    "checkpoint": ({"checkpoint": 7}, 6, [40, 40, 39, 8, 7, 6]),
}


@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_any_number_of_threads_gives_the_same_result(cell, case):
    options, rows, lengths = case
    rnn, x = net(cell, torch.float64, **options), some_input(rows, dtype=torch.float64)
    expected = everything(rnn, x, lengths)
    for threads in (2, 4):
        torch.set_num_threads(threads)
        for name, got in everything(rnn, x, lengths).items():
            assert_close(got, expected[name], f"{threads} threads, {name}")


@pytest.fixture
def crew(monkeypatch):
    """All threads share the units of all sequences, whatever the sizes."""
    monkeypatch.setattr(kernel, "_crew", lambda threads, batch, weights: threads)
    monkeypatch.setattr(kernel, "SMALL", 0)


TOGETHER = CASES | {
    "dropout": ({"recurrent_dropout": 0.3, "zoneout": 0.2}, 3, [40, 12, 2]),
    "checkpoint of one": ({"checkpoint": 7}, 1, None),
}
NOT_OPENMP = {"torch's threads": None, "plain threads": (0, 0)}


@pytest.mark.parametrize("threads", [2, 3, 5], ids=str)
@pytest.mark.parametrize("others", NOT_OPENMP.values(), ids=NOT_OPENMP)
@pytest.mark.parametrize("cell", ["lstm", "gru", "mgu"])
@pytest.mark.parametrize("case", TOGETHER.values(), ids=TOGETHER)
def test_threads_that_share_the_units_give_the_same_result(crew, monkeypatch, cell, case, others, threads):
    options, rows, lengths = case
    rnn, x = net(cell, torch.float64, **options), some_input(rows, dtype=torch.float64)
    expected = everything(rnn, x, lengths)
    if others is not None:
        monkeypatch.setattr(library, "openmp", lambda: others)
    torch.set_num_threads(threads)
    for name, got in everything(rnn, x, lengths).items():
        assert_close(got, expected[name], name)


def test_few_sequences_and_many_units_are_shared_by_units():
    assert kernel._crew(threads=2, batch=1, weights=4 * 128 * 128) == 2
    assert kernel._crew(threads=2, batch=4, weights=4 * 256 * 256) == 2
    assert kernel._crew(threads=2, batch=4, weights=4 * 64 * 64) == 1
    assert kernel._crew(threads=2, batch=64, weights=4 * 512 * 512) == 1
    assert kernel._crew(threads=1, batch=1, weights=4 * 512 * 512) == 1


FEWER = """
import torch, elman
torch.manual_seed(0)
rnn = elman.Recurrent("lstm", 8, 128, backend="native")
x = torch.randn(1, 200, 8)
with torch.no_grad():
    expected, _ = rnn(x)
    torch.set_num_threads(4)
    print("the same" if torch.equal(rnn(x)[0], expected) else "another result")
"""


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_on_openmp_threads_leaves_nobody_waiting(limit):
    environment = os.environ | {"OMP_THREAD_LIMIT": str(limit), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FEWER]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, env=environment, check=False
    )
    assert done.stdout.strip() == "the same", done.stderr[-3000:]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("lengths", [None, [40, 1, 0, 17, 40, 3, 25]])
def test_the_same_number_of_threads_gives_the_same_bits(threads, lengths):
    torch.set_num_threads(threads)
    rnn, x = net("gru", layer_norm=True), some_input()
    first = everything(rnn, x, lengths)
    for _ in range(5):
        again = everything(rnn, x, lengths)
        different = [name for name, value in first.items() if not torch.equal(again[name], value)]
        assert not different


def test_more_threads_than_the_machine_has():
    # In float64: sums in another order differ by what float32 rounds off, and more so on some processors.
    rnn, x = net("lstm", torch.float64), some_input(80, dtype=torch.float64)
    expected = everything(rnn, x)
    torch.set_num_threads(70)
    for name, got in everything(rnn, x).items():
        assert_close(got, expected[name], name)


def answer_of(child, pid):
    """What the child wrote, or a failure when it hangs."""
    try:
        ready, _, _ = select.select([child], [], [], PATIENCE)
        assert ready, "the child hangs"
        with os.fdopen(child, "rb") as pipe:
            return pickle.loads(pipe.read())
    finally:
        if not os.waitpid(pid, os.WNOHANG)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def in_a_fork(work):
    """`work()` in a forked child, its result through a pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(pickle.dumps(work()))
        except BaseException as problem:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(pickle.dumps(repr(problem)))
        finally:
            os._exit(0)
    os.close(writing)
    return answer_of(reading, pid)


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@forks
@pytest.mark.parametrize("parent", [1, 2])
@pytest.mark.parametrize("child", [1, 2, 4])
def test_a_forked_child_computes_the_same(parent, child):
    torch.set_num_threads(parent)
    rnn, x = net("gru", torch.float64), some_input(dtype=torch.float64)
    with torch.no_grad():
        expected = rnn(x)[0].numpy()

    def work():
        torch.set_num_threads(child)
        with torch.no_grad():
            return [rnn(x)[0].numpy() for _ in range(3)]

    for got in in_a_fork(work):
        assert not isinstance(got, str), got
        assert_close(torch.from_numpy(got), torch.from_numpy(expected), "in the child")
    with torch.no_grad():  # and the parent goes on
        assert_close(rnn(x)[0], torch.from_numpy(expected), "in the parent")


@forks
def test_a_forked_child_shares_units(crew):
    torch.set_num_threads(2)
    rnn, x = net("lstm", torch.float64), some_input(1, dtype=torch.float64)
    with torch.no_grad():
        expected = rnn(x)[0]
        got = in_a_fork(lambda: rnn(x)[0].numpy())
    assert not isinstance(got, str), got
    assert_close(torch.from_numpy(got), expected, "in the child")


@forks
def test_a_forked_child_trains():
    torch.set_num_threads(2)
    rnn, x = net("lstm", torch.float64), some_input(dtype=torch.float64)
    expected = everything(rnn, x)

    def work():
        torch.set_num_threads(1)  # torch's own products would hang with more, as in any forked process
        return {name: value.numpy() for name, value in everything(rnn, x).items()}

    got = in_a_fork(work)
    assert isinstance(got, dict), got
    for name, value in got.items():
        assert_close(torch.from_numpy(value), expected[name], name)


@forks
def test_a_grandchild_computes_too():
    torch.set_num_threads(2)
    rnn, x = net("elman"), some_input()
    with torch.no_grad():
        expected = rnn(x)[0]

        def work():
            return in_a_fork(lambda: rnn(x)[0].numpy())

        assert_close(torch.from_numpy(in_a_fork(work)), expected)


class Encoded(torch.utils.data.Dataset):
    """Rows that elman has seen, with the number of threads that were in use."""

    def __init__(self, rnn, x):
        self.rnn, self.x = rnn, x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        with torch.no_grad():
            return self.rnn(self.x[index])[0], torch.get_num_threads()


@forks
def test_dataloader_workers_use_one_thread_each_and_do_not_hang():
    torch.set_num_threads(2)
    rnn, x = net("gru"), torch.randn(6, 7, 40, 16)
    with torch.no_grad():
        expected = torch.stack([rnn(v)[0] for v in x])
    workers = multiprocessing.get_context("fork")
    loader = torch.utils.data.DataLoader(
        Encoded(rnn, x), batch_size=2, num_workers=2, timeout=PATIENCE, multiprocessing_context=workers
    )
    outputs, threads = zip(*loader, strict=True)
    assert set(torch.cat(threads).tolist()) == {1}
    assert_close(torch.cat(outputs), expected)


SPAWN = """
import multiprocessing, torch, elman

def work(state):
    torch.set_num_threads(2)
    rnn = elman.Recurrent("gru", 16, 33, backend="native")
    rnn.load_state_dict(state)
    y, _ = rnn(torch.ones(7, 40, 16))
    y.sum().backward()
    return y.detach().numpy(), rnn.layers[0].R.grad.numpy()

if __name__ == "__main__":
    torch.manual_seed(0)
    rnn = elman.Recurrent("gru", 16, 33, backend="native")
    state = {name: value.clone() for name, value in rnn.state_dict().items()}
    y, R = work(state)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        other_y, other_R = pool.apply_async(work, (state,)).get(100)
    assert (y == other_y).all() and (R == other_R).all()
    print("the same bits")
"""


def test_a_spawned_process_computes_the_same(tmp_path):
    (tmp_path / "spawn.py").write_text(SPAWN)
    command = [sys.executable, str(tmp_path / "spawn.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, cwd=ROOT, check=False)
    assert "the same bits" in done.stdout, done.stderr[-3000:]


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_other_python_threads_go_on_during_a_call(backward):
    rnn = make("lstm", "native", size=64, hidden=192, dtype=torch.float32)
    x = torch.randn(16, 600, 64, requires_grad=backward)
    with torch.set_grad_enabled(backward):
        y, _ = rnn(x[:, :10])
        ticks, done = [], threading.Event()

        def tick():
            while not done.is_set():
                ticks.append(time.perf_counter())
                time.sleep(0.001)

        beside = threading.Thread(target=tick)
        beside.start()
        start = time.perf_counter()
        y, _ = rnn(x)
        if backward:
            start = time.perf_counter()
            y.sum().backward()
        end = time.perf_counter()
        done.set()
        beside.join()
    within = [start, *(t for t in ticks if start < t < end), end]
    longest = max(later - earlier for earlier, later in itertools.pairwise(within))
    assert longest < 0.5 * (end - start), f"no tick for {longest:.3f} s of {end - start:.3f} s"


@pytest.mark.parametrize("threads", [1, 2])
def test_two_python_threads_share_a_net(threads):
    torch.set_num_threads(threads)
    rnn = net("gru", torch.float64)
    inputs = [some_input(dtype=torch.float64) for _ in range(4)]
    weights = list(rnn.parameters())

    def work(x):
        torch.set_num_threads(threads)
        y, _ = rnn(x)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), weights)]

    expected = [work(x) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            for got, wanted in zip(pool.map(work, inputs), expected, strict=True):
                for a, b in zip(got, wanted, strict=True):
                    assert torch.equal(a, b)


def test_two_python_threads_compile_the_same_cell_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "cache"))

    class Fresh(elman.Cell):
        gates = ("a",)

        def step(self, x, r, s, p):
            return torch.tanh(x.a + r.a) * 0.875 + 0.0625 * s.h

    x = torch.randn(2, 5, 3, dtype=torch.float64)
    nets = [make(Fresh, "native") for _ in range(4)]
    for other in nets:
        other.load_state_dict(nets[0].state_dict())
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda rnn: rnn(x)[0], nets))
    nets[0].backend = "eager"
    for y in outputs:
        assert_close(y, nets[0](x)[0])


def test_operations_of_torch_in_between_change_nothing():
    torch.set_num_threads(2)
    rnn, x = net("lstm"), some_input()
    expected = everything(rnn, x)
    big = torch.randn(400, 400)
    square = big @ big
    for _ in range(4):
        assert torch.equal(big @ big, square)
        again = everything(rnn, x)
        assert all(torch.equal(again[name], value) for name, value in expected.items())
