"""Forecasts, nets that write, detectors and piano rolls explained: against what is known exactly, and what they say."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

import elman
from elman.cli.app import app
from elman.cli.jobs import write_columns
from elman.data import Columns
from elman.errors import DataError, OptionError
from elman.evidence.explain import explain_example
from elman.evidence.explain.example_page import plot_parts, to_html

DAYS, WEEK = 120, 7


def table(series: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for k in range(series):
        y = 20 + 5 * np.sin(np.arange(DAYS) * 2 * np.pi / WEEK) + rng.normal(size=DAYS)
        columns = {
            "unique_id": f"s{k}",
            "ds": pd.date_range("2024", periods=DAYS),
            "y": y,
            "price": rng.normal(10, 2, DAYS),
            "promo": rng.integers(0, 2, DAYS).astype(float),
            "kind": rng.choice(["a", "b"], DAYS),
            "shop": f"k{k}",
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts)


def said_by(model, series, step, **more):
    found = model.predict(backend="pandas", **more)
    return found[found.unique_id == series]["median"].iloc[step]


def test_what_an_untrained_forecast_owes_is_exact():
    """Its head is 0: the median is the mean of the last value, of that a week ago and of the mean of four weeks."""
    given = {"calendar": False, "target_transform": "none", "season_length": WEEK}
    model = elman.Forecaster(horizon=WEEK, hidden_size=4, max_steps=1, **given).fit(table())
    for weight in model.network_.head.parameters():
        torch.nn.init.zeros_(weight)
    y, step = model.panel_.y[1], 2
    found = explain_example(model, "s1", step)
    weights = np.zeros(len(y))
    weights[-1] = 1 / 3
    weights[len(y) + step - WEEK] += 1 / 3
    weights[[len(y) + step - k * WEEK for k in (1, 2, 3, 4)]] += 1 / 12
    level = y[-model.plan_.shape.context :].mean()
    parts = np.zeros(len(y) + step + 1)
    parts[: len(y)] = weights * (y - level)
    assert found.attribution.steps == pytest.approx(parts[-len(found.steps) :], rel=1e-5, abs=1e-6)
    assert found.attribution.begin == pytest.approx(level)
    assert parts[: -len(found.steps)] == pytest.approx(0)
    assert found.steps[-1] == "2024-05-02"


@pytest.mark.parametrize("output", ["quantile", "gaussian", "student-t"])
def test_a_forecast_is_the_one_that_is_predicted_and_its_parts_sum_to_it(output):
    model = elman.Forecaster(horizon=WEEK, hidden_size=8, max_steps=30, output=output).fit(table())
    for step in (0, 3):
        found = explain_example(model, "s1", step)
        assert found.attribution.end == pytest.approx(said_by(model, "s1", step), rel=1e-5)
        assert found.attribution.gap <= 0.01
        assert found.features == ("y", "day_of_week", "day_of_month")
        assert found.x is not None and np.isnan(found.x[-1 - step :]).all()
        assert found.inside[0].values["state h"].shape == (model.plan_.shape.context + step + 1, 8)
    with pytest.raises(OptionError, match="step must be in 0 to 6, got 7"):
        explain_example(model, "s1", 7)
    with pytest.raises(OptionError, match="no series 'sx' in the model"):
        explain_example(model, "sx")


def test_a_recursive_forecast_feeds_its_median_to_the_next_step(monkeypatch):
    model = elman.Forecaster(horizon=3, hidden_size=8, max_steps=30, strategy="recursive", paths=4).fit(table())
    found = [explain_example(model, "s0", step) for step in range(3)]
    # Where every path draws the median, all are the path that is explained.
    monkeypatch.setattr(torch, "rand", lambda *size, **options: torch.full(size, 0.5, dtype=torch.float64))
    for step, one in enumerate(found):
        assert one.attribution.end == pytest.approx(said_by(model, "s0", step), rel=1e-5)
        assert one.attribution.gap <= 0.01
        assert [len(layer.values["state h"]) for layer in one.inside] == [model.plan_.shape.context + step + 1]


@pytest.mark.parametrize("roles", [{"past": ("price", "kind"), "static": ("shop",)}, {"future": ("promo", "kind")}])
def test_covariates_have_parts_too(roles):
    model = elman.Forecaster(horizon=WEEK, hidden_size=8, max_steps=40, **roles).fit(table())
    own = table()[lambda t: t.unique_id == "s0"]
    found = explain_example(model, own, 2)
    if "future" in roles:  # there the last horizon is explained, since only there they are known
        columns = ["unique_id", "ds", *roles["future"]]
        said = model.predict(own.iloc[:-WEEK], future=own[columns].iloc[-WEEK:])["median"].iloc[2]
    else:
        said = said_by(model, "s0", 2)
    assert found.attribution.end == pytest.approx(said, rel=1e-5)
    assert found.attribution.gap <= 0.01
    assert {name for names in roles.values() for name in names} < set(found.features)
    assert all(np.abs(found.attribution.parts[:, k]).sum() > 0 for k in range(len(found.features)))
    late = found.features.index("price") if "price" in found.features else None
    if late is not None:  # what is known up to now is not owed to steps that are still to come
        assert found.attribution.parts[-3:, late] == pytest.approx(0)


def test_counts_are_explained_by_their_mean():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"ds": np.arange(100), "y": rng.poisson(2, 100).astype(float)})
    model = elman.Forecaster(horizon=2, hidden_size=4, max_steps=20, output="negative-binomial").fit(frame)
    found = explain_example(model)
    assert found.of == "The mean for 100"
    assert found.attribution.gap <= 0.01 and 0 < found.attribution.end < 10
    with pytest.raises(DataError, match="2 values in the window"):
        explain_example(model, pd.DataFrame({"ds": [0, 1], "y": [1.0, np.nan]}))


def test_a_note_of_a_roll_is_exact_where_the_net_is_linear():
    """The leaky integrator and a linear head: frame t is worth (1 - α)^(T-1-t) α W x_t."""
    rng = np.random.default_rng(0)
    rolls = [(rng.random((60, 5)) < 0.3).astype(int) for _ in range(4)]
    model = elman.LanguageModel(cell="leaky", hidden_size=6, max_steps=3, num_layers=1).fit(rolls)
    with torch.no_grad():
        model.network_.head.weight.normal_()
    found = explain_example(model, rolls[0][:12])
    cell = {name: p.detach().double() for name, p in model.network_.body.named_parameters()}
    (alpha,) = (torch.sigmoid(p) for name, p in cell.items() if name.endswith("layers.0.p.a"))
    (W,) = (p for name, p in cell.items() if name.endswith("layers.0.W"))
    note = int(found.of.split()[-1])
    far = torch.arange(11, -1, -1)[:, None]
    head = model.network_.head.weight.detach().double()[note]
    worth = ((1 - alpha) ** far * alpha * (torch.as_tensor(rolls[0][:12]).double() @ W.T)) @ head
    assert found.attribution.steps == pytest.approx(worth.numpy(), rel=1e-6, abs=1e-9)
    assert found.features[note] == f"note {note}"
    with torch.no_grad():
        z = model.network_(torch.as_tensor(rolls[0][None, :12]).float())[0][0, -1]
    assert found.attribution.end == pytest.approx(float(z.max()), abs=1e-4)


@pytest.fixture(scope="module")
def translator():
    german, english = ["ein hund", "eine katze", "ein haus"], ["a dog", "a cat", "a house"]
    small = {"hidden_size": 16, "embedding_size": 16, "min_count": 1, "target_min_count": 1}
    return elman.Translator(**small, max_steps=80, learning_rate=0.01).fit(german * 4, english * 4)


def odds_token_by_token(model, x, step):
    """The log-odds of a written word by the decoder's single steps, an independent way to them."""
    net = model.network_
    codes = [net.end, *model.written([x])[0].codes, net.end]
    with torch.no_grad():
        state = net.begin(model.inputs_.encode([x], "here")[0][None], None)
        for token in codes[: step + 1]:
            z, state = net.step(torch.tensor([token]), state)
    logs = torch.log_softmax(z[0], 0)[codes[step + 1]]
    return float(logs - torch.log1p(-logs.exp()))


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_written_word_is_owed_to_the_words_read(translator, step):
    found = explain_example(translator, "eine katze", step)
    assert found.steps == ["eine", "katze"]
    assert found.attribution.gap <= 0.01
    assert found.attribution.end == pytest.approx(odds_token_by_token(translator, "eine katze", step), abs=1e-4)
    assert found.looked is not None
    (words, looked) = translator.align(["eine katze"])[0]
    assert found.looked.weights[: len(words)] == pytest.approx(looked, abs=1e-5)
    assert found.looked.words == ["a", "cat", "(end)"]
    assert [(one.part, one.reverse) for one in found.inside] == [
        ("Encoder", False), ("Encoder", True), ("Decoder, asking", False), ("Decoder, writing", False)
    ]  # fmt: skip


