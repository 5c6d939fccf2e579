"""torch.nn's LSTM and GRU, which are cuDNN's on a GPU, and FlashRNN."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product
from typing import Any

import torch

from elman.evidence.speed.gpu.device import installed
from elman.evidence.speed.gpu.rows import Lab, Row
from elman.evidence.speed.point import INFERENCE, MODES, TRAINING, Point
from elman.evidence.speed.twins import TWINS, pair
from elman.recurrent import Recurrent

STEPS = 1024
BARE = 8  # inputs where the projection is to cost next to nothing; cuDNN knows no way without
FLASH = "FlashRNN"
PUBLISHED = {(1, INFERENCE): 4.87, (1, TRAINING): 13.61}
"""FlashRNN's own numbers, ms on an H100, by heads of its 768 units: LSTM, bf16, B = 16, T = 1024 (arXiv:2412.07752)"""


def rows() -> list[Row]:
    """The corners of the table first, then all of it."""
    cells = [cell for cell in TWINS if cell != "elman"]
    found = [_row(1, c, H, B, kind) for kind, H, B in (("bfloat16", 512, 64), ("bfloat16", 128, 32)) for c in cells]
    found += [_row(1, "lstm", 768, 16, "float16"), *(_row(1, c, 512, 64, "float32") for c in cells)]
    found += [_row(2, "lstm", 768, 16, "float16", mode=INFERENCE), _row(2, "lstm", 512, 64, "bfloat16", form="steps")]
    found += [_row(2, c, 128, 32, "bfloat16", form="spread") for c in cells]
    for kind, H, B, c in product(("bfloat16", "float32"), (256, 512, 768, 1024), (16, 64, 128), cells):
        found.append(_row(3 if B == 64 else 4, c, H, B, kind))
    found += [_row(3, c, H, B, "bfloat16") for H, B, c in product((32, 64, 128), (16, 128), cells)]
    found += [_row(4, c, H, 64, kind) for kind, H, c in product(("float32", "tf32"), (64, 128), cells)]
    found += [_row(4, c, H, 64, "bfloat16", F=BARE) for H, c in product((64, 128, 256, 512, 768, 1024), cells)]
    found += [
        _row(5, c, H, 64, k, mode=INFERENCE) for k, H, c in product(("bfloat16", "tf32"), (128, 512, 1024), cells)
    ]
    found += [_row(5, c, H, 64, "tf32") for H, c in product((256, 512, 768, 1024), cells)]
    for form, H, c in product(("spread", "steps"), (64, 128, 256, 1024), cells):
        found.append(_row(5, c, H, 64, "bfloat16", form=form))
    found += [_row(5, c, 256, 64, "bfloat16", form="alone") for c in cells]
    for heads, mode in product((1, 12), MODES):
        point = Point("flashrnn", "lstm", FLASH, mode, 0, STEPS, 16, BARE, 768)
        point.dtype, point.form = "bfloat16", f"{heads} heads"
        found.append(Row(2, point, flash))
    return found


def _row(rank: int, cell: str, H: int, B: int, dtype: str, *, F: int = 0, mode: str = TRAINING, form: str = "") -> Row:
    point = Point("cudnn", cell, f"nn.{TWINS[cell][0]}", mode, 0, STEPS, B, F or H, H, dtype=dtype, form=form)
    return Row(rank, point, against_torch)


def against_torch(lab: Lab, point: Point) -> Point:
    """One shape; both are held to torch's module in float32."""
    peer, ours = pair(point.cell, point.H, point.F, backend="triton")
    kind = lab.dtype(point)
    rounded = copy.deepcopy(peer).to(kind).float()
    sides = {"peer": lab.side(peer, point), "ours": lab.side(ours, point)}
    return lab.contest(point, sides, reference=lab.side(rounded, point, exact=True))


def flash(lab: Lab, point: Point) -> Point:
    """FlashRNN where it is installed, and its published time; it has no input projection, ours one of few inputs.

    Its heads are blocks on the diagonal of R, as ours. What it computes is not checked here, for its weights lie in an
    order of their own; ours is.
    """
    heads = int(point.form.split()[0])
    ours = Recurrent(point.cell, point.F, point.H, batch_first=False, backend="triton", heads=heads)
    exact = copy.deepcopy(ours).to(lab.dtype(point)).float()
    exact.backend = "eager"
    others = {FLASH: _flash_call(lab, point, heads)} if installed("flashrnn") else {}
    lab.contest(point, {"ours": lab.side(ours, point)}, reference=lab.side(exact, point, exact=True), others=others)
    seconds = point.seconds("ours")
    if seconds and (known := PUBLISHED.get((heads, point.mode))) is not None:
        point.values |= {"published, ms": known, "published ÷ ours": known / seconds / 1e3}
    return point


def _flash_call(lab: Lab, point: Point, heads: int) -> Callable[[], Any]:
    """Its function on random pre-activations."""
    from flashrnn import flashrnn  # pyright: ignore[reportMissingImports]

    size, trains = point.H // heads, point.mode == TRAINING
    kind: dict[str, Any] = {"device": lab.device, "dtype": lab.dtype(point)}
    x = torch.randn(point.B, point.T, 4, heads, size, **kind).requires_grad_(trains)
    R = (torch.randn(4, heads, size, size, **kind) / size**0.5).requires_grad_(trains)
    b = torch.zeros(4, heads, size, **kind).requires_grad_(trains)
    d_y = torch.randn(point.B, point.T, heads, size, **kind)

    def call() -> Any:
        x.grad = R.grad = b.grad = None
        states, _ = flashrnn(x, R, b, function="lstm", backend="cuda_fused")
        if trains:
            states[0].backward(d_y)
        return states

    return call
