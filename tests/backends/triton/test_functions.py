"""The device functions against torch: near 0, far out, and where there is no number."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from elman.backends.eager import OPERATIONS as EAGER
from elman.backends.triton import functions
from tests.conftest import assert_close

POINTS = [0.0, 1e-30, 1e-8, 1e-4, 0.1, 0.34, 0.36, 0.5, 1.0, 3.0, 20.0, 50.0, 88.0, 100.0, 800.0]


@triton.jit
def apply(f: tl.constexpr, x, y, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(y + i, f(tl.load(x + i)))


@triton.jit
def apply_both(f: tl.constexpr, a, b, y, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(y + i, f(tl.load(a + i), tl.load(b + i)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "expm1", "log1p", "sign"])
def test_functions_of_one_number(name, dtype):
    points = torch.tensor([*POINTS, *(-p for p in POINTS), torch.inf, -torch.inf], dtype=dtype)
    if name == "log1p":
        points = points.where(points > -1, points / 1e3 - 1e-3 * (points < 0)).clamp(min=-0.9)
    y = torch.empty_like(points)
    apply[(1,)](getattr(functions, name), points, y, len(points))
    assert_close(y, EAGER[name](points), name)
    small = (points.abs() < 1e-3) & (points != 0)
    if name in ("tanh", "expm1", "log1p"):  # where digits would cancel, relative errors are small, too
        torch.testing.assert_close(y[small], EAGER[name](points[small]), rtol=1e-6, atol=0)


def test_powers_are_torchs():
    a = torch.tensor([2.0, -2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 3.0], dtype=torch.float64)
    b = torch.tensor([0.5, 2.0, 3.0, 0.5, 0.0, 2.0, -1.0, -2.0], dtype=torch.float64)
    y = torch.empty_like(a)
    apply_both[(1,)](functions.power, a, b, y, len(a))
    torch.testing.assert_close(y, torch.pow(a, b), equal_nan=True)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_no_number_stays_none(name):
    a, b = torch.tensor([1.0, torch.nan, 2.0, -1.0]), torch.tensor([torch.nan, 0.0, 1.0, 5.0])
    y = torch.empty_like(a)
    apply_both[(1,)](getattr(functions, name), a, b, y, len(a))
    torch.testing.assert_close(y, EAGER[name](a, b), equal_nan=True)
