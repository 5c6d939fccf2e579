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
import json, sys, warnings
warnings.simplefilter("ignore")  # triton's words on its next release
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from elman.backends.given import Given, Manner
from elman.backends.triton.kernel import Frame
from elman.backends.triton.plan import plan_for
from elman.graph import trace
from tests.contracts.conftest import CELLS

NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32", torch.float64: "fp64"}
cell, units, rows, dtype, norm, options = json.loads(sys.argv[1])
dtype, traced = getattr(torch, dtype), trace(CELLS[cell]())
plan = plan_for(traced, units, rows, dtype, 132, norm=norm)
wide = torch.float64 if dtype == torch.float64 else torch.float32
some = torch.empty(1, rows, units, dtype=dtype, device="meta")
given = Given(some, *[None] * 4, some if norm else None, None, (some[0],) * len(traced.cell.states))
how = Manner(*[some[0] if options else None] * 2, (some if options else None,), options)
frame = Frame(traced, given, how, plan, rows, units, units, wide)
fixed = frame.constants() | {"KEEP": True}
WIDER = {"told", "scales", "kept", "state", "first", "d_state", "d_params", "d_gain"}
types = dict.fromkeys(("group", "begin", "end", "steps", "rows", "zone_step", "zone_row"), "i32")
types |= {"lengths": "*i32", "counters": "*i32"} | dict.fromkeys(WIDER, "*" + NAMES[wide])
how = {name: value for name, value in frame.options().items() if name.startswith("num_")}
found = {}
for name in ("forward", "backward"):
    kernel = frame.kernel(name)
    signature = {a: "constexpr" if a in fixed else types.get(a, "*" + NAMES[dtype]) for a in kernel.arg_names}
    source = ASTSource(kernel, signature, {a: v for a, v in fixed.items() if a in signature})
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=how)
    found[name] = {"shared": built.metadata.shared, "cubin": len(built.asm["cubin"])}
print(json.dumps({"form": plan.form, **found}))
"""
ROOM = 227 * 1024
"""bytes of shared memory that a program can have on sm_90"""


def build(*what):
    """Both kernels of a cell built; the form that they have, and what they take."""
    free = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", BUILD, json.dumps(what)], capture_output=True, text=True, env=free)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def assert_builds(form, *what):
    found = build(*what)
    assert found["form"] == form
    for kernel in ("forward", "backward"):
        assert found[kernel]["cubin"] > 0 and found[kernel]["shared"] <= ROOM, (kernel, found)


@pytest.mark.parametrize(
    "form, what",
    [
        ("alone", ("users_own", 32, 16, "bfloat16", True, True)),
        ("spread", ("lstm", 768, 16, "float16", False, False)),
        ("scan", ("leaky", 64, 8, "float32", False, True)),
    ],
)
def test_each_form_compiles_for_a_gpu(form, what):
    assert_builds(form, *what)


SHAPES = [
    *((H, 32, dtype) for H in (64, 128, 256) for dtype in ("bfloat16", "float32")),
    *((768, 16, "float16"), (1024, 128, "bfloat16"), (16, 16, "float64")),
]


@pytest.mark.slow
@pytest.mark.parametrize("units, rows, dtype", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_compiles_and_fits_at_every_size(cell, units, rows, dtype):
    for options in (False, True):
        found = build(cell, units, rows, dtype, False, options)
        assert max(found[k]["shared"] for k in ("forward", "backward")) <= ROOM, found


@pytest.mark.slow
@pytest.mark.parametrize("units, dtype", [(64, "float32"), (128, "bfloat16"), (128, "float32"), (256, "bfloat16")])
@pytest.mark.parametrize("cell", ["lstm", "gru", "users_own"])
def test_normalised_layers_compile_and_fit(cell, units, dtype):
    assert_builds("alone" if units < 256 else "spread", cell, units, 32, dtype, True, False)
