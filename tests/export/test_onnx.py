"""ONNX files: every cell and every model, run by ONNX Runtime, against the model itself."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import elman
from elman.backends.eager import OPERATIONS as EAGER
from elman.backends.eager import evaluate
from elman.errors import MissingExtraError, OptionError, RunError, ShapeError
from elman.export import OnnxStream, to_onnx
from elman.export.onnx.cell import OPERATIONS, write_graph
from elman.export.onnx.nodes import Nodes, Port
from elman.export.onnx.parity import session
from elman.graph import ARITY, Builder
from elman.graph.expression import TRUTHS
from tests.contracts.conftest import CELLS, make
from tests.steps.models import ALL, fitted, signals, steps_for

pytest.importorskip("onnxruntime")

OPTIONS = {
    "plain": {},
    "stacked": {"num_layers": 2, "bidirectional": True},
    "everything": {
        "num_layers": 2,
        "residual": True,
        "zoneout": 0.3,
        "layer_norm": True,
        "learn_initial_state": True,
    },
}
NEAR = {"rtol": 2e-5, "atol": 2e-5}
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-8, -1e-8, 1e-4, -1e-4, 3.0, 20.0, -20.0, 100.0, -100.0, 1e-40]
EDGES += [float("nan"), float("inf"), float("-inf")]


def run(path, **given):
    """The file's outputs by name."""
    runner = session(path.read_bytes())
    return dict(zip([port.name for port in runner.get_outputs()], runner.run(None, given), strict=True))


# -- operations ------------------------------------------------------------------------------------------------------


def test_every_operation_has_an_onnx_form():
    assert set(OPERATIONS) == set(ARITY) == set(EAGER)


@pytest.mark.parametrize("op", ARITY)
def test_an_operation_is_what_eager_says_at_every_edge(op):
    build = Builder()
    names = ["a", "b", "c"][: ARITY[op]]
    given = [build.input(name) for name in names]
    if op in ("and", "or", "not", "where"):
        given = [build.op("gt", v, build.const(0.0)) if op != "where" or i == 0 else v for i, v in enumerate(given)]
    result = build.op(op, *given)
    if op in TRUTHS:
        result = build.op("where", result, build.const(1.0), build.const(0.0))
    graph = build.graph({"y": result})
    values = np.stack(np.meshgrid(*[np.array(EDGES, np.float32)] * ARITY[op]), 0).reshape(ARITY[op], -1)
    feeds = {name: values[i] for i, name in enumerate(names)}
    out = Nodes()
    y = out.call("y", write_graph(out, graph, {name: name for name in names})["y"])
    ports = [Port(name, np.float32, ("N",)) for name in names]
    proto = out.model("one", ports, [Port(y, np.float32, ("N",))])
    (found,) = session(proto.SerializeToString()).run(None, feeds)
    exact = evaluate(graph, {name: torch.from_numpy(v) for name, v in feeds.items()})["y"].numpy()
    # ONNX Runtime's sin and cos lose nothing at 100; its sigmoid is 0 below -18 or so, which is within atol
    np.testing.assert_allclose(found, exact, rtol=2e-6, atol=2e-7 if op == "sigmoid" else 1e-37)


