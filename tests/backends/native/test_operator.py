"""The operator `elman::unroll`: what torch asks of one, torch.compile, and programs that other processes run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import elman
from elman.backends import operator
from elman.errors import CellError, UnknownNameError
from tests.conftest import assert_close
from tests.contracts.conftest import UsersOwn, make, run

ROOT = Path(__file__).parents[3]
LENGTHS = torch.tensor([4, 0, 2])
F64 = torch.float64


@pytest.fixture(autouse=True)
def _a_compiler(compiler):
    torch._dynamo.reset()


def arguments(cell, *, lengths=None, drop=False, zone=False, norm=False, segment=0, reverse=False, grad=True):
    """What the operator takes for a net of this cell."""
    rnn = make(cell, "native", {"layer_norm": norm}, size=2, hidden=3)
    rnn.requires_grad_(grad)
    w, traced = rnn.layers[0], rnn.traced
    params = torch.stack(list(w.p.values())).detach().requires_grad_(grad) if len(w.p) else None
    state = [torch.randn(3, 3, dtype=F64, requires_grad=grad) for _ in traced.cell.states]
    zones = [torch.full((1, 3), 0.3, dtype=F64) for _ in state] if zone else []
    mask = torch.ones(3, 3, dtype=F64).bernoulli_(0.5) if drop else None
    x = torch.randn(4, 3, 2, dtype=F64, requires_grad=grad)
    given = (x, w.W, w.R, w.b, w.b_r, w.gain_r, params, state)
    return (*given, lengths, mask, zones, operator.spell(traced), reverse, segment)


CONFIGURATIONS = {
    "lstm": ("lstm", {}),
    "gru, lengths": ("gru", {"lengths": LENGTHS}),
    "gru, layer norm": ("gru", {"norm": True, "reverse": True}),
    "all": (UsersOwn, {"lengths": LENGTHS, "drop": True, "zone": True, "segment": 2}),
    "no R": ("minlstm", {"segment": 3}),
    "without gradients": ("lstm", {"grad": False}),
}


@pytest.mark.parametrize("case", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_it_is_what_torch_asks_of_an_operator(case):
    cell, options = case
    done = torch.library.opcheck(operator.unroll, arguments(cell, **options))
    assert set(done.values()) == {"SUCCESS"}
    assert len(done) >= 4


def test_the_two_doors_lead_to_the_same():
    rnn = make(UsersOwn, "native", {"num_layers": 2, "zoneout": 0.2, "recurrent_dropout": 0.2, "checkpoint": 3})
    x = torch.randn(3, 7, 3, dtype=F64, requires_grad=True)
    compiled = torch.compile(rnn, fullgraph=True, backend="aot_eager")
    found = []
    for net in (rnn, compiled):
        torch.manual_seed(3)
        y, state = net(x, None, torch.tensor([7, 2, 0]))
        loss = y.square().sum() + sum(s.sum() for s in state)
        found.append([y, *state, *torch.autograd.grad(loss, [x, *rnn.parameters()])])
    for got, expected in zip(found[1], found[0], strict=True):
        assert_close(got, expected)


def assert_compiled_once(cell, options, backend, lengths):
    rnn = make(cell, "native", options)
    compiled = torch.compile(rnn, fullgraph=True, dynamic=True, backend=backend)
    params = list(rnn.parameters())
    for number, (rows, steps) in enumerate([(3, 4), (5, 9), (2, 30)]):
        x = torch.randn(rows, steps, 3, dtype=F64, requires_grad=True)
        valid = torch.randint(0, steps + 1, (rows,)) if lengths else None
        with torch._dynamo.config.patch(error_on_recompile=number > 1):
            y, state = compiled(x, None, valid)
        y_plain, state_plain = rnn(x, None, valid)
        assert_close(y, y_plain, "outputs")
        got = torch.autograd.grad(y.square().sum() + state[-1].sum(), [x, *params])
        expected = torch.autograd.grad(y_plain.square().sum() + state_plain[-1].sum(), [x, *params])
        for a, b in zip(got, expected, strict=True):
            assert_close(a, b, "gradient")


@pytest.mark.parametrize("lengths", [False, True])
def test_compiled_once_for_all_shapes(lengths):
    assert_compiled_once("gru", {"bidirectional": True}, "aot_eager", lengths)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "minlstm", UsersOwn])
@pytest.mark.parametrize("options", [{"num_layers": 2}, {"layer_norm": True, "checkpoint": 5}])
def test_compiled_by_inductor(cell, options, lengths):
    assert_compiled_once(cell, options, "inductor", lengths)


def exported(rnn, path, *, lengths=False):
    rows, steps = torch.export.Dim("rows", min=2, max=64), torch.export.Dim("steps", min=2, max=1000)
    shapes = {"x": {0: rows, 1: steps}, "state": None, "lengths": {0: rows} if lengths else None}
    x = torch.randn(3, 6, 3, dtype=F64)
    valid = torch.tensor([6, 1, 3]) if lengths else None
    program = torch.export.export(rnn, (x, None, valid), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return program.module()


LOAD = """
import sys, torch
import elman.backends  # which registers the operator
program = torch.export.load(sys.argv[1]).module()
{defined}
for x, lengths, expected in torch.load(sys.argv[2], weights_only=True):
    y, state = program(x, None, lengths)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
