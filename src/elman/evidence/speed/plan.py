"""What is measured: the shapes of each part, how long, how often."""

from __future__ import annotations

from dataclasses import dataclass

from elman.cells import CATALOGUE

Shapes = tuple[tuple[int, int, int], ...]
Axes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Plan:
    """Sizes by part, single shapes (T, B, H) or all combinations along three axes; F = H inputs everywhere.

    rounds         turns that peer and ours take on each shape
    at_least       seconds that each is repeated for in a turn
    patience       seconds that all turns on one shape may take, three turns are always taken
    longest        seconds that one call may take, as estimated from its operations; longer ones are left out
    cells          of the catalogue, for accuracy and build
    compiled       shapes of the loops under torch.compile, and the seconds after which no more are compiled
    compile_steps  T of the loop that torch.compile builds against the clock
    compile_limit  seconds after which that is given up; 0: it is not tried
    step_calls     single calls whose tail is looked at
    growth         along T, B and H: the sizes, and the shape with 0 for the axis
    """

    rounds: int = 5
    at_least: float = 0.02
    patience: float = 0.6
    longest: float = 0.6
    accuracy: Shapes = ((100, 4, 64), (1000, 1, 64), (100, 32, 256))
    cells: tuple[str, ...] = tuple(CATALOGUE)
    build_steps: tuple[int, ...] = (16, 512, 4096)
    grid: Axes = ((20, 100, 1000), (1, 4, 32, 128), (16, 64, 128, 256, 512))
    custom: Axes = ((100,), (1, 16), (64, 128, 512))
    compiled: Shapes = ((20, 16, 64), (20, 1, 128))
    compiled_limit: float = 120.0
    compile_steps: int = 512
    compile_limit: float = 150.0
    packed: Shapes = ((500, 16, 64), (500, 32, 128), (1000, 32, 64), (1000, 32, 256))
    step: tuple[int, ...] = (16, 64, 256)
    step_calls: int = 20_000
    checkpoint: Shapes = ((1000, 1, 64), (1000, 8, 64), (1000, 32, 64), (1000, 32, 256))
    growth: tuple[tuple[tuple[int, ...], tuple[int, int, int]], ...] = (
        ((100, 300, 1000, 3000, 10_000, 20_000), (0, 8, 64)),
        ((1, 4, 16, 64, 256, 1024), (200, 0, 64)),
        ((16, 32, 64, 128, 256, 512, 1024), (100, 8, 0)),
    )


FULL = Plan()
QUICK = Plan(
    rounds=3,
    patience=0.5,
    longest=0.15,
    accuracy=((100, 4, 64),),
    cells=("lstm", "gru"),
    build_steps=(16, 512),
    grid=((20, 100), (1, 32), (16, 64, 256)),
    custom=((100,), (1, 16), (64, 512)),
    compiled=(),
    compile_limit=0.0,
    packed=((500, 16, 64),),
    step_calls=5000,
    checkpoint=((1000, 8, 64),),
    growth=(((100, 1000, 4000), (0, 8, 64)),),
)
