"""The C file: every cell, every compiler at hand, against the model itself."""

from __future__ import annotations

import copy
import ctypes
import shutil
import subprocess

import numpy as np
import pytest
import torch

import elman
from elman.backends.native.compiler import find_compiler
from elman.errors import DataError, OptionError
from elman.export import to_c
from elman.export.c import STANDARD
from elman.steps import StackStep
from tests.contracts.conftest import CELLS, make
from tests.steps.models import ALL, SENTENCES, TAGS, fitted, signals, steps_for

COMPILERS = {
    "gcc": ("gcc",),
    "clang": ("clang",),
    "arm": ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-ffreestanding"),
}
OPTIONS = {
    "stacked": {"num_layers": 3, "residual": True, "zoneout": 0.3},
    "layer_norm": {"layer_norm": True, "num_layers": 2, "learn_initial_state": True},
}
pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C compiler")


def run(made, folder, x, outputs):
    """All steps of x (T, I) by the file's two functions, compiled as its reader would; answers and the last state."""
    name = made.source.stem
    loop = folder / "loop.c"
    loop.write_text(
        f'#include "{made.header}"\n'
        f"void loop(long n, {name}_state *state, const float *x, float *y)\n"
        f"{{ {name}_init(state);\n"
        f"for (long t = 0; t < n; t++) {name}_step(state, x + t * {x.shape[1]}, y + t * {outputs}); }}\n"
    )
    library = folder / f"{name}.so"
    subprocess.run(["cc", *STANDARD, "-O2", "-shared", "-fPIC", loop, made.source, "-o", library], check=True)
    given, y = np.ascontiguousarray(x, np.float32), np.empty((len(x), outputs), np.float32)
    state = np.zeros(made.state // 4, np.float32)
    ctypes.CDLL(str(library)).loop(ctypes.c_long(len(x)), *(ctypes.c_void_p(a.ctypes.data) for a in (state, given, y)))
    return y, state


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_ten_thousand_steps_of_every_cell_are_those_of_the_net(cell, options, tmp_path):
    torch.manual_seed(0)
    rnn = make(CELLS[cell], "auto", OPTIONS[options], size=3, hidden=9, dtype=torch.float32).eval()
    x = torch.randn(1, 10_000, 3)
    with torch.no_grad():
        expected, last = rnn(x)
        exact, _ = copy.deepcopy(rnn).double()(x.double())
    y, state = run(to_c(rnn, tmp_path, "net", X=[x[0, :9]]), tmp_path, x[0].numpy(), 9)
    # layer normalisation divides by what may be small: there the net itself is further than this from the exact one
    near = max(1e-5, 2 * float((expected - exact).abs().max()) if options == "layer_norm" else 0)
    np.testing.assert_allclose(y, expected[0].numpy(), rtol=1e-5, atol=near)
    np.testing.assert_allclose(state, torch.cat([s.flatten() for s in last]).numpy(), rtol=1e-5, atol=near)


@pytest.mark.parametrize("name", [name for name in ALL if name != "detector"])
def test_a_whole_model_answers_as_its_stream_does(name, tmp_path):
    model, steps = fitted(name), steps_for(name) * 20
    made, stream = to_c(model, tmp_path, "model"), model.stream()
    x = np.array([stream.engine.step.encode(step) for step in steps])
    expected = np.array([stream.push(step) for step in steps])
    y, _ = run(made, tmp_path, x, expected.shape[1])
    np.testing.assert_allclose(y, expected, rtol=2e-4, atol=1e-5)  # x comes as float, 1000 with a spread of 50
    assert made.cost.error < 1e-5


def written(cell, folder, **options):
    """A net of this cell as C with a program, its cost looked at in passing: that is for other tests."""
    rnn = make(CELLS[cell], "auto", options, dtype=torch.float32)
    return to_c(rnn, folder, cell, main=True, X=[np.zeros((2, rnn.input_size))])


def test_it_compiles_without_a_warning_and_calls_nothing(tmp_path):
    sources = [written(cell, tmp_path).source for cell in CELLS]
    for name in ("classifier attention", "tagger crf=True spelling=0", "notes", "letters"):
        for weights in ("float32", "int8"):
            model, X = fitted(name), [steps_for(name)]
            sources.append(to_c(model, tmp_path, f"m{len(sources)}", weights=weights, X=X).source)
    there = {name: command for name, command in COMPILERS.items() if shutil.which(command[0])}
    assert there
    for command in there.values():
        (tmp_path / command[0]).mkdir()
        subprocess.run([*command, *STANDARD, "-O2", "-c", *sources], cwd=tmp_path / command[0], check=True)
    objects = list((tmp_path / "gcc").glob("*.o"))
    wanted = subprocess.run(["nm", "-u", *objects], capture_output=True, text=True, check=True).stdout.split()
    library = {"memcpy", "memset", "memmove"}  # a compiler may call these of its own accord
    assert {word for word in wanted if not word.endswith((".o:", "U"))} <= library | {"_GLOBAL_OFFSET_TABLE_"}


def test_it_is_clean_under_the_sanitizers(tmp_path):
    cells = ("slstm", "lru", "users_own", "elman_relu")
    made = [written(cell, tmp_path, **OPTIONS["stacked"]) for cell in cells]
    made += [to_c(fitted("tagger crf=True spelling=0"), tmp_path, "tags", main=True, weights="int8")]
    values = "nan inf -inf 1e38 -1e38 100 -100 0 1 2 3 1e-40"
    for one in made:
        program = tmp_path / one.source.stem
        flags = (
            "-g",
            "-O1",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            f"-D{one.source.stem.upper()}_MAIN",
        )
        built = subprocess.run(["cc", *STANDARD, *flags, one.source, "-o", program], capture_output=True, check=False)
        if built.returncode:
            pytest.skip("the compiler has no sanitizers")
        done = subprocess.run([program], input=f"{values} " * 10, capture_output=True, text=True, check=False)
        assert not done.stderr, done.stderr
        assert done.stdout.count("\n") == 120 // (1 if one.source.stem == "tags" else 3)


def test_int8_is_a_quarter_and_says_what_it_costs(tmp_path):
    model = elman.SequenceClassifier(bidirectional=False, hidden_size=48, max_steps=60, noise=0)
    X, y = signals()
    model.fit(X, np.array(y) > 0)
    full, small = to_c(model, tmp_path, "full"), to_c(model, tmp_path, "small", weights="int8")
    assert small.weights < 0.35 * full.weights
    assert full.cost.error < 1e-5 < small.cost.error < 0.1
    assert small.cost.agreement > 0.9 and full.cost.agreement == 1
    assert full.code is not None and full.code < 5000


def test_the_cost_is_measured_on_one_s_own_data(tmp_path):
    X, y = signals()
    labels = np.where(np.array(y) > 0, "up", "down")
    model = fitted("classifier max")
    cost = to_c(model, tmp_path, weights="int8", X=X, y=labels).cost
    assert (cost.judged, cost.steps) == ("accuracy", sum(map(len, X)))
    assert cost.model == pytest.approx(np.mean(model.predict(X) == labels))
    assert abs(cost.c - cost.model) < 0.2
    cost = to_c(fitted("regressor"), tmp_path, X=X, y=np.stack([y, np.square(y)], 1)).cost
    said = fitted("regressor").predict(X)
    assert cost.judged == "mean absolute error"
    assert cost.model == pytest.approx(np.abs(said - np.stack([y, np.square(y)], 1)).mean(), rel=1e-4)
    assert cost.c == pytest.approx(cost.model, rel=1e-4)
    cost = to_c(fitted("tagger of numbers"), tmp_path, X=X[1:], y=[x[:, 0].cumsum() for x in X[1:]]).cost
    said = fitted("tagger of numbers").predict(X[1:])
    far = np.concatenate([np.abs(s - x[:, 0].cumsum()) for s, x in zip(said, X[1:], strict=True)])
    assert cost.model == pytest.approx(far.mean(), rel=1e-4)
    cost = to_c(fitted("tagger crf=False spelling=0"), tmp_path, X=SENTENCES, y=TAGS).cost
    right = [
        a == b
        for s, t in zip(fitted("tagger crf=False spelling=0").predict(SENTENCES), TAGS, strict=True)
        for a, b in zip(s, t, strict=True)
    ]
    assert cost.model == cost.c == pytest.approx(np.mean(right))
    assert to_c(fitted("letters"), tmp_path, X=["so it goes"]).cost.steps == 10
    with pytest.raises(DataError, match="as many targets as sequences"):
        to_c(model, tmp_path, X=X, y=labels[1:])


def test_two_models_live_in_one_program(tmp_path):
    to_c(elman.Recurrent("gru", 1, 4), tmp_path, "one")
    to_c(elman.Recurrent("lstm", 1, 4), tmp_path, "two")
    (tmp_path / "main.c").write_text(
        '#include "one.h"\n#include "two.h"\n'
        "int main(void) { one_state a; two_state b; float x = 1, y[4]; one_init(&a); two_init(&b);\n"
        "one_step(&a, &x, y); two_step(&b, &x, y); return y[0] == y[0] ? 0 : 1; }\n"
    )
    names = ("main.c", "one.c", "two.c")
    subprocess.run(["cc", *STANDARD, *names, "-o", "both"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "both"], check=False).returncode == 0


@pytest.mark.parametrize("name", ["1st", "a b", "", "int", "a-b"])
def test_a_name_that_c_cannot_have_is_one_line(name, tmp_path):
    with pytest.raises(OptionError, match="name must be a name in C"):
        to_c(elman.Recurrent("gru", 1, 4), tmp_path, name)


def test_what_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(OptionError, match="weights must be one of float32, int8"):
        to_c(elman.Recurrent("gru", 1, 4), tmp_path, weights="int4")
    with pytest.raises(OptionError, match="float32"):
        to_c(elman.Recurrent("gru", 1, 4, dtype=torch.float64), tmp_path)
    with pytest.raises(OptionError, match="C is written for a recurrent stack"):
        to_c(fitted("detector"), tmp_path)
    with pytest.raises(OptionError, match="bidirectional"):
        to_c(StackStep("net", elman.Recurrent("gru", 1, 4, bidirectional=True)), tmp_path)
