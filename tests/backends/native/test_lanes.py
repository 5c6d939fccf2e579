"""The mathematics of functions.h, number by number, through the real compiler: on vectors and on single numbers."""

from __future__ import annotations

import ctypes
from importlib import resources

import mpmath
import numpy as np
import pytest
import torch

from elman.backends.native import cache
from elman.backends.native.compiler import find_compiler, no_compiler_reason
from elman.steps.portable import mathematics

# Largest error allowed, in units in the last place, float32 and float64; behind it the largest that was measured, with
# AVX-512, AVX2 and SSE2 alike, over 1.6 million numbers for each function.
ULPS = {
    "exponential": (1.5, 1.5),  # 1.02, 1.05
    "exponential_minus_1": (2.0, 2.5),  # 1.70, 2.33
    "sigmoid": (2.0, 2.0),  # 1.83, 1.68
    "hyperbolic_tangent": (3.0, 3.0),  # 2.48, 2.47
    "logarithm": (2.0, 2.0),  # 1.88, 1.74
    "logarithm_plus_1": (3.0, 3.0),  # 2.39, 2.42
    "sine": (0.501, 1.0),  # 0.50, 0.52: libm, as all below
    "cosine": (0.501, 1.0),  # 0.50, 0.52
    "error_function": (0.501, 1.0),
    "square_root": (0.501, 0.501),
    "power": (0.501, 1.0),
}
EXACT = {
    "exponential": mpmath.exp,
    "exponential_minus_1": mpmath.expm1,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "hyperbolic_tangent": mpmath.tanh,
    "logarithm": mpmath.log,
    "logarithm_plus_1": mpmath.log1p,
    "sine": mpmath.sin,
    "cosine": mpmath.cos,
    "error_function": mpmath.erf,
    "square_root": mpmath.sqrt,
    "power": mpmath.power,
}
DTYPES = {32: np.float32, 64: np.float64}
ARGUMENTS = {"power": 2, "maximum": 2, "minimum": 2, "choose": 3}
SIMPLE = ("maximum", "minimum", "sign", "absolute", "relu", "choose")


KINDS = {"float32": 32, "float64": 64, "scalar": 32}


def source(kind):
    """The functions and, for each, a loop over arrays of whole vectors."""
    if kind == "scalar":
        text = mathematics() + "\n#define V 1\n#define load(p) (*(p))\n#define store(p, v) (*(p) = (v))"
    else:
        folder = resources.files("elman.backends.native") / "c"
        parts = [(folder / name).read_text("utf-8") for name in ("lanes.h", "functions.h")]
        text = "\n".join([f"#define REAL_BITS {KINDS[kind]}", *parts])
    loops = [text, "long elman_lanes(void) { return V; }"]
    for name in (*ULPS, *SIMPLE):
        count = ARGUMENTS.get(name, 1)
        given = [f"load({letter} + i)" for letter in "abc"[:count]]
        if name == "choose":
            given[0] += " != 0"
        loops.append(
            f"void map_{name}(long n, const real *a, const real *b, const real *c, real *out)\n"
            f"{{ for (long i = 0; i < n; i += V) store(out + i, {name}({', '.join(given)})); }}"
        )
    return "\n".join(loops)


