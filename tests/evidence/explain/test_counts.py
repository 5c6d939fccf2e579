"""Counted parameters are those of the net that is made."""

from __future__ import annotations

import pytest

import elman
from elman.cells import CATALOGUE
from elman.errors import OptionError
from elman.evidence.explain import counts
from tests.contracts.conftest import CELLS


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("layers, both", [(1, False), (3, False), (2, True)])
def test_parameters_are_those_of_the_net(cell, layers, both):
    rnn = elman.Recurrent(cell, 3, 5, layers, bidirectional=both)
    found = counts(cell, 3, 5, layers, bidirectional=both)
    made: dict[str, int] = {}
    for name, p in rnn.named_parameters():  # layers.0.W, layers.0.p.a
        kind = name.rpartition(".")[2]
        made[kind] = made.get(kind, 0) + p.numel()
    assert dict(found.parameters) == made
    assert found.total == sum(p.numel() for p in rnn.parameters())
    assert found.products == made["W"] + made.get("R", 0)
    assert found.state == 4 * sum(part[:, 0].numel() for part in rnn.initial_state(1))


def test_operations_are_those_of_the_trace():
    lstm = counts("lstm", 1, 1)
    assert lstm.pointwise == 9  # four gates, tanh(c), three products, one sum
    assert counts("lstm", 7, 10, 2, bidirectional=True).pointwise == 9 * 10 * 4
    assert all(counts(name, 2, 3).pointwise_backward > counts(name, 2, 3).pointwise for name in CATALOGUE)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_size_below_1_is_refused(sizes):
    with pytest.raises(OptionError, match="must be 1 or more, got 0"):
        counts("gru", *sizes)