print("agrees")
"""


def in_another_process(program, data, defined=""):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LOAD.format(defined=defined), str(program), str(data)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=False)


def some_results(rnn, path, *, lengths=False):
    """Inputs of other shapes than the one that was exported, and what the net makes of them."""
    found = []
    for rows, steps in [(2, 9), (7, 4)]:
        x, valid = torch.randn(rows, steps, 3, dtype=F64), torch.randint(0, steps + 1, (rows,)) if lengths else None
        with torch.no_grad():
            found.append((x, valid, rnn(x, None, valid)[0]))
    torch.save(found, path)
    return found


@pytest.mark.parametrize("lengths", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_exported_program_runs_in_another_process(tmp_path, lengths):
    rnn = make("gru", "native", {"num_layers": 2, "layer_norm": True}).eval()
    module = exported(rnn, tmp_path / "net.pt2", lengths=lengths)
    for x, valid, y in some_results(rnn, tmp_path / "data.pt", lengths=lengths):
        assert_close(module(x, None, valid)[0], y, "exported")
    done = in_another_process(tmp_path / "net.pt2", tmp_path / "data.pt")
    assert "agrees" in done.stdout, done.stderr[-3000:]


MINE = """
import elman
class Mine(elman.Cell):
    gates = ("a",)
    def step(self, x, r, s, p):
        return torch.tanh(x.a + r.a) * {factor}
"""


@pytest.mark.slow
def test_an_exported_cell_of_a_user_must_be_defined_as_it_was(tmp_path):
    scope = {"torch": torch}
    (tmp_path / "mine.py").write_text(MINE.format(factor=0.5))
    exec(compile(MINE.format(factor=0.5), str(tmp_path / "mine.py"), "exec"), scope)
    rnn = make(scope["Mine"], "native").eval()
    exported(rnn, tmp_path / "net.pt2")
    some_results(rnn, tmp_path / "data.pt")
    right, without, other = (
        in_another_process(tmp_path / "net.pt2", tmp_path / "data.pt", defined)
        for defined in (MINE.format(factor=0.5), "", MINE.format(factor=0.25))
    )
    assert "agrees" in right.stdout, right.stderr[-3000:]
    assert without.stderr.strip().splitlines()[-1].startswith("elman.errors.UnknownNameError: elman::unroll: unknown")
    assert "define or import it before" in without.stderr.strip().splitlines()[-1]
    last = other.stderr.strip().splitlines()[-1]
    assert last.startswith("elman.errors.CellError: elman::unroll: expected the cell 'Mine' as it was")


def test_a_cell_is_found_by_name_and_only_as_it_was(monkeypatch):
    given = arguments("gru")
    expected = operator.unroll(*given)
    monkeypatch.setattr(operator, "_cells", {})  # as in a process that has seen no cell
    for got, wanted in zip(operator.unroll(*given), expected, strict=True):
        assert torch.equal(got, wanted)
    with pytest.raises(UnknownNameError, match=r"unknown cell 'gruu', did you mean 'gru'\? If 'gruu' is a cell of"):
        operator.unroll(*given[:11], "gruu:0123456789ab", *given[12:])
    with pytest.raises(CellError, match=r"expected the cell 'gru' as it was .*0123456789ab.*, got one that computes"):
        operator.unroll(*given[:11], "gru:0123456789ab", *given[12:])


def test_a_fake_run_needs_no_compiler_and_no_memory():
    rnn = elman.Recurrent("lstm", 3, 5, num_layers=2, bidirectional=True)
    mode = torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        y, state = rnn(torch.empty(7, 11, 3))
    assert y.shape == (7, 11, 10)
    assert [tuple(s.shape) for s in state] == [(4, 7, 5), (4, 7, 5)]
    assert run(rnn, torch.zeros(2, 3, 3))[0].shape == (2, 3, 10)