# -- nets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_whole_sequences_of_every_cell(cell, options, tmp_path):
    torch.manual_seed(0)
    rnn = make(CELLS[cell], "eager", OPTIONS[options], dtype=torch.float32).eval()
    made = to_onnx(rnn, tmp_path / "net.onnx")
    operators = {"elman": "RNN", "elman_relu": "RNN", "lstm": "LSTM", "gru": "GRU"} if options != "everything" else {}
    assert operators.get(cell, "Scan") in made.operators
    assert made.error < 1e-4
    x, lengths = torch.randn(5, 11, 3), torch.tensor([11, 0, 1, 7, 10])
    state = tuple(s + 0.3 * torch.rand_like(s) for s in rnn.initial_state(5))
    with torch.no_grad():
        exact, last = copy.deepcopy(rnn).double()(x.double(), tuple(s.double() for s in state), lengths)
        ours, _ = rnn(x, state, lengths)
    x[1:, 10] = float("nan")  # what stands past the lengths is not read
    parts = {name: s.detach().transpose(0, 1).numpy() for name, s in zip(rnn.cell.states, state, strict=True)}
    found = run(made.path, x=x.numpy(), lengths=lengths.numpy(), **parts)
    # layer normalisation divides by what may be small: there the net itself is further than this from the exact one
    near = NEAR if options != "everything" else {"rtol": 2e-5, "atol": 2e-5 + 4 * float((ours - exact).abs().max())}
    np.testing.assert_allclose(found["y"], exact.numpy(), **near)
    assert not found["y"][1].any()
    assert not found["y"][2, 1:].any()
    for name, part in zip(rnn.cell.states, last, strict=True):
        np.testing.assert_allclose(found[f"{name}_next"], part.transpose(0, 1).numpy(), **near)
        np.testing.assert_array_equal(found[f"{name}_next"][1], parts[name][1])


@pytest.mark.parametrize("options", ["plain", "everything"])
@pytest.mark.parametrize("cell", CELLS)
def test_single_steps_of_every_cell_carry_the_state(cell, options, tmp_path):
    torch.manual_seed(1)
    rnn = make(CELLS[cell], "auto", OPTIONS[options], dtype=torch.float32).eval()
    x = torch.randn(1, 20, 3)
    with torch.no_grad():
        exact, last = copy.deepcopy(rnn).double()(x.double())
        ours, _ = rnn(x)
    stream = OnnxStream(to_onnx(rnn, tmp_path / "step.onnx", steps=True).path)
    near = {"rtol": 2e-5, "atol": 2e-5 + 4 * float((ours - exact).abs().max())}
    np.testing.assert_allclose([stream.push(one) for one in x[0].numpy()], exact[0].numpy(), **near)
    for name, part in zip(rnn.cell.states, last, strict=True):
        np.testing.assert_allclose(stream.state[name], part[:, 0].numpy(), **near)


def test_inputs_of_a_hundred_are_as_safe_as_in_python(tmp_path):
    for cell in ("slstm", "minlstm", "lstm", "gru"):
        rnn = make(CELLS[cell], "auto", dtype=torch.float32).eval()
        x = 100 * torch.randn(2, 9, 3)
        with torch.no_grad():
            exact, _ = copy.deepcopy(rnn).double()(x.double())
        first = zip(rnn.cell.states, rnn.initial_state(2), strict=True)
        state = {name: part.transpose(0, 1).numpy() for name, part in first}
        path = to_onnx(rnn, tmp_path / "net.onnx").path
        found = run(path, x=x.numpy(), lengths=np.array([9, 9]), **state)
        np.testing.assert_allclose(found["y"], exact.numpy(), rtol=1e-4, atol=1e-4)


class Constant(elman.Cell):
    """States that depend on no input, which broadcasting alone would give another shape."""

    gates, states, params = ("u",), ("h", "one", "own"), {"level": 0.5}

    def step(self, x, r, s, p):
        return torch.tanh(x.u + r.u) + s.one + s.own, torch.ones_like(s.h), 2 * p.level


@pytest.mark.parametrize("steps", [False, True])
def test_a_state_that_is_set_to_a_constant_keeps_its_shape(steps, tmp_path):
    made = to_onnx(elman.Recurrent(Constant, 2, 4), tmp_path / "net.onnx", steps=steps)
    given = {name: np.zeros((3, 1, 4), np.float32) for name in Constant.states}
    x = {"x": np.zeros((3, 2), np.float32)}
    if not steps:
        x = {"x": np.zeros((3, 5, 2), np.float32), "lengths": np.array([5, 1, 0])}
    found = run(made.path, **x, **given)
    ends = np.ones((3, 1, 4)) if steps else np.array([1, 1, 0]).reshape(3, 1, 1) * np.ones((3, 1, 4))
    np.testing.assert_array_equal(found["one_next"], ends)
    np.testing.assert_array_equal(found["own_next"], ends)


