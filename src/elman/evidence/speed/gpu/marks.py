"""What the kernels are to reach on a GPU: the table of the issue, once."""

from __future__ import annotations

from typing import Any

from elman.evidence.speed.gpu.against import BARE, FLASH
from elman.evidence.speed.gpu.custom import LOOP, SCAN
from elman.evidence.speed.gpu.linear import ACCELERATED, TORCHS
from elman.evidence.speed.gpu.memory import OWN
from elman.evidence.speed.point import INFERENCE, TRAINING, Point
from elman.evidence.speed.targets import Target

BOTH = ("bfloat16", "float32")


def _own_form(p: Point) -> bool:
    """Whether the kernels chose for themselves; another form is looked at, not held to a mark."""
    return not p.form and p.F != BARE


MARKS: list[Target] = [
    Target(
        *("cudnn", "nn.GRU", TRAINING, "≥ 1.3 × at H 256–1024, B 16–128", 1.3),
        lambda p: p.against == "nn.GRU" and p.H >= 256 and 16 <= p.B <= 128 and p.dtype in BOTH and _own_form(p),
    ),
    Target(
        *("cudnn", "nn.LSTM", TRAINING, "≥ 1.3 × at H 256–1024", 1.3),
        lambda p: p.against == "nn.LSTM" and p.H >= 256 and p.dtype in BOTH and _own_form(p),
    ),
    Target(
        *("cudnn", "nn.LSTM", "", "≥ 0.8 × in fp16, H = 768, B = 16", 0.8),
        lambda p: p.against == "nn.LSTM" and (p.H, p.B, p.dtype) == (768, 16, "float16") and _own_form(p),
    ),
    Target(
        *("cudnn", "nn.LSTM, nn.GRU", TRAINING, "≥ 1.5 × at H ≤ 128", 1.5),
        lambda p: p.H <= 128 and _own_form(p),
    ),
    Target(
        *("flashrnn", FLASH, "", "≥ 1.5 ×", 1.5, lambda p: not p.problem),
        value=lambda p: p.over(FLASH, "ours") or p.values.get("published ÷ ours"),
    ),
    Target("custom", LOOP, "", "≥ 50 ×", 50, lambda p: p.against == LOOP),
    Target("custom", SCAN, "", "≥ 15 ×", 15, lambda p: p.against == SCAN),
    *(
        Target("linear", against, mode, f"≥ {bound:g} ×", bound, lambda p, a=against: p.against == a)
        for against in (TORCHS, ACCELERATED)
        for mode, bound in ((INFERENCE, 1.0), (TRAINING, 1.5))
    ),
    Target(
        *("memory", "peak of cuDNN", TRAINING, "≤ 0.5 × the bytes", 0.5, lambda p: True),
        value=lambda p: p.values.get("checkpointed ÷ cuDNN"),
        least=False,
    ),
    Target(
        *("memory", OWN, TRAINING, "≤ 1.25 × the time", 1.25, lambda p: True),
        value=lambda p: p.over("ours", "peer"),
        least=False,
    ),
]
"""`point.Target`s; a mark's mode is one of `point.MODES`, or none"""


def marked(point: Point) -> list[dict[str, Any]]:
    """The marks that a point is held to, what it has, and whether that is enough; none without a number.

    >>> point = Point("cudnn", "gru", "nn.GRU", TRAINING, 0, 1024, 64, 512, 512, {"peer": [2.0], "ours": [1.0]})
    >>> marked(point)
    [{'mark': 'nn.GRU, ≥ 1.3 × at H 256–1024, B 16–128', 'value': 2.0, 'met': True}]
    """
    found = []
    for mark in MARKS:
        if mark.points([point]) and (value := mark.value(point)) is not None:
            words = f"{mark.against}, {mark.words}"
            found.append({"mark": words, "value": float(f"{value:.4g}"), "met": mark.reached(value)})
    return found