@pytest.fixture(params=KINDS, scope="module")
def lanes(request):
    """Calls a function on arrays."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip(no_compiler_reason())
    code = ctypes.CDLL(str(cache.library(source(request.param), compiler, f"test_lanes_{request.param}")))
    bits = KINDS[request.param]
    dtype = DTYPES[bits]

    def call(name, *given):
        size = len(given[0])
        whole = -(-size // code.elman_lanes()) * code.elman_lanes()
        arrays = [np.zeros(whole, dtype) for _ in range(4)]
        for array, values in zip(arrays, given, strict=False):
            array[:size] = values
        getattr(code, f"map_{name}")(ctypes.c_long(whole), *(a.ctypes.data_as(ctypes.c_void_p) for a in arrays))
        return arrays[3][:size]

    call.dtype, call.bits = dtype, bits
    return call


def some(dtype, count=600):
    """Numbers of every size: evenly over where exp is finite, dense around 0, and any bits at all."""
    rng, bits = np.random.default_rng(0), np.dtype(dtype).itemsize * 8
    ends = (-104, 89) if bits == 32 else (-746, 710)
    any_bits = np.frombuffer(rng.bytes(count * bits // 8), dtype)
    sizes = rng.normal(size=count) * 10 ** rng.uniform(-6, 1, count)
    with np.errstate(invalid="ignore"):
        return np.concatenate([rng.uniform(*ends, count), rng.uniform(-2, 2, count), sizes, any_bits]).astype(dtype)


def edges(dtype):
    """0, the least and the greatest numbers, and both sides of where the formulas change."""
    kind = np.finfo(dtype)
    bits = kind.bits
    exact = [0, kind.smallest_subnormal, kind.tiny, kind.eps, kind.max, np.log(2) / 2, np.sqrt(2), 0.5, 1, 2, 10, 20]
    exact += [87, 88, 88.3, 88.5, 103, 103.9] if bits == 32 else [708, 709, 709.5, 709.7, 744, 745]
    exact += [float(np.log(np.array(kind.max, np.longdouble)))]
    values = np.array(exact, dtype)
    with np.errstate(over="ignore"):
        values = np.concatenate([values, np.nextafter(values, dtype(np.inf)), np.nextafter(values, dtype(-np.inf))])
    return np.concatenate([values, -values])


def domain(name, x):
    """The numbers for which the function is one."""
    x = x[np.isfinite(x)]
    if name in ("logarithm", "square_root"):
        return np.abs(x[x != 0])
    if name == "logarithm_plus_1":
        return x[x > -1]
    if name == "sigmoid":  # below, it stays at the least that is above 0: test_sigmoid_of_very_negative_numbers
        return x[x > (-87 if x.dtype == np.float32 else -708)]
    return x


def units_in_the_last_place(got, exact):
    """|got - exact| in spacings of the dtype around `exact`; inf counts as the number that it would be."""
    kind = np.finfo(got.dtype)
    worst = 0.0
    for value, true in zip(got.tolist(), exact, strict=True):
        if mpmath.isinf(true) or abs(true) >= mpmath.mpf(2) ** kind.maxexp:
            error = 0.0 if value == np.sign(float(mpmath.sign(true))) * np.inf else np.inf
        elif not np.isfinite(value):  # right if `exact` rounds to it
            error = 0.0 if abs(true) >= mpmath.mpf(float(kind.max)) * (1 - kind.eps) else np.inf
        else:
            exponent = max(int(mpmath.frexp(true)[1]) - 1 if true else kind.minexp, kind.minexp)
            error = float(abs(mpmath.mpf(value) - true) / mpmath.mpf(2) ** (exponent - kind.nmant))
        worst = max(worst, error)
    return worst


@pytest.mark.parametrize("name", ULPS)
def test_every_function_is_as_accurate_as_stated(name, lanes):
    x = domain(name, np.concatenate([some(lanes.dtype), edges(lanes.dtype)]))
    given = [x]
    if name == "power":
        base = np.abs(x[(x != 0) & (np.abs(x) > np.finfo(x.dtype).tiny)])
        given = [base, np.resize(np.array([2, 0.5, -1.25, 3, 0, -2], x.dtype), len(base))]
    with mpmath.workprec(200):
        exact = [EXACT[name](*map(mpmath.mpf, values)) for values in zip(*(v.tolist() for v in given), strict=True)]
        assert units_in_the_last_place(lanes(name, *given), exact) <= ULPS[name][lanes.bits == 64]


def test_the_measure_of_accuracy_sees_an_error():
    x = np.array([1.0, 3.0], np.float32)
    with mpmath.workprec(100):
        exact = [mpmath.mpf(v) for v in x.tolist()]
        assert units_in_the_last_place(x, exact) == 0
        assert units_in_the_last_place(np.nextafter(x, np.float32(9)), exact) == 1
        assert units_in_the_last_place(np.array([np.inf, 3], np.float32), exact) == np.inf


SPECIAL = [-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan]
AT_SPECIAL = {
    "exponential": [0, np.exp(-1), 1, 1, np.e, np.inf, np.nan],
    "exponential_minus_1": [-1, np.expm1(-1), 0, 0, np.expm1(1), np.inf, np.nan],
    "sigmoid": [0, 1 / (1 + np.e), 0.5, 0.5, 1 / (1 + np.exp(-1)), 1, np.nan],
    "hyperbolic_tangent": [-1, np.tanh(-1), 0, 0, np.tanh(1), 1, np.nan],
    "logarithm": [np.nan, np.nan, -np.inf, -np.inf, 0, np.inf, np.nan],
    "logarithm_plus_1": [np.nan, -np.inf, 0, 0, np.log(2), np.inf, np.nan],
    "sine": [np.nan, np.sin(-1), 0, 0, np.sin(1), np.nan, np.nan],
    "cosine": [np.nan, np.cos(1), 1, 1, np.cos(1), np.nan, np.nan],
    "error_function": [-1, -0.8427007929497149, 0, 0, 0.8427007929497149, 1, np.nan],
    "square_root": [np.nan, np.nan, 0, 0, 1, np.inf, np.nan],
    "absolute": [np.inf, 1, 0, 0, 1, np.inf, np.nan],
    "relu": [0, 0, 0, 0, 1, np.inf, np.nan],
    "sign": [-1, -1, 0, 0, 1, 1, 0],  # sign(NaN) is 0 in torch
}


@pytest.mark.parametrize("name", AT_SPECIAL)
def test_infinity_zero_and_nan(name, lanes):
    got = lanes(name, np.array(SPECIAL, lanes.dtype))
    np.testing.assert_allclose(got, AT_SPECIAL[name], rtol=4 * np.finfo(lanes.dtype).eps, atol=1e-37)


def test_one_nan_stays_in_its_lane(lanes):
    x = np.full(64, 0.25, lanes.dtype)
    x[5] = np.nan
    for name in (*AT_SPECIAL, "maximum", "minimum", "power"):
        if name == "sign":
            continue
        got = lanes(name, x, np.full_like(x, 0.5))
        assert np.flatnonzero(np.isnan(got)).tolist() == [5], name


@pytest.mark.parametrize("name", ["maximum", "minimum", "power", "sign", "absolute", "relu"])
def test_torch_agrees_on_every_pair_of_special_numbers(name, lanes):
    values = np.array([*SPECIAL, 0.5, -2.0, 3.0], lanes.dtype)
    a, b = np.repeat(values, len(values)), np.tile(values, len(values))
    known = {"power": torch.pow, "absolute": torch.abs}
    of_torch = known.get(name) or getattr(torch, name)
    expected = of_torch(*map(torch.from_numpy, [a, b][: ARGUMENTS.get(name, 1)])).numpy()
    np.testing.assert_allclose(lanes(name, a, b), expected, rtol=2 * np.finfo(lanes.dtype).eps)


def test_choose_takes_bits_as_they_are(lanes):
    which = np.array([1, 0, 1, 0, 1, 0], lanes.dtype)
    a, b = (np.array(v, lanes.dtype) for v in ([np.nan, 1, -0.0, 2, np.inf, 3], [4, np.nan, 5, -0.0, 6, -np.inf]))
    got = lanes("choose", which, a, b)
    assert got.tobytes() == np.where(which != 0, a, b).tobytes()


def test_results_below_the_least_normal_number_are_not_lost(lanes):
    kind = np.finfo(lanes.dtype)
    x = np.linspace(np.log(kind.tiny), float(np.log(np.array(kind.smallest_subnormal, np.longdouble))), 200)
    got = lanes("exponential", x.astype(lanes.dtype))
    assert (got > 0).all()
    assert (np.diff(got) <= 0).all()
    assert got[-1] <= 2 * kind.smallest_subnormal


def test_sigmoid_of_very_negative_numbers(lanes):
    least = np.finfo(lanes.dtype).tiny
    got = lanes("sigmoid", np.array([-87.5, -100, -1e30, -np.inf] if lanes.bits == 32 else [-709, -1e300], lanes.dtype))
    assert (got > 0).all()
    assert (got < 2 * least).all()


def test_functions_rise_where_they_should(lanes):
    x = np.sort(np.concatenate([some(lanes.dtype, 20000), edges(lanes.dtype)]))
    x = x[np.isfinite(x)]
    slack = 4 * np.finfo(lanes.dtype).eps  # neighbours may be off by an ulp or two in opposite directions
    for name in ("exponential", "exponential_minus_1", "sigmoid", "hyperbolic_tangent"):
        y = lanes(name, x)
        finite = y[np.isfinite(y)]
        assert (np.diff(finite) >= -slack * np.abs(finite[1:])).all(), name
        assert not np.isfinite(y[len(finite) :]).any(), name


def test_tanh_and_sigmoid_never_leave_their_range(lanes):
    x = np.concatenate([some(lanes.dtype, 50000), edges(lanes.dtype)])
    x = x[~np.isnan(x)]
    assert (np.abs(lanes("hyperbolic_tangent", x)) <= 1).all()
    y = lanes("sigmoid", x)
    assert ((y > 0) & (y <= 1)).all()
