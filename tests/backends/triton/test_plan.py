"""Layouts: nobody waits for a program that cannot be there, and every column of R is read."""

from __future__ import annotations

import warnings

import pytest
import torch

from elman.backends.triton import frame
from elman.backends.triton.plan import plan_for
from elman.cells import find_cell
from elman.graph import trace

SIZES = [(cell, H, B, dtype) for cell in ("lstm", "gru", "elman") for H in (1, 17, 64, 128, 200, 256, 768, 1024, 3000)
         for B in (1, 16, 33, 128, 1000) for dtype in (torch.bfloat16, torch.float32)]  # fmt: skip


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("cell, units, rows, dtype", SIZES)
def test_programs_that_meet_are_all_there_and_read_all_columns(cell, units, rows, dtype, back):
    places = 132
    plan = plan_for(trace(find_cell(cell)), units, rows, dtype, places, back=back)
    by_units, by_rows, _ = plan.grid(rows, units)
    assert by_units * plan.BU >= units and by_rows * plan.BB >= rows
    if plan.form == "spread":
        assert 0 < by_units * plan.blocks <= places and plan.BK % plan.ways == 0
    if plan.form == "alone":
        assert by_units == 1 and plan.BK == plan.BU >= units
    elif plan.hold:
        assert plan.chunks * plan.BK >= units
    assert all(size & (size - 1) == 0 and size >= 16 for size in (plan.BU, plan.BK)), "what tl.dot takes"


def test_only_units_of_which_there_are_too_many_take_a_launch_per_step():
    forms = {(H, B): plan_for(trace(find_cell("lstm")), H, B, torch.float16, 132, norm=True).form
             for H in (512, 8192, 9000) for B in (1, 5000)}  # fmt: skip
    assert forms == {(H, B): "steps" if H == 9000 else "spread" for H, B in forms}


def test_heads_that_are_normalised_together_meet():
    plan = plan_for(trace(find_cell("lstm")), 64, 16, torch.float16, 132, norm=True, heads=12)
    assert plan.form == "spread" and plan.grid(16, 64, 12) == (4, 1, 12)


def test_without_a_known_gpu_no_program_waits_for_another():
    plan = plan_for(trace(find_cell("lstm")), 768, 16, torch.float16, 0)
    assert plan.form == "steps" and str(plan) == "one launch per step"


def test_it_says_that_every_step_is_a_launch(monkeypatch):
    monkeypatch.setattr(frame, "places_on", lambda device: 8)
    traced, x = trace(find_cell("lstm")), torch.zeros(1, 64, 3)
    with pytest.warns(frame.LaunchWarning, match="LSTM of 900 units takes one launch per step"):
        frame.plan(traced, x, (900, 900), 64, norm=False, back=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame.plan(traced, x, (64, 64), 64, norm=False, back=False)
