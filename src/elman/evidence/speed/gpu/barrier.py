"""An empty loop in which programs do nothing but meet. Only `roofline` imports this module, and it needs triton."""

from __future__ import annotations

import triton

from elman.backends.triton.functions import meet


@triton.jit(do_not_specialize=["steps"])
def empty(counters, steps):
    """So many meetings of all programs."""
    for n in range(steps):
        meet(counters, (n + 1) * triton.language.num_programs(0))
