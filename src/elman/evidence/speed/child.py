"""Measurements that need a fresh process: peak memory, first builds, and what may never end.

    python -m elman.evidence.speed.child '{"job": "growth", "who": "ours", "T": 100, "B": 8, "H": 64, "threads": 1}'

prints the answer as JSON on its last line.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

RUNS = 3


def start(job: Mapping[str, Any], *, limit: float = 300.0) -> dict[str, Any]:
    """The answer of a job in a process of its own with empty caches; {"problem": why} without one.

    After `limit` seconds the process is ended and the answer has "late" in it, too.
    """
    with tempfile.TemporaryDirectory(prefix="elman-", ignore_cleanup_errors=True) as folder:
        caches = {"TORCHINDUCTOR_CACHE_DIR": str(Path(folder, "inductor"))}
        if job["job"] == "build":
            caches["ELMAN_CACHE_DIR"] = str(Path(folder, "elman"))
        command = [sys.executable, "-m", __name__, json.dumps(dict(job))]
        with subprocess.Popen(
            command,
            env={**os.environ, **caches},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=os.name == "posix",  # torch.compile starts others; given up, all of them must go
        ) as process:
            try:
                out, complaint = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                return {"problem": f"not done after {limit:.0f} s", "late": limit}
            finally:
                if process.poll() is None:
                    _end(process)
    if process.returncode:
        return {"problem": " ".join((complaint.strip().splitlines() or ["it died without a word"])[-1:])[:300]}
    return json.loads(out.strip().splitlines()[-1])


def growth(job: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of forward and backward, and the most bytes it needed beyond weights, x and d_y."""
    from elman.evidence.speed.twins import draw

    module = _module(job)
    _pass(module, draw(2, 1, job["H"]), draw(2, 1, job["H"]))
    x, d_y = draw(job["T"], job["B"], job["H"]), draw(job["T"], job["B"], job["H"])
    x.requires_grad_()
    before = _reset_peak()
    times = [_pass(module, x, d_y)]
    memory = max(_peak() - before, 0)
    times += [_pass(module, x, d_y) for _ in range(RUNS)]
    return {"seconds": sorted(times)[len(times) // 2], "bytes": memory}


def build(job: Mapping[str, Any]) -> dict[str, float]:
    """Seconds that the first call takes more than the second, with nothing in the cache."""
    from elman.cells import CATALOGUE
    from elman.evidence.speed.loops import LOOPS, ours
    from elman.evidence.speed.twins import draw
    from elman.recurrent import Recurrent

    _pass(torch.nn.Linear(2, 2), draw(2, 1, 2).requires_grad_(), draw(2, 1, 2))  # torch's own first time
    name, size = job["cell"], job["H"]
    began = time.perf_counter()
    net = ours(name, size) if name in LOOPS else Recurrent(CATALOGUE[name], size, size, backend="native")
    return {"seconds": time.perf_counter() - began + _first(net, job)}


def compile_loop(job: Mapping[str, Any]) -> dict[str, float]:
    """The same of a loop under torch.compile."""
    from elman.evidence.speed.loops import LOOPS, compiled, ours

    loop = LOOPS[job["cell"]][0](ours(job["cell"], job["H"]))
    return {"seconds": _first(compiled(loop), job)}


def _first(net: Any, job: Mapping[str, Any]) -> float:
    from elman.evidence.speed.twins import draw

    x, d_y = (draw(job["T"], job["B"], job["H"]) for _ in range(2))
    if job["training"]:
        x.requires_grad_()
        return _pass(net, x, d_y) - _pass(net, x, d_y)
    times = []
    with torch.no_grad():
        for _ in range(2):
            began = time.perf_counter()
            net(x)
            times.append(time.perf_counter() - began)
    return times[0] - times[1]


def _module(job: Mapping[str, Any]) -> Any:
    from elman.evidence.speed.twins import pair
    from elman.recurrent import Recurrent

    if job["who"] == "checkpointed":
        return Recurrent("lstm", job["H"], job["H"], batch_first=False, checkpoint="auto", backend="native")
    return pair("lstm", job["H"])[job["who"] == "ours"]


def _pass(module: Any, x: Tensor, d_y: Tensor) -> float:
    """Seconds of forward and backward."""
    began = time.perf_counter()
    given = module(x)
    y = given if isinstance(given, Tensor) else given[0]
    y.backward(d_y)
    return time.perf_counter() - began


def _reset_peak() -> int:
    """Bytes in use now, the peak set back to them where the system can; else the peak so far."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS") or _peak()


def _peak() -> int:
    import resource

    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), 0)


def _end(process: subprocess.Popen[str]) -> None:
    import signal

    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


JOBS: dict[str, Callable[[Mapping[str, Any]], dict[str, float]]] = {
    "growth": growth,
    "build": build,
    "compile": compile_loop,
}


def main(text: str) -> None:
    """Does one job."""
    job = json.loads(text)
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    try:
        answer: dict[str, Any] = JOBS[job["job"]](job)
    except Exception as problem:  # whatever it is, it is the answer
        answer = {"problem": f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:300]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
