"""Parts of a plan tried one against the other, so that defaults can be chosen."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from itertools import product
from typing import Any

from elman.backends.triton.plan import Plan, forced, places_on, plan_for
from elman.cells import CATALOGUE
from elman.evidence.speed.gpu.device import kernel_times
from elman.evidence.speed.gpu.rows import Lab, Row
from elman.evidence.speed.point import TRAINING, Point
from elman.graph import trace
from elman.recurrent import Recurrent

DEFAULT = "the default plan"
SHAPES = (
    ("spread", "lstm", 1024, 64, 512, "bfloat16"),
    ("spread", "gru", 1024, 64, 512, "bfloat16"),
    ("alone", "lstm", 1024, 64, 128, "bfloat16"),
    ("scan", "mingru", 8192, 8, 256, "float32"),
    ("spread", "lstm", 1024, 16, 768, "float16"),
    ("spread", "lstm", 1024, 64, 512, "float32"),
)
"""form, cell, T, B, H, dtype; the form is the one that the default has on a GPU"""
TRIED: dict[str, dict[str, tuple[Any, ...]]] = {
    "spread": {"BU": (16, 32, 64), "BB": (16, 32, 64), "warps": (4, 8), "hold": (True, False)},
    "alone": {"BB": (16, 32, 64), "warps": (4, 8, 16), "hold": (True, False)},
    "scan": {"BB": (32, 64, 128, 256), "BU": (16, 32, 64), "warps": (2, 4, 8)},
}
"""what is tried of each form"""


def rows() -> list[Row]:
    """Each shape × each combination."""
    found = []
    for place, (form, cell, T, B, H, dtype) in enumerate(SHAPES):
        for values in product(*TRIED[form].values()):
            parts = dict(zip(TRIED[form], values, strict=True))
            words = " ".join(f"{name}={value}" for name, value in parts.items())
            point = Point("sweep", cell, DEFAULT, TRAINING, 0, T, B, 8, H, dtype=dtype, form=f"plan: {words}")
            found.append(Row(4 if place < 4 else 5, point, partial(against_default, form, parts)))
    return found


def against_default(form: str, parts: dict[str, Any], lab: Lab, point: Point) -> Point:
    """Our kernels' own time, forward and backward, with these parts and with the default's."""
    kind = lab.dtype(point)
    net = Recurrent(point.cell, point.F, point.H, batch_first=False, backend="triton")
    exact = Recurrent(point.cell, point.F, point.H, batch_first=False, backend="eager")
    exact.load_state_dict(net.to(kind).state_dict())
    side, places = lab.side(net, point), places_on(lab.device)
    plan = plan_for(trace(CATALOGUE[point.cell]()), point.H, point.B, kind, places)
    tried = _fitting(replace(plan, form=form, **parts), point, places)
    if form == "spread" and not tried.blocks and not lab.dry:
        point.problem = f"{tried.grid(point.B, point.H)[0]} programs are not on the GPU at once"
        return point
    changed: dict[str, Any] = {plan.form: asdict(tried)}
    with forced(**changed):
        trial = replace(lab, tried=True)
        trial.contest(point, {"ours": side}, reference=lab.side(exact, point, exact=True))
        if point.problem or lab.tried:
            return point
        with lab.as_asked(point):
            mine = kernel_times(side.call)
    with lab.as_asked(point):
        theirs = kernel_times(side.call)
    point.rounds = {"ours": [sum(mine.values())], "peer": [sum(theirs.values())]}
    point.values |= {f"{name} kernel, µs a step": s / point.T * 1e6 for name, s in mine.items()}
    return point


def _fitting(plan: Plan, point: Point, places: int) -> Plan:
    """A plan whose chunks of R, and blocks of sequences, fit its other parts."""
    if plan.form != "spread":
        return plan
    chunks = -(-point.H // plan.BK) if plan.hold else 1
    return replace(plan, chunks=chunks, blocks=places // plan.grid(point.B, point.H)[0])
