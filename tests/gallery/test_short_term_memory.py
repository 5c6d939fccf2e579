"""The two tasks are what they say, and cells differ in them as theory has it."""

from __future__ import annotations

import pytest
import short_term_memory
import torch
from memory_tasks import JUDGED, Adding, Copying


@pytest.fixture(scope="module")
def found(made):
    numbers = made(short_term_memory)[0].numbers
    return {(one["task"], one["cell"], one["distance"]): one for one in numbers["found"]}


def test_a_linear_memory_copies_and_cannot_add(found):
    for distance in (10, 30):
        assert found["copying", "LRU, linear", distance]["right"][0] > 0.9
        assert not found["adding", "LRU, linear", distance]["solved"]
    assert found["adding", "GRU", 30]["solved"] and not found["adding", "Elman", 30]["solved"]
    assert found["copying", "Elman", 10]["right"][0] > found["copying", "Elman", 30]["right"][0]


def test_copying_asks_for_the_letters_after_the_mark():
    x, y = Copying(7).draw(50, torch.Generator().manual_seed(0))
    codes = x.argmax(2)
    assert x.shape == (50, 13, 6) and torch.equal(x.sum(2), torch.ones(50, 13))
    assert torch.equal(codes[:, :3], y) and (codes[:, 3:10] == 4).all() and (codes[:, 10] == 5).all()
    said = torch.nn.functional.one_hot(y, 4).float()
    assert Copying(7).right(said, y) == 1 and Copying(7).loss(100 * said, y) < 1e-6
    wrong = said.roll(1, 2)
    assert Copying(7).right(wrong, y) == 0


def test_adding_marks_one_in_each_half_and_who_says_one_is_known():
    task = Adding(9)
    x, y = task.draw(20 * JUDGED, torch.Generator().manual_seed(0))
    assert (x[:, :4, 1].sum(1) == 1).all() and (x[:, 4:, 1].sum(1) == 1).all()
    assert torch.allclose((x[..., 0] * x[..., 1]).sum(1), y[:, 0])
    assert task.right(y[:, None], y) == 1
    ones = torch.ones(len(y), 1, 1)
    assert task.right(ones, y) == pytest.approx(task.naive, abs=0.03)
    assert task.loss(ones, y).item() == pytest.approx(task.naive_loss, rel=0.03)
