"""A stream says at each step what the model says of the sequence so far, however it runs and wherever it is taken."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import elman
from elman.backends.native.compiler import find_compiler
from elman.errors import DataError, ElmanError, OptionError, RunError, ShapeError
from elman.steps import StackStep, Stream
from elman.steps.engine import Engine
from tests.steps.models import ALL, POOLINGS, classifier, fitted, forecaster, letters, signals, steps_for, tagger


@pytest.fixture(params=ALL)
def name(request):
    return request.param


def pushed(stream, steps):
    return np.array([stream.push(x) for x in steps])


def of_prefixes(name, model, steps):
    """What the model itself says of each beginning of the sequence."""
    prefixes = [steps[: t + 1] for t in range(len(steps))]
    if name.startswith("classifier"):
        return model.predict_proba([np.array(p) for p in prefixes])
    if name == "regressor":
        return model.predict([np.array(p) for p in prefixes])
    if name == "tagger of numbers":
        return model.predict([np.array(steps)])[0][:, None]
    return model.predict_proba([steps])[0]


@pytest.mark.parametrize(
    "name", [n for n in ALL if n.split()[0] in ("classifier", "regressor", "tagger") and "crf=True" not in n]
)
def test_an_answer_is_what_the_model_says_of_the_steps_so_far(name):
    model, steps = fitted(name), steps_for(name)
    expected = of_prefixes(name, model, steps)
    np.testing.assert_allclose(pushed(model.stream(), steps), expected, rtol=1e-5, atol=2e-6)


def test_a_chain_of_labels_ends_as_the_best_path_so_far_does():
    for spelling in (0, 6):
        model, words = tagger(crf=True, spelling=spelling), ["a", "cat", "the", "down", "dog"]
        stream = model.stream()
        found = [stream.answer(stream.push(word))["label"] for word in words]
        assert found == [model.predict([words[: t + 1]])[0][-1] for t in range(len(words))]


def test_the_next_token_has_the_probability_that_the_model_judges_it_by():
    model, text = letters(), "so it goes. so"
    stream = model.stream()
    names = ["�", *model.inputs_.vocabulary.names]
    p = [stream.push(a)[names.index(b)] for a, b in pairwise(text)]
    # a token that is not known can be read but not written: its share goes to the others
    np.testing.assert_allclose(p, np.exp(-model.losses(text)[0]), rtol=2e-3)
    assert stream.answer(stream.push("o"))["next"] in names


def test_the_next_notes_have_the_probability_that_the_model_judges_them_by():
    model, frames = fitted("notes"), np.array(steps_for("notes"))
    p = pushed(model.stream(), frames)[:-1]
    loss = -np.where(frames[1:] > 0, np.log(p), np.log1p(-p)).sum(1)
    np.testing.assert_allclose(loss, model.losses([frames])[0], rtol=1e-4)


def test_a_detector_scores_a_step_when_it_comes():
    model, steps = fitted("detector"), np.array(steps_for("detector"))
    watched, surprise = model.steps([steps])[0], model.surprise([steps])[0]
    stream = model.stream()
    y = pushed(stream, steps)
    np.testing.assert_allclose(y[:, 0], watched.scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[:, 1], surprise, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[:, 2:], watched.expected, rtol=1e-4, atol=1e-4)
    assert [stream.answer(one)["alarm"] for one in y] == watched.alarms.tolist()
    with pytest.raises(OptionError, match="Train with method='forecast'"):
        elman.AnomalyDetector(method="autoencoder", hidden_size=4, max_steps=2).fit([steps[:, 0]]).stream()


def test_a_forecaster_goes_on_where_its_history_ends():
    model = forecaster()
    stream, values = model.stream(series="b"), [12.0, 15.5, np.nan, 13.0]
    for value in values:
        y = stream.push(value)
    panel = model.panel_.select([1])
    whole = np.concatenate([panel.y[0], values])
    times = np.concatenate([panel.times[0], panel.future_times(4)[0]])
    grown = replace(panel, y=(whole[-len(panel.y[0]) :],), times=(times[-len(panel.y[0]) :],))
    expected = model.quantiles(grown, 3, [0.5, 0.1, 0.9, 0.025, 0.975])[0].T
    np.testing.assert_allclose(y.reshape(5, 3), expected, rtol=1e-5)
    assert list(stream.answer(y)) == ["median", "lo-80", "hi-80", "lo-95", "hi-95"]
    for wrong in (None, "c"):
        with pytest.raises(OptionError, match="series"):
            model.stream(series=wrong)
    assert forecaster(("a",)).stream().push(11.0).shape == (15,)


def test_compiled_or_not_the_answers_and_the_state_are_the_same(name):
    if find_compiler() is None:
        pytest.skip("no compiler")
    step = fitted(name).causal()
    fast, plain = Stream(Engine(step)), Stream(Engine(step, compiled=False))
    assert plain.engine.why is not None and (fast.engine.why is None or name == "detector")
    for x in steps_for(name) * 3:
        np.testing.assert_allclose(fast.push(x), plain.push(x), rtol=1e-5, atol=2e-6)
    for part, value in fast.state.items():
        np.testing.assert_allclose(value, plain.state[part], rtol=1e-5, atol=2e-6, err_msg=part)


def test_a_state_can_be_kept_put_back_forked_and_written(name, tmp_path):
    model, steps = fitted(name), steps_for(name)
    whole = pushed(model.stream(), steps)
    stream = model.stream()
    pushed(stream, steps[:2])
    kept = stream.state
    stream.save(tmp_path / "state")
    others = [stream.fork(), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream)), model.stream(kept)]
    restored = model.stream()
    restored.restore(tmp_path / "state")
    for other in (*others, restored):
        np.testing.assert_array_equal(pushed(other, steps[2:]), whole[2:])
    assert [other.steps for other in (*others[:3], restored)] == [len(steps)] * 4
    np.testing.assert_array_equal(pushed(stream, steps[2:]), whole[2:])  # the others took nothing from it
    stream.reset()
    np.testing.assert_array_equal(pushed(stream, steps), whole)
    assert stream.steps == len(steps)


def test_the_state_of_a_net_goes_into_a_stream():
    rnn = elman.Recurrent("lstm", 3, 5, num_layers=2)
    x = torch.randn(1, 8, 3)
    y, _ = rnn(x)
    _, state = rnn(x[:, :5])
    stream = Stream(StackStep("net", rnn), tuple(part.detach() for part in state))
    np.testing.assert_allclose(pushed(stream, x[0, 5:].numpy()), y[0, 5:].detach().numpy(), atol=1e-6)


def test_training_further_does_not_reach_an_open_stream():
    model = classifier()
    stream, steps = model.stream(), steps_for("classifier max")
    first = pushed(stream, steps)
    X, y = signals()
    model.partial_fit(X, np.where(np.array(y) > 0, "up", "down"))
    stream.reset()
    np.testing.assert_array_equal(pushed(stream, steps), first)


def test_out_is_written_and_nothing_is_allocated():
    import tracemalloc

    stream, out = fitted("classifier max").stream(), np.zeros(2, np.float32)
    x = np.array([0.5, 1000.0])
    assert stream.push(x, out) is out
    tracemalloc.start()
    for _ in range(100):
        stream.push(x, out)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(10_000):
        stream.push(x, out)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 1000


@pytest.mark.parametrize(
    ("name", "step", "message"),
    [
        ("classifier max", [1.0], "a step must be 2 numbers, got"),
        ("classifier max", [1.0, np.inf], "must be finite"),
        ("classifier max", "up", "a step must be 2 numbers"),
        ("classifier max", [[1.0, 2.0]], "Push one time step"),
        ("classifier max", None, "a step must be 2 numbers"),
        ("tagger crf=False spelling=0", 3, "a step must be a name"),
        ("tagger crf=False spelling=0", "the cat", "Push them one by one"),
        ("letters", "so", "Push them one by one"),
    ],
)
def test_what_is_no_step_is_one_line_and_changes_nothing(name, step, message):
    stream = fitted(name).stream()
    stream.push(steps_for(name)[0])
    before = stream.state
    with pytest.raises(DataError, match=message) as problem:
        stream.push(step)
    assert "\n" not in str(problem.value)
    assert stream.steps == 1
    for part, value in stream.state.items():
        np.testing.assert_array_equal(value, before[part])


def test_numbers_that_a_plain_net_reads_must_be_there():
    stream = Stream(StackStep("net", elman.Recurrent("gru", 2, 4)))
    with pytest.raises(DataError, match="must be finite"):
        stream.push([np.nan, 1.0])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: elman.SequenceClassifier(hidden_size=4, max_steps=2), "Train with bidirectional=False"),
        (lambda: elman.SequenceClassifier(bidirectional=False, stride=2, hidden_size=4, max_steps=2), "stride=1"),
        (lambda: elman.SequenceClassifier(body="feed-forward", hidden_size=4, max_steps=2), "carries no state"),
    ],
)
def test_a_model_that_needs_the_whole_says_so(model, message):
    X, y = signals()
    with pytest.raises(OptionError, match=message):
        model().fit(X, np.array(y) > 0).stream()


def test_a_model_that_was_not_fitted_says_so():
    for kind in (elman.SequenceTagger, elman.LanguageModel, elman.Translator):
        with pytest.raises(ElmanError, match="not fitted yet"):
            kind().stream()


def test_a_wrong_state_is_one_line(tmp_path):
    stream = fitted("classifier max").stream()
    good = stream.state
    for wrong, message in (
        ({**good, "h": np.zeros((1, 9))}, "part 'h' of the state must be"),
        ({**good, "k": good["h"]}, "the state has no part 'k'"),
        ({"h": good["h"]}, "is missing"),
    ):
        with pytest.raises(ShapeError, match=message):
            stream.state = wrong
    with pytest.raises(RunError, match="no such file"):
        stream.restore(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"not a state")
    with pytest.raises(RunError, match="not a state"):
        stream.restore(tmp_path / "bad")
    fitted("classifier mean").stream().save(tmp_path / "other")
    with pytest.raises(RunError, match="another model"):
        stream.restore(tmp_path / "other")


def test_each_pooling_is_tried():
    assert {f"classifier {pooling}" for pooling in POOLINGS} <= set(ALL)


def test_a_taggers_name_may_look_like_several():
    X, y = [["pay", "32.500", "now"], ["at", "9:30", "or", "never"]] * 10, [["O", "N", "O"], ["O", "N", "O", "O"]] * 10
    model = elman.SequenceTagger(bidirectional=False, hidden_size=8, max_steps=40).fit(X, y)
    stream = model.stream()
    said = [stream.answer(stream.push(name))["label"] for name in ("pay", "1.200,50", "now")]
    assert said == model.predict([["pay", "1.200,50", "now"]])[0].tolist()
