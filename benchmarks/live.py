"""How fast a step is: from Python, in C, for many sequences at once; how even; and whether memory stays as it is.

    python benchmarks/live.py [--only push c even sessions soak] [--write]

Every ratio is of medians over rounds in which both sides take turns, in one process and on one thread. --write puts the
table into docs/results.md and the numbers into docs/results/live.json. Needs gcc or clang, onnx and onnxruntime; some
ten minutes on one core that does nothing else.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper
from results import Results, main
from torch import nn

import elman
from elman.export import to_c, to_onnx
from elman.live.sessions import Sessions
from elman.steps import Stream
from elman.steps.engine import Engine

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
SIZES = (8, 16, 32, 64)
ROUNDS = 9
HARNESS = Path(__file__).with_name("live.c")


def push(dice: np.random.Generator) -> dict[str, Any]:
    """`stream.push` of a whole classifier, H = 64, against one step of the module alone in torch.nn."""
    found = {}
    x, out, given = np.zeros(1), np.zeros(2, np.float32), torch.zeros(1, 1, 1)
    for cell, module in CELLS.items():
        stream, peer = _model(cell, 64).stream(), module(1, 64)
        state = peer(given)[1]
        with torch.no_grad():
            ours, theirs = _in_turn(lambda s=stream: s.push(x, out), lambda p=peer, h=state: p(given, h), 2000)
        found[f"{cell}, µs"] = ours
        found[f"{cell}, torch.nn ÷ ours"] = theirs / ours
    return found


def c(dice: np.random.Generator) -> dict[str, Any]:
    """The C file's step, F = 8, against ONNX Runtime's own operator called from Python, and against the floor."""
    found = {}
    for cell in CELLS:
        for size in SIZES:
            net = elman.Recurrent(cell, 8, size)
            with tempfile.TemporaryDirectory() as folder:
                step = _timed_c(net, Path(folder))
            run = _operator(net)
            theirs = _each(run, 3000) - _empty_call()
            floor = max(step["read"], step["compute"])
            found[f"{cell} {size}, ns"] = step["mean"]
            found[f"{cell} {size}, ONNX Runtime ÷ ours"] = 1000 * theirs / step["mean"]
            found[f"{cell} {size}, ours ÷ floor"] = step["mean"] / floor
    return found


def even(dice: np.random.Generator) -> dict[str, Any]:
    """p99.9 ÷ p50 over a million steps of the C file, LSTM, H = 64, each timed by itself."""
    with tempfile.TemporaryDirectory() as folder:
        step = _timed_c(elman.Recurrent("lstm", 8, 64), Path(folder))
    return {"p50, ns": step["p50"], "p99.9 ÷ p50": step["p999"] / step["p50"], "p99.9, ns": step["p999"]}


def sessions(dice: np.random.Generator) -> dict[str, Any]:
    """10 000 sequences pushed in random order: `push_many` against a loop over streams that share one model."""
    found, count = {}, 10_000
    keys = [f"pump {i}" for i in range(count)]
    for cell in CELLS:
        for size in (16, 64):
            engine = Engine(_model(cell, size).causal())
            streams = {key: Stream(engine) for key in keys}
            many = Sessions(engine.step, most=count, every=2**40, threads=os.cpu_count() or 1)
            x = dice.normal(size=(count, 1))
            order = [keys[i] for i in dice.permutation(count)]
            values = x[:, 0].tolist()

            def one_by_one(streams: Any = streams, order: Any = order, values: Any = values) -> None:
                for key, value in zip(order, values, strict=True):
                    streams[key].push(value)

            ours, theirs = _in_turn(lambda m=many, o=order, x=x: m.push_many(o, x), one_by_one, 1)
            found[f"{cell} {size}, µs a step"] = ours / count
            found[f"{cell} {size}, streams ÷ ours"] = theirs / ours
    return found


def soak(dice: np.random.Generator) -> dict[str, Any]:
    """An hour of pushes at 1000 a second, 3.6 million, as fast as they go, half through sessions: growth of memory."""
    model = _model("gru", 16)
    stream, many = model.stream(), Sessions(model, most=500, every=1000)
    keys = [f"k{i}" for i in range(1000)]
    x, out = np.zeros(1), np.zeros(2, np.float32)
    sizes = []
    for _ in range(10):
        for _ in range(180_000):
            stream.push(x, out)
        for i in range(360):
            many.push_many(keys[i % 2 * 500 :][:500], np.zeros((500, 1)))
        sizes.append(_resident())
    return {"MB after a tenth": sizes[0], "MB at the end": sizes[-1]}


TASKS: dict[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    task.__name__: task for task in (push, c, even, sessions, soak)
}
MARKS = {
    "torch.nn ÷ ours": "≥ 20",
    "ONNX Runtime ÷ ours": "≥ 10",
    "ours ÷ floor": "≤ 2.5",
    "p99.9 ÷ p50": "≤ 3",
    "streams ÷ ours": "≥ 5",
}


def run(folder: Path, task: str, seed: int, baselines: bool) -> dict[str, Any]:
    """One task's numbers."""
    torch.set_num_threads(1)
    since = time.time()
    scores = TASKS[task](np.random.default_rng(seed))
    return {"task": task, "seed": seed, "scores": scores, "seconds": time.time() - since}


