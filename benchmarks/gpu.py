"""The kernels of a GPU: checked, then timed against everything else there is.

    python benchmarks/gpu.py FOLDER [--minutes 8] [--only cudnn custom linear memory roofline sweep sanitizer] [--dry]

First the contract tests and every form × dtype against eager float32; if one of them is red, no time is told and it
exits with 1. Then rows in order of importance until the minutes are over, peers and ours in turn, by events on the GPU.
FOLDER/bench-gpu.json is whole after every row; started again with the same kernels on the same card, it goes on where
it stopped. --dry tries all rows where there is no GPU: at toy size, interpreted, nothing is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports triton

from elman.errors import ElmanError
from elman.evidence.speed.gpu import PARTS, WHERE, Order, measure


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0, help="in all, the checks included")
    parser.add_argument("--only", nargs="+", default=(), metavar="PART", help=f"{', '.join(PARTS)}, sanitizer")
    parser.add_argument("--cells", nargs="+", default=(), metavar="CELL", help="check and time these alone")
    parser.add_argument("--dry", action="store_true", help="try all rows, measure nothing")
    parser.add_argument("--workers", type=int, default=min((os.cpu_count() or 2) // 2, 8), help="compile ahead")
    parser.add_argument("--rows", type=int, default=None, help="no more than so many rows")
    asked = parser.parse_args()
    try:
        order = Order(
            asked.folder,
            Path(__file__).parents[1],
            minutes=asked.minutes,
            only=tuple(asked.only),
            cells=tuple(asked.cells),
            dry=asked.dry,
            workers=asked.workers,
            most=asked.rows,
        )
        return measure(order)
    except ElmanError as problem:
        print("benchmarks/gpu.py:", str(problem).removeprefix(f"{WHERE}: "), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
