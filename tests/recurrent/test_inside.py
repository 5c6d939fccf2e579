"""What is recorded of a pass is what the pass did, and leaves the net as it was."""

from __future__ import annotations

import pytest
import torch

import elman
from elman.recurrent.inside import recorded


@pytest.mark.parametrize("cell", list(elman.CATALOGUE))
def test_states_are_those_of_the_pass(cell):
    net = elman.Recurrent(cell, 3, 5, num_layers=2, bidirectional=True).double()
    x = torch.randn(4, 7, 3, dtype=torch.float64)
    expected, last = net(x, lengths=[7, 3, 5, 1])
    with recorded(net) as records:
        y, again = net(x, lengths=[7, 3, 5, 1])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(again, last)
    assert [record.reverse for record in records] == [False, True] * 2
    for number, record in enumerate(records):
        assert record.steps == 7 and set(record.gates) == set(net.traced.gates)
        assert all(gate.shape == (7, 4, 5) for gate in record.gates.values())
        end = 0 if record.reverse else -1
        torch.testing.assert_close(record.states[end][0], last[0][number])
    torch.testing.assert_close(records[2].states[2][0][0], expected[0, 2, :5])
    with recorded(net) as records:
        pass
    assert not records and "forward" not in vars(net.layers[0])


def test_gates_are_the_cell_s_own():
    net = elman.Recurrent("gru", 3, 5)
    x = torch.randn(2, 4, 3)
    with recorded(net) as records:
        net(x)
    (record,), w = records, net.layers[0].by_gate()
    h = torch.zeros(2, 5)
    for t in range(4):
        r = torch.sigmoid(x[:, t] @ w.W.r.T + h @ w.R.r.T + w.b.r)
        z = torch.sigmoid(x[:, t] @ w.W.z.T + h @ w.R.z.T + w.b.z)
        n = torch.tanh(x[:, t] @ w.W.n.T + w.b.n + r * (h @ w.R.n.T + w.b_r.n))
        for gate, value in {"r": r, "z": z, "n": n}.items():
            torch.testing.assert_close(record.gates[gate][t], value)
        h = record.states[t][0]


def test_gradients_reach_every_state():
    net = elman.Recurrent(elman.CATALOGUE["elman"], 2, 3, checkpoint="auto")
    with recorded(net) as records:
        y, _ = net(torch.randn(1, 6, 2))
    states = [state[0] for state in records[0].states]
    gradients = torch.autograd.grad(y[0, -1].sum(), states)
    weight = net.layers[0].R
    expected = torch.ones(3)
    for t in range(5, 0, -1):
        torch.testing.assert_close(gradients[t][0], expected)
        expected = weight.T @ (expected * (1 - states[t][0] ** 2))