def test_time_first_is_the_same_file(tmp_path):
    rnn = elman.Recurrent("mgu", 3, 5, batch_first=False)
    other = elman.Recurrent("mgu", 3, 5)
    other.load_state_dict(rnn.state_dict())
    for steps in (False, True):
        files = [to_onnx(net, tmp_path / "net.onnx", steps=steps).path.read_bytes() for net in (rnn, other)]
        assert files[0] == files[1]


# -- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ALL if name != "detector"])
def test_a_model_answers_as_its_stream_does_and_takes_over_its_state(name, tmp_path):
    model, steps = fitted(name), steps_for(name)
    made, stream = to_onnx(model, tmp_path / "step.onnx", steps=True), model.stream()
    onnx, encode = OnnxStream(made.path), stream.engine.step.encode
    assert made.error < 1e-5
    for step in steps:
        np.testing.assert_allclose(onnx.push(encode(step)), stream.push(step), rtol=1e-5, atol=1e-5)
    later = OnnxStream(made.path)
    later.state = stream.state
    fork = later.fork()
    for step in steps:
        exact = stream.push(step)
        np.testing.assert_allclose(later.push(encode(step)), exact, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(onnx.push(encode(step)), exact, rtol=1e-5, atol=1e-5)
    answers = [fork.push(encode(step)) for step in steps]
    np.testing.assert_allclose(answers[-1], exact, rtol=1e-5, atol=1e-5)
    onnx.reset()
    np.testing.assert_array_equal(onnx.push(encode(steps[0])), OnnxStream(made.path).push(encode(steps[0])))


def many(model, sequences, tmp_path, kind):
    """Answers of the file for sequences of unequal lengths, padded with what must not be read."""
    made = to_onnx(model, tmp_path / "whole.onnx")
    lengths = np.array([len(one) for one in sequences])
    x = np.full((len(sequences), lengths.max(), sequences[0].shape[1]), np.nan if kind != np.int64 else 10**6, kind)
    for row, one in zip(x, sequences, strict=True):
        row[: len(one)] = one
    assert made.error < 1e-5
    return run(made.path, x=x, lengths=lengths)["y"], lengths


@pytest.mark.parametrize(
    "options",
    [{"pooling": p} for p in ("last", "mean", "max", "attention")] + [{"num_layers": 2, "cell": "mgu"}],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_sequences_are_classified_as_predict_proba_does(options, tmp_path):
    X, y = signals()
    model = elman.SequenceClassifier(hidden_size=8, max_steps=30, random_state=0, **options)
    model.fit(X, np.where(np.array(y) > 0, "up", "down"))
    found, _ = many(model, X, tmp_path, np.float64)
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5)


def test_numbers_of_sequences_and_of_steps_are_those_of_predict(tmp_path):
    X, y = signals()
    model = elman.SequenceRegressor(hidden_size=8, max_steps=30).fit(X, np.stack([y, np.square(y)], 1))
    found, _ = many(model, X, tmp_path, np.float64)
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5, atol=1e-4)
    model = elman.SequenceTagger(hidden_size=8, max_steps=30).fit(X, [x[:, 0].cumsum() for x in X])
    found, lengths = many(model, X, tmp_path, np.float64)
    for one, exact, length in zip(found, model.predict(X), lengths, strict=True):
        np.testing.assert_allclose(one[:length, 0], exact, rtol=1e-5, atol=1e-5)
        assert not one[length:].any()


def test_names_are_tagged_as_predict_proba_does(tmp_path):
    texts = [["the", "cat", "sat"], ["a", "dog"], ["nowhere", "the", "dog", "sat", "down"]]
    tags = [["D", "N", "V"], ["D", "N"], ["X", "D", "N", "V", "A"]]
    model = elman.SequenceTagger(hidden_size=8, max_steps=30, spelling=0).fit(texts * 5, tags * 5)
    codes = [x.numpy() for x in model.inputs_.encode(texts, "test")]
    found, lengths = many(model, codes, tmp_path, np.int64)
    for one, exact, length in zip(found, model.predict_proba(texts), lengths, strict=True):
        np.testing.assert_allclose(one[:length], exact, atol=1e-5)


