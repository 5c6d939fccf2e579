"""Mixed precision, for real on the CPU: every estimator learns in bfloat16 what it learns in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.estimators.test_card import mostly_slow
from tests.estimators.tiny import CASES

QUICK = ("tagger with a chain", "transcriber", "forecaster, recursive", "forecaster of counts")


@pytest.mark.parametrize("name", mostly_slow(CASES, QUICK))
def test_bfloat16_learns_what_float32_learns(name):
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        model = CASES[name].fit(accelerator="cpu", precision=precision, max_steps=12, learning_rate=0.01)
        CASES[name].ask(model)
        assert {p.dtype for p in model.network_.parameters()} == {torch.float32}
        losses.append(model.history_.column("loss"))
    np.testing.assert_allclose(*losses, rtol=0.02, atol=0.01)


SAID = {
    "classifier": 2,
    "tagger with a chain": 2,
    "transcriber": 2,
    "language model": 1,
    "forecaster": 1,
    "detector": 2,
}
"""what a net is called with: x, or x and lengths"""


@pytest.mark.parametrize("name", SAID)
def test_what_a_head_gives_is_wide_before_the_loss_sums_it(name):
    model = CASES[name].fit(accelerator="cpu", max_steps=1)
    batch = next(iter(model.batches(*CASES[name].data).epoch(0)))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        said = model.network_(*(batch.x, batch.valid())[: SAID[name]])
    while not isinstance(said, torch.Tensor):
        said = said[0]
    assert said.dtype == torch.float32
