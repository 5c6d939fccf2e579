"""The kernels of a GPU: checks first, then peers and ours in turn, by events.

device → rows → checks, against, custom, linear, memory, roofline, sweep → marks → record → run; beside them versus,
which holds a GPU against its host.
"""

from __future__ import annotations

from elman.evidence.speed.gpu.run import PARTS, WHERE, Order, measure
from elman.evidence.speed.gpu.versus import bench_gpu_vs_cpu

__all__ = ["PARTS", "WHERE", "Order", "bench_gpu_vs_cpu", "measure"]