def test_a_code_that_no_name_has_is_what_is_not_known(tmp_path):
    path = to_onnx(fitted("tagger crf=False spelling=0"), tmp_path / "step.onnx", steps=True).path
    answers = [OnnxStream(path).push(code) for code in (0, -1, 10**6, 1)]
    np.testing.assert_array_equal(answers[1:3], [answers[0]] * 2)
    assert (answers[3] != answers[0]).any()


def test_the_best_path_through_a_chain_is_that_of_predict(tmp_path):
    X, _ = signals()
    truth = [np.where(x[:, 0].cumsum() > 0, "up", np.where(x[:, 1] > 1000, "in", "out")) for x in X]
    model = elman.SequenceTagger(crf=True, hidden_size=8, max_steps=30).fit(X, truth)
    with torch.no_grad():  # labels that depend on each other more than a quick training finds out
        for value in model.network_.chain.parameters():
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(0)))
    found, lengths = many(model, X, tmp_path, np.float64)
    for one, exact, length in zip(found, model.predict(X), lengths, strict=True):
        np.testing.assert_array_equal(model.classes_[one[:length]], exact)
        assert not one[length:].any()


@pytest.mark.parametrize("stride", [2, 3])
def test_joined_steps_are_joined_in_the_file_too(stride, tmp_path):
    X, y = signals()
    model = elman.SequenceClassifier(hidden_size=8, max_steps=30, stride=stride).fit(X, np.array(y) > 0)
    found, _ = many(model, X, tmp_path, np.float64)
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("name", ["letters", "notes"])
def test_what_comes_next_is_what_the_stream_says(name, tmp_path):
    model, stream = fitted(name), fitted(name).stream()
    steps = steps_for(name)
    kind = np.int64 if name == "letters" else np.float32
    x = np.array([stream.engine.step.encode(step) for step in steps]).astype(kind)
    found, _ = many(model, [x, x[:2]], tmp_path, kind)
    exact = np.array([stream.push(step) for step in steps])
    np.testing.assert_allclose(found[0], exact, atol=1e-5)
    np.testing.assert_allclose(found[1, :2], exact[:2], atol=1e-5)


# -- the file --------------------------------------------------------------------------------------------------------


def test_the_file_says_what_it_is(tmp_path):
    made = to_onnx(fitted("classifier attention"), tmp_path / "model.onnx", steps=True)
    about = OnnxStream(made.path).about
    assert about["elman.version"] == elman.__version__
    assert about["elman.model"] == "SequenceClassifier: LSTM, 8 units"
    assert float(about["elman.error"]) == pytest.approx(made.error, rel=0.01)
    assert json.loads(about["elman.outputs"]) == ["down", "up"]
    state = {part["name"]: part for part in json.loads(about["elman.state"])}
    assert list(state) == ["h", "c", "seen", "weight", "greatest"]
    assert state["greatest"] == {"name": "greatest", "shape": [1], "start": float(np.finfo(np.float32).min)}
    assert (made.inputs["x"], made.outputs["y"], made.size) == (("B", 2), ("B", 2), made.path.stat().st_size)
    names = json.loads(OnnxStream(to_onnx(fitted("letters"), made.path, steps=True).path).about["elman.inputs"])
    assert names[1:] == list(fitted("letters").inputs_.vocabulary.names)


