"""How long a cell takes to compile, with nothing in the cache, and that it does not depend on T."""

from __future__ import annotations

from elman.evidence.speed.bench import Bench
from elman.evidence.speed.child import start
from elman.evidence.speed.point import TRAINING, Point

SIZE = 16


def run(bench: Bench) -> None:
    """Every cell at the smallest T, the first one at each."""
    plan = bench.plan
    first, *others = plan.cells
    for cell, T in [(first, T) for T in plan.build_steps] + [(cell, plan.build_steps[0]) for cell in others]:
        point = Point("build", cell, "nothing", TRAINING, 1, T, 1, SIZE, SIZE)
        with bench.say.status(f"build: {cell}, T={T}"):
            answer = start({"job": "build", "cell": cell, "T": T, "B": 1, "H": SIZE, "training": True, "threads": 1})
        point.problem = str(answer.get("problem", ""))
        if not point.problem:
            point.rounds = {"ours": [answer["seconds"]]}
        bench.add(point)
    rows = [(p.cell, p.T, f"{p.seconds('ours') or float('nan'):.2f}", p.problem) for p in bench.points]
    bench.lines("Seconds to compile, cache empty", ("cell", "T", "s", ""), rows)
