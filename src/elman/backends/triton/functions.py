"""What a step may say, as device functions for float16 to float64: finite where torch's are, exact near 0.

Only rendered kernels import this module, and it needs triton. exp(x) is used for x ≤ 0 alone, so that ±100 and far more
overflow nowhere: a tanh as (e²ˣ - 1) / (e²ˣ + 1) would be inf / inf.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    """σ(x) = 1 / (1 + e⁻ˣ), by e^-|x|."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def expm1(x):
    """eˣ - 1; a series where the difference would cancel, |x| < 0.35: its rest is below half an ulp."""
    TERMS: tl.constexpr = 15 if x.dtype == tl.float64 else 8  # pyright: ignore[reportAssignmentType]
    series = x * 0.0 + 1.0
    for i in tl.static_range(TERMS - 1):  # pyright: ignore[reportGeneralTypeIssues]
        series = 1.0 + series * x / (TERMS - i)
    return tl.where(tl.abs(x) < 0.35, series * x, tl.exp(x) - 1.0)


@triton.jit
def tanh(x):
    """tanh(x) = -m / (m + 2) with m = e^-2|x| - 1, and the sign of x."""
    m = expm1(-2.0 * tl.abs(x))
    y = -m / (m + 2.0)
    return tl.where(x < 0, -y, y)


@triton.jit
def log1p(x):
    """ln(1 + x); what 1 + x rounds away is put back by the slope (Kahan)."""
    u = 1.0 + x
    exact = (u == 1.0) | (u - u != 0)  # nothing left of x, or nothing finite
    return tl.where(exact, tl.where(u == 1.0, x, tl.log(u)), tl.log(u) * (x / tl.where(exact, 1.0, u - 1.0)))


@triton.jit
def power(a, b):
    """aᵇ as torch has it: of a negative a only where b is whole."""
    size = tl.exp(b * tl.log(tl.where(a == 0, 1.0, tl.abs(a))))
    whole = tl.floor(b) == b
    odd = tl.floor(b * 0.5) * 2.0 != b
    signed = tl.where(a < 0, tl.where(whole, tl.where(odd, -size, size), float("nan")), size)
    of_zero = tl.where(b == 0, 1.0, tl.where(b > 0, 0.0, float("inf")))
    return tl.where(a == 0, of_zero, signed)


@triton.jit
def sign(x):
    """1, -1, or 0."""
    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, x * 0.0))


@triton.jit
def maximum(a, b):
    """The greater one; NaN where either is."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def minimum(a, b):
    """The lesser one; NaN where either is."""
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def come(counter):
    """This program's part of a meeting is done: whoever sees it counted, sees what it wrote before."""
    tl.debug_barrier()
    tl.atomic_add(counter, 1, sem="release", scope="gpu")


@triton.jit
def wait(counter, goal):
    """Until `goal` programs have come; who waits only reads, for additions of 0 would queue with those who come."""
    while tl.load(counter, volatile=True) < goal:
        pass
    tl.atomic_add(counter, 0, sem="acquire", scope="gpu")
    tl.debug_barrier()


@triton.jit
def meet(counter, goal):
    """All programs of a group wait until `goal` of them have come, and then see what the others wrote."""
    come(counter)
    wait(counter, goal)


@triton.jit
def joined(counts, means, rests):
    """Mean and sum of squared distances from it, (B, 1), of parts (B, P) that have so many values, so far spread
    (Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115)."""
    count = tl.sum(counts, 1, keep_dims=True)
    mean = tl.sum(counts * means, 1, keep_dims=True) / count  # pyright: ignore[reportOperatorIssue]
    apart = means - mean
    return mean, tl.sum(rests + counts * apart * apart, 1, keep_dims=True)
