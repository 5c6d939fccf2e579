"""Sequences of different lengths: torch.nn's modules on a PackedSequence, ours on it, and ours on padding."""

from __future__ import annotations

from itertools import product

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from elman.evidence.speed.bench import Bench, flops, shorten
from elman.evidence.speed.point import MODES, TRAINING, Point, Side, inference, training
from elman.evidence.speed.twins import TWINS, draw, pair


def run(bench: Bench) -> None:
    """Every cell × threads × mode × shape."""
    for threads in bench.each_threads():
        before = len(bench.points)
        for (cell, (name, gates)), mode, (T, B, H) in product(TWINS.items(), MODES, bench.plan.packed):
            point = Point("packed", cell, f"nn.{name}, packed", mode, threads, T, B, H, H)
            if not bench.too_long(point, flops(mode, T, B, H, H, gates, gates) / 2):
                measure(bench, point)
        rows = [
            (p.against, p.mode, p.shape, shorten(p.ratio), shorten(p.over("ours", "padded")))
            for p in bench.points[before:]
        ]
        columns = ("peer", "mode", "shape", "peer ÷ ours", "ours packed ÷ ours padded")
        bench.lines(f"PackedSequence, {threads} thread(s)", columns, rows)


def measure(bench: Bench, point: Point) -> Point:
    """One shape; `padded` is our time on the same sequences with their padding computed, too."""
    x = draw(point.T, point.B, point.F)
    packed: PackedSequence = pack_padded_sequence(x, lengths(point.T, point.B), enforce_sorted=False)
    peer, ours = pair(point.cell, point.H)
    steps = len(packed.data)
    point.values["share of steps that are not padding"] = steps / (point.T * point.B)
    if point.mode == TRAINING:
        d_y, d_packed = draw(point.T, point.B, point.H), draw(steps, point.H)
        sides = {"peer": training(peer, packed, d_packed), "ours": training(ours, packed, d_packed)}
        padded: Side = training(ours, x, d_y)
    else:
        sides = {"peer": inference(peer, packed), "ours": inference(ours, packed)}
        padded = inference(ours, x)
    return bench.contest(point, sides, others={"padded": padded.call})


def lengths(steps: int, rows: int) -> torch.Tensor:
    """Random ones, any number of steps as likely as any other, the first row full; always the same."""
    drawn = torch.randint(1, steps + 1, (rows,), generator=torch.Generator().manual_seed(3))
    drawn[0] = steps
    return drawn
