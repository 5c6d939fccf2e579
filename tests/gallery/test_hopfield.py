"""Hopfield's network: energy that falls, the theory's edge, digits against noise, and the same net unrolled."""

from __future__ import annotations

import hopfield
import numpy as np
import pytest
from hopfield import Hopfield


@pytest.fixture(scope="module")
def numbers(made):
    return made(hopfield)[0].numbers


def test_recall_is_the_rule_unit_by_unit():
    dice = np.random.default_rng(1)
    patterns = dice.choice([-1.0, 1.0], (3, 40))
    W = sum(np.outer(p, p) for p in patterns) - 3 * np.eye(40)
    net = Hopfield.hebb(patterns)
    assert np.array_equal(net.W, W)
    states, order, path = hopfield.spoilt(patterns, dice, 0.2), np.random.default_rng(5), []
    net.recall(states, np.random.default_rng(5), lambda now: path.append(now.copy()))
    s = states[0].copy()
    for turn, i in enumerate(order.permutation(40)):
        field = sum(W[i, j] * s[j] for j in range(40))
        s[i] = s[i] if field == 0 else 1.0 if field > 0 else -1.0
        assert np.array_equal(path[turn][0], s)


def test_the_pseudo_inverse_keeps_every_pattern():
    patterns = np.where(np.random.default_rng(2).random((30, 80)) < 0.2, 1.0, -1.0)  # alike, as digits are
    net = Hopfield.pseudo_inverse(patterns)
    assert np.array_equal(net.together(patterns), patterns)
    assert not np.array_equal(Hopfield.hebb(patterns).together(patterns), patterns)


def test_energy_never_rises(numbers):
    assert numbers["energy"]["recalls"] * numbers["energy"]["turns"] > 500
    assert numbers["energy"]["greatest_rise"] <= 1e-12


def test_the_edge_of_the_theory(numbers):
    edge, foretold = hopfield.edge_of_theory()
    assert abs(edge - 0.138) < 5e-4  # Amit, Gutfreund & Sompolinsky 1985
    assert 0.96 < foretold(edge) < 0.97 and foretold(0.02) > 0.9999
    capacity = numbers["capacity"]
    for kept in capacity["overlap"].values():
        assert kept[0] > 0.99 and kept[-1] < kept[0]


def test_digits_are_harder_than_noise(numbers):
    memories = numbers["memories"]
    held, alike = memories["held"], memories["alike"]
    assert held["Hebb, digits"] < held["Hebb, random patterns"] <= 0.138 * memories["units"]
    assert held["pseudo-inverse, digits"] > held["Hebb, digits"]
    assert alike["digits"] > 3 * alike["random"]
    assert numbers["recalled"]["three stored, Hebb"] == 3 and numbers["recalled"]["ten stored, pseudo-inverse"] == 10
    assert numbers["recalled"]["ten stored, Hebb"] < 10


def test_the_recurrent_net_is_the_same(numbers):
    found = numbers["recurrent"]
    assert found["steps_compared"] > 50_000 and found["differences"] == 0
    assert 0 < found["two_cycles"] < found["random_starts"]