def test_a_learned_start_is_in_the_file(tmp_path):
    rnn = make("gru", "auto", {"learn_initial_state": True, "num_layers": 2}, dtype=torch.float32)
    expected = rnn.initial_state(1)[0][:, 0].detach().numpy()
    for steps in (False, True):
        path = to_onnx(rnn, tmp_path / "net.onnx", steps=steps).path
        about = session(path.read_bytes()).get_modelmeta().custom_metadata_map
        np.testing.assert_array_equal(np.float32(json.loads(about["elman.state"])[0]["start"]), expected)
    np.testing.assert_array_equal(OnnxStream(path).state["h"], expected)


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize(
    ("wrong", "difference"),
    [
        (lambda out, x: out.op("Softsign", x), r"0\.\d+"),
        (lambda out, x: out.op("Log", out.op("Neg", out.op("Abs", x))), "nan"),
    ],
)
def test_an_answer_that_differs_is_not_written(wrong, difference, steps, tmp_path, monkeypatch):
    monkeypatch.setitem(OPERATIONS, "tanh", wrong)
    message = rf"must answer as the model does, within 0.0001, got a difference of {difference}"
    with pytest.raises(RunError, match=message):
        to_onnx(elman.Recurrent("mgu", 2, 4), tmp_path / "net.onnx", steps=steps)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "steps", "message"),
    [
        (lambda: fitted("tagger crf=False spelling=6"), False, "spelling=0"),
        (lambda: fitted("letters").causal(), False, "Write steps=True"),
        (lambda: fitted("detector"), True, "ONNX is written for a recurrent stack and a head"),
        (lambda: fitted("detector"), False, "more than a recurrent stack and a head"),
        (lambda: elman.Recurrent("gru", 2, 4, bidirectional=True), True, "bidirectional"),
        (lambda: elman.Recurrent("gru", 2, 4, dtype=torch.float64), True, "float32"),
        (lambda: elman.Recurrent("gru", 2, 4, dtype=torch.float64), False, "float32"),
        (
            lambda: elman.Forecaster(horizon=2),
            True,
            "a forecaster is more than a recurrent stack and a head. Use its stream",
        ),
        (lambda: torch.nn.GRU(2, 4), True, "expected a fitted estimator or a Recurrent net, got GRU"),
        (lambda: torch.nn.GRU(2, 4), False, "expected a fitted estimator or a Recurrent net, got GRU"),
    ],
)
def test_what_cannot_be_written_is_one_line(model, steps, message, tmp_path):
    with pytest.raises(OptionError, match=message) as problem:
        to_onnx(model(), tmp_path / "model.onnx", steps=steps)
    assert "\n" not in str(problem.value)


def test_a_state_with_the_name_of_another_value_is_refused(tmp_path):
    class Named(elman.Cell):
        gates, states = ("u",), ("h", "x")

        def step(self, x, r, s, p):
            return torch.tanh(x.u + r.u), s.h

    with pytest.raises(OptionError, match="'x' has the name of another value"):
        to_onnx(elman.Recurrent(Named, 2, 4), tmp_path / "net.onnx")


def test_a_file_that_is_none_of_one_step_is_one_line(tmp_path):
    with pytest.raises(RunError, match="Check the name"):
        OnnxStream(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("so it goes")
    with pytest.raises(RunError, match="is no ONNX file"):
        OnnxStream(tmp_path / "text.onnx")
    with pytest.raises(RunError, match="steps=True"):
        OnnxStream(to_onnx(elman.Recurrent("gru", 2, 4), tmp_path / "net.onnx").path)


def test_a_step_or_state_that_does_not_fit_is_one_line(tmp_path):
    stream = OnnxStream(to_onnx(elman.Recurrent("gru", 2, 4), tmp_path / "net.onnx", steps=True).path)
    with pytest.raises(ShapeError, match=r"must be \(2,\), got \(3,\)"):
        stream.push(np.zeros(3))
    with pytest.raises(ShapeError, match=r"part 'h' must be \(1, 4\), got \(4,\)"):
        stream.state = {"h": np.zeros(4)}
    with pytest.raises(ShapeError, match="must have the parts h"):
        stream.state = {"c": np.zeros((1, 4))}


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=f"needs the package {package}: pip install onnx onnxruntime"):
        to_onnx(elman.Recurrent("gru", 2, 4), tmp_path / "net.onnx")


def test_the_packages_load_when_they_are_used():
    code = "import sys, elman.export; print([m for m in ('onnx', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
