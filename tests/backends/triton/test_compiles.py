"""What a GPU would run, built for one without one: the kernels compile for sm_90, and fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.contracts.conftest import CELLS

# In a process of its own: this one's triton may be the interpreter, which is chosen once, at import.
BUILD = """
import json, re, subprocess, sys, tempfile, warnings
warnings.simplefilter("ignore")  # triton's words on its next release
from importlib import resources
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from elman.backends.given import Given, Manner
from elman.backends.triton.frame import Frame
from elman.backends.triton.modules import kernels
from elman.backends.triton.plan import plan_for
from elman.graph import trace
from tests.contracts.conftest import CELLS

NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32", torch.float64: "fp64"}
WIDER = {"last", "totals", "told", "scales", "kept", "state", "first", "d_state", "d_params", "d_gain"}
COUNTS = ("group", "begin", "end", "steps", "span", "rows", "zone_step", "zone_row")
cell, units, rows, dtype, norm, heads, options = json.loads(sys.argv[1])
dtype, traced, head = getattr(torch, dtype), trace(CELLS[cell]()), units // heads
wide = torch.float64 if dtype == torch.float64 else torch.float32
plans = {
    name: plan_for(traced, head, rows, dtype, 132, norm=norm, heads=heads, back=name == "backward")
    for name in ("forward", "backward")
}
some = torch.empty(1, rows, units, dtype=dtype, device="meta")
given = Given(some, *[None] * 4, some if norm else None, None, (some[0],) * len(traced.cell.states))
how = Manner(*[some[0] if options else None] * 2, (some if options else None,), options)
frame = Frame(traced, given, how, plans, rows, units, head, wide)
types = dict.fromkeys(COUNTS, "i32") | {"lengths": "*i32", "counters": "*i32"} | dict.fromkeys(WIDER, "*" + NAMES[wide])
dump = resources.files("triton") / "backends/nvidia/bin/cuobjdump"
found = {}
jobs = [(name, frame.kernel(name)) for name in plans]
if plans["forward"].form == "scan":
    jobs += [(name, kernels(traced, 1).totals_scan) for name in plans]
for name, kernel in jobs:
    plan, fixed = plans[name], frame.constants(name) | {"KEEP": True, "BACK": name == "backward"}
    signature = {a: "constexpr" if a in fixed else types.get(a, "*" + NAMES[dtype]) for a in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, a in enumerate(kernel.arg_names) if signature[a][0] == "*"}
    source = ASTSource(kernel, signature, {a: v for a, v in fixed.items() if a in signature}, aligned)
    options = {key: value for key, value in frame.options(name).items() if key.startswith("num_")}
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(built.asm["cubin"])
        file.flush()
        said = subprocess.run([dump, "--dump-resource-usage", file.name], capture_output=True, text=True).stdout
    spilled = int(re.search(r"STACK:(\\d+)", said)[1])
    found[name, kernel.__name__] = {"form": plan.form, "shared": built.metadata.shared, "spilled": spilled}
print(json.dumps([{"kernel": key, **value} for key, value in found.items()]))
"""
ROOM = 227 * 1024
"""bytes of shared memory that a program can have on sm_90"""
SPILLED = 384
"""bytes of registers, of a thread, that may lie in memory"""


def build(*what):
    """A cell's kernels built: of each its form, and what it takes."""
    free = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", BUILD, json.dumps(what)], capture_output=True, text=True, env=free)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def assert_builds(what, form=None):
    for found in build(*what):
        assert found["form"] == (form or found["form"])
        assert found["shared"] <= ROOM and found["spilled"] <= SPILLED, found


@pytest.mark.parametrize(
    "form, what",
    [
        ("alone", ("users_own", 32, 16, "bfloat16", True, 1, True)),
        ("spread", ("lstm", 512, 64, "bfloat16", False, 1, False)),
        ("scan", ("leaky", 64, 8, "float32", False, 1, True)),
    ],
)
def test_each_form_compiles_for_a_gpu(form, what):
    assert_builds(what, form)


SHAPES = [
    *((H, 32, dtype) for H in (64, 128, 256) for dtype in ("bfloat16", "float32")),
    *((768, 16, "float16"), (1024, 128, "bfloat16"), (16, 16, "float64")),
]
TABLE = [(H, B, kind) for H in (256, 512, 768, 1024) for B in (16, 64, 128) for kind in ("bfloat16", "float32")]


@pytest.mark.slow
@pytest.mark.parametrize("units, rows, dtype", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_compiles_and_fits_at_every_size(cell, units, rows, dtype):
    for options in (False, True):
        assert_builds((cell, units, rows, dtype, False, 1, options))


@pytest.mark.slow
@pytest.mark.parametrize("units, rows, dtype", TABLE)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_is_to_be_measured_fits(cell, units, rows, dtype):
    assert_builds((cell, units, rows, dtype, False, 1, False), "spread")


@pytest.mark.slow
@pytest.mark.parametrize("units, heads, dtype", [(64, 1, "float32"), (256, 1, "bfloat16"), (1024, 1, "bfloat16"),
                                                 (512, 1, "float32"), (768, 12, "bfloat16")])  # fmt: skip
@pytest.mark.parametrize("cell", ["lstm", "gru", "users_own"])
def test_normalised_layers_compile_and_fit(cell, units, heads, dtype):
    assert_builds((cell, units, 32, dtype, True, heads, False), "alone" if units == 64 else "spread")
