"""The GPU that is measured: what it is, its clock, what it can do at most."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import torch

from elman.backends.triton.frame import Frame
from elman.backends.triton.modules import missing
from elman.errors import OptionError
from elman.evidence.speed.clock import Call, quartiles
from elman.evidence.speed.machine import describe

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""by the names of `point.TOLERANCE`"""


def required_gpu(where: str) -> torch.device:
    """The GPU; raises `OptionError` without one, or without Triton, as there is nothing to measure then."""
    if not torch.cuda.is_available():
        raise OptionError(
            f"{where}: expected a CUDA GPU, and torch {torch.__version__} sees none. Run it where one is."
        )
    if reason := missing():
        raise OptionError(f"{where}: expected Triton's kernels, and {reason}.")
    return torch.device("cuda")


def describe_gpu(device: torch.device) -> dict[str, Any]:
    """The machine as on the CPU, and card, driver and versions where there is a card."""
    found = describe() | {name: _version(name) for name in ("triton", "accelerated-scan", "flashrnn")}
    if device.type != "cuda":
        return found
    card = torch.cuda.get_device_properties(device)
    found |= {"gpu": card.name, "multiprocessors": card.multi_processor_count, "gpu_bytes": card.total_memory}
    return found | {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), **_asked()}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _asked() -> dict[str, str]:
    """Driver, clock and power as the driver's own tool says them."""
    names = "driver_version", "clocks.sm", "clocks.mem", "power.limit", "temperature.gpu"
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()[0]
        return dict(zip(names, (part.strip() for part in said.split(",")), strict=False))
    return {}


def installed(package: str) -> bool:
    """Whether a peer is there to be imported."""
    return importlib.util.find_spec(package) is not None


def events(call: Call, count: int) -> float:
    """Seconds per call between two events on the GPU."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(count):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / count


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Products of float32 in tf32 or not, ours and cuDNN's alike."""
    places: Any = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = name == "tf32"
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


@contextlib.contextmanager
def launches() -> Iterator[dict[str, list[tuple[Any, Any]]]]:
    """Within the block: events around every launch of our kernels, by name, without what is torch's around them."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    launch = Frame.launch

    def observed(self: Frame, name: str, *rest: Any, **flags: Any) -> None:
        pair = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        pair[0].record()
        launch(self, name, *rest, **flags)
        pair[1].record()
        found.setdefault(name, []).append(pair)

    Frame.launch = observed
    try:
        yield found
    finally:
        Frame.launch = launch


def kernel_times(call: Call, times: int = 5) -> dict[str, float]:
    """Median seconds of our kernels in a call, by name; all launches of one call together."""
    call()
    rounds: dict[str, list[float]] = {}
    for _ in range(times):
        with launches() as found:
            call()
        torch.cuda.synchronize()
        for name, pairs in found.items():
            rounds.setdefault(name, []).append(sum(a.elapsed_time(b) for a, b in pairs) / 1e3)
    return {name: quartiles(seconds)[1] for name, seconds in rounds.items()}


def bandwidth(device: torch.device, size: int = 1 << 29) -> float:
    """Bytes a second that a copy reads and writes."""
    a = torch.empty(size, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * size / min(events(lambda: b.copy_(a), 5) for _ in range(4))


def product(device: torch.device, dtype: str, size: int = 8192) -> float:
    """Floating-point operations a second of torch's large product."""
    a, b = (torch.randn(size, size, device=device, dtype=DTYPES[dtype]) for _ in range(2))
    with precision(dtype):
        return 2 * size**3 / min(events(lambda: a @ b, 3) for _ in range(4))
