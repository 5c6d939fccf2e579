"""Automata are exact, by hand and learned; a wrong weight, a wrong arrow and a wrong answer are seen."""

from __future__ import annotations

import itertools

import numpy as np
import programs
import pytest
import torch
from automata import Automaton, built, extracted, random_automaton, what_it_says


def test_programs_learned_on_short_strings_are_right_on_long_ones(made):
    page, text = made(programs)
    for row in page.numbers["learned"]:
        assert row["curves"][0]["20"] == 1 and row["curves"][0]["200"] > 0.9
        assert row["of them the true one"] == row["automata found"] == 1
    by_hand = page.numbers["by hand"]
    assert by_hand["wrong"] == by_hand["counter wrong"] == 0 and by_hand["deepest"] > 100
    assert "0 wrong answers, and units at most 0 away from ±1" in text


@pytest.mark.parametrize("seed", range(5))
def test_an_automaton_by_hand_is_exact(seed):
    dice = np.random.default_rng(seed)
    truth = random_automaton(int(dice.integers(1, 9)), int(dice.integers(1, 5)), dice)
    symbols = dice.integers(0, truth.after.shape[1], (2, 10_000))
    net = built(truth)
    with torch.no_grad():
        h = net(torch.eye(truth.after.shape[1])[torch.as_tensor(symbols)])[0]
        assert np.array_equal(what_it_says(truth, h), truth.run(symbols)) and bool((h.abs() == 1).all())
        net.layers[0].R[0] = -net.layers[0].R[0]
        assert not torch.equal(h, net(torch.eye(truth.after.shape[1])[torch.as_tensor(symbols)])[0])


def test_programs_are_what_they_say():
    dice = np.random.default_rng(0)
    digits = dice.integers(0, 2, (2, 30))
    total = [sum(int(bit) << at for at, bit in enumerate(number)) for number in digits]
    said = programs.addition().truth.run((2 * digits[0] + digits[1])[None])[0]
    assert sum(int(bit) << at for at, bit in enumerate(said)) == sum(total) % 2**30
    assert programs.parity().truth.run(digits).tolist() == (np.cumsum(digits, 1) % 2).tolist()
    for string in itertools.product((0, 1), repeat=9):
        depth, broken, known = 0, False, []
        for symbol in string:
            depth += 1 - 2 * symbol
            broken = broken or not 0 <= depth <= programs.DEPTH
            known.append(2 if broken else int(depth > 0))
        assert programs.brackets().truth.run(np.array([string]))[0].tolist() == known


def test_the_counter_knows_every_short_string():
    strings = np.array(list(itertools.product((0, 1), repeat=10)))
    depth = np.cumsum(1 - 2 * strings, 1)
    known = np.where(np.minimum.accumulate(depth, 1) < 0, 2, depth > 0)
    assert np.array_equal(programs.count(strings), known)


@pytest.mark.parametrize("seed", range(8))
def test_the_minimal_automaton_says_the_same(seed):
    """By all strings of eight symbols; and no two of its states say the same after each of them."""
    machine = random_automaton(7, 2, np.random.default_rng(seed))
    least, strings = machine.minimal(), np.array(list(itertools.product((0, 1), repeat=8)))
    assert machine.equals(least) and np.array_equal(machine.run(strings), least.run(strings))
    heard = [(says, *Automaton(least.after, least.says, s).run(strings).ravel()) for s, says in enumerate(least.says)]
    assert len(set(heard)) == len(heard)
    first = int(least.after[least.start, 0])
    assert not least.equals(
        Automaton(least.after, np.where(np.arange(len(heard)) == first, 7, least.says), least.start)
    )


def test_an_automaton_is_taken_out_of_the_net_that_it_was_built_into():
    truth = programs.brackets().truth
    symbols = truth.draw(200, 20, np.random.default_rng(0))
    with torch.no_grad():
        states = built(truth)(torch.eye(2)[torch.as_tensor(symbols)])[0].numpy()
    found = extracted(states, symbols, truth.run(symbols), 12)
    assert found.equals(truth) and len(found.says) == len(truth.minimal().says) == 6