def test_a_word_of_a_caption_is_owed_to_those_before_and_the_picture_shows_where_it_looked():
    dark, light = np.zeros((16, 16, 3)), np.ones((16, 16, 3))
    small = {"hidden_size": 16, "embedding_size": 16, "side": 16, "blocks": 2}
    model = elman.Captioner(**small, max_steps=80, learning_rate=0.01).fit(
        [dark, light] * 6, ["by night", "at noon"] * 6
    )
    words = len(model.written([light])[0].words)
    found = explain_example(model, light)
    assert found.steps[0] == "(begin)" and len(found.steps) == words
    for step in range(words + 1):
        one = explain_example(model, light, step)
        assert one.attribution.gap <= 0.01
        assert one.attribution.end == pytest.approx(odds_token_by_token(model, light, step), abs=1e-4)
    assert found.looked is not None and found.looked.shape == (4, 4)
    assert found.looked.weights.shape == (words + 1, 16)
    assert found.looked.weights.sum(1) == pytest.approx(1)
    page = to_html(found, "why")
    assert "Where in the picture it looked" in page and "Decoder, asking: layer 1" in page


def test_a_label_is_owed_to_where_it_was_heard():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc"), 4)) for _ in range(60)]
    X = [np.repeat(np.eye(3)[["abc".index(k) for k in t]], 5, 0) + rng.normal(0, 0.1, (20, 3)) for t in texts]
    model = elman.Transcriber(hidden_size=16, max_steps=150, learning_rate=0.02, random_state=0).fit(X, texts)
    right = next(i for i, said in enumerate(model.predict(X)) if said == texts[i])
    with torch.no_grad():
        p = model.network_(model.inputs_.encode([X[right]], "here")[0][None], torch.tensor([20]))[0][0].exp().double()
    for step, letter in enumerate(texts[right]):
        found = explain_example(model, X[right], step)
        assert found.attribution.gap <= 0.05
        assert f"{letter!r}" in found.said
        assert found.attribution.parts[:, "abc".index(letter)].sum() > 0
        place = int(found.said.split()[-3])
        assert 5 * step - 4 <= place <= 5 * step + 9  # beside where it stands, by the steps that the net looks on
        assert found.attribution.end == pytest.approx(
            float(torch.logit(p[place // model.stride_, "_abc".index(letter)])), abs=1e-3
        )
    with pytest.raises(OptionError, match="step must be in 0 to 3, got 4"):
        explain_example(model, X[right], 4)


def noise(count=1500):
    rng, t = np.random.default_rng(0), np.arange(count)
    return np.stack([np.sin(t / 5) + rng.normal(0, 0.1, count), rng.normal(size=count)], 1)


def test_the_score_of_a_detector_that_expects_the_mean_is_exact():
    """-log p of a normal distribution about 0: of a value z standard deviations away, z² / 2 more than of none."""
    model = elman.AnomalyDetector(hidden_size=4, max_steps=1, smooth=1).fit([noise()])
    net = model.network_
    for weight in (net.head.weight, net.head.bias, net.linear.weight):
        torch.nn.init.zeros_(weight)
    x = noise()
    x[700, 0] = 4.0
    found = explain_example(model, x)
    sigma = np.log1p(np.exp(-0.43)) + 1e-3
    z = ((x[700] - model.inputs_.mean) / model.inputs_.scale) / sigma
    parts = np.zeros_like(found.attribution.parts)
    parts[-1] = np.square(z) / 2 / 2  # the mean of two features
    assert found.said.startswith("score") and "at step 700" in found.said
    assert found.steps[-1] == "700"
    assert found.attribution.parts == pytest.approx(parts, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("method", ["forecast", "autoencoder"])
def test_a_score_is_that_of_the_detector_and_its_parts_sum_to_it(method):
    model = elman.AnomalyDetector(method=method, hidden_size=12, max_steps=60).fit([noise(), noise()[::-1]])
    x = noise()
    x[700:705, 0], x[690, 1], x[701, 1] = 3, np.nan, np.nan
    scores = model.steps([x])[0].scores
    for step in (None, 0, 2, 700, 1499):
        found = explain_example(model, x, step)
        assert found.attribution.gap <= 0.01
        assert found.attribution.end == pytest.approx(scores.max() if step is None else scores[step], rel=1e-4)
    strange = explain_example(model, x)
    first = strange.steps[int(strange.attribution.steps.argmax())]
    assert 700 <= int(first) < 705
    assert strange.attribution.parts.shape == (len(strange.steps), 2)


def told(capsys, *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        app(["explain", *words])
    found = capsys.readouterr()
    return int(ended.value.code or 0), found.out + found.err


def test_the_command_reads_what_each_kind_of_run_reads(translator, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = table()[["unique_id", "ds", "y"]]
    frame.to_csv("sales.csv", index=False)
    elman.Forecaster(horizon=3, hidden_size=4, max_steps=3).fit(frame).save("sales")
    for asked in (["--on", "s1"], ["--on", "history", "--row", "1"], ["--on", "sales.csv", "--row", "1"]):
        code, out = told(capsys, "sales", *asked, "--step", "2")
        assert code == 0 and "2024-05-02 of 's1', step 2 of the 3 ahead" in out
    code, out = told(capsys, "sales", "--on", "s9")
    assert code == 2 and out.count("\n") == 1 and "a series of sales (s0, s1, s2) or 'history', got 's9'" in out
    code, out = told(capsys, "sales", "--on", "sales.csv", "--row", "3")
    assert code == 2 and "--row must be in 0 to 2, for sales.csv has 3; got 3" in out

    translator.save("translations")
    code, out = told(capsys, "translations", "--on", "ein haus", "--step", "1")
    assert code == 0 and "its word 1, " in out
    kept = json.loads((tmp_path / "translations" / "explanation.json").read_text())
    assert kept["example"] == "'ein haus'" and kept["sources"] == ["ein", "haus"]

    elman.AnomalyDetector(hidden_size=4, max_steps=3).fit([noise()]).save("watched")
    pd.DataFrame(noise(300), columns=["flow", "heat"]).to_csv("pump.csv", index=False)
    code, out = told(capsys, "watched", "--on", "pump.csv")
    assert code == 0 and "By feature: " in out and "score" in out
    page = (tmp_path / "watched" / "explanation.html").read_text()
    first, *_, last = json.loads((tmp_path / "watched" / "explanation.json").read_text())["steps"]
    assert f"Why watched says so of pump.csv, steps {first} to {last}" in page
    assert "score / threshold" in page and "threshold" in page
    write_columns(tmp_path / "watched", Columns(("flow", "heat"), None, None, "hour"))
    hours = pd.date_range("2024-03-01", periods=300, freq="h")
    pd.read_csv("pump.csv").assign(hour=hours).sample(frac=1, random_state=0).to_csv("hours.csv", index=False)
    code, _ = told(capsys, "watched", "--on", "hours.csv")
    page = (tmp_path / "watched" / "explanation.html").read_text()
    assert code == 0
    assert f"says so of hours.csv, {hours[int(first)]} to {hours[int(last)]}" in page
    code, out = told(capsys, "watched", "--on", "pump")
    assert code == 2 and out.count("\n") == 1 and "no such file, pump" in out

    rolls = [(np.random.default_rng(k).random((30, 5)) < 0.3).astype(int) for k in range(2)]
    elman.LanguageModel(hidden_size=4, max_steps=3).fit(rolls).save("tunes")
    np.savez("rolls.npz", train_0=rolls[0], train_1=rolls[1])
    code, out = told(capsys, "tunes", "--on", "rolls.npz", "--row", "1")
    assert code == 0 and "Log-odds of note" in out


def test_a_roll_is_drawn_as_one_and_the_curves_of_numbers_are_named():
    rolls = [(np.random.default_rng(k).random((30, 40)) < 0.1).astype(int) for k in range(2)]
    model = elman.LanguageModel(hidden_size=4, max_steps=3).fit(rolls)
    found = explain_example(model, rolls[0])
    assert found.x is not None
    axes, _ = plot_parts(found, found.x).axes
    assert len(axes.images) == 1 and not axes.lines and axes.get_ylabel() == "note"
    assert "The 16 others add" in to_html(found, "roll")
    sold = table(1)[["unique_id", "ds", "y"]].rename(columns={"y": "sold"})
    forecaster = elman.Forecaster(horizon=3, hidden_size=4, max_steps=2, target="sold").fit(sold)
    found = explain_example(forecaster)
    assert found.x is not None and found.watched is None
    axes, below = plot_parts(found, found.x).axes
    assert axes.get_ylabel() == "sold" and below.get_xlabel() == "", "its ticks are dates"


def test_the_threshold_of_a_detector_is_drawn_among_its_scores():
    detector = elman.AnomalyDetector(hidden_size=4, max_steps=3).fit([noise()])
    found = explain_example(detector, noise(300))
    assert found.x is not None and found.watched is not None
    assert len(found.watched.scores) == len(found.steps)
    _, score, _ = plot_parts(found, found.x).axes
    line, limit = score.lines
    assert np.asarray(limit.get_ydata()).tolist() == [1.0, 1.0] and limit.get_label() == "threshold"
    above = np.asarray(line.get_ydata()) > 1
    assert (above == (found.watched.scores > detector.alarm_.step)).all()