def table(results: Results) -> str:
    """A line for each number."""
    lines = ["| what | | measured | mark |", "|---|---|---:|---|"]
    for result in results:
        for name, value in result["scores"].items():
            mark = next((mark for end, mark in MARKS.items() if name.endswith(end)), "")
            lines.append(f"| {result['task']} | {name} | {value:.3g} | {mark} |")
    return "\n".join(lines)


# -- parts -----------------------------------------------------------------------------------------------------------


def _model(cell: str, size: int) -> Any:
    X = np.random.default_rng(0).normal(size=(40, 10, 1))
    return elman.SequenceClassifier(cell=cell, bidirectional=False, hidden_size=size, max_steps=5).fit(X, [0, 1] * 20)


def _each(call: Callable[[], Any], times: int) -> float:
    """µs of a call: the median of some rounds."""
    return float(np.median([_round(call, times) for _ in range(ROUNDS)]))


def _in_turn(ours: Callable[[], Any], theirs: Callable[[], Any], times: int) -> tuple[float, float]:
    """µs of both, rounds in turn."""
    pairs = [(_round(ours, times), _round(theirs, times)) for _ in range(ROUNDS)]
    return float(np.median([a for a, _ in pairs])), float(np.median([b for _, b in pairs]))


def _round(call: Callable[[], Any], times: int) -> float:
    since = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - since) / times * 1e6


def _timed_c(net: elman.Recurrent, folder: Path) -> dict[str, float]:
    """ns of a step of the C file, and of reading its weights once and of doing its multiplications at the peak."""
    to_c(net, folder, "net")
    weights = sum(p.numel() for p in net.parameters())
    flags = ["-O3", "-march=native", "-ffp-contract=fast", f"-DNUMBERS={weights}"]
    command = ["cc", *flags, "-I", folder, HARNESS, folder / "net.c"]
    subprocess.run([*command, "-o", folder / "live.so", "-shared", "-fPIC"], check=True)
    code = ctypes.CDLL(str(folder / "live.so"))
    code.measure.restype = ctypes.c_char_p
    return json.loads(code.measure())


def _operator(net: elman.Recurrent) -> Callable[[], Any]:
    """One step by ONNX Runtime's LSTM or GRU operator alone, memory bound beforehand, the state where it was put."""
    with tempfile.TemporaryDirectory() as folder:
        whole = onnx.load_from_string(to_onnx(net, Path(folder, "net.onnx")).path.read_bytes())
    node = next(n for n in whole.graph.node if n.op_type in ("LSTM", "GRU"))
    states = list(net.cell.states)
    extra: dict[str, Any] = {"linear_before_reset": 1} if node.op_type == "GRU" else {}
    names = ["x", *node.input[1:4], "", *states]
    one = helper.make_node(
        node.op_type, names, ["", *(f"{s}_next" for s in states)], hidden_size=net.hidden_size, **extra
    )
    kind, shape = onnx.TensorProto.FLOAT, [1, 1, net.hidden_size]
    given = [helper.make_tensor_value_info("x", kind, [1, 1, net.input_size])]
    given += [helper.make_tensor_value_info(s, kind, shape) for s in states]
    said = [helper.make_tensor_value_info(f"{s}_next", kind, shape) for s in states]
    numbers = [i for i in whole.graph.initializer if i.name in node.input]
    return _bound(helper.make_graph([one], "step", given, said, numbers))


def _empty_call() -> float:
    """µs of a call of ONNX Runtime from Python that does nothing."""
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8]) for name in ("x", "y"))
    return _each(_bound(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "none", [x], [y])), 3000)


def _bound(graph: Any) -> Callable[[], Any]:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for bind, ports in ((binding.bind_ortvalue_input, graph.input), (binding.bind_ortvalue_output, graph.output)):
        for port in ports:
            zeros = np.zeros([d.dim_value for d in port.type.tensor_type.shape.dim], np.float32)
            bind(port.name, onnxruntime.OrtValue.ortvalue_from_numpy(zeros))
    return lambda: session.run_with_iobinding(binding)


def _resident() -> float:
    """MB of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main("live", __doc__, TASKS, run, table, reads=False)
